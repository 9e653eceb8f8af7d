"""Whatever encoding the locale names: files get UTF-8, terminals get what they can show, and nothing fails."""

import json
import os
import subprocess
import sys

import pytest

from rubrica.learning.train import train
from rubrica.models.config import make_config

pty = pytest.importorskip("pty", reason="Windows has no pseudo terminals")

LABELS = ["žluťoučký", "кошка 😺", "猫"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    rows = [f"word{i % 3} word{i % 3} {'é' * (i % 5)},{LABELS[i % 3]}" for i in range(30)]
    (folder / "data.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    train(str(folder / "data.csv"), config=make_config(model={"name": "bag"}), out=folder / "model")
    (folder / "texts.txt").write_text("word0\nword1\nword2\n")
    return folder


def command(folder, encoding, *arguments):
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "TERM": "dumb", "COLUMNS": "200"}
    return {"args": [sys.executable, "-m", "rubrica", *arguments], "env": environment, "cwd": folder}


def run_in_pipe(folder, encoding, *arguments):
    """What the command writes into a pipe, as UTF-8."""
    done = subprocess.run(**command(folder, encoding, *arguments), capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done.stdout.decode(), done.stderr.decode(), done.returncode


def run_in_terminal(folder, encoding, *arguments):
    """What the command shows on a terminal of this encoding; its stderr is a terminal, too."""
    ours, its = pty.openpty()
    with subprocess.Popen(**command(folder, encoding, *arguments), stdout=its, stderr=its) as process:
        os.close(its)
        shown = b""
        try:
            while some := os.read(ours, 1 << 16):
                shown += some
        except OSError:  # so Linux says that the other end is closed
            pass
    os.close(ours)
    assert b"Traceback" not in shown
    return shown.decode(encoding).replace("\r\n", "\n"), process.returncode


encodings = pytest.mark.parametrize("encoding", ["cp1252", "ascii"])


@encodings
def test_a_pipe_gets_utf_8(folder, encoding):
    out, _, code = run_in_pipe(folder, encoding, "predict", "model", "texts.txt")
    assert [json.loads(line)["label"] for line in out.splitlines()] == LABELS
    assert code == 0
    out, _, code = run_in_pipe(folder, encoding, "evaluate", "model", "data.csv", "--json")
    assert sorted(row["label"] for row in json.loads(out)["per_class"]) == sorted(LABELS)
    assert LABELS[1] in out
    for tables in (["info", "model"], ["data", "data.csv"], ["evaluate", "model", "data.csv"]):
        out, _, code = run_in_pipe(folder, encoding, *tables)
        assert code == 0
        assert all(label in out for label in LABELS)


@encodings
def test_an_error_in_a_pipe_is_in_utf_8(folder, encoding):
    out, error, code = run_in_pipe(folder, encoding, "info", "нет 😺")
    assert (out, code) == ("", 1)
    assert error.startswith("error: нет 😺: no such model folder")


@encodings
def test_a_terminal_gets_escapes_that_are_json(folder, encoding):
    shown, code = run_in_terminal(folder, encoding, "predict", "model", "texts.txt")
    assert code == 0
    assert [json.loads(line)["label"] for line in shown.splitlines()] == LABELS
    assert "\\ud83d\\ude3a" in shown
    assert ("ž" in shown) == (encoding == "cp1252")
    shown, _ = run_in_terminal(folder, encoding, "evaluate", "model", "data.csv", "--json")
    shown, _, told = shown.partition("\n")  # a terminal shows what goes to stderr, too
    assert "was trained on these very texts" in told
    assert sorted(row["label"] for row in json.loads(shown)["per_class"]) == sorted(LABELS)


@encodings
def test_a_terminal_gets_tables_that_it_can_show(folder, encoding):
    for tables in (["info", "model"], ["data", "data.csv"], ["evaluate", "model", "data.csv"]):
        shown, code = run_in_terminal(folder, encoding, *tables)
        assert code == 0
        assert "\\u732b" in shown
        assert "\\u2500" not in shown  # the line of a table
    shown, code = run_in_terminal(folder, encoding, "info", "нет")
    assert code == 1
    assert shown.startswith("error: \\u043d\\u0435\\u0442: no such model folder")


def test_a_terminal_in_utf_8_gets_characters(folder):
    shown, _ = run_in_terminal(folder, "utf-8", "predict", "model", "texts.txt")
    assert [json.loads(line)["label"] for line in shown.splitlines()] == LABELS
    assert all(label in shown for label in LABELS)


def test_a_closed_pipe_ends_the_command_quietly(home, tmp_path):
    (tmp_path / "texts").write_text("goal\n" * 5000)  # their answers are more than a pipe holds
    command = f"{sys.executable} -m rubrica predict {home / 'model'} {tmp_path / 'texts'} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
