"""Faults of reading that users met, each with an input of its own kind."""

import io
import json
import sys

import numpy as np
import pandas
import pytest

import rubrica
from made_files import rows_of, write
from rubrica import TextClassifier
from rubrica.data.dataset import read_dataset, read_pairs, read_texts
from rubrica.data.large_files import iter_lines
from rubrica.errors import DataError

LINEAR = rubrica.make_config(model={"name": "linear"})
TEXTS = ["a fine film", "two hours lost"] * 10


def train_rows(path, **layout):
    return rows_of(read_dataset(path, **layout).splits["train"])


def test_a_quoted_text_of_two_lines_is_one_text_of_a_tsv(tmp_path):
    assert read_texts(write(tmp_path / "a.tsv", 'text\n"first line\nsecond line"\nb\n')) == [
        "first line\nsecond line",
        "b",
    ]
    path = write(tmp_path / "b.tsv", 'label\ttext\nham\t"total\n3\teuros"\nspam\tbuy\n')
    assert train_rows(path, quotes=True) == [("total\n3\teuros", "ham"), ("buy", "spam")]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_carriage_returns_end_lines_where_most_lines_end_so(tmp_path, end):
    path = write(tmp_path / "a.csv", f'text,label\ra,x\r"b\nc",y\rd,y\r{end}')
    assert train_rows(path) == [("a", "x"), ("b\nc", "y"), ("d", "y")]
    assert read_texts(write(tmp_path / "a.txt", f"a\rb\rc\r{end}"))[:3] == ["a", "b", "c"]
    objects = "\r".join(json.dumps({"text": text, "label": "x"}) for text in "abc")
    assert train_rows(write(tmp_path / "a.jsonl", objects + end)) == [("a", "x"), ("b", "x"), ("c", "x")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_letters_beyond_ascii_do_not_hide_utf_16(tmp_path, monkeypatch, encoding):
    data = "текст;метка\r\nСборная выиграла матч;спорт\r\nЦены растут;деньги\r\n".encode(encoding)
    path = write(tmp_path / "a.csv", data)
    with pytest.raises(DataError, match=f"looks like UTF-16 without its mark; pass --encoding {encoding}"):
        read_dataset(path)
    assert len(train_rows(path, encoding=encoding)) == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("a\nb\n".encode(encoding))))
    with pytest.raises(DataError, match="looks like UTF-16 without its mark"):
        list(iter_lines("-"))


def test_columns_of_json_are_joined_by_their_keys(tmp_path):
    columns = {"text": {"0": "a", "1": "b"}, "label": {"1": "y", "0": "x"}}
    assert train_rows(write(tmp_path / "a.json", json.dumps(columns))) == [("a", "x"), ("b", "y")]


def test_evaluate_reads_labels_as_train_does():
    labels = ["red", "green", "red|green", "['green']"] * 5
    model = rubrica.train(TEXTS, labels, config=LINEAR)
    frame = pandas.DataFrame({"text": TEXTS, "label": labels})
    assert model.evaluate(TEXTS, labels) == model.evaluate(frame)
    whole = rubrica.train(TEXTS, ["a|b", "c"] * 10, config=LINEAR, label_separator="")
    frame = pandas.DataFrame({"text": TEXTS, "stars": ["a|b", "c"] * 10})
    assert whole.evaluate(frame, label_column="stars", label_separator="")["accuracy"] == 1
    assert whole.evaluate(TEXTS, ["a|b", "c"] * 10)["accuracy"] == 1


@pytest.mark.parametrize("rows", [list, pandas.Series, lambda rows: pandas.Series([row.tolist() for row in rows])])
def test_rows_of_zeros_and_ones_are_a_matrix_in_any_column(rows):
    labels = rows([np.array([0, 1]), np.array([1, 0])])
    assert rows_of(read_pairs(["a", "b"], labels).splits["train"]) == [("a", ("1",)), ("b", ("0",))]
    many = rows([np.array([0, 1]), np.array([1, 0])] * 10)
    assert TextClassifier("linear").fit(TEXTS, many).predict(TEXTS[:2]).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pandas.Series([3, 7] * 10, dtype="Int64"), ["3", "7"]),
        (pandas.Series([True, False] * 10, dtype="boolean"), ["false", "true"]),
        ([1.0, 0.0] * 10, ["0", "1"]),
        (["a", " a"] * 10, [" a", "a"]),
    ],
)
def test_labels_of_an_estimator_come_back_as_they_were_given(labels, names):
    model = TextClassifier("linear").fit(TEXTS, labels)
    assert model.predict(TEXTS).tolist() == list(labels)
    assert model.classifier_.labels == names


def test_an_estimator_scores_labels_of_any_form():
    y = ["apple", ["pear", "fig"]] * 10
    assert TextClassifier("linear").fit(TEXTS, y).score(TEXTS, y) == 1
    frame = pandas.DataFrame({"a": [1, 0] * 10, "b": [0, 1] * 10})
    assert TextClassifier("linear").fit(TEXTS, frame).score(TEXTS, frame[["b", "a"]]) == 1
    with pytest.raises(ValueError, match="no label"):
        TextClassifier("linear").fit(TEXTS, ["", "a"] * 10)


def test_a_file_without_a_header_is_predicted_with_the_flag_that_it_is_trained_with(tmp_path):
    path = write(tmp_path / "a.csv", '2,"Cup final",goal\n3,"Bank falls",price\n2,"Late goal",cup\n')
    assert read_texts(path, header=False) == ["Cup final goal", "Bank falls price", "Late goal cup"]
    assert read_texts(write(tmp_path / "b.csv", "one\ntwo\n"), header=False) == ["one", "two"]


def test_names_of_splits(tmp_path):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    assert list(read_dataset({"train": rows, "val": rows, "unsupervised": rows}).splits) == ["train", "validation"]
    for name in ("train", "val"):
        write(tmp_path / f"{name}.csv", "text,label\na,x\nb,y\n")
    assert list(read_dataset(tmp_path).splits) == ["train", "validation"]


def test_a_column_may_be_called_by_a_number_and_in_any_normal_form(tmp_path):
    frame = pandas.DataFrame([["good", "a"], ["bad", "b"]])
    assert rows_of(read_dataset(frame, text_columns=0, label_column=1).splits["train"]) == [("good", "a"), ("bad", "b")]
    path = write(tmp_path / "a.csv", "text,cate\u0301gorie\na,x\nb,y\n")
    assert train_rows(path, label_column="cat\xe9gorie") == [("a", "x"), ("b", "y")]


def test_marks_of_files(tmp_path):
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbf" + "text,label\né,x\nb,y\n".encode())
    assert train_rows(path, encoding="cp1251") == [("\xe9", "x"), ("b", "y")]
    assert train_rows(write(tmp_path / "b.csv", "sep=;;;\ntext;label\na,b;x\n")) == [("a,b", "x")]


@pytest.mark.parametrize(
    ("label", "expected"),
    [("[1 2]", ("1", "2")), ("['a' 'b']", ("a", "b")), ("['say \"a\" \"b\"', 'c']", ('say "a" "b"', "c"))],
)
def test_a_list_in_a_string(label, expected):
    assert rows_of(read_pairs(["a"], [label]).splits["train"]) == [("a", expected)]


def test_a_file_of_nothing_but_its_delimiter_is_refused(tmp_path):
    for content in ("sep=;\n", "sep=,"):
        with pytest.raises(DataError, match=r"no rows; add the names of the columns|no CSV that can be read"):
            read_dataset(write(tmp_path / "news.csv", content))
