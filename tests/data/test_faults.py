"""Reading data sets: every fault is named by its file and line."""

import bz2
import gc
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from made_files import TINY, USUAL, class_label, csv_bytes, each_size, jsonl_bytes, parquet_bytes, write
from rubrica.data.dataset import Dataset, Examples, check_trainable, leave_out_unknown, read_dataset, read_texts
from rubrica.errors import DataError
from rubrica.scoring.tasks import task_of


def zip_bytes(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


GOOD = b"text,label\r\nfine,a\r\n"
FAULTS = [
    # name, content, where, what
    ("a.csv", b"", "", "empty file"),
    ("a.jsonl", b"\n\n", "", "empty file"),
    ("a.csv", b"\xef\xbb\xbf", "", "empty file"),
    ("a.csv", b"text,label\n", "", "no rows"),
    (
        "a.parquet",
        parquet_bytes({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}),
        "",
        "no rows",
    ),
    ("a.csv", GOOD + b"a,b,c\r\n", " line 3", '3 columns, expected 2 ("text", "label"); quote the text or pass --deli'),
    ("a.csv", GOOD + b'"x\ny\n""z",a\n\n"w",b\nlonely\n', " line 8", "1 column, expected 2"),
    ("a.csv.gz", gzip.compress(GOOD + b"a,b,c\r\n", mtime=0), " line 3", "3 columns, expected 2"),
    ("a.csv", gzip.compress(GOOD, mtime=0), "", "is packed by gzip; give it a name that ends in .gz"),
    ("a.csv", bz2.compress(GOOD), "", "is packed by bzip2; give it a name that ends in .bz2"),
    ("a.csv", b"\x89PNG\r\n\x1a\n\0", "", "is a picture; give a file of texts"),
    ("a.txt", b"%PDF-1.7 \xb5\xed\n", "", "is a PDF; give a file of texts"),
    ("a.tsv", b"text\tlabel\na\tb\tc\n", " line 2", "3 columns, expected 2"),
    ("a.csv", GOOD + b'"open,a\nfine,b\n', " line 3", "a quote opens here and never closes"),
    ("a.csv", GOOD + b'5" pipe,"open\nfine,b\n', " line 3", "a quote opens here and never closes"),
    ("a.csv", GOOD + b'"x\ny","', " line 4", "a quote opens here and never closes"),
    ("a.csv", b'\n"text,label\nfine,a\n', " line 2", "a quote opens here and never closes"),
    (
        "a.csv",
        GOOD + b"caf\xe9,a\n",
        " line 3",
        "not UTF-8 (byte 0xe9); pass --encoding cp1252, or save the file as UTF-8",
    ),
    ("a.csv", "text,label\n".encode("utf-16"), "", "no rows"),
    ("a.csv", "text,label\na,b\n".encode("utf-16")[:-1], " line 2", "not utf-16 (truncated data)"),
    ("a.csv", b"text,text\na,b\n", "", 'two columns are named "text"'),
    ("a.csv", b"x;y\na;b\n", "", 'no column for texts; columns are "x", "y"; pass --text-column (or --delimiter)'),
    ("a.csv", b'3,"Wall St. Bears","Short"\n', "", "no rows"),
    (
        "a.csv",
        b'3,"Wall St. Bears","Short"\n4,b,c\n',
        "",
        'columns are "3", "Wall St. Bears", "Short"; pass --text-column',
    ),
    ("a.csv", b"text,title,words\na,b,c\n", "", 'no column for labels; columns are "text", "title", "words"'),
    ("a.csv", GOOD + b"x,\r\n", " line 3", 'no label in "label"'),
    ("a.csv", GOOD + b"x, \r\n", " line 3", 'no label in "label"'),
    (
        "a.jsonl",
        b'{"text": "a", "label": 1}\n\n{"text": ',
        " line 3",
        "bad JSON at column 10 (Expecting value), expected one",
    ),
    ("a.jsonl", b'{"text": "a", "label": 1}\n[1]\n', " line 2", "found a list, expected an object"),
    ("a.jsonl", b"[" * 100_000, " line 1", "bad JSON"),
    ("a.jsonl", b'{"a": ' + b"1" * 5000 + b"}", " line 1", "bad JSON"),
    ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "\xff"}\n', " line 2", "not UTF-8"),
    ("a.jsonl", b'{"text": "\\ud83d", "label": 1}\n', " line 1", "half a surrogate pair"),
    ("a.jsonl", b'{"text": "a", "label": 1}\n\n{"text": "b"}\n', " line 3", 'no label in "label"'),
    ("a.jsonl", b'{"text": "a", "label": NaN}\n', " line 1", 'no label in "label"'),
    (
        "a.jsonl",
        b'{"text": "a", "label": ["x"]}\n{"text": "a", "label": ["x", [5]]}\n',
        " line 2",
        'column "label": found [5], ',
    ),
    ("a.jsonl", b'{"text": "a", "label": ["x"]}\n{"text": "a", "label": ["x", null]}\n', " line 2", "no label in"),
    ("a.jsonl", b'{"text": "a", "label": ["x"]}\n{"text": "a", "label": ""}\n', " line 2", "no label in"),
    ("a.csv", b"text,label\na,x|y\nb,x| \n", " line 3", 'an empty label in "x| "; remove a "|", or pass --label-sep'),
    ("a.csv", b"text,label\na,x|y\nb,\n", " line 3", "no label in"),
    ("a.jsonl", b'{"text": "a", "label": {"x": "y"}}\n', " line 1", "the score of 'x' is 'y', expected a probability"),
    ("a.jsonl", b'{"text": [5], "label": 1}\n', " line 1", 'found [5] (list) in "text", expected a text'),
    ("a.parquet", parquet_bytes({"text": ["a", "b"], "label": [1.0, None]}), ": row 2", 'no label in "label"'),
    (
        "a.parquet",
        parquet_bytes({"text": ["a", "b"], "label": [0, 5]}, class_label("x", "y")),
        ": row 2",
        "class of 0 to 1",
    ),
    ("a.parquet", b"PAR1 no more", "", "broken Parquet file"),
    ("a.parquet", parquet_bytes({"text": ["a"], "label": [1]})[:-30], "", "broken Parquet file"),
    ("a.csv.gz", b"no gzip", "", "broken .gz file"),
    ("a.csv.gz", gzip.compress(GOOD * 100, mtime=0)[:-9], "", "broken .gz file"),
    ("a.csv.gz", gzip.compress(GOOD, mtime=0)[:12] + b"\xff" * 20, "", "broken .gz file"),
    ("a.txt", b"__label__a x\nno label\n", " line 2", "no label, expected __label__NAME"),
    ("a.txt", b"__label__a __label__b x\nno label\n", " line 2", "no label, expected __label__NAME"),
    ("a.txt", b"__label__ x\n", " line 1", 'no label in "label"'),
    ("a.csv.bz2", b"no bzip2", "", "broken .bz2 file"),
    ("a.csv.bz2", bz2.compress(GOOD * 100)[:-9], "", "broken .bz2 file"),
    ("a.csv.xz", b"no xz", "", "broken .xz file"),
    ("a.csv.xz", lzma.compress(GOOD * 100)[:-9], "", "broken .xz file"),
    ("a.csv.zst", b"no zstd", "", "broken .zst file"),
    ("a.csv.zst", pa.compress(GOOD * 100, "zstd", asbytes=True)[:-9], "", "broken .zst file"),
    ("a.csv.zip", b"no zip", "", "broken .zip file"),
    ("a.zip", b"no zip", "", "broken .zip file"),
    ("a.zip", zip_bytes({"a.csv": GOOD})[:-9], "", "broken .zip file"),
    ("a.zip", zip_bytes({"a.csv": GOOD, "b.csv": GOOD}), "", "holds 2 files, expected one; unpack it"),
    ("a.zip", zip_bytes({}), "", "holds 0 files"),
    ("a.zip", zip_bytes({"a.xlsx": b"PK"}), "", 'unknown format ".xlsx"'),
    ("a.csv", b"Text,text\na,b\n", "", 'two columns are named alike ("Text", "text"); rename one, or pass --text-col'),
    ("a.csv", b"text,Label,label\na,b,c\n", "", 'two columns are named alike ("Label", "label")'),
    ("a.csv", b"note,\na,b\n", "", 'no column for texts; columns are "note", "2"'),
    ("a.csv", b"1,,2\na,b,c\n", "", 'columns are "1", "column 2", "2"'),
    ("a.csv", "text,label\na,b\n".encode("utf-16-le"), " line 1", "UTF-16 without its mark; pass --encoding utf-16-le"),
    ("a.csv", "text,label\na,b\n".encode("utf-16-be"), " line 1", "UTF-16 without its mark; pass --encoding utf-16-be"),
    ("a.json", b'[{"text": "a", "label": "b"}', " line 1", 'expected "," or "]" behind an object'),
    (
        "a.json",
        b'[{"text": "a", "label": "b"},\n]',
        " line 2",
        "bad JSON at column 1 (Expecting value), expected an array",
    ),
    ("a.json", b'[{"text": "a", "label": "b"},\n5]', " line 2", "found a int, expected an object"),
    ("a.json", b'[{"text": "a",\n "label": "b"}]\nmore', " line 3", "found 'more' behind the array"),
    ("a.json", b'[{"text": "a", "label": "b"},\n{"text": "a", "label": " "}]', " line 2", 'no label in "label"'),
    ("a.json", b"[]", "", "no rows"),
    (
        "a.jsonl",
        b'{"text": "a", "label": 1}\n{"text": "b", "label": 1, "text": "c"}\n',
        " line 2",
        "'text' stands twice",
    ),
    (
        "a.json",
        b'[{"text": "a", "label": 1},\n{"label": 2, "text": "b", "label": 1}]',
        " line 2",
        "'label' stands twice",
    ),
    ("a.json", b'{"text": ["a", "b"], "label": [1, 2], "text": ["c", "d"]}', " line 1", "'text' stands twice"),
    ("a.json", b'{"text": ["a", "b"],\n "label": ["x"]}', " line 1", "bad JSON"),
    ("a.xlsx", b"PK", "", 'unknown format ".xlsx", expected one of .csv, .tsv, .json, .jsonl'),
]


@pytest.mark.parametrize(("name", "content", "where", "what"), FAULTS)
@each_size
def test_a_fault_is_named_with_its_place(tmp_path, name, content, where, what, limits):
    path = write(tmp_path / name, content)
    gc.collect()  # of other tests' objects: at the end of the stack, behind 1,000 brackets, none can be finalised
    with pytest.raises(DataError) as caught:
        read_dataset(path, limits=limits)
    message = str(caught.value)
    assert message.startswith(f"{path}{where}: "), message
    assert what in message
    assert "\n" not in message


def test_an_unknown_column_comes_with_the_nearest(tmp_path):
    path = write(tmp_path / "a.csv", b"headline,topic,rank\na,b,c\n")
    with pytest.raises(DataError, match="no column \"headlin\"; did you mean 'headline'"):
        read_dataset(path, text_columns=["headlin"])
    with pytest.raises(DataError, match='no column "zzz"; known: headline, topic, rank'):
        read_dataset(path, label_column="zzz")


@pytest.mark.parametrize("delimiter", ["", "||", "ж", '"', "\n"])
def test_a_delimiter_is_one_character(tmp_path, delimiter):
    with pytest.raises(ValueError, match="delimiter is"):
        read_dataset(write(tmp_path / "a.csv", GOOD), delimiter=delimiter)


@pytest.mark.parametrize("encoding", ["utf-9", "rot13", "zip", "undefined", ""])
def test_an_encoding_is_one_that_python_knows(tmp_path, encoding):
    with pytest.raises(ValueError, match=r"encoding is .*give a name that Python knows"):
        read_dataset(write(tmp_path / "a.csv", GOOD), encoding=encoding)


def test_a_wrong_encoding_is_said_with_its_line(tmp_path):
    path = write(tmp_path / "a.csv", GOOD + b"caf\xe9,a\n\n" + b"\x81,b\n")
    for limits in (USUAL, TINY):
        with pytest.raises(DataError, match=r"a\.csv line 5: not cp1252 .*; pass another --encoding"):
            read_dataset(path, encoding="cp1252", limits=limits)


SENTENCES = {
    "cp1252": "le café crème à la carte, garçon\n",
    "cp1250": "zażółć gęślą jaźń, świetny film, który polecam\n",
    "cp1251": "цены на нефть растут, сборная выиграла матч\n",
    "koi8_r": "цены на нефть растут, сборная выиграла матч\n",
    "cp866": "цены на нефть растут, сборная выиграла матч\n",
    "gb18030": "这个电影很好看，我们都喜欢\n",
}


@pytest.mark.parametrize("encoding", SENTENCES)
def test_the_encoding_is_proposed_and_then_read(tmp_path, encoding):
    text = SENTENCES[encoding]
    path = write(tmp_path / "a.txt", b"__label__a ascii\n" + b"__label__b " + text.encode(encoding) * 20)
    with pytest.raises(DataError, match=f"line 2: not UTF-8 .*; pass --encoding {encoding}, or save"):
        read_texts(path)
    assert read_texts(path, encoding=encoding)[1] == text.strip()


def test_a_folder_or_mapping_has_each_split_once(tmp_path):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    assert list(read_dataset({"dev": rows, "train": rows}).splits) == ["train", "validation"]
    with pytest.raises(DataError, match=r"two parts are the validation split \(train, valid, dev\)"):
        read_dataset({"train": rows, "valid": rows, "dev": rows})


@pytest.mark.parametrize("source", [5, None, ["a", "b"], iter(["a"]), object()])
def test_what_is_no_table_is_refused(source):
    with pytest.raises(TypeError, match="without labels; pass train"):
        read_dataset(source)


def test_an_unknown_part_of_the_layout_is_refused(tmp_path):
    with pytest.raises(TypeError, match="header_row"):
        read_dataset(write(tmp_path / "a.csv", GOOD), header_row=1)


@pytest.mark.parametrize(
    "source", ["absent.csv", "./x", "/no/such", "~/no-such", "no such", "a.xlsx", "d/absent.CSV.gz", Path("x")]
)
def test_a_missing_file_is_no_hub_id(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        read_dataset(source)


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", GOOD)

    def refuse(self, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"a\.csv: cannot be read \(Permission denied\)"):
        read_dataset(path)


def test_texts_of_a_folder_or_of_nothing(tmp_path):
    with pytest.raises(DataError, match="a folder, expected one file"):
        read_texts(tmp_path)
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        read_texts(tmp_path / "a.csv")


FOLDER_FAULTS = {
    "neither": ({"train.xlsx": GOOD}, "found neither, expected train.* and test.*"),
    "no train": ({"test.csv": GOOD, "dev.csv": GOOD}, r"found validation.*, test.*, expected train.*"),
    "two formats": (
        {"train.csv": GOOD, "train.jsonl": GOOD},
        "several files for the train split (train.csv, ",
    ),
    "two names": ({"train.csv": GOOD, "valid.csv": GOOD, "dev.csv": GOOD}, "several files for the validation split"),
    "a shard and a whole": ({"train.csv": GOOD, "train-00000-of-00001.csv": GOOD}, "several files for the train"),
    "a missing shard": ({"train-00001-of-00003.csv": GOOD}, "1 of 3 shards of train"),
    "two configs": ({"a/train.csv": GOOD, "b/train.csv": GOOD}, "several folders hold data (a, b); pass one of them"),
}


@pytest.mark.parametrize(("files", "what"), FOLDER_FAULTS.values(), ids=FOLDER_FAULTS)
def test_a_faulty_folder(tmp_path, files, what):
    for name, data in files.items():
        write(tmp_path / name, data)
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("test.csv", csv_bytes([("x\ny", "pos"), ("b", "odd"), ("c", "ngg"), ("d", "odd")])),
        ("valid.jsonl", jsonl_bytes([("x\ny", "pos"), ("b", "odd"), ("c", "ngg"), ("d", "odd")])),
        ("test.parquet", parquet_bytes({"text": ["x", "b", "c", "d"], "label": ["pos", "odd", "ngg", "odd"]})),
        ("dev.txt", b"__label__pos a\n__label__odd b\n__label__ngg c\n__label__odd d\n"),
    ],
)
@each_size
def test_a_label_that_train_does_not_have(tmp_path, name, content, limits, caplog):
    write(tmp_path / "train.csv", csv_bytes([("no", "neg"), ("yes", "pos")]))
    write(tmp_path / name, content)
    read = read_dataset(tmp_path, limits=limits)
    split = "test" if "test" in name else "validation"
    assert list(read.splits[split].labels) == ["pos", "odd", "ngg", "odd"]
    found = leave_out_unknown(read)
    fate = "they count as wrong" if split == "test" else "they are left out of validation"
    assert caplog.messages == [
        f"{tmp_path} ({split}): 3 of 4 texts have labels that the model does not know "
        f'("ngg", did you mean "neg"?; "odd"); {fate}'
    ]
    assert list(found.splits[split].labels) == (["pos", "odd", "ngg", "odd"] if split == "test" else ["pos"])
    kept = len(found.splits[split].texts)
    assert list(found.splits[split].texts) == list(read.splits[split].texts)[:kept]
    assert type(found.splits[split].texts) is type(read.splits[split].texts)
    assert found.splits["train"] is read.splits["train"]


def test_a_validation_split_without_a_known_label_is_none():
    sets = {"train": [("a",), ("b", "c")], "validation": [("a", "x"), ("y",)], "test": [("z",), ()]}
    splits = {name: Examples(["t"] * 2, labels) for name, labels in sets.items()}
    found = leave_out_unknown(Dataset("d", splits, (), "", task_of("abc", lists=True)))
    assert list(found.splits) == ["train", "test"]


def test_so_many_unknown_labels_are_no_labels():
    splits = {"train": Examples(["t"] * 2, ["a", "b"]), "test": Examples(["t"] * 1001, list(map(str, range(1001))))}
    with pytest.raises(DataError, match=r"d \(test\): 1,001 labels that the model does not know .* are labels"):
        leave_out_unknown(Dataset("d", splits, (), "", task_of("ab", lists=False)))


def test_what_cannot_be_trained_on():
    def dataset(labels, **splits):
        return Dataset(
            "d",
            {name: Examples(["t"] * len(of), of) for name, of in splits.items()},
            ("text",),
            "kind",
            task_of(labels, lists=False),
        )

    check_trainable(dataset(["a", "b"], train=["a", "b", "b"]))
    with pytest.raises(DataError, match=r'd: one class only \("a"\), expected at least 2 classes; check column "kind"'):
        check_trainable(dataset(["a"], train=["a", "a"]))
    with pytest.raises(DataError, match='train has no example of "b", "c"'):
        check_trainable(dataset(["a", "b", "c"], train=["a"], test=["b"]))
    with pytest.raises(DataError, match="no train split, found test"):
        check_trainable(dataset(["a", "b"], test=["a", "b"]))


# Texts to predict


def test_texts_need_no_label_column(tmp_path):
    assert read_texts(write(tmp_path / "a.csv", b"id,title,body\n1,a,b\n2,,c\n")) == ["a b", "c"]
    assert read_texts(tmp_path / "a.csv", text_columns=["id"]) == ["1", "2"]
    assert read_texts(write(tmp_path / "b.csv", b"label;motto\nx;a\n"), delimiter=";") == ["a"]
    assert read_texts(write(tmp_path / "t.csv", b"label\tmotto\nx\ta\n"), delimiter=r"\t") == ["a"]
    with pytest.raises(DataError, match='no column for texts; columns are "First headline"'):
        read_texts(write(tmp_path / "c.csv", b"First headline\nSecond\n"))
    with pytest.raises(DataError, match='no column "tex"'):
        read_texts(tmp_path / "a.csv", text_columns=["tex"])


def test_an_empty_file_of_lines_has_no_texts(tmp_path):
    assert read_texts(write(tmp_path / "a.txt", b"")) == []
    assert read_texts(write(tmp_path / "a.txt", b"\n")) == [""]
