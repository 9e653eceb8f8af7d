"""What the README says is run: its commands, its Python, its tables."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rubrica.data.mini_news import build_mini_news

ROOT = Path(__file__).parents[1]
READMES = ["README.md", "README.ru.md"]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder as the README's reader has it: news.csv and news-test.csv."""
    home = tmp_path_factory.mktemp("reader")
    corpus = build_mini_news()
    for split, name, count in (("train", "news.csv", 300), ("test", "news-test.csv", 100)):
        with (home / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(list(zip(*corpus[split], strict=True))[:count])
    return home


def blocks(name, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def reader(home):
    """The reader after the commands: what each printed."""
    printed = {}
    for block in blocks("README.md", "console"):
        for command in re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE):
            if command.startswith("pip install"):
                continue  # the tests run in what it installs
            done = subprocess.run(
                f"set -o pipefail; export PATH={BIN}:$PATH; {command}",
                shell=True, executable="/bin/bash", cwd=home, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            printed[command] = done.stdout
    return printed


def test_the_commands_run_and_answer_as_shown(home, reader):
    assert len(reader) == 3
    shown = re.search(r"^\{.*\}$", blocks("README.md", "console")[0], flags=re.MULTILINE)[0]
    (answer,) = [json.loads(out) for command, out in reader.items() if "predict" in command]
    assert answer["label"] == json.loads(shown)["label"]
    assert json.loads((home / "scores.json").read_text())["accuracy"] > 0.8


def test_the_python_runs(home, reader, monkeypatch):
    monkeypatch.chdir(home)
    first, second = blocks("README.md", "python")
    names = {}
    exec(first, names)
    assert names["labels"] == ["Business"]
    exec(second, names)
    assert names["answers"].tolist() == ["negative"]
    assert names["rows"].shape == (1, 4)
    assert names["scores"]["accuracy"] == 1


def test_the_twin_has_the_same_commands():
    for language in ("console", "python"):
        english, russian = (
            [line.partition("#")[0] for block in blocks(name, language) for line in block.splitlines()]
            for name in READMES
        )
        assert [line for line in english if not line.startswith("{")] == [
            line for line in russian if not line.startswith("{")
        ]


PAGES = [
    *((name, 5) for name in READMES),
    ("docs/accuracy.md", 3),
    *((f"docs/{name}.md", 1) for name in ("artifact", "ladder", "ladder.ru", "seminar", "seminar.ru")),
]


@pytest.mark.parametrize(("name", "count"), PAGES)
def test_the_tables_are_those_of_the_results(name, count, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import tables

    text = (ROOT / name).read_text(encoding="utf-8")
    assert tables.fill(text) == text
    assert text.count("<!-- table ") == count


@pytest.mark.parametrize("name", READMES)
def test_the_files_it_names_are_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target
    tree = re.search(r"^    src/rubrica/\n(.*?)\n\n", text, flags=re.DOTALL | re.MULTILINE)[1]
    for file in re.findall(r"(?<!\*)\b[a-z]\w*\.py\b", tree):
        assert any(list((ROOT / folder).rglob(file)) for folder in ("src", "tests", "benchmarks")), file
    for command in re.findall(r"python (benchmarks/\w+\.py)", text.replace("\n", " ")):
        assert (ROOT / command).is_file(), command
