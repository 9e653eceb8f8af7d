"""The command `rubrica tune`: what it prints where, what it writes, its errors."""

import csv
import json
import subprocess
import sys

import pytest

import rubrica
from made_searches import capitals, plain, without_torch

FLAGS = ["--time", "1h", "--trials", "3"]


@pytest.fixture(autouse=True)
def _no_torch(monkeypatch):
    without_torch(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with train and test, in which capitals alone tell the class."""
    folder = tmp_path_factory.mktemp("data")
    for split, both in (("train", capitals()), ("test", capitals(60, seed=1))):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *zip(*both, strict=True)])
    return folder


def test_what_was_tried_is_printed_and_kept(run, data, tmp_path):
    code, out, err = run("tune", data, *FLAGS, "--out", tmp_path / "m", "--report", tmp_path / "page.html")
    assert code == 0, err
    assert "3 trials, 3 judged on all parts; lead over the defaults in points" in out
    assert "linear: the defaults" in out
    assert "keep_case True" in " ".join(out.split())
    assert "trial 3 wins with accuracy" in err
    assert "test: accuracy 1.0000" in err
    for name in ("trials.jsonl", "trials.png"):
        assert f"wrote {tmp_path}/m.search/{name}" in err
    assert "torch is not installed, so only linear, bag are tried" in err
    assert "<html" in (tmp_path / "page.html").read_text()
    rows = [json.loads(line) for line in (tmp_path / "m.search/trials.jsonl").read_text().splitlines()]
    assert [row["trial"] for row in rows] == [1, 2, 3]
    found = json.loads((tmp_path / "m/metrics.json").read_text())["tuning"]
    assert (found["trials"], found["winner"], found["score"]) == (3, 3, rows[2]["score"])
    assert rubrica.load(tmp_path / "m").predict(["CUP0 ROBOT1", "cup0 robot1"]) == ["upper", "lower"]


def test_the_defaults_are_said_to_stay(run, tmp_path):
    with (tmp_path / "d.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(*plain(200), strict=True)])
    code, _, err = run("tune", tmp_path / "d.csv", *FLAGS, "--out", tmp_path / "m", "--size", "50k", "--seed", "2")
    assert code == 0, err
    assert "the model has the defaults" in err
    assert sum(path.stat().st_size for path in (tmp_path / "m").iterdir()) <= 50_000


def test_a_second_run_meets_the_model(run, data, tmp_path):
    arguments = ["tune", data, *FLAGS, "--out", tmp_path / "m"]
    assert run(*arguments)[0] == 0
    code, _, err = run(*arguments)
    assert code == 1
    assert "m: the output folder is not empty" in err
    code, _, err = run("tune", data, *FLAGS, "--out", tmp_path / "m2", "--seed", "1")
    assert code == 0
    for path in (tmp_path / "m2").iterdir():
        path.unlink()
    code, _, err = run("tune", data, *FLAGS, "--out", tmp_path / "m2")
    assert code == 1
    assert err.splitlines()[-1].endswith(
        "m2.search: the search that was begun here had other seed; repeat its command, give another --out,"
        " or remove the folder"
    )


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--time", "2d"], "'--time': '2d' is no length of time; give seconds, 90s, 2m or 1h"),
        (["--time", "1m", "--size", "big"], "'--size': 'big' is no size"),
        (["--time", "1m", "--trials", "0"], "'--trials'"),
        (["--time", "1m", "--seed", "-1"], "'--seed'"),
        ([], "Missing option '--time'"),
    ],
)
def test_a_wrong_flag_is_a_sentence(flags, problem, run, data, tmp_path):
    code, out, err = run("tune", data, *flags, "--out", tmp_path / "m")
    assert (code, out) == (2, "")
    assert problem in err
    assert not (tmp_path / "m.search").exists()


def test_without_optuna_there_is_one_sentence(data, tmp_path):
    code = (
        "import sys; sys.modules['optuna'] = None; from rubrica.cli.main import main; sys.argv[0] = 'rubrica'; main()"
    )
    command = [sys.executable, "-c", code, "tune", data, "--time", "1m", "--out", tmp_path / "m"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: optuna is not installed; run: pip install 'rubrica[tune]'\n"


def test_without_matplotlib_there_is_no_plot(run, data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, _, err = run("tune", data, *FLAGS, "--out", tmp_path / "m")
    assert code == 0
    assert "no plot of the trials: matplotlib is not installed; run: pip install 'rubrica[report]'" in err
    assert "trials.jsonl" in err
    assert not (tmp_path / "m.search/trials.png").exists()


def test_ctrl_c_before_there_is_a_model_leaves_a_search(run, data, tmp_path, monkeypatch):
    from rubrica.tuning import tune

    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tune, "_judge", interrupted)
        code, _, err = run("tune", data, *FLAGS, "--out", tmp_path / "m")
    assert code == 130
    assert err.endswith("interrupted\n")
    assert not (tmp_path / "m").exists()
    assert run("tune", data, *FLAGS, "--out", tmp_path / "m")[0] == 0
