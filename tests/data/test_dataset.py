"""Reading data sets: every format, every fault by its line, and nothing guessed from values."""

import csv
import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from made_files import TINY, class_label, csv_bytes, each_size, jsonl_bytes, parquet_bytes, rows_of, write
from rubrica.data import csv_files, hub
from rubrica.data.dataset import Examples, read_dataset, read_texts
from rubrica.data.dialect import Dialect
from rubrica.data.large_files import Limits, read_content
from rubrica.data.stored_texts import StoredTexts
from rubrica.errors import DataError, MissingExtraError
from rubrica.files import cache_folder
from rubrica.scoring.label_names import spell
from rubrica.text.strings import as_text

TEXTS = [
    "null",
    "NA",
    "nan",
    "1.0",
    "",
    " ",
    'He said "no", twice',
    "line\nbreak",
    "a,b;c\td",
    "café 🎉 \u2028 \x0c",
    "007",
]
LABELS = ["pos", "neg", "pos", "neg", "pos", "neg", "pos", "neg", "pos", "neg", "pos"]
ROWS = list(zip(TEXTS, LABELS, strict=True))


COMMAS = Dialect(",", quotes=True, skipped=0, header=True)

# Every format


FORMATS = {
    "a.csv": csv_bytes(ROWS),
    "lf.csv": csv_bytes(ROWS, lineterminator="\n", quoting=csv.QUOTE_ALL),
    "bom.csv": b"\xef\xbb\xbf" + csv_bytes(ROWS),
    "no-last-end.csv": csv_bytes(ROWS).rstrip(),
    "blank-lines.csv": csv_bytes(ROWS[:6]).replace(b"\r\n", b"\r\n\r\n") + csv_bytes(ROWS[6:]).partition(b"\n")[2],
    "a.tsv": csv_bytes(ROWS, delimiter="\t"),
    "a.CSV.GZ": gzip.compress(csv_bytes(ROWS)),
    "a.tsv.gz": gzip.compress(csv_bytes(ROWS, delimiter="\t")),
    "a.jsonl": jsonl_bytes(ROWS),
    "bom.jsonl": b"\xef\xbb\xbf" + jsonl_bytes(ROWS),
    "a.ndjson": jsonl_bytes(ROWS).replace(b"\n", b"\r\n\r\n"),
    "a.jsonl.gz": gzip.compress(jsonl_bytes(ROWS)),
    "a.parquet": parquet_bytes({"text": TEXTS, "label": LABELS}),
    "dictionary.parquet": parquet_bytes(
        {"text": pa.array(TEXTS, pa.large_string()), "label": pa.array(LABELS).dictionary_encode()}
    ),
}


@pytest.mark.parametrize("name", FORMATS)
@each_size
def test_every_format_gives_the_same_rows(tmp_path, name, limits):
    dataset = read_dataset(write(tmp_path / name, FORMATS[name]), limits=limits)
    assert rows_of(dataset.splits["train"]) == ROWS
    assert (list(dataset.splits), list(dataset.task.labels)) == (["train"], ["neg", "pos"])
    assert (dataset.text_columns, dataset.label_column) == (("text",), "label")
    assert dataset.name == str(tmp_path / name)
    texts = read_texts(tmp_path / name, limits=limits)
    assert list(texts) == TEXTS
    assert type(texts) is type(dataset.splits["train"].texts) is (StoredTexts if limits == TINY else list)


@pytest.mark.parametrize("name", ["a.txt", "a.ft", "a.txt.gz"])
@each_size
def test_fasttext_labels_stand_anywhere_in_the_line(tmp_path, name, limits):
    lines = [
        "__label__x  two  words \r",
        "",
        "\v__label__y a\u2028b",
        "last __label__x",
        "__label__y",
        "a __label__x\tb__label__y",
    ]
    data = "".join(line + "\n" for line in lines).encode()
    path = write(tmp_path / name, gzip.compress(data) if name.endswith("gz") else data)
    expected = [("two  words", "x"), ("a\u2028b", "y"), ("last", "x"), ("", "y"), ("a b__label__y", "x")]
    assert rows_of(read_dataset(path, limits=limits).splits["train"]) == expected
    assert list(read_texts(path, limits=limits)) == ["two  words", "", "a\u2028b", "last", "", "a b__label__y"]


cells = st.text(st.characters(codec="utf-8"), max_size=20).map(as_text)
labels = (
    st.text(st.characters(codec="utf-8", exclude_characters="|[](){}"), min_size=1, max_size=5)
    .filter(str.strip)
    .map(spell)
)
row_lists = st.lists(st.tuples(cells, labels), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("round-trips")


@settings(deadline=None, max_examples=150)
@given(rows=row_lists, delimiter=st.sampled_from(",;\t|"), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_csv_round_trip(folder, rows, delimiter, quoting):
    data = csv_bytes(rows, delimiter=delimiter, quoting=quoting)
    path = write(folder / "a.csv", data)
    assert rows_of(read_dataset(path, delimiter=delimiter).splits["train"]) == rows


@settings(deadline=None, max_examples=150)
@given(rows=row_lists, ascii_only=st.booleans())
def test_jsonl_round_trip(folder, rows, ascii_only):
    lines = [json.dumps({"label": label, "text": text}, ensure_ascii=ascii_only) for text, label in rows]
    path = write(folder / "a.jsonl", "\n".join(lines))
    assert rows_of(read_dataset(path).splits["train"]) == rows


@settings(deadline=None, max_examples=100)
@given(rows=row_lists, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), stretch=st.integers(1, 99))
def test_a_large_csv_is_the_small_one(folder, rows, quoting, stretch):
    path = write(folder / "a.csv", csv_bytes(rows, quoting=quoting))
    limits = replace(TINY, stretch_bytes=stretch)
    assert rows_of(read_dataset(path, limits=limits).splits["train"]) == rows


@settings(deadline=None, max_examples=300)
@given(text=st.text(st.sampled_from('ab",\r\n'), min_size=1, max_size=40), stretch=st.integers(1, 20))
@example(text='"a\n\nb","c\n\nd"\nx,y', stretch=6)
def test_the_slow_pass_sees_the_same_records_in_stretches(folder, text, stretch):
    path = write(folder / "a.csv", text)
    small, large = read_content(path), read_content(path, replace(TINY, stretch_bytes=stretch))
    assert list(csv_files.iter_records(large, COMMAS)) == list(csv_files.iter_records(small, COMMAS))


@settings(deadline=None, max_examples=50)
@given(rows=row_lists)
def test_parquet_round_trip(folder, rows):
    texts, names = map(list, zip(*rows, strict=True))
    path = write(folder / "a.parquet", parquet_bytes({"text": texts, "label": names}))
    assert rows_of(read_dataset(path).splits["train"]) == rows


def test_a_row_longer_than_a_block(tmp_path):
    rows = [("short", "a"), ("long " * 2_000_000, "b"), ("short", "a")]
    assert rows_of(read_dataset(write(tmp_path / "a.csv", csv_bytes(rows))).splits["train"]) == rows


def test_blocks_do_not_mix_rows(tmp_path):
    rows = [(f'text "{number}"\n' + "x" * (number % 97), str(number % 3)) for number in range(90_000)]
    assert rows_of(read_dataset(write(tmp_path / "a.csv", csv_bytes(rows))).splits["train"]) == rows


@pytest.mark.parametrize("name", ["ag_news", "trec6", "sms_spam", "lenta_headlines_ru", "reuters21578"])
def test_real_data_as_the_csv_module_reads_it(shared, name):
    for split in ("train", "test"):
        path = shared / "data" / name / f"{split}.csv"
        with path.open(encoding="utf-8", newline="") as stream:
            expected = [(row["text"], row["label"]) for row in csv.DictReader(stream)]
        assert rows_of(read_dataset(path, label_separator="").splits["train"]) == expected


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".parquet", ".txt"])
def test_a_fault_deep_in_a_large_file(tmp_path, suffix):
    limits = Limits(large_bytes=1 << 10, stretch_bytes=1 << 10, block_bytes=1 << 10, part_rows=100)
    rows = [(f"text\n{i} " * (i % 3), f"{i % 4}") for i in range(3000)]
    rows[2995] = ("bad", " ")
    table = dict(zip(("text", "label"), zip(*rows, strict=True), strict=True))
    csv_line = f" line {csv_bytes(rows[:2995]).count(bytes([10])) + 1}"
    content, where = {
        ".csv": (csv_bytes(rows), csv_line),
        ".csv.gz": (gzip.compress(csv_bytes(rows), compresslevel=0), csv_line),
        ".jsonl": (jsonl_bytes(rows), " line 2996"),
        ".parquet": (parquet_bytes(table), ": row 2996"),
        ".txt": ("".join(f"__label__{label.strip()} {' '.join(text.split())}\n" for text, label in rows), " line 2996"),
    }[suffix]
    path = write(tmp_path / f"a{suffix}", content)
    with pytest.raises(DataError) as caught:
        read_dataset(path, limits=limits)
    assert str(caught.value) == f'{path}{where}: no label in "label"; add one or remove the row'


def test_a_large_hub_data_set_is_taken_in_parts(monkeypatch):
    splits = {
        "train": pa.table({"text": TEXTS, "label": LABELS}),
        "test": pa.table({"text": ["a"] * 5, "label": ["neg"] * 5}),
    }
    monkeypatch.setattr(hub, "read_hub", lambda name: splits)
    dataset = read_dataset("some/name", limits=TINY)
    assert rows_of(dataset.splits["train"]) == ROWS
    splits["test"] = pa.table({"text": ["a"] * 5, "label": ["neg"] * 4 + ["new"]})
    assert list(read_dataset("some/name", limits=TINY).splits["test"].labels) == ["neg"] * 4 + ["new"]


def test_an_empty_split_of_a_hub_data_set_is_passed_over(monkeypatch):
    rows, none = pa.table({"text": ["a"], "label": ["x"]}), pa.table({"text": [], "label": []})
    monkeypatch.setattr(hub, "read_hub", lambda name: {"train": rows, "test": none})
    assert list(read_dataset("some/name").splits) == ["train"]
    monkeypatch.setattr(hub, "read_hub", lambda name: {"train": none})
    with pytest.raises(DataError, match="some/name: found no split with rows, expected train and test"):
        read_dataset("some/name")


def test_blank_lines_may_fill_the_first_stretch_of_a_large_file(tmp_path):
    path = write(tmp_path / "a.csv", b"\n" * 20 + csv_bytes(ROWS))
    assert rows_of(read_dataset(path, limits=TINY).splits["train"]) == ROWS


def test_shards_of_a_large_data_set_add_up_and_leave_nothing_behind(tmp_path):
    for shard in range(3):
        write(tmp_path / f"train-0000{shard}-of-00003.csv", csv_bytes(ROWS))
    examples = read_dataset(tmp_path, limits=TINY).splits["train"]
    assert not list(cache_folder().iterdir())
    assert rows_of(examples) == ROWS * 3
    assert len({id(label) for label in examples.labels}) == len(set(LABELS))


def test_a_row_longer_than_a_block_in_a_large_file(tmp_path):
    rows = [("short", "a"), ("long " * 1000, "b"), ("short", "a"), ("line\n" * 500, "b")] * 3
    path = write(tmp_path / "a.csv", csv_bytes(rows))
    assert rows_of(read_dataset(path, limits=TINY).splits["train"]) == rows


# Columns and labels


@pytest.mark.parametrize(
    ("header", "options", "texts_from", "labels_from"),
    [
        ("text,label", {}, ["text"], "label"),
        ("Category, Sentence", {}, [" Sentence"], "Category"),
        ("Class Index,Title,Description", {}, ["Title", "Description"], "Class Index"),
        ("description,rubric,title", {}, ["title", "description"], "rubric"),
        ("id,label,text,title", {}, ["text"], "label"),
        ("sentence,label,text", {}, ["text"], "label"),
        ("label,motto", {}, ["motto"], "label"),
        ("text,mood", {}, ["text"], "mood"),
        ("a,b,label", {"text_columns": ["b", "A"]}, ["b", "a"], "label"),
        ("a,b,c", {"text_columns": "b", "label_column": "c"}, ["b"], "c"),
        ("a,b", {"label_column": "a"}, ["b"], "a"),
        ("a,b", {"text_columns": ["a"]}, ["a"], "b"),
        ("label,text", {"label_column": "text", "text_columns": ["label"]}, ["label"], "text"),
        ("текст,рубрика", {}, ["текст"], "рубрика"),
    ],
)
def test_columns_are_found_by_name_or_given(tmp_path, header, options, texts_from, labels_from):
    names = header.split(",")
    row = {name: f"{name} 1" for name in names}
    path = write(tmp_path / "a.csv", csv_bytes([row.values()], header=names))
    dataset = read_dataset(path, **options)
    assert (dataset.text_columns, dataset.label_column) == (tuple(texts_from), labels_from)
    expected = " ".join(row[name] for name in texts_from)
    assert rows_of(dataset.splits["train"]) == [(expected, row[labels_from])]


def test_joined_columns_leave_out_what_is_empty(tmp_path):
    rows = [{"title": "T", "content": "C"}, {"title": "", "content": "C"}, {"content": "C"}, {"title": ""}]
    path = write(tmp_path / "a.jsonl", "\n".join(json.dumps(row | {"label": "x"}) for row in rows))
    assert read_dataset(path).splits["train"].texts == ["T C", "C", "C", ""]


@pytest.mark.parametrize(
    ("values", "spelled", "classes"),
    [
        ([10, 9, -1], ["10", "9", "-1"], ["-1", "9", "10"]),
        ([1.0, 0.0, 2.0], ["1", "0", "2"], ["0", "1", "2"]),
        ([True, False, True], ["true", "false", "true"], ["false", "true"]),
        (["10", "9", "x"], ["10", "9", "x"], ["10", "9", "x"]),
        (["b", "a", " c"], ["b", "a", "c"], ["a", "b", "c"]),
        ([0.5, 2.0, 1e20], ["0.5", "2", "1e+20"], ["0.5", "1e+20", "2"]),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@each_size
def test_labels_become_strings_and_classes_get_an_order(tmp_path, suffix, values, spelled, classes, limits):
    rows = [(f"text {value}", value) for value in values]
    make = {".jsonl": lambda: jsonl_bytes(rows), ".parquet": lambda: parquet_bytes(table)}
    table = {"text": [text for text, _ in rows], "label": values}
    dataset = read_dataset(write(tmp_path / f"a{suffix}", make[suffix]()), limits=limits)
    assert (list(dataset.splits["train"].labels), list(dataset.task.labels)) == (spelled, classes)


@each_size
def test_jsonl_may_mix_strings_and_integers(tmp_path, limits):
    path = write(tmp_path / "a.jsonl", jsonl_bytes([("2024-01-01", 3), ("b", "3"), ("c", "x")]))
    assert rows_of(read_dataset(path, limits=limits).splits["train"]) == [("2024-01-01", "3"), ("b", "3"), ("c", "x")]


# Folders


@pytest.mark.parametrize("validation", [None, "validation.csv", "valid.jsonl", "DEV.tsv.gz"])
def test_a_folder_has_a_file_a_split(tmp_path, validation):
    data = {".jsonl": jsonl_bytes(ROWS), ".csv": csv_bytes(ROWS), ".gz": gzip.compress(csv_bytes(ROWS, "\t"))}
    write(tmp_path / "test.csv", csv_bytes(ROWS[:2]))
    write(tmp_path / "train.parquet", parquet_bytes({"text": TEXTS, "label": LABELS}))
    write(tmp_path / "README.md", "train")
    write(tmp_path / "testimony.csv", "x")
    if validation:
        write(tmp_path / validation, data[Path(validation).suffix])
    splits = read_dataset(tmp_path).splits
    assert list(splits) == (["train", "validation", "test"] if validation else ["train", "test"])
    assert rows_of(splits["test"]) == ROWS[:2]
    assert rows_of(splits.get("validation", splits["train"])) == ROWS


def test_a_folder_of_hf_download(tmp_path):
    names = class_label("zebra", "ant", "bee")
    for shard, rows in enumerate([([0, 1], ["a", "b"]), ([2], ["c"])]):
        data = parquet_bytes(dict(zip(("label", "text"), rows, strict=True)), names)
        write(tmp_path / f"data/train-0000{shard}-of-00002-0a1b2c3d.parquet", data)
    write(tmp_path / "data/test-00000-of-00001.parquet", parquet_bytes({"label": [1], "text": ["d"]}, names))
    write(tmp_path / "data/unsupervised-00000-of-00001.parquet", b"")
    write(tmp_path / ".cache/huggingface/train.csv", b"")
    dataset = read_dataset(tmp_path)
    assert list(dataset.task.labels) == ["zebra", "ant", "bee"]
    assert dataset.splits == {
        "train": Examples(["a", "b", "c"], ["zebra", "ant", "bee"]),
        "test": Examples(["d"], ["ant"]),
    }


@pytest.mark.parametrize("notes", ["{", "[]", '{"info": null}', '{"info": {"features": {"label": []}}}'])
def test_foreign_notes_in_a_parquet_file_are_passed_over(tmp_path, notes):
    path = write(tmp_path / "a.parquet", parquet_bytes({"text": ["a"], "label": [5]}, {"huggingface": notes}))
    assert rows_of(read_dataset(path).splits["train"]) == [("a", "5")]


def test_splits_share_their_columns(tmp_path):
    write(tmp_path / "train.csv", b"text,label\na,x\n")
    path = write(tmp_path / "test.csv", b"LABEL,Text\nx,b\n")
    assert rows_of(read_dataset(tmp_path).splits["test"]) == [("b", "x")]
    write(path, b"label,texts\nx,b\n")
    with pytest.raises(DataError, match=r"test\.csv: no column \"text\"; did you mean 'texts'"):
        read_dataset(tmp_path)


@each_size
def test_a_test_split_with_secret_labels_is_left_out(tmp_path, caplog, limits):
    names = class_label("no", "yes")
    write(tmp_path / "train.parquet", parquet_bytes({"label": [0, 1], "text": ["a", "b"]}, names))
    write(tmp_path / "test.parquet", parquet_bytes({"label": [-1, -1], "text": ["a", "b"]}, names))
    assert list(read_dataset(tmp_path, limits=limits).splits) == ["train"]
    assert "test split has no labels" in caplog.text


def test_a_folder_of_one_split_is_read(tmp_path):
    write(tmp_path / "test.csv", csv_bytes(ROWS))
    dataset = read_dataset(tmp_path)
    assert (list(dataset.splits), list(dataset.task.labels)) == (["test"], ["neg", "pos"])


# Libraries of optional parts


def test_without_pyarrow_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # an import of it then fails as if it were not there
    with pytest.raises(MissingExtraError, match=r"pip install 'rubrica\[data\]'"):
        read_dataset(write(tmp_path / "a.csv", csv_bytes(ROWS)))


def test_importing_loads_no_library():
    code = "import sys, rubrica.data; print(sorted({'pyarrow', 'datasets', 'torch', 'numpy'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_fault_without_a_reason_of_the_system_is_named_by_itself(tmp_path, monkeypatch):
    def broken(path, mode):
        raise OSError("the stream is gone")

    path = tmp_path / "a.csv"
    path.write_text("text,label\n")
    monkeypatch.setattr(type(tmp_path), "open", broken)
    with pytest.raises(DataError, match=r"cannot be read \(the stream is gone\)"):
        read_content(path)
