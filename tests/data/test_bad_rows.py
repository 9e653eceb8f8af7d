"""Rows that cannot be read: refused, left out, or written to a file; never left out in silence."""

import json

import pandas as pd
import pytest

from made_files import each_size
from rubrica.cli.main import rubrica
from rubrica.data.dataset import read_dataset, read_texts
from rubrica.errors import ConfigError, DataError

CSV = "text,label\na fine film,good\ntoo,many,columns\nno label,\nonly one\na bad film,bad\n"
JSONL = "\n".join(
    ['{"text": "a fine film", "label": "good"}', "not json", "[1]", '{"text": "no label"}',
     '{"text": ["x"], "label": "good"}', '{"text": "a bad film", "label": "bad"}', ""]
)  # fmt: skip
FASTTEXT = "__label__good a fine film\nno label\n\n__label__bad a bad film\n"
FILES = {
    "news.csv": (CSV, {3: "3 columns, expected 2", 4: "no label", 5: "1 column, expected 2"}),
    "news.jsonl": (JSONL, {2: "bad JSON", 3: "found a list", 4: "no label", 5: "expected a text"}),
    "news.txt": (FASTTEXT, {2: "no label"}),
}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=FILES)
def file(request, tmp_path):
    content, faults = FILES[request.param]
    (tmp_path / request.param).write_text(content)
    return request.param, faults


def rows(dataset):
    examples = dataset.splits["train"]
    return list(zip(examples.texts, examples.labels, strict=True))


def test_the_first_is_an_error_unless_the_user_says_otherwise(file):
    name, faults = file
    with pytest.raises(DataError, match=f"{name} line {min(faults)}: .*{faults[min(faults)]}"):
        read_dataset(name)


@each_size
def test_they_are_left_out_counted_and_named(limits, file, caplog, tmp_path):
    name, faults = file
    assert rows(read_dataset(name, on_bad_row="skip", limits=limits)) == [
        ("a fine film", "good"),
        ("a bad film", "bad"),
    ]
    count = f"{len(faults)} bad rows are" if len(faults) > 1 else "1 bad row is"
    assert f"{name}: {count} left out ({name} line " in caplog.text
    assert ("and 1 more" in caplog.text) == (len(faults) == 4)
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_they_are_written_with_place_and_reason(file, caplog, tmp_path):
    name, faults = file
    read_dataset(name, on_bad_row="report")
    assert f"all of them are in {name}.bad-rows.jsonl" in caplog.text
    report = tmp_path / f"{name}.bad-rows.jsonl"
    found = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted(row["line"] for row in found) == list(faults)
    for row in found:
        assert faults[row["line"]] in row["problem"]
        assert row["file"] == name
        assert "row" in row
    read_dataset(name, on_bad_row="report")  # a second reading writes the report anew
    assert len(report.read_text().splitlines()) == len(faults)


def test_a_first_line_that_is_bad_is_left_out_too(tmp_path):
    (tmp_path / "news.jsonl").write_text("not json\n" + JSONL)
    assert len(rows(read_dataset(tmp_path / "news.jsonl", on_bad_row="skip"))) == 2
    (tmp_path / "whole.json").write_text('{"text": ["a",\n "b"],\n "label": ["x", "y"]}')  # one object over lines
    assert rows(read_dataset(tmp_path / "whole.json", on_bad_row="skip")) == [("a", "x"), ("b", "y")]


def test_lines_are_right_behind_rows_that_are_left_out(tmp_path):
    wide, plain = "x,y,z\n", "text {},{}\n"
    lines = [wide if i % 3 == 0 else plain.format(i, "" if i == 40 else "a") for i in range(60)]
    (tmp_path / "news.csv").write_text("text,label\n" + "".join(lines))
    assert len(rows(read_dataset(tmp_path / "news.csv", on_bad_row="report"))) == 39
    report = [json.loads(line) for line in (tmp_path / "news.csv.bad-rows.jsonl").read_text().splitlines()]
    assert len(report) == 21
    assert [row["line"] for row in report if "no label" in row["problem"]] == [42]


@each_size
@pytest.mark.parametrize("where", [0, 20, 39])
@pytest.mark.parametrize("way", ["skip", "report"])
def test_a_quote_that_never_closes_stays_an_error(where, way, limits, tmp_path):
    lines = [f"text {i},a\n" for i in range(40)]
    lines[where] = '"' + lines[where]
    (tmp_path / "news.csv").write_text("text,label\n" + "".join(lines))
    with pytest.raises(DataError, match=rf"news.csv line {where + 2}: a quote opens here and never closes"):
        read_dataset(tmp_path / "news.csv", on_bad_row=way, limits=limits)


def test_tables_have_bad_rows_too(caplog):
    frame = pd.DataFrame({"text": ["a", ["b"], "c", "d"], "label": ["x", "x", None, "y"]})
    assert rows(read_dataset(frame, on_bad_row="skip")) == [("a", "x"), ("d", "y")]
    assert "2 bad rows are left out" in caplog.text
    ones = pd.DataFrame({"text": ["a", "b", "c"], "p": [1, 0, 2], "q": [0, 1, 1]})
    found = read_dataset(ones, label_column=["p", "q"], on_bad_row="skip")
    assert rows(found) == [("a", ("p",)), ("b", ("q",))]


def test_where_no_row_is_left_there_is_an_error(tmp_path):
    (tmp_path / "news.csv").write_text("text,label\na,\nb,\n")
    with pytest.raises(DataError, match=r"no row can be used; the first: .*news.csv line 2: no label"):
        read_dataset(tmp_path / "news.csv", on_bad_row="skip")


def test_another_way_is_refused():
    with pytest.raises(ConfigError, match="on_bad_row is 'drop'; give one of error, skip, report"):
        read_dataset("mini-news", on_bad_row="drop")


def test_a_prediction_leaves_no_row_out(tmp_path):
    (tmp_path / "news.jsonl").write_text('{"text": "a"}\n{"text": ["b"]}\n')
    with pytest.raises(DataError, match=r"news.jsonl line 2: .*expected a text"):
        read_texts(tmp_path / "news.jsonl")


def test_labels_that_differ_by_case_are_said(tmp_path, caplog):
    (tmp_path / "news.csv").write_text("text,label\na,Sport\nb,sport\nc,World\n")
    assert len(read_dataset(tmp_path / "news.csv").task.labels) == 3
    assert 'the labels "Sport" and "sport" differ by case only; write one if they mean the same' in caplog.text


def test_the_commands_take_the_flag(tmp_path, capsys):
    (tmp_path / "news.csv").write_text("text,label\n" + "a fine film,good\na bad film,bad\n,\n" * 8)
    train = ["train", "news.csv", "--model", "bag", "--out", "model"]
    for command in (["data", "news.csv"], train, ["evaluate", "model", "news.csv"]):
        rubrica([*command, "--on-bad-row", "skip"], standalone_mode=False)
        assert "8 bad rows are left out (news.csv line 4: no label" in capsys.readouterr().err
