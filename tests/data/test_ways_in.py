"""The same data is the same data set, or the same error, whatever it comes in as: every format, every Python type."""

import bz2
import csv
import gzip
import io
import json
import lzma
import math
import re
import zipfile

import datasets
import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import rubrica
from made_files import TINY, csv_bytes, parquet_bytes, rows_of, write
from rubrica.data.dataset import read_dataset, read_pairs, read_texts
from rubrica.data.objects import column_of
from rubrica.errors import DataError
from rubrica.text.strings import as_text, as_texts


def cell(value):
    """As Python's csv and pandas write it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return "|".join(value) if isinstance(value, list) else str(value)


def csv_of(rows, **options):
    return csv_bytes([(cell(text), cell(label)) for text, label in rows], **options)


def zip_bytes(name, data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def records(rows):
    return [{"text": text, "label": label} for text, label in rows]


def columns(rows):
    return {"text": [text for text, _ in rows], "label": [label for _, label in rows]}


def json_columns(rows):
    """As `DataFrame.to_json` writes it."""
    return {name: {str(place): value for place, value in enumerate(of)} for name, of in columns(rows).items()}


def typed(rows):
    """Columns of one type each, as Arrow has them: numbers and strings together become strings."""

    def one_type(values):
        kinds = {type(value) for value in values if value is not None}
        return values if len(kinds) <= 1 else [None if cell(value) == "" else cell(value) for value in values]

    return {name: one_type(values) for name, values in columns(rows).items()}


def without_nan(rows):
    return [tuple(None if cell(value) == "" and not isinstance(value, str) else value for value in row) for row in rows]


FILES = {
    "comma.csv": csv_of,
    "quoted.csv": lambda rows: csv_of(rows, quoting=csv.QUOTE_ALL, lineterminator="\n"),
    "semicolon.csv": lambda rows: csv_of(rows, delimiter=";"),
    "bar.csv": lambda rows: csv_of(rows, delimiter="|"),
    "excel.csv": lambda rows: b"\xef\xbb\xbfsep=;\r\n" + csv_of(rows, delimiter=";"),
    "utf16.csv": lambda rows: csv_of(rows).decode().encode("utf-16"),
    "utf32.csv": lambda rows: csv_of(rows).decode().encode("utf-32"),
    "a.csv.gz": lambda rows: gzip.compress(csv_of(rows)),
    "a.csv.bz2": lambda rows: bz2.compress(csv_of(rows)),
    "a.csv.xz": lambda rows: lzma.compress(csv_of(rows)),
    "a.csv.zst": lambda rows: pa.compress(csv_of(rows), "zstd", asbytes=True),
    "a.csv.zip": lambda rows: zip_bytes("a.csv", csv_of(rows)),
    "a.zip": lambda rows: zip_bytes("inside/a.csv", csv_of(rows)),
    "a.jsonl": lambda rows: "\n".join(json.dumps(row) for row in records(rows)).encode(),
    "lines.json": lambda rows: "\r\n".join(json.dumps(row, ensure_ascii=False) for row in records(rows)).encode(),
    "array.json": lambda rows: json.dumps(records(rows)).encode(),
    "pretty.json": lambda rows: json.dumps(records(rows), indent=1, ensure_ascii=False).encode(),
    "columns.json": lambda rows: json.dumps(json_columns(rows)).encode(),
    "inside.json": lambda rows: json.dumps({"data": records(rows)}, indent=1).encode(),
    "a.parquet": lambda rows: parquet_bytes(typed(without_nan(rows))),
}
OBJECTS = {
    "dicts": records,
    "generator": lambda rows: iter(records(rows)),
    "dict of columns": columns,
    "pandas": lambda rows: pandas.DataFrame(columns(rows), dtype=object),
    "pandas, shuffled index": lambda rows: pandas.DataFrame(columns(rows), range(len(rows), 0, -1), dtype=object),
    "polars": lambda rows: polars.DataFrame(typed(without_nan(rows))),
    "pyarrow": lambda rows: pa.table(typed(without_nan(rows))),
    "datasets": lambda rows: datasets.Dataset.from_dict(typed(without_nan(rows))),
    "splits": lambda rows: {"train": records(rows)},
}
PAIRS = {
    "lists": lambda rows: columns(rows).values(),
    "generators": lambda rows: map(iter, columns(rows).values()),
    "numpy": lambda rows: [numpy_column(of) for of in columns(rows).values()],
    "series": lambda rows: [pandas.Series(of, range(len(of), 0, -1), dtype=object) for of in columns(rows).values()],
    "polars": lambda rows: [polars.Series(of) for of in typed(without_nan(rows)).values()],
    "pyarrow": lambda rows: [pa.array(of) for of in typed(without_nan(rows)).values()],
    "one column each": lambda rows: [pandas.DataFrame({name: of}, dtype=object) for name, of in columns(rows).items()],
}


def numpy_column(values):
    column = np.empty(len(values), object)
    column[:] = values
    return column


def outcome(read, *given, **options):
    """The rows and classes that were read, or the sentence behind the place."""
    try:
        dataset = read(*given, **options)
    except DataError as error:
        return re.sub(r"^row \d+: ", "", error.problem)
    return rows_of(dataset.splits["train"]), dataset.task


letters = st.characters(codec="utf-8", exclude_characters="\x00")
words = st.sampled_from(["a fine film", "cafe\u0301", "caf\xe9", "null", "NA", "1.0", "__label__x", "[1]", 'say "no"'])
numbers = st.one_of(st.integers(-10, 10**18), st.floats(allow_infinity=False), st.booleans())
texts = st.one_of(st.text(letters, max_size=15), words, numbers, st.none())
names = st.sampled_from(
    ["a", " a ", "b", "1", "1.0", "True", "true", "TRUE", "e\u0301", "\xe9", "x|y", "['x', 'y']", "007"]
)
labels = st.one_of(names, names, st.text(letters, max_size=4), numbers, st.none())
row_lists = st.lists(st.tuples(texts, labels), min_size=1, max_size=5)
# One text has two labels: a CSV file cannot say that a single one is a list.
lists = st.lists(st.sampled_from("abc"), min_size=1, max_size=2)
many_labels = st.lists(st.tuples(words, lists), max_size=4).map(lambda rows: [("first", ["c", "a"]), *rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ways-in")


@settings(deadline=None, max_examples=60)
@given(rows=st.one_of(row_lists, many_labels))
@example(rows=[("a", 1), ("b", 1.0), ("c", "1"), ("d", True), ("e", "true")])
@example(rows=[("e\u0301", "e\u0301"), ("\xe9", "\xe9 ")])
@example(rows=[(None, "a"), ("", "b"), (float("nan"), "a")])
@example(rows=[("a", "x"), ("b", None)])
@example(rows=[("a", "x"), ("b", "  ")])
def test_the_same_rows_come_from_every_way_in(folder, rows):
    expected = outcome(read_dataset, records(rows))
    for name, make in FILES.items():
        path = write(folder / name, make(rows))
        assert outcome(read_dataset, path) == expected, name
        assert outcome(read_dataset, path, limits=TINY) == expected, name
    for name, make in OBJECTS.items():
        assert outcome(read_dataset, make(rows)) == expected, name
    for name, make in PAIRS.items():
        assert outcome(read_pairs, *make(rows)) == expected, name


# What one format cannot hold, and others can


def fits_tabs(row):
    return not ("\t" in cell(row[0]) and set(cell(row[0])) & set("\n\r"))


@settings(deadline=None, max_examples=100)
@given(rows=row_lists.filter(lambda rows: all(map(fits_tabs, rows))))
def test_tabs_and_quotes(folder, rows):
    """In a TSV a quoted text with a tab and a line end, both, may look like lines of plain quotes."""
    expected = outcome(read_dataset, records(rows))
    for name, data in {"a.tsv": csv_of(rows, delimiter="\t"), "tabs.csv": csv_of(rows, delimiter="\t")}.items():
        assert outcome(read_dataset, write(folder / name, data)) == expected


plain = st.text(st.characters(codec="utf-8", exclude_characters="\x00\t\n\r"), max_size=15)


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(st.tuples(plain, st.sampled_from(["a", "b c", "\xe9"])), min_size=1, max_size=5))
def test_quotes_are_plain_characters_where_no_program_would_write_them_so(folder, rows):
    data = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in [('"open', "a"), *rows])
    expected = outcome(read_dataset, records([('"open', "a"), *rows]))
    assert outcome(read_dataset, write(folder / "plain.tsv", data)) == expected
    rest = "text,label\n" + "".join(f"{text.replace(',', ';')},{label}\n" for text, label in rows)
    expected = outcome(read_dataset, records([(text.replace(",", ";"), label) for text, label in rows]))
    assert outcome(read_dataset, write(folder / "plain.csv", rest), quotes=False) == expected


fasttext_words = st.text(st.characters(codec="utf-8", exclude_characters=" \t\n\r\v\f\x00"), min_size=1, max_size=6)
lines = st.lists(fasttext_words.filter(lambda word: not word.startswith("#")), min_size=1, max_size=5)
fasttext_labels = fasttext_words.filter(lambda word: word.strip() and not set(word) & set("|[](){}"))


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.tuples(lines, fasttext_labels, st.integers(0, 5)), min_size=1, max_size=5),
    space=st.sampled_from(" \t\v\f"),  # many \r are ends of lines, and many zero bytes UTF-16
)
def test_a_fasttext_label_may_stand_anywhere(folder, rows, space):
    data = ""
    for found, label, place in rows:
        data += space.join([*found[:place], f"#{label}", *found[place:]]) + "\n"
    expected = outcome(read_dataset, records([(space.join(found), label) for found, label, _ in rows]))
    found = outcome(read_dataset, write(folder / "a.txt", data), label_prefix="#")
    if expected != "no label":
        assert [label for _, label in found[0]] == [label for _, label in expected[0]]
        assert found[1] == expected[1]
        for (text, _), (words_found, _, _) in zip(found[0], rows, strict=True):
            assert re.split(r"[ \t\v\f\r\0]+", text) == [as_text(word) for word in words_found]


@settings(deadline=None, max_examples=40)
@given(rows=row_lists)
def test_the_same_texts_are_answered_from_every_way_in(folder, rows):
    expected = [as_text(text) for text, _ in rows]
    for name, make in FILES.items():
        assert list(read_texts(write(folder / name, make(rows)))) == expected, name
    for name, make in PAIRS.items():
        column, _ = make(rows)
        assert as_texts(column_of(column)) == expected, name


def test_a_keyword_that_is_none_has_a_sentence():
    with pytest.raises(TypeError, match="there is no keyword 'lable_column'; did you mean 'label_column'"):
        read_dataset("mini-news", lable_column="x")
    for call in (
        lambda: read_dataset("mini-news", model="linear"),
        lambda: rubrica.train("mini-news", model="linear"),
        lambda: rubrica.train(["a", "b"], ["x", "y"], model="linear"),
        lambda: rubrica.train(read_dataset("mini-news"), model="linear"),
        lambda: rubrica.tune("mini-news", seconds=1, model="linear"),
    ):
        with pytest.raises(TypeError, match=r"there is no keyword 'model'; settings of a model go into config="):
            call()
