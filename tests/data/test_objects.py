"""Python's objects as tables and columns: what each library has beside plain lists."""

import datasets
import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

import rubrica
from rubrica.data.dataset import read_dataset, read_pairs
from rubrica.errors import DataError

NAMED = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
NEWS = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 1]}, features=NAMED)
TEXTS = ["a", "b", "c"]


def rows(data):
    split = data.splits["train"]
    return list(zip(split.texts, split.labels, strict=True))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (NEWS, [("a", "neg"), ("b", "pos"), ("c", "pos")]),
        (NEWS.select([2, 0]), [("c", "pos"), ("a", "neg")]),
        (NEWS.filter(lambda row: row["label"]), [("b", "pos"), ("c", "pos")]),
        (NEWS.to_iterable_dataset(), [("a", "neg"), ("b", "pos"), ("c", "pos")]),
        (datasets.DatasetDict(train=NEWS, test=NEWS), [("a", "neg"), ("b", "pos"), ("c", "pos")]),
    ],
    ids=["whole", "selected", "filtered", "iterable", "splits"],
)
def test_a_data_set_of_a_hub_keeps_its_class_names(source, expected):
    data = read_dataset(source)
    assert rows(data) == expected
    assert data.task.labels == ("neg", "pos")


def test_numbers_keep_the_digits_that_people_write():
    half = np.float32([0.1, 1.0])
    tables = [
        pa.table({"text": ["a", "b"], "label": pa.array(half, pa.float32())}),
        pandas.DataFrame({"text": ["a", "b"], "label": half}),
        polars.DataFrame({"text": ["a", "b"], "label": polars.Series(half)}),
        polars.LazyFrame({"text": ["a", "b"], "label": polars.Series(half)}),
        {"text": ["a", "b"], "label": half},
        [{"text": "a", "label": half[0]}, {"text": "b", "label": half[1]}],
    ]
    for table in tables:
        assert rows(read_dataset(table)) == [("a", "0.1"), ("b", "1")]
    assert rows(read_pairs(["a", "b"], half)) == [("a", "0.1"), ("b", "1")]


@pytest.mark.parametrize("missing", [None, float("nan"), pandas.NA, pandas.NaT, np.nan, " "])
def test_a_missing_label_is_an_error_with_its_row(missing):
    with pytest.raises(DataError, match=r"row 2: no label in \"label\"; add one or remove the row"):
        read_dataset(pandas.DataFrame({"text": TEXTS, "label": pandas.Series(["x", missing, "y"], dtype=object)}))
    with pytest.raises(DataError, match=r"row 2: no label in \"label\"; add one or remove the row"):
        read_pairs(TEXTS, ["x", missing, "y"])
    with pytest.raises(DataError, match="row 3: no label"):
        read_pairs(TEXTS, pandas.array([1, 2, None], "Int64"))


MATRIX = [[1, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    "labels",
    [
        MATRIX,
        np.array(MATRIX),
        np.array(MATRIX, bool),
        np.array(MATRIX, float),
        csr_matrix(MATRIX),
        pandas.DataFrame(MATRIX, columns=["0", "1"]),
        polars.DataFrame({"0": [1, 1, 0], "1": [0, 1, 0]}),
        pa.table({"0": [1, 1, 0], "1": [0, 1, 0]}),
        [["0"], ["0", "1"], []],
        [{0}, {0, 1}, set()],
        [(0,), (0, 1), ()],
        np.array([["0"], ["0", "1"], []], object),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_several_labels_are_a_matrix_or_lists(labels):
    data = read_pairs(TEXTS, labels)
    assert rows(data) == [("a", ("0",)), ("b", ("0", "1")), ("c", ())]
    model = rubrica.train(TEXTS * 5, [*np.array(MATRIX)] * 5, config=rubrica.make_config(model={"name": "linear"}))
    assert model.evaluate(TEXTS, labels)["subset_accuracy"] == model.evaluate(TEXTS, MATRIX)["subset_accuracy"]


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (np.array([[1, 2], [0, 1], [0, 0]]), "a matrix of 0 and 1"),
        (pandas.DataFrame({"x": [1, 2, 0], "y": [0, 0, 1]}), 'found 2 in "x", expected 0 or 1'),
        ("xyz", "labels is one string"),
        ({"a": 1}, "expected a list of labels"),
        ([b"x", b"y", b"x"], "found b'x', expected a label"),
        ([1, 2], "3 texts and 2 labels"),
    ],
)
def test_what_are_no_labels_is_refused(labels, error):
    with pytest.raises((TypeError, ValueError, DataError), match=error):
        read_pairs(TEXTS, labels)


def test_a_table_has_its_columns_alike_and_once():
    with pytest.raises(DataError, match="columns of different lengths"):
        read_dataset({"text": ["a", "b"], "label": ["x"]})
    with pytest.raises(DataError, match='two columns are named "text"'):
        read_dataset(pandas.DataFrame([["a", "b"]], columns=["text", "text"]))
    for empty in (
        {"text": [], "label": []},
        pa.table({"text": pa.array([], "string"), "label": pa.array([], "string")}),
    ):
        with pytest.raises(DataError, match="no rows"):
            read_dataset(empty)
    assert rows(read_dataset([{"text": "a", "label": 1}, {"label": 2}])) == [("a", "1"), ("", "2")]
