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
PACKAGE = ROOT / "src" / "rubrica"
READMES = ["README.md", "README.ru.md"]
GUIDES = ["docs/guide.md", "docs/guide.ru.md"]
SEMINARS = ["docs/seminar.md", "docs/seminar.ru.md"]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder as the README's reader has it: news.csv and news-test.csv, here the first sentences of Mini News."""
    home = tmp_path_factory.mktemp("reader")
    corpus = build_mini_news()
    for split, name, count in (("train", "news.csv", 200), ("test", "news-test.csv", 100)):
        rows = [(text.split(" (Wire) - ")[1].split(". ")[0], label) for text, label in zip(*corpus[split], strict=True)]
        with (home / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *rows[:count]])
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


def test_the_commands_and_the_python_run_and_answer_as_shown(home, reader, monkeypatch):
    assert len(reader) == 3
    shown = re.search(r"^\{.*\}$", blocks("README.md", "console")[0], flags=re.MULTILINE)[0]
    (answer,) = [json.loads(out) for command, out in reader.items() if "predict" in command]
    assert answer["label"] == json.loads(shown)["label"]
    assert json.loads((home / "scores.json").read_text())["accuracy"] > 0.8
    rows = (home / "news.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (home / "news.csv").write_text("".join(rows[:41]), encoding="utf-8")  # the last line only shows that it trains
    monkeypatch.chdir(home)
    (code,) = blocks("README.md", "python")
    names = {}
    exec(code, names)
    assert names["labels"] == ["Business"]
    assert names["rows"].shape == (1, 4)
    assert names["scores"].accuracy == names["scores"].macro_f1 == 1
    assert names["scores"].per_class


def test_the_python_of_the_guide_runs():
    names = [{} for _ in blocks("docs/guide.md", "python")]
    for code, found in zip(blocks("docs/guide.md", "python"), names, strict=True):
        exec(code, found)
    unsure, scored, taught, estimated = names
    assert scored["scores"] == pytest.approx([1, 0], abs=0.2)
    assert (unsure["food"], unsure["sport"]) == pytest.approx((0.2, 0.8), abs=0.1)
    assert taught["model"].predict(["a late goal"]) == ["sport"]
    assert estimated["answers"].tolist() == ["negative"]


@pytest.mark.parametrize("name", SEMINARS)
def test_the_python_of_the_seminar_prints_what_the_page_shows(name, capsys):
    (code,) = blocks(name, "python")
    exec(code, {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    shown = [line.split() for line in re.findall(r"^# (.*)$", code, flags=re.MULTILINE)]
    assert [line[:2] for line in printed] == [line[:2] for line in shown]
    for ours, theirs in zip(printed, shown, strict=True):
        assert [float(number) for number in ours[2:]] == pytest.approx(
            [float(number) for number in theirs[2:]], rel=0.1
        )


@pytest.mark.parametrize(("english", "russian"), [READMES, GUIDES, SEMINARS], ids=["README", "guide", "seminar"])
@pytest.mark.parametrize("language", ["console", "python"])
def test_the_twin_has_the_same_commands(english, russian, language):
    def lines(name):
        return [line.partition("#")[0].rstrip() for block in blocks(name, language) for line in block.splitlines()]

    assert lines(english) == lines(russian)


@pytest.mark.parametrize("name", GUIDES)
def test_the_guide_has_every_family_and_every_suffix(name):
    from rubrica.data.files import FORMATS
    from rubrica.models.families import FAMILIES

    text = (ROOT / name).read_text(encoding="utf-8")
    assert not [word for word in (*FAMILIES, *FORMATS) if f"`{word}`" not in text]


PAGES = [
    *((name, 6) for name in READMES),
    *((name, 1) for name in GUIDES),
    ("docs/accuracy.md", 4),
    *((f"docs/{name}.md", 1) for name in ("artifact", "explain", "explain.ru", "ladder", "ladder.ru")),
    *((f"docs/{name}.md", 2) for name in ("scaling", "scaling.ru", "seminar", "seminar.ru")),
]


@pytest.mark.parametrize(("name", "count"), PAGES)
def test_the_tables_are_those_of_the_results(name, count, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import tables

    text = (ROOT / name).read_text(encoding="utf-8")
    assert tables.fill(text) == text
    assert text.count("<!-- table ") == count


def tree_of(name):
    """The part of a README that shows the rooms and the folders beside them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.search(r"^    src/rubrica/\n(.*?)\n\n", text, flags=re.DOTALL | re.MULTILINE)[1]


@pytest.mark.parametrize(
    "name", [*READMES, "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
)
def test_the_files_a_page_names_are_there(name):
    page = ROOT / name
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists() or target == "rooms.svg", target  # `make rooms` draws it
    for command in re.findall(r"python (benchmarks/\w+\.py)", text.replace("\n", " ")):
        assert (ROOT / command).is_file(), command


@pytest.mark.parametrize("name", READMES)
def test_the_tree_shows_each_room(name):
    tree = tree_of(name)
    shown = re.findall(r"^      (\w+)(?:/|\.py)  ", tree, flags=re.MULTILINE)
    rooms = [path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py") and path.name[0] not in "_."]
    assert sorted(shown) == sorted(rooms)
    for file in re.findall(r"\b[a-z]\w*(?:\.ru)?\.(?:py|md)\b", tree):
        places = [folder for folder in ("src", "tests", "docs") if any((ROOT / folder).rglob(file))]
        assert places, file


def test_the_index_of_decisions_has_each_entry():
    text = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    index = re.findall(r"^\| \[(.*?)\]\((#.*?)\) \| (\d{4}-\d\d-\d\d) \| .+ \|$", text, flags=re.MULTILINE)
    entries = re.findall(r"^## (.*)\n\n(\d{4}-\d\d-\d\d), commit [0-9a-f]{7}\. ", text, flags=re.MULTILINE)
    assert [(title, date) for title, _, date in index] == entries
    assert len(entries) == len(re.findall(r"^## ", text, flags=re.MULTILINE))
    assert [date for _, date in entries] == sorted((date for _, date in entries), reverse=True)
    slugs = ["#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title, _ in entries]
    assert [slug for _, slug, _ in index] == slugs
    assert set(re.findall(r"\]\((#[^)]*)\)", text)) <= set(slugs)
