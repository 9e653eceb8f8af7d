"""`rubrica clean` on the command line."""

import csv
import json

import pytest

from rubrica.insight.cleaning import wrong_labels


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny_news):
    """The working folder, with train.csv of which six labels are wrong, and a folder `data` of train and test."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for split, examples in tiny_news.splits.items():
        labels = list(examples.labels)
        for row in range(0, 60, 10) if split == "train" else ():
            labels[row] = next(label for label in tiny_news.task.labels if label != labels[row])
        with (tmp_path / "data" / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *zip(examples.texts, labels, strict=True)])
    (tmp_path / "train.csv").write_bytes((tmp_path / "data" / "train.csv").read_bytes())
    return tmp_path


def rows_of(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_from_suspects_over_a_review_to_a_cleaned_file(folder, run, tiny_news):
    code, out, err = run("clean", "train.csv")
    assert code == 0
    assert "rows that are suspected: " in out
    assert "train.csv.review.csv" in err
    review = folder / "train.csv.review.csv"
    suspects = [row for row in rows_of(review) if row["why"] == "label"]
    assert {int(row["row"]) for row in suspects} >= {1, 11, 21, 41, 51}
    for row in suspects:
        row["decision"] = row["suggested"]
    suspects[0]["decision"] = "drop"
    with review.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, suspects[0].keys())
        writer.writeheader()
        writer.writerows(suspects)
    code, out, err = run("clean", "train.csv", "--apply", review, "--out", "clean.csv")
    assert (code, out) == (0, "")
    assert f"rows dropped: 1, with another label: {len(suspects) - 1};" in err
    dropped = int(suspects[0]["row"]) - 1
    expected = [row for place, row in enumerate(tiny_news.splits["train"].labels) if place != dropped]
    cleaned = [row["label"] for row in rows_of(folder / "clean.csv")]
    assert sum(one == other for one, other in zip(cleaned, expected, strict=True)) >= len(expected) - 1
    old = (folder / "train.csv").read_bytes().split(b"\r\n")
    assert (folder / "clean.csv").read_bytes().count(b"\r\n") == len(old) - 1 - len(suspects)


def test_without_a_review_what_is_rather_wrong_goes(folder, run):
    code, _, err = run("clean", "data", "--out", "cleaned", "--review", "r.csv")
    assert code == 0
    sure = {int(row["row"]) for row in rows_of(folder / "r.csv") if float(row["probability"]) > 0.5}
    assert sure >= {1, 11, 21, 41, 51}
    assert f"rows dropped: {len(sure)}, with another label: 0 " in err
    old, new = ([row["text"] for row in rows_of(folder / name / "train.csv")] for name in ("data", "cleaned"))
    assert new == [text for place, text in enumerate(old, 1) if place not in sure]
    assert (folder / "cleaned" / "test.csv").read_bytes() == (folder / "data" / "test.csv").read_bytes()


def test_json_is_one_object_and_writes_no_review(folder, run):
    code, out, _ = run("clean", "train.csv", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["data"] == "train.csv"
    assert found["expected"] == pytest.approx(sum(suspect["probability"] for suspect in found["suspects"]), abs=0.06)
    assert found["suspects"][0].keys() == {"split", "row", "text", "label", "suggested", "probability", "why"}
    assert not list(folder.glob("*.review.csv"))


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["train.csv", "--apply", "r.csv"], 2, "--apply requires --out"),
        (["train.csv", "--apply", "r.csv", "--out", "o.csv", "--split", "train"], 2, "leave --review and --split out"),
        (["train.csv", "--out", "o.csv", "--on-bad-row", "skip"], 2, "--out needs every row"),
        (["train.csv", "--out", "o.jsonl"], 1, "another format than train.csv"),
        (["train.csv", "--out", "train.csv"], 1, "is the data itself"),
        (["train.csv", "--review", "train.csv"], 1, "is there already"),
        (["train.csv", "--apply", "none.csv", "--out", "o.csv"], 1, "none.csv"),
        (["train.csv", "--split", "test"], 1, "no split test"),
        (["mini-news", "--out", "o.csv"], 1, "is no file or folder"),
        (["none.csv"], 1, "no such file"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(folder, run, arguments, code, problem):
    found, _, err = run("clean", *arguments)
    assert found == code
    assert problem in err
    assert "Traceback" not in err
    assert not (folder / "o.csv").exists()


def test_ctrl_c_leaves_nothing(folder, run, monkeypatch):
    def impatient(*args, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(wrong_labels, "judge_labels", impatient)
    before = sorted(folder.rglob("*"))
    code, _, err = run("clean", "train.csv", "--out", "clean.csv")
    assert (code, err.strip()) == (130, "interrupted")
    assert sorted(folder.rglob("*")) == before
