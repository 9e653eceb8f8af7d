"""The file that a person reviews: it survives editors and spreadsheets; what does not fit is said with its line."""

import csv
from dataclasses import replace

import pytest

from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import DataError
from rubrica.insight.cleaning.repeated import find_repeated, find_suspects
from rubrica.insight.cleaning.review import COLUMNS, read_review, sure_edits, write_review
from rubrica.insight.cleaning.suspects import Suspect
from rubrica.scoring.tasks import task_of

TEXTS = ['a "quoted"\nline', "zwei,  Wörter", "", "x" * 5000, "=1+1"]


@pytest.fixture
def data():
    examples = Examples(TEXTS, ["p", "q", "p", "q", "p"])
    task = task_of(["p", "q", "r s"], lists=False)
    return Dataset("data", {"train": examples, "test": Examples(["t"], ["p"])}, ("text",), "label", task)


@pytest.fixture
def review(tmp_path, data):
    """A review of all five rows, and a way to write it back with other columns; returns its path."""
    path = tmp_path / "review.csv"
    write_review(path, [suspect(row) for row in range(5)])
    original = path.read_text("utf-8-sig")

    def edit(change=lambda rows: rows, **decisions):
        rows = list(csv.DictReader(original.splitlines(keepends=True)))
        for row in rows:
            row["decision"] = decisions.get(f"row{row['row']}", "")
        rows = change(rows)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys(), delimiter=";")
            writer.writeheader()
            writer.writerows(rows)
        return path

    edit.path = path
    return edit


def suspect(row, probability=0.9, why="label", split="train"):
    return Suspect(split, row + 1, TEXTS[row], "p", None if why == "duplicate" else "q", probability, why)


def test_it_has_a_row_for_each_suspect(review):
    assert review.path.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(review.path.read_text("utf-8-sig").splitlines(keepends=True)))
    assert tuple(rows[0]) == COLUMNS
    assert [row["row"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0] == {
        "row": "1", "split": "train", "text": 'a "quoted" line', "label": "p", "suggested": "q",
        "probability": "0.9", "why": "label", "decision": "",
    }  # fmt: skip
    assert len(rows[3]["text"]) == 2000


def test_decisions_come_back(review, data):
    assert read_review(review(), data) == {}
    path = review(row1="drop", row2=" Keep ", row3="r s", row4="q", row5="DROP")
    assert read_review(path, data) == {"train": {0: None, 2: "r s", 3: "q", 4: None}}


def test_a_sorted_shortened_and_widened_file_is_the_same(review, data):
    def change(rows):
        rows = [{"mine": "x", **row, "why": ""} for row in reversed(rows) if row["row"] != "2"]
        return [{name: value for name, value in row.items() if name != "probability"} for row in rows]

    assert read_review(review(change, row1="drop", row3="q"), data) == {"train": {0: None, 2: "q"}}


def test_two_suspicions_of_one_row(tmp_path, data):
    path = tmp_path / "r.csv"
    write_review(path, [suspect(0), suspect(0, why="duplicate"), suspect(0, why="leak")])
    text = path.read_text("utf-8-sig")
    assert text.count(",drop,0.9,duplicate,") == 1

    def decided(*decisions):
        lines = text.splitlines()
        written = [f"{line}{decision}" for line, decision in zip(lines[1:], decisions, strict=True)]
        path.write_text("\n".join([lines[0], *written]))
        return read_review(path, data)

    assert decided("q", "drop", "keep") == decided("drop", "q", "") == {"train": {0: None}}
    assert decided("q", "keep", "q") == {"train": {0: "q"}}
    assert decided("keep", "keep", "") == {}
    with pytest.raises(DataError, match=r"r\.csv line 4: row 1 of train has two decisions, q and r s; leave one"):
        decided("q", "", "r s")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"text": "another"}, 'line 3: row 2 of train is "zwei, Wörter", and here "another"; the data has changed'),
        ({"row": "6"}, 'line 3: the row is "6", expected a number from 1 to 5'),
        ({"row": "0"}, 'line 3: the row is "0"'),
        ({"row": "two"}, 'line 3: the row is "two"'),
        ({"split": "dev"}, 'line 3: the split is "dev", and data has train, test'),
        ({"decision": "rs"}, "line 3: the decision is \"rs\", expected keep, drop or a label; did you mean 'r s'"),
        ({"decision": "p|q"}, 'line 3: the decision is "p|q": a list of labels'),
    ],
)
def test_what_does_not_fit_is_an_error_with_its_line(review, data, change, problem):
    # The first text stands on one line, since a review shows a text on one.
    path = review(lambda rows: [row | change if row["row"] == "2" else row for row in rows], row2="drop")
    with pytest.raises(DataError) as error:
        read_review(path, data)
    assert problem in str(error.value)


def test_a_column_that_is_gone_is_an_error(review, data):
    path = review(lambda rows: [{k: v for k, v in row.items() if k != "decision"} for row in rows])
    with pytest.raises(DataError, match="has no column decision"):
        read_review(path, data)


def test_a_label_named_like_a_decision(review, data):
    named = replace(data, task=task_of(["p", "q", "drop"], lists=False))
    assert read_review(review(row1="q"), named) == {"train": {0: "q"}}
    with pytest.raises(DataError, match='line 2: "drop" is a decision and also a label'):
        read_review(review(row1="drop"), named)


def test_several_labels_stand_with_bars(tmp_path, data):
    task = task_of(["p", "q", "r s"], lists=True)
    data = replace(data, task=task, splits={"train": Examples(TEXTS, [("p",)] * 5)})
    path = tmp_path / "r.csv"
    write_review(path, [suspect(4)._replace(label=("p", "q"), suggested=("r s",))])
    assert ",=1+1,p|q,r s,0.9," in path.read_text("utf-8-sig")
    path.write_text(path.read_text("utf-8-sig").rstrip("\n") + "q | r s\n")
    assert read_review(path, data) == {"train": {4: ("q", "r s")}}


def test_a_review_is_never_written_over(review):
    with pytest.raises(DataError, match="is there already and may hold decisions"):
        write_review(review.path, [])


def test_the_sure_ones_go():
    suspects = [suspect(0, 0.51), suspect(1, 0.5), suspect(2, 0.9, "leak", "test"), suspect(2, 0.2)]
    assert sure_edits(suspects) == {"train": {0: None}, "test": {2: None}}


def test_a_row_that_is_there_twice_goes_and_so_does_a_leak():
    texts = [f"a text about number {word} and nothing else" for word in ("one", "two", "three", "four", "five", "six")]
    train = Examples([*texts, texts[0], texts[1].upper()], ["a", "b"] * 4)
    data = Dataset(
        "d", {"train": train, "test": Examples([texts[2], "new words"], ["a", "b"])}, (), "", task_of("ab", lists=False)
    )
    found = {suspect.row: suspect.why for suspect in find_repeated(data)}
    assert found == {3: "leak", 7: "duplicate", 8: "duplicate"}
    assert all(suspect.suggested is None and suspect.probability == 1 for suspect in find_repeated(data))
    rows = [suspect.row for suspect in find_suspects(data)]
    assert len(rows) == len(set(rows))
    assert found.keys() <= set(rows)
    assert not {suspect.why for suspect in find_suspects(data, "test")} - {"label"}


def test_a_row_with_another_label_is_no_copy():
    good = "the phone that I bought in the shop last week works very well and I would buy it again"
    bad = "the phone that I bought in the shop last week works very badly and I would not buy it again"
    other = "a text about something else and nothing like it"
    rows = [(good, "a"), (bad, "b"), (other, "a"), (other, "b"), (other, "b"), (good, "a")]
    train = Examples(*map(list, zip(*rows, strict=True)))
    data = Dataset("d", {"train": train, "test": Examples([bad, good], ["a", "a"])}, (), "", task_of("ab", lists=False))
    found = {suspect.row: suspect.why for suspect in find_repeated(data)}
    assert found == {1: "leak", 5: "duplicate", 6: "leak"}
