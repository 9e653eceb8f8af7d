"""Labels that are not certain: the same data set by every way in, of one label a text or several; what is refused."""

import json

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

from made_files import csv_bytes, each_size, jsonl_bytes, parquet_bytes, write
from rubrica.data.dataset import check_trainable, read_dataset, read_pairs
from rubrica.data.soft_labels import SoftLabels
from rubrica.errors import DataError

TEXTS = ["one", "two", "three", "four"]
ONE = [{"b": 0.75, "a": 0.25}, {"a": 1.0}, {"c": 0.5, "a": 0.25, "b": 0.25}, {"c": 1}]
SEVERAL = [{"b": 0.75, "a": 0.5}, {"a": 1.0}, {"c": 0.45}, {}]
MATRICES = {
    "one": [[0.25, 0.75, 0], [1, 0, 0], [0.25, 0.25, 0.5], [0, 0, 1]],
    "several": [[0.5, 0.75, 0], [1, 0, 0], [0, 0, 0.45], [0, 0, 0]],
}
LABELS = {"one": ["b", "a", "c", "c"], "several": [("a", "b"), ("a",), (), ()]}


def pairs(scores):
    return zip(TEXTS, scores, strict=True)


def columns(scores):
    return {name: [found.get(name, 0) for found in scores] for name in "abc"}


def ways(scores):
    """Each name and content of a file, and what else is said of it."""
    maps = pa.array([list(found.items()) for found in scores], pa.map_(pa.string(), pa.float64()))
    by_column, rows = {"label_column": "a,b,c"}, zip(TEXTS, *columns(scores).values(), strict=True)
    return {
        "objects.jsonl": (jsonl_bytes(pairs(scores)), {}),
        "array.json": (json.dumps([{"text": t, "label": x} for t, x in pairs(scores)]), {}),
        "structs.parquet": (parquet_bytes({"text": TEXTS, "label": scores}), {}),
        "maps.parquet": (parquet_bytes({"text": TEXTS, "label": maps}), {}),
        "strings.csv": (csv_bytes((text, str(found)) for text, found in pairs(scores)), {}),
        "json.csv": (csv_bytes((text, json.dumps(found)) for text, found in pairs(scores)), {}),
        "columns.csv": (csv_bytes(rows, header=["text", *"abc"]), by_column),
        "columns.parquet": (parquet_bytes({"text": TEXTS} | columns(scores)), by_column),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["one", "several"])
@pytest.mark.parametrize("name", ways(ONE))
@each_size
def test_every_file_gives_the_same_data_set(tmp_path, name, kind, limits):
    content, layout = ways(ONE if kind == "one" else SEVERAL)[name]
    data = read_dataset(write(tmp_path / name, content), limits=limits, **layout)
    train = data.splits["train"]
    assert (data.task.labels, data.task.has_confusion) == (("a", "b", "c"), kind == "one")
    assert (list(train.texts), list(train.labels)) == (TEXTS, LABELS[kind])
    assert train.soft.labels == ("a", "b", "c")
    np.testing.assert_array_equal(train.soft.probabilities, np.array(MATRICES[kind], np.float32))
    check_trainable(data)


@pytest.mark.parametrize("made", [
    lambda rows: rows,
    lambda rows: pandas.DataFrame(rows),
    lambda rows: pa.Table.from_pylist(rows),
    lambda rows: polars.DataFrame(rows, strict=False),
], ids=["dicts", "pandas", "pyarrow", "polars"])  # fmt: skip
def test_tables_of_python(made):
    data = read_dataset(made([{"text": text, "label": found} for text, found in pairs(ONE)]))
    np.testing.assert_array_equal(data.splits["train"].soft.probabilities, np.array(MATRICES["one"], np.float32))


@pytest.mark.parametrize("labels", [ONE, tuple(ONE), pandas.Series(ONE), [*ONE[:3], "c"]])
def test_texts_and_labels(labels):
    train = read_pairs(TEXTS, labels).splits["train"]
    assert list(train.labels) == LABELS["one"]
    np.testing.assert_array_equal(train.soft.probabilities, np.array(MATRICES["one"], np.float32))


def test_other_splits_follow_train(tmp_path):
    write(tmp_path / "train.jsonl", jsonl_bytes(pairs(ONE)))
    write(tmp_path / "validation.jsonl", jsonl_bytes([("five", {"a": 0.5, "d": 0.5}), ("six", "b")]))
    write(tmp_path / "test.jsonl", jsonl_bytes([("seven", "b")]))
    splits = read_dataset(tmp_path).splits
    assert (splits["validation"].labels, splits["test"].labels) == (["a", "b"], ["b"])
    np.testing.assert_array_equal(splits["validation"].soft.probabilities, [[1, 0, 0], [0, 1, 0]])
    assert splits["test"].soft is None
    write(tmp_path / "validation.jsonl", jsonl_bytes([("five", "a"), ("six", {"b": 0, "a": None})]))
    with pytest.raises(DataError, match=r"validation.jsonl line 2: no label has a score above 0; give"):
        read_dataset(tmp_path)


def test_columns_of_0_and_1_behind_columns_of_scores(tmp_path):
    write(tmp_path / "train.csv", b"text,a,b\none,0.25,0.75\ntwo,1,0\n")
    write(tmp_path / "test.csv", b"text,a,b\nthree,0,1\nfour,1,0\n")
    splits = read_dataset(tmp_path, label_column="a,b").splits
    assert (splits["train"].labels, splits["test"].labels) == (["b", "a"], ["b", "a"])


def test_a_test_split_of_scores_beside_certain_labels(tmp_path):
    write(tmp_path / "train.csv", b"text,label\none,a\ntwo,b\n")
    write(tmp_path / "test.jsonl", jsonl_bytes([("three", {"a": 0.25, "b": 0.75})]))
    splits = read_dataset(tmp_path).splits
    assert (splits["train"].soft, splits["test"].labels) == (None, ["b"])
    np.testing.assert_array_equal(splits["test"].soft.probabilities, [[0.25, 0.75]])


@pytest.mark.parametrize(("scores", "several"), [
    ([{"a": 0.33, "b": 0.33, "c": 0.33}], False),
    ([{"a": 0.9, "b": 0.1}, {"a": 0.9, "b": 0.04}], True),
    ([{"a": 0.9, "b": 0.1}, {"a": 0.9, "b": 0.9}], True),
])  # fmt: skip
def test_scores_that_add_up_to_1_are_of_one_label(scores, several):
    data = read_pairs(TEXTS[: len(scores)], [*scores])
    assert data.task.has_confusion is not several
    if not several:
        np.testing.assert_allclose(data.splits["train"].soft.probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("label", "problem"), [
    ({"a": 2}, "the score of 'a' is 2, expected a probability from 0 to 1"),
    ({"a": "x", "b": 1}, "the score of 'a' is 'x', expected a probability"),
    ({"a": float("nan"), "b": -0.1}, "the score of 'b' is -0.1, expected"),
    ({"a": 0.5, " a": 0.5}, "the label 'a' stands twice"),
    ({"": 0.5, "a": 0.5}, "no label"),
    ({"a": {"b": 1}}, "the score of 'a' is {'b': 1}, expected"),
])  # fmt: skip
def test_what_is_refused(tmp_path, label, problem):
    path = write(tmp_path / "a.jsonl", jsonl_bytes([("one", {"a": 1}), ("two", label)]))
    with pytest.raises(DataError) as caught:
        read_dataset(path)
    assert f"{path} line 2: " in str(caught.value)
    assert problem in str(caught.value)
    kept = read_dataset(path, on_bad_row="skip").splits["train"]
    assert (kept.texts, kept.labels) == (["one"], ["a"])


@pytest.mark.parametrize("cell", [
    '{"b": 0.75, "a": 0.25, "c": null}',
    "{'b': np.float64(0.75), 'a': np.float32(0.25)}",
    '{"b": "0.75", "a": "0.25"}',
])  # fmt: skip
def test_a_csv_of_another_program(tmp_path, cell):
    train = read_dataset(write(tmp_path / "a.csv", csv_bytes([("one", cell), ("two", "{'a': 1}")]))).splits["train"]
    np.testing.assert_array_equal(train.soft.probabilities, [[0.25, 0.75], [1, 0]])


def test_a_row_that_is_not_like_the_others_is_named(caplog):
    texts = [str(place) for place in range(40)]
    data = read_pairs(texts, [*[{"a": 0.25, "b": 0.75}] * 39, {"a": 0.2, "b": 0}])
    assert not data.task.has_confusion
    assert "of 1 of 40 texts they do not add up to 1 (0.2), so a text may have several labels" in caplog.text


def test_one_label_alone():
    data = read_pairs(["one", "two"], [{"spam": 0.9}, {"spam": 0.1}])
    with pytest.raises(DataError, match=r"one class only .*spam.* or give one number a text and pass --regression"):
        check_trainable(data)


def test_rows_and_labels_in_another_order():
    soft = SoftLabels(("a", "b"), np.array([[0.25, 0.75], [1, 0]], np.float32))
    np.testing.assert_array_equal(soft.take(np.array([1])).of(["c", "b", "a"]), [[0, 0, 1]])
    np.testing.assert_array_equal(soft.of(["b"]), [[0.75], [0]])
