"""Pieces of data, read one by one, are the data; and they begin where a batch begins."""

from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from rubrica.data.dataset import iter_texts
from rubrica.data.large_files import Limits
from rubrica.data.pieces import cut, open_storage, read_piece
from rubrica.errors import DataError

TEXTS = [f"text {i}" for i in range(250)]


@pytest.fixture
def parquet(tmp_path):
    table = pa.table({"id": range(250), "text": TEXTS})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=33)
    return tmp_path / "in.parquet"


def pieces_of(place, rows=40, batch=16, **layout):
    storage, path = open_storage(str(place))
    return storage, cut(str(place), storage, path, rows, batch, layout)[0]


@pytest.mark.parametrize("rows", [1, 40, 100, 1000])
@pytest.mark.parametrize("batch", [1, 7, 16, 64])
def test_the_rows_of_all_pieces_are_the_rows_of_the_file(parquet, rows, batch):
    storage, pieces = pieces_of(parquet, rows, batch)
    assert [piece.last for piece in pieces] == [*(piece.first for piece in pieces[1:]), 250]
    assert all(piece.first % batch == 0 for piece in pieces)
    assert all(second.first - first.first >= rows for first, second in pairwise(pieces))
    parts = [part for piece in pieces for part in read_piece(piece, storage, {}, Limits(part_rows=10))]
    assert [text for texts, _ in parts for text in texts] == TEXTS
    assert [number for _, table in parts for number in table.values("id")] == list(range(250))
    first_rows = [table.first_row for _, table in parts]
    assert first_rows == [table.values("id")[0] for _, table in parts]


def test_a_row_that_holds_no_text_is_named_by_its_place_in_the_file(tmp_path):
    values = [{"a": 1} if number == 77 else None for number in range(100)]
    pq.write_table(pa.table({"text": values}), tmp_path / "in.parquet", row_group_size=20)
    storage, pieces = pieces_of(tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"in\.parquet: row 78: found ") as error:
        [list(read_piece(piece, storage, {})) for piece in pieces]
    with pytest.raises(DataError) as expected:
        list(iter_texts(tmp_path / "in.parquet"))
    assert str(error.value) == str(expected.value)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.txt", "a.parquet"])
def test_a_remote_file_is_read_as_a_local_one(name, tmp_path, parquet):
    import gzip

    content = "id,text\n" + "".join(f"{number},{text}\n" for number, text in enumerate(TEXTS))
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(content.encode()))
    elif name.endswith(".parquet"):
        parquet.rename(tmp_path / name)
    else:
        (tmp_path / name).write_text(content.partition("\n")[2] if name == "a.txt" else content)
    storage = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())  # which is no local one, as s3 is none
    pieces, _ = cut(f"s3://bucket/{name}", storage, name, 40, 16, {})
    texts = [text for piece in pieces for some, _ in read_piece(piece, storage, {}) for text in some]
    assert texts == [text for some, _ in iter_texts(tmp_path / name) for text in some]


def test_a_fault_of_a_remote_file_has_its_address(tmp_path):
    (tmp_path / "a.csv").write_text("id,text,more\n1,a,b\n")
    storage = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    (piece,), _ = cut("s3://bucket/a.csv", storage, "a.csv", 40, 16, {})
    with pytest.raises(DataError, match=r'^s3://bucket/a\.csv: no column "x"; known: id, text, more$'):
        list(read_piece(piece, storage, {"text_columns": "x"}))


def test_a_folder_and_what_is_no_data_in_it(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.csv", "a.csv", "deep/c.csv", "_SUCCESS", ".hidden.csv", "notes.doc"):
        (tmp_path / name).write_text("text\nx\n")
    _, pieces = pieces_of(tmp_path)
    assert [piece.name for piece in pieces] == [f"{tmp_path}/{name}" for name in ("a.csv", "b.csv", "deep/c.csv")]


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("nowhere", r"cannot be read \(No such file or directory\)"),
        ("", "a folder without a file of texts, expected one of .csv"),
        ("strange://bucket/a.csv", r"cannot be opened .*; give a path, or an s3://"),
    ],
)
def test_what_is_not_there_has_a_sentence(place, problem, tmp_path):
    with pytest.raises(DataError, match=problem):
        pieces_of(place if "://" in place else tmp_path / place)
