"""The flag --ray: what it asks for, and what it does not go together with."""

import sys

import pytest


def test_ray_asks_for_what_it_needs(run, home, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    out = tmp_path / "out.jsonl"
    code, _, err = run("predict", home / "model", home / "test.csv", "--out", out, "--ray")
    assert (code, err) == (1, "error: ray is not installed; run: pip install 'rubrica[ray]'\n")
    code, _, err = run("train", home, "--model", "bag", "--out", tmp_path / "model", "--ray")
    assert code == 1
    assert err.endswith("error: ray is not installed; run: pip install 'rubrica[ray]'\n")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["predict", "{model}", "{data}", "--ray"], "--ray requires --out"),
        (["predict", "{model}", "--out", "a.jsonl", "--ray"], "--ray reads files that its workers see"),
        (["predict", "{model}", "--ray", "{data}", "--out", "a.jsonl"], "is no number of workers; give --ray 4"),
        (["train", "{data}", "--out", "new", "--ray", "0"], "is no number of workers"),
        (["train", "{data}", "--out", "new", "--resume", "--ray"], "a training on Ray keeps no checkpoints"),
    ],
)
def test_flags_beside_ray(command, problem, run, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*(part.format(model=home / "model", data=home / "test.csv") for part in command))
    assert code == 2
    assert problem in err
