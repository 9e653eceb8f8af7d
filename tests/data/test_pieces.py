"""Pieces of data, read one by one, are the data; and they begin where a batch begins."""

import gzip
import pickle
from itertools import pairwise

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rubrica.data.dataset import iter_texts
from rubrica.data.large_files import Limits
from rubrica.data.pieces import cut, read_piece
from rubrica.errors import DataError

TEXTS = [f"text {i}" for i in range(250)]


@pytest.fixture
def parquet(tmp_path):
    table = pa.table({"id": range(250), "text": TEXTS})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=33)
    return tmp_path / "in.parquet"


def pieces_of(place, rows=40, batch=16, **layout):
    return cut(str(place), rows, batch, layout)[0]


@pytest.mark.parametrize("rows", [1, 40, 100, 1000])
@pytest.mark.parametrize("batch", [1, 7, 16, 64])
def test_the_rows_of_all_pieces_are_the_rows_of_the_file(parquet, rows, batch):
    pieces = pieces_of(parquet, rows, batch)
    assert [piece.last for piece in pieces] == [*(piece.first for piece in pieces[1:]), 250]
    assert all(piece.first % batch == 0 for piece in pieces)
    assert all(second.first - first.first >= rows for first, second in pairwise(pieces))
    parts = [part for piece in pieces for part in read_piece(piece, {}, Limits(part_rows=10))]
    assert [text for texts, _ in parts for text in texts] == TEXTS
    assert [number for _, table in parts for number in table.values("id")] == list(range(250))
    first_rows = [table.first_row for _, table in parts]
    assert first_rows == [table.values("id")[0] for _, table in parts]


def test_a_row_that_holds_no_text_is_named_by_its_place_in_the_file(tmp_path):
    values = [{"a": 1} if number == 77 else None for number in range(100)]
    pq.write_table(pa.table({"text": values}), tmp_path / "in.parquet", row_group_size=20)
    pieces = pieces_of(tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"in\.parquet: row 78: found ") as error:
        [list(read_piece(piece, {})) for piece in pieces]
    with pytest.raises(DataError) as expected:
        list(iter_texts(tmp_path / "in.parquet"))
    assert str(error.value) == str(expected.value)


@pytest.fixture
def server():
    """A file system of fsspec, as s3:// has one of pyarrow's."""
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.txt", "a.parquet"])
def test_a_file_on_a_server_is_read_as_a_local_one(name, tmp_path, parquet, server):
    content = "id,text\n" + "".join(f"{number},{text}\n" for number, text in enumerate(TEXTS))
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(content.encode()))
    elif name.endswith(".parquet"):
        parquet.rename(tmp_path / name)
    else:
        (tmp_path / name).write_text(content.partition("\n")[2] if name == "a.txt" else content)
    server.pipe(f"/bucket/{name}", (tmp_path / name).read_bytes())
    for place in (f"memory://bucket/{name}", "memory://bucket"):
        pieces = pickle.loads(pickle.dumps(pieces_of(place)))
        assert len(pieces) == (4 if name == "a.parquet" else 1)
        texts = [text for piece in pieces for some, _ in read_piece(piece, {}) for text in some]
        assert texts == [text for some, _ in iter_texts(tmp_path / name) for text in some]


def test_a_folder_and_what_is_no_data_in_it(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.csv", "a.csv", "deep/c.csv", "_SUCCESS", ".hidden.csv", "notes.doc"):
        (tmp_path / name).write_text("text\nx\n")
    pieces = pieces_of(tmp_path)
    assert [str(piece.place) for piece in pieces] == [f"{tmp_path}/{name}" for name in ("a.csv", "b.csv", "deep/c.csv")]


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("nowhere", r"cannot be read \(No such file or directory\)"),
        ("", "a folder without a file of texts, expected one of .csv"),
        ("strange://bucket/a.csv", r"no data can be read from such addresses"),
    ],
)
def test_what_is_not_there_has_a_sentence(place, problem, tmp_path):
    with pytest.raises(DataError, match=problem):
        pieces_of(place if "://" in place else tmp_path / place)
