"""Data sets that are written once more: what is not edited stays byte for byte, what is edited reads as it should."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rubrica.data import rewrite
from rubrica.data.dataset import read_dataset
from rubrica.data.large_files import Limits
from rubrica.data.layout import Layout
from rubrica.data.rewrite import check_rewritable, rewrite_data
from rubrica.errors import DataError

TEXTS = ['plain "quoted" text', "two\nlines, and a comma", "", "пять", "last one"]
LABELS = ["a", "b", "a", "b", "c"]
EDITS = {1: None, 3: "c"}  # the second goes, the fourth has another label
LEFT = [0, 2, 3, 4]


def reads_edited(path, **layout):
    """Whether a data set has the rows that `EDITS` leave of `TEXTS` and `LABELS`."""
    train = read_dataset(path, **layout).splits["train"]
    assert list(train.texts) == [TEXTS[row] for row in LEFT]
    assert list(train.labels) == ["a", "a", "c", "c"]


CSV = b'\xef\xbb\xbfid,label,text,note\r\n1,a,"plain ""quoted"" text",\r\n2,b,"two\nlines, and a comma","x"\n\n'
CSV += b'3, a ,"",\n4,b,"\xd0\xbf\xd1\x8f\xd1\x82\xd1\x8c","a ""note"", here"\n5,c,last one,'


def test_lines_of_csv_stay_byte_for_byte(tmp_path):
    (tmp_path / "in.csv").write_bytes(CSV)
    rewrite_data(tmp_path / "in.csv", tmp_path / "out.csv", {"train": EDITS}, Layout())
    expected = b'\xef\xbb\xbfid,label,text,note\r\n1,a,"plain ""quoted"" text",\r\n3, a ,"",\n'
    expected += '4,c,пять,"a ""note"", here"\n5,c,last one,'.encode()
    assert (tmp_path / "out.csv").read_bytes() == expected
    reads_edited(tmp_path / "out.csv")


def test_without_edits_it_is_the_same_file(tmp_path):
    (tmp_path / "in.csv").write_bytes(CSV)
    for split in ("train", "test"):  # a file is train, so edits of test are none of its own
        rewrite_data(tmp_path / "in.csv", tmp_path / f"{split}.csv", {split: {}}, Layout())
        assert (tmp_path / f"{split}.csv").read_bytes() == CSV


@pytest.mark.parametrize("name", ["in.tsv", "in.csv"])
@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_delimiters(tmp_path, name, mark):
    other = "," if mark == ";" else ";"
    text = f'label{mark}text\na{mark}one {other} two\nb{mark}"it is {mark} quoted"\nb{mark}x\n'
    (tmp_path / name).write_text(text)
    out = tmp_path / f"out.{name[3:]}"
    rewrite_data(tmp_path / name, out, {"train": {1: "a", 2: None}}, Layout(label_separator=""))
    assert out.read_text() == text.replace("b" + mark + '"', "a" + mark + '"').replace(f"b{mark}x\n", "")


def test_plain_quotes_stay_plain(tmp_path):
    text = 'label\ttext\na\t"open\nb\tit is 5" wide\na\tx\n'
    (tmp_path / "in.tsv").write_text(text)
    rewrite_data(tmp_path / "in.tsv", tmp_path / "out.tsv", {"train": {0: "b", 2: None}}, Layout())
    assert (tmp_path / "out.tsv").read_text() == 'label\ttext\nb\t"open\nb\tit is 5" wide\n'


def test_a_file_without_a_header(tmp_path):
    (tmp_path / "in.csv").write_text("a,one\nb,two\na,three\n")
    rewrite_data(tmp_path / "in.csv", tmp_path / "out.csv", {"train": {0: "b", 2: None}}, Layout(columns="label,text"))
    assert (tmp_path / "out.csv").read_text() == "b,one\nb,two\n"


def test_another_encoding_becomes_utf_8(tmp_path):
    (tmp_path / "in.csv").write_bytes("label,text\na,пять\nb,два\n".encode("cp1251"))
    rewrite_data(tmp_path / "in.csv", tmp_path / "out.csv", {"train": {1: None}}, Layout(encoding="cp1251"))
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "label,text\na,пять\n"


def test_json_lines_keep_their_keys(tmp_path):
    rows = [{"text": text, "label": label, "n": [1, {"x": 2.50}]} for text, label in zip(TEXTS, LABELS, strict=True)]
    lines = [json.dumps(row) + "\n" for row in rows]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))  # a blank line behind each
    rewrite_data(tmp_path / "in.jsonl", tmp_path / "out.jsonl", {"train": EDITS}, Layout())
    reads_edited(tmp_path / "out.jsonl")
    written = [line for line in (tmp_path / "out.jsonl").read_text().split("\n") if line]
    assert written[0] + "\n" == lines[0]
    assert [json.loads(line)["n"] for line in written] == [[1, {"x": 2.50}]] * 4
    assert "пять" in written[2]


def test_a_mark_at_the_start_is_no_trouble(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "x", "label": "a"}\n{"text": "y", "label": "b"}\n', "utf-8-sig")
    rewrite_data(tmp_path / "in.jsonl", tmp_path / "out.jsonl", {"train": {0: "b"}}, Layout())
    assert list(read_dataset(tmp_path / "out.jsonl").splits["train"].labels) == ["b", "b"]


def test_an_array_of_json(tmp_path):
    rows = [{"text": text, "label": label, "odd": None} for text, label in zip(TEXTS, LABELS, strict=True)]
    del rows[0]["odd"]
    (tmp_path / "in.json").write_text(json.dumps(rows, indent=1))
    rewrite_data(tmp_path / "in.json", tmp_path / "out.json", {"train": EDITS}, Layout())
    reads_edited(tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())[0] == rows[0]
    (tmp_path / "columns.json").write_text(json.dumps({"text": TEXTS, "label": LABELS}))
    with pytest.raises(DataError, match="holds columns, not rows"):
        rewrite_data(tmp_path / "columns.json", tmp_path / "out2.json", {"train": EDITS}, Layout())
    assert not (tmp_path / "out2.json").exists()


def test_parquet_keeps_its_types(tmp_path):
    kinds = pa.dictionary(pa.int32(), pa.string())
    columns = {
        "text": pa.array(TEXTS),
        "label": pa.array(LABELS, kinds),
        "time": pa.array(range(5), pa.timestamp("ns")),
    }
    table = pa.table(columns).replace_schema_metadata({"mine": "kept"})
    pq.write_table(table, tmp_path / "in.parquet")
    rewrite_data(tmp_path / "in.parquet", tmp_path / "out.parquet", {"train": EDITS}, Layout())
    reads_edited(tmp_path / "out.parquet")
    written = pq.read_table(tmp_path / "out.parquet")
    assert written.schema.equals(table.schema)
    assert written.schema.metadata[b"mine"] == b"kept"
    assert written.column("time").equals(table.column("time").take(pa.array(LEFT)))


def test_integers_stay_integers(tmp_path):
    pq.write_table(pa.table({"text": ["x", "y", "z"], "label": [0, 1, 10]}), tmp_path / "in.parquet")
    rewrite_data(tmp_path / "in.parquet", tmp_path / "out.parquet", {"train": {0: "10"}}, Layout())
    assert pq.read_table(tmp_path / "out.parquet").column("label").to_pylist() == [10, 1, 10]
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    named = pa.table({"text": ["x", "y"], "label": [0, 1]})
    named = named.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(named, tmp_path / "named.parquet")
    rewrite_data(tmp_path / "named.parquet", tmp_path / "out2.parquet", {"train": {0: "yes"}}, Layout())
    assert list(read_dataset(tmp_path / "out2.parquet").splits["train"].labels) == ["yes", "yes"]


SEVERAL = {
    "in.csv": "text,label\none,a|b\ntwo,b\nthree,a|c\n",
    "in.jsonl": '{"text": "one", "label": ["a", "b"]}\n{"text": "two", "label": ["b"]}\n'
    '{"text": "three", "label": ["a", "c"]}\n',
    "in.txt": "__label__a __label__b one\n__label__b two\nthree __label__a __label__c\n",
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_labels(tmp_path, name):
    (tmp_path / name).write_text(SEVERAL[name])
    out = tmp_path / name.replace("in", "out")
    rewrite_data(tmp_path / name, out, {"train": {0: ("c",), 1: ("a", "b"), 2: None}}, Layout())
    train = read_dataset(out).splits["train"]
    assert list(train.texts) == ["one", "two"]
    assert list(train.labels) == [("c",), ("a", "b")]


def test_a_column_for_each_label(tmp_path):
    (tmp_path / "in.csv").write_text("text,a,b,c\none,1,0,0\ntwo,0,1,0\n")
    layout = Layout(label_column="a,b,c")
    rewrite_data(tmp_path / "in.csv", tmp_path / "out.csv", {"train": {0: ("b", "c")}}, layout)
    assert (tmp_path / "out.csv").read_text() == "text,a,b,c\none,0,1,1\ntwo,0,1,0\n"


def test_a_text_may_lose_all_labels(tmp_path):
    for name in ("in.csv", "in.jsonl"):
        (tmp_path / name).write_text(SEVERAL[name])
        out = tmp_path / name.replace("in", "out")
        rewrite_data(tmp_path / name, out, {"train": {0: ()}}, Layout())
        assert list(read_dataset(out).splits["train"].labels) == [(), ("b",), ("a", "c")]


def test_a_folder_with_shards_and_packed_files(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "train-00000-of-00002.csv").write_text("label,text\na,one\nb,two\n")
    (folder / "train-00001-of-00002.csv").write_text("label,text\na,three\nb,four\n")
    (folder / "test.csv.gz").write_bytes(gzip.compress(b"label,text\na,t\n"))
    (folder / "validation.json").write_text('{"text": ["v"], "label": ["a"]}')  # is copied, or it were refused
    (folder / "README.md").write_text("no data")
    edits = {"train": {1: None, 2: "b"}, "test": {}}
    rewrite_data(folder, tmp_path / "out", edits, Layout())
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert written == {
        "train-00000-of-00002.csv": b"label,text\na,one\n",
        "train-00001-of-00002.csv": b"label,text\nb,three\nb,four\n",
        "test.csv": b"label,text\na,t\n",
        "validation.json": b'{"text": ["v"], "label": ["a"]}',
    }


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
def test_large_files_are_written_in_parts(tmp_path, monkeypatch, name):
    texts, labels = [f"text {i}\n" * (i % 5) for i in range(500)], [str(i % 3) for i in range(500)]
    table = pa.table({"text": texts, "label": labels})
    if name == "in.parquet":
        pq.write_table(table, tmp_path / name)
    elif name == "in.jsonl":
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        rows = (f'{label},"{text}"\n' for text, label in zip(texts, labels, strict=True))
        (tmp_path / name).write_text("label,text\n" + "".join(rows))
    monkeypatch.setattr(rewrite, "USUAL", Limits(large_bytes=1000, stretch_bytes=300, block_bytes=2000, part_rows=64))
    edits = {row: None if row % 2 else "2" for row in range(0, 500, 7)}
    out = tmp_path / name.replace("in", "out")
    rewrite_data(tmp_path / name, out, {"train": edits}, Layout())
    train = read_dataset(out).splits["train"]
    left = [row for row in range(500) if edits.get(row, "") is not None]
    assert list(train.texts) == [texts[row] for row in left]
    assert list(train.labels) == [edits.get(row, labels[row]) for row in left]


def test_what_cannot_be_written_is_said_first(tmp_path):
    (tmp_path / "in.csv").write_bytes(CSV)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "train.csv").write_bytes(CSV)
    (tmp_path / "other.csv").write_bytes(b"precious")
    for path, out, problem in (
        ("in.csv", "out.jsonl", "another format than in.csv; give a name that ends in .csv"),
        ("in.csv", "out.csv.gz", "names a packed file, and a plain one is written; give a name that ends in .csv"),
        ("in.csv", "in.csv", "is the data itself"),
        ("in", "in", "is the data itself"),
        ("in.csv", "other.csv", "other.csv: is there already; give a new name, or remove it"),
        ("in", "other.csv", "other.csv: is there already"),
        ("mini-news", "out.csv", "is no file or folder"),
    ):
        with pytest.raises(DataError, match=problem):
            check_rewritable(tmp_path / path, tmp_path / out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(DataError, match="a folder with files in it"):
        check_rewritable(tmp_path / "in", tmp_path / "full")


def test_rows_that_share_a_line_are_refused(tmp_path):
    (tmp_path / "in.csv").write_bytes(b"label,text\n" + b"a,one\n" * 5 + b"a,x\rb,y\n")
    with pytest.raises(DataError, match="line 7: two rows share this line"):
        rewrite_data(tmp_path / "in.csv", tmp_path / "out.csv", {"train": {0: None}}, Layout())
    assert not (tmp_path / "out.csv").exists()
