"""Data in pieces that several machines can read: files on any storage, and of a Parquet file some rows at a time.

A piece is read by the reader of its format, so a text is the same text whoever reads it. pyarrow opens the storage:
https://arrow.apache.org/docs/python/filesystems.html. A file of another format than Parquet is one piece, since nobody
knows where a row begins without reading the rows before it. From a remote storage such a file is copied to the disk of
the machine that reads it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from errno import ENOENT
from functools import partial
from itertools import accumulate, pairwise
from os import strerror
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from rubrica.data.columns import find_columns, read_column_texts
from rubrica.data.dataset import iter_texts
from rubrica.data.files import FORMATS, NO_ROWS, file_suffix, parquet_faults, reader_of
from rubrica.data.large_files import USUAL, Limits
from rubrica.data.layout import Layout
from rubrica.data.storage import InFileSystem, explained, store_of
from rubrica.data.table import Table, arrow_parts
from rubrica.errors import DataError, require
from rubrica.files import user_path

_AT_ONCE = 16  # files of a remote storage whose footers are read together
_HIDDEN = (".", "_")  # how the notes begin that programs leave beside data, such as _SUCCESS


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a file.

    Args:
        path: The file, as its storage calls it.
        name: The file, as the user calls it.
        first: The first row, from 0.
        last: The row behind the last; None reads to the end.
    """

    path: str
    name: str
    first: int = 0
    last: int | None = None


def open_storage(place: str) -> tuple[Any, str]:
    """The storage of a path or an address such as `s3://bucket/folder`, and the path there.

    Raises:
        DataError: If nobody knows such a storage.
    """
    if "://" not in place:
        return require("pyarrow.fs", "data").LocalFileSystem(), str(user_path(place).absolute())
    with explained(place):
        store = store_of(place)
    if not isinstance(store, InFileSystem):
        raise DataError(place, "a page of the web has no pieces; give a path, or an address such as s3://bucket/texts")
    return store.system, store.path


def cut(source: str, storage: Any, path: str, rows: int, batch: int, layout: dict[str, Any]) -> tuple[list[Piece], Any]:
    """The pieces of a file, or of all files of a folder in the order of their names; and what identifies the files.

    Args:
        source: What the user calls it, for messages.
        storage: Where it lies, see `open_storage`.
        path: What the storage calls it.
        rows: How many rows a piece has at least, where more follow in its file.
        batch: A piece begins at a row that this number divides.
        layout: How to read it, see `Layout`.

    Raises:
        DataError: If it is not there, has no rows, or has a format that nobody reads.
    """
    files, given = list(_files_in(source, storage, path)), Layout(**layout)
    for name, _ in files:
        reader_of(user_path(name), given)  # an unknown format is an error now
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        cuts = pool.map(partial(_cut_file, storage, rows, batch), *zip(*files, strict=True))
        pieces = [piece for of_file in cuts for piece in of_file]
    if not pieces:
        raise DataError(source, NO_ROWS)
    return pieces, [[name, found.size, found.mtime_ns] for name, found in files]


def _files_in(source: str, storage: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The name and pyarrow's facts of each file to read."""
    fs = require("pyarrow.fs", "data")
    try:
        found = storage.get_file_info(path)
        if found.type == fs.FileType.File:
            yield source, found
            return
        if found.type == fs.FileType.NotFound:
            raise FileNotFoundError(ENOENT, strerror(ENOENT))
        inside = storage.get_file_info(fs.FileSelector(path, recursive=True))
    except OSError as error:
        raise _unreadable(source, error) from None
    root, none = PurePosixPath(path), True
    for info in sorted(inside, key=lambda info: info.path):
        below = PurePosixPath(info.path).relative_to(root)
        hidden = any(part.startswith(_HIDDEN) for part in below.parts)
        if info.type == fs.FileType.File and not hidden and file_suffix(Path(below)) in FORMATS:
            none = False
            yield f"{source.rstrip('/')}/{below}", info
    if none:
        raise DataError(source, f"a folder without a file of texts, expected one of {', '.join(FORMATS)}")


def _cut_file(storage: Any, rows: int, batch: int, name: str, found: Any) -> list[Piece]:
    """The pieces of one file; a Parquet file is cut where its row groups begin, about."""
    if not _is_parquet(found.path):
        return [Piece(found.path, name)]
    parquet = require("pyarrow.parquet", "data")
    if not found.size:
        raise DataError(name, "empty file, expected texts and labels")
    with _opened(name, storage, found.path) as file, parquet_faults(name):
        ends = _ends_of_groups(parquet.ParquetFile(file).metadata)
    bounds = [0]
    for end in ends[:-1]:
        if (start := end - end % batch) - bounds[-1] >= rows:
            bounds.append(start)
    return [Piece(found.path, name, *some) for some in pairwise([*bounds, ends[-1]])] if ends and ends[-1] else []


def read_piece(
    piece: Piece, storage: Any, layout: dict[str, Any], limits: Limits = USUAL
) -> Iterator[tuple[list[str], Table | None]]:
    """Yield the texts of a piece in parts, each with its rows where the file has columns, see `iter_texts`.

    Raises:
        DataError: As in `iter_texts`.
    """
    try:
        if not _is_parquet(piece.path):
            with _on_disk(piece.path, storage) as path:
                yield from iter_texts(path, limits=limits, **layout)
            return
        given, columns = Layout(**layout), tuple[str, ...]()
        for table in _parquet_rows(piece, storage, limits):
            columns = columns or find_columns(table, given, labeled=False)[0]
            yield read_column_texts(table, columns, table.refuse), table
    except DataError as error:
        raise DataError(piece.name, error.problem, line=error.line) from None


def _parquet_rows(piece: Piece, storage: Any, limits: Limits) -> Iterator[Table]:
    """Read the row groups that hold the rows of a piece, and leave out what is before and behind it."""
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    with _opened(piece.name, storage, piece.path) as source, parquet_faults(piece.name):
        file = parquet.ParquetFile(source)
        bounds = [0, *_ends_of_groups(file.metadata)]
        last = bounds[-1] if piece.last is None else piece.last
        groups = [n for n, (start, end) in enumerate(pairwise(bounds)) if start < last and end > piece.first]
        row = bounds[groups[0]]
        for batch in file.iter_batches(limits.part_rows, row_groups=groups):
            first, end = max(piece.first, row), min(last, row + len(batch))
            if first < end:
                part = pa.Table.from_batches([batch]).slice(first - row, end - first)
                for table in arrow_parts(piece.name, part, limits):
                    yield replace(table, first_row=table.first_row + first)
            row += len(batch)


def _ends_of_groups(footer: Any) -> list[int]:
    """The row behind each row group of a Parquet file."""
    return list(accumulate(footer.row_group(group).num_rows for group in range(footer.num_row_groups)))


def _is_parquet(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() == ".parquet"


@contextmanager
def _on_disk(path: str, storage: Any) -> Iterator[Path]:
    """A file on this machine's disk: itself, or a copy that is gone after the block."""
    fs = require("pyarrow.fs", "data")
    if storage.type_name == "local":
        yield Path(path)
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / PurePosixPath(path).name
        try:
            fs.copy_files(path, str(copy), source_filesystem=storage, destination_filesystem=fs.LocalFileSystem())
        except OSError as error:
            raise _unreadable(path, error) from None
        yield copy


def _opened(name: str, storage: Any, path: str) -> Any:
    try:
        return storage.open_input_file(path)
    except OSError as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: OSError) -> DataError:
    return DataError(name, f"cannot be read ({error.strerror or _first_line(error)})")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
