"""Several labels of a text: in every format, decided for the whole, and said."""

import json
import logging

import pyarrow as pa
import pytest

from made_files import csv_bytes, each_size, parquet_bytes, rows_of, write
from rubrica.data.dataset import Dataset, Examples, check_trainable, read_dataset
from rubrica.errors import DataError
from rubrica.scoring.tasks import task_of

TEXTS = ["one", "two", "three", "four"]
SETS = [("b",), ("a", "b"), ("c d",), ("a", "c d")]
JOINED = ["b", "a|b", "c d", "a | c d|a"]


def jsonl(labels):
    return "".join(json.dumps({"text": t, "label": x}) + "\n" for t, x in zip(TEXTS, labels, strict=True))


FORMATS = {
    "a.csv": csv_bytes(zip(TEXTS, JOINED, strict=True)),
    "a.tsv": csv_bytes(zip(TEXTS, JOINED, strict=True), delimiter="\t"),
    "strings.jsonl": jsonl(JOINED),
    "lists.jsonl": jsonl(map(list, SETS)),
    "mixed.jsonl": jsonl(["b", ["a", "b"], "c d", ["a", "c d", "a"]]),
    "strings.parquet": parquet_bytes({"text": TEXTS, "label": JOINED}),
    "lists.parquet": parquet_bytes({"text": TEXTS, "label": [list(labels) for labels in SETS]}),
}


@pytest.mark.parametrize("name", FORMATS)
@each_size
def test_every_format_gives_the_same_sets(tmp_path, name, limits):
    dataset = read_dataset(write(tmp_path / name, FORMATS[name]), limits=limits)
    assert rows_of(dataset.splits["train"]) == list(zip(TEXTS, SETS, strict=True))
    assert (list(dataset.task.labels), dataset.task.problem_type) == (["a", "b", "c d"], "multi_label_classification")
    check_trainable(dataset)


@each_size
def test_fasttext_lines_may_have_several(tmp_path, limits):
    data = "__label__b one\n__label__a __label__b two\n__label__b three __label__a __label__b\n"
    dataset = read_dataset(write(tmp_path / "a.txt", data), limits=limits)
    assert [set(labels) for labels in dataset.splits["train"].labels] == [{"b"}, {"a", "b"}, {"a", "b"}]
    assert [len(labels) for labels in dataset.splits["train"].labels] == [1, 2, 2]
    assert list(dataset.splits["train"].texts) == ["one", "two", "three"]


@each_size
def test_one_label_a_text_stays_as_it_is(tmp_path, limits):
    for name, data in {"a.txt": "__label__b one\n__label__a two\n", "a.csv": "text,label\none,b\ntwo,a\n"}.items():
        dataset = read_dataset(write(tmp_path / name, data), limits=limits)
        assert (list(dataset.splits["train"].labels), dataset.task.problem_type) == (
            ["b", "a"],
            "single_label_classification",
        )


def test_a_separator_can_be_given_or_taken_away(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\none,a|b\ntwo,a;c\n")
    whole = read_dataset(path, label_separator="")
    assert (whole.splits["train"].labels, whole.task.problem_type) == (["a|b", "a;c"], "single_label_classification")
    assert read_dataset(path, label_separator=";").splits["train"].labels == [("a|b",), ("a", "c")]


@each_size
def test_an_empty_list_is_a_text_without_a_label(tmp_path, limits):
    dataset = read_dataset(write(tmp_path / "a.jsonl", jsonl([[], ["a"], [1, True], []])), limits=limits)
    assert list(dataset.splits["train"].labels) == [(), ("a",), ("1", "true"), ()]
    assert list(dataset.task.labels) == ["1", "a", "true"]


@each_size
def test_lists_of_the_integers_of_a_hub_have_its_names(tmp_path, limits):
    kind = {"feature": {"names": ["z", "a"], "_type": "ClassLabel"}, "_type": "List"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": kind}}})}
    columns = {"text": TEXTS, "label": pa.array([[1], [], [0, 1], [0]], pa.list_(pa.int64()))}
    dataset = read_dataset(write(tmp_path / "a.parquet", parquet_bytes(columns, metadata)), limits=limits)
    assert list(dataset.splits["train"].labels) == [("a",), (), ("z", "a"), ("z",)]
    assert list(dataset.task.labels) == ["z", "a"]
    columns["label"] = pa.array([[1], [2], [0], [0]])
    with pytest.raises(DataError, match=r"row 2: column .label.: found 2, expected a class of 0 to 1"):
        read_dataset(write(tmp_path / "b.parquet", parquet_bytes(columns, metadata)), limits=limits)


@each_size
def test_train_decides_for_the_other_splits(tmp_path, limits):
    write(tmp_path / "several" / "train.csv", "text,label\none,a|b\ntwo,a\n")
    write(tmp_path / "several" / "test.csv", "text,label\nthree,b\nfour,b|a\n")
    dataset = read_dataset(tmp_path / "several", limits=limits)
    assert list(dataset.splits["test"].labels) == [("b",), ("b", "a")]
    write(tmp_path / "several" / "test.csv", "text,label\nthree,b\nfour,b|c\n")
    dataset = read_dataset(tmp_path / "several", limits=limits)
    assert (list(dataset.splits["test"].labels), dataset.task.labels) == ([("b",), ("b", "c")], ("a", "b"))
    write(tmp_path / "one" / "train.csv", "text,label\none,a\ntwo,b\n")
    write(tmp_path / "one" / "test.csv", "text,label\nthree,b\nfour,b|a\n")
    with pytest.raises(DataError, match=r"line 3: a list of labels \(2\), but each text of train has a single"):
        read_dataset(tmp_path / "one", limits=limits)


def test_it_is_said_once(tmp_path, caplog):
    write(tmp_path / "train.csv", "text,label\none,a\ntwo,a|b\n")
    write(tmp_path / "test.csv", "text,label\none,a|b\n")
    with caplog.at_level(logging.INFO, "rubrica"):
        read_dataset(tmp_path)
    assert caplog.messages == [
        f'{tmp_path}: each text may have several labels, as "a", "b"; '
        'pass --label-separator "" where "|" is part of a label'
    ]


def test_a_label_that_train_lacks_is_an_error():
    dataset = Dataset("x", {"train": Examples(["a"], [("1", "2")])}, (), "", task_of(["1", "2", "3"], lists=True))
    with pytest.raises(DataError, match='no example of "3"'):
        check_trainable(dataset)


def test_reuters(shared):
    dataset = read_dataset(shared / "data" / "reuters21578")
    assert (dataset.task.problem_type, len(list(dataset.task.labels))) == ("multi_label_classification", 90)
    assert sum(len(labels) > 1 for labels in dataset.splits["train"].labels) > 1000
