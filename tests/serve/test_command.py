"""The command: what it is given, what it says."""

import subprocess
import sys

import pytest

from made_fasttext import made_fasttext
from rubrica import load
from rubrica.artifact.fasttext_file import write_fasttext
from rubrica.serve.logs import Style, log_now
from serving import ONE, SEVERAL, ask, predict, serving


def run(*arguments):
    command = [sys.executable, "-m", "rubrica", "serve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no-such-model"], 1, "error: no-such-model: no such model folder; "),
        (["no-such-model", "--workers", 2], 1, "error: no-such-model: no such model folder; "),
        ([ONE, ONE], 2, f"Error: two models are called {ONE.name}; give NAME=PATH"),
        ([f"a/b={ONE}"], 2, "Error: a/b="),
        ([ONE, "--port", 70000], 2, "Error: Invalid value for '--port': "),
        ([ONE, "--host", "192.0.2.1"], 1, "error: cannot listen at 192.0.2.1 port 8000: "),
        ([ONE, "--api-key-file", "no-such-file"], 1, "error: no-such-file: no key can be read (No such file"),
        ([ONE, "--queue", 9], 2, "Error: --queue is below --max-texts"),
        ([SEVERAL, "--abstain-below", 0.5], 1, f"error: {SEVERAL}: --abstain-below: this model may give"),
        ([ONE, "--abstain-below", 2], 2, "Error: Invalid value for '--abstain-below': "),
    ],
)
def test_faults_are_one_sentence(arguments, code, said):
    found, line = run(*arguments)
    assert found == code
    assert line.startswith(said), line


def test_a_taken_port_is_said(tmp_path):
    with serving(ONE, folder=tmp_path) as server:
        for workers in (1, 2):
            code, line = run(ONE, "--port", server.port, "--workers", workers)
            assert code == 1
            assert "Address already in use" in line


def test_an_empty_key_is_refused(tmp_path):
    key = tmp_path / "key"
    key.write_text("\n")
    assert run(ONE, "--api-key-file", key)[0] == 2


def test_files_of_fasttext_answer(tmp_path):
    texts, paths = ["w0 w1", "w2 w2 w0", "unknown", ""], {}
    for loss in ("softmax", "hs", "ova"):
        paths[loss] = tmp_path / f"{loss}.bin"
        write_fasttext(*made_fasttext(labels=4, loss=loss), paths[loss])
    with serving(*paths.values(), folder=tmp_path) as server:
        for path in paths.values():
            model = load(path)
            for k in (None, 2):
                rows = predict(server, texts, model=path.name, parameters={"top_k": k})
                found = [[pair["label"] for pair in row] for row in rows]
                wanted = model.predict(texts, k=k)
                assert found == [answer if isinstance(answer, list) else [answer] for answer in wanted]
            assert ask(server, "GET", f"/v2/models/{path.name}")[2]["labels"] == model.labels


def test_the_log_has_lines_of_text_too(capfd):
    log_now(Style(as_json=False), "ready", address="http://[::1]:80")
    log_now(Style(as_json=False, quiet=True), "silent")
    log_now(Style(as_json=False, quiet=True), "failed", "error", problem="no more memory")
    first, second = capfd.readouterr().err.splitlines()
    assert first.endswith("Z info ready address=http://[::1]:80")
    assert second.endswith("Z error failed problem=no more memory")
