"""`train --report` and `evaluate --report`: the page, and what the command says beside it."""

import json
import re
from pathlib import Path

import pytest

from settings import QUICK

pytest.importorskip("matplotlib")

DOCS = Path(__file__).parents[2] / "docs"


def test_evaluate_writes_a_page_and_prints_the_same_scores(run, home, tmp_path):
    code, plain, _ = run("evaluate", home / "model", home, "--json")
    assert code == 0
    page = tmp_path / "new" / "page.html"
    code, out, err = run("evaluate", home / "model", home, "--json", "--report", page)
    assert (code, json.loads(out)) == (0, json.loads(plain))
    assert f"wrote {page}\n" in err
    assert f"wrote {tmp_path / 'new' / 'page_plots'}/\n" in err
    html = page.read_text(encoding="utf-8")
    assert f"{json.loads(plain)['accuracy']:.1%}" in html
    assert "Наука" in html
    assert (tmp_path / "new" / "page_plots" / "confusion.png").is_file()


def test_evaluate_speaks_russian(run, home, tmp_path):
    page = tmp_path / "page.html"
    assert run("evaluate", home / "model", home, "--report", page, "--language", "ru")[0] == 0
    html = page.read_text(encoding="utf-8")
    assert '<html lang="ru">' in html
    assert "Модель прочитала 30 текстов" in html


def test_evaluate_on_train_says_that_the_scores_say_nothing(run, home, tmp_path):
    page = tmp_path / "page.html"
    assert run("evaluate", home / "model", home, "--split", "train", "--report", page)[0] == 0
    assert "trained on these very texts" in page.read_text(encoding="utf-8")


def test_evaluate_names_data_whose_labels_are_none(run, home, tmp_path):
    (tmp_path / "bad.csv").write_text("label,text\na|b,one\n", encoding="utf-8")
    code, _, err = run("evaluate", home / "model", tmp_path / "bad.csv", "--report", tmp_path / "page.html")
    assert code == 1
    assert err.splitlines()[-1].startswith(f"error: {tmp_path / 'bad.csv'}: ")
    assert not (tmp_path / "page.html").exists()


def test_train_writes_a_page_of_its_test_split(run, home, tmp_path):
    page = tmp_path / "page.html"
    code, _, err = run("train", home, "--model", "bag", "--out", tmp_path / "model", "--report", page)
    assert code == 0
    assert f"wrote {page}" in err
    html = page.read_text(encoding="utf-8")
    assert "Of 30 texts" in html
    assert "cell-" in html or "Not one mistake" in html
    assert (tmp_path / "page_plots" / "learning-loss.png").is_file()


@pytest.mark.parametrize(
    ("flags", "name", "printed", "said"),
    [
        ((), "linear", "its linear part alone", "The linear model in it reaches {} alone."),
        (
            ("--set", "model.with_linear=false"),
            "bag",
            "a bag of words",
            "A bag of words, trained on the same texts for comparison, reaches {}.",
        ),
    ],
)
def test_a_network_stands_beside_a_simpler_model(run, home, tmp_path, flags, name, printed, said):
    page = tmp_path / "page.html"
    pytest.importorskip("torch")
    code, _, err = run("train", home, *QUICK, *flags, "--out", tmp_path / "model", "--report", page)
    assert code == 0
    score = json.loads((tmp_path / "model" / "metrics.json").read_text(encoding="utf-8"))[name]["test"]
    assert f"({printed}: {score:.4f})" in err
    assert said.format(f"{score:.1%}") in page.read_text(encoding="utf-8")


def test_train_without_a_test_split_shows_the_scores_that_it_has(run, home, tmp_path):
    page = tmp_path / "page.html"
    flags = ("--model", "bag", "--out", tmp_path / "model", "--report", page)
    code, _, err = run("train", home / "train.csv", *flags)
    assert code == 0
    assert "validation: " in err
    html = page.read_text(encoding="utf-8")
    assert "held out of the training" in html
    assert "cell-" not in html


def test_train_without_any_scores_shows_its_curves(run, tmp_path):
    (tmp_path / "few.csv").write_text("label,text\na,one two\nb,three four\na,two\nb,four\n", encoding="utf-8")
    page = tmp_path / "page.html"
    flags = ("--model", "bag", "--out", tmp_path / "model", "--report", page)
    assert run("train", tmp_path / "few.csv", *flags)[0] == 0
    assert "No texts were left to score this model" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [("train",), ("evaluate",)])
def test_a_page_that_cannot_be_written_is_found_before_any_work(run, home, tmp_path, command):
    given = [home, "--model", "bag", "--out", tmp_path / "model"] if command == ("train",) else [home / "model", home]
    code, out, err = run(*command, *given, "--report", tmp_path)
    assert (code, out) == (1, "")
    assert err == f"error: {tmp_path}: is a folder, expected the name of a file; give one such as report.html\n"
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("page", ["report.md", "report.ru.md"])
def test_the_example_of_the_guide_runs(home, tmp_path, monkeypatch, page):
    (code,) = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(home / "model")
    (tmp_path / "news").symlink_to(home)
    exec(code, {})
    assert "on news</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")
