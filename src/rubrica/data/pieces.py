"""Data in pieces that several machines can read: the files of a folder, and of a Parquet file some rows at a time.

A piece is read by the reader of its format, so every machine reads the same texts. A file of another format than
Parquet is one piece, since nobody knows where a row begins without reading the rows before it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from rubrica.data.addresses import Address, Place, place_of
from rubrica.data.columns import find_columns, read_column_texts
from rubrica.data.dataset import iter_texts
from rubrica.data.files import FORMATS, NO_ROWS, file_suffix, parquet_faults, reader_of
from rubrica.data.large_files import USUAL, Limits
from rubrica.data.layout import Layout
from rubrica.data.storage import explained
from rubrica.data.table import Table, arrow_parts
from rubrica.errors import DataError, require

_AT_ONCE = 16  # files on servers whose footers are read together
_HIDDEN = (".", "_")  # how the notes begin that programs leave beside data, such as _SUCCESS


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a file.

    Args:
        place: The file, the same from any folder.
        name: The file as the user calls it.
        first: The first row, from 0.
        last: The row behind the last; None reads to the end.
    """

    place: Place
    name: str
    first: int = 0
    last: int | None = None


def cut(source: str, rows: int, batch: int, layout: dict[str, Any]) -> tuple[list[Piece], list[Any]]:
    """The pieces of a file, or of all files of a folder in the order of their names; and what identifies the files.

    Args:
        source: A path or an address.
        rows: How many rows a piece has at least, where more follow in its file.
        batch: A piece begins at a row that this number divides.
        layout: How to read it, see `Layout`.

    Raises:
        DataError: If it is not there, has no rows, or has a format that nobody reads.
    """
    place, given = place_of(source), Layout(**layout)
    if isinstance(place, Path) and not place.exists():
        raise DataError(place, "cannot be read (No such file or directory)")
    files = list(_files_in(place)) if place.is_dir() else [place]
    if not files:
        raise DataError(place, f"a folder without a file of texts, expected one of {', '.join(FORMATS)}")
    for file in files:
        reader_of(file, given)  # an unknown format is an error now
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pieces = [piece for of_file in pool.map(partial(_cut_file, rows, batch), files) for piece in of_file]
    if not pieces:
        raise DataError(place, NO_ROWS)
    return pieces, [[str(file), _stamp(file)] for file in files]


def _files_in(folder: Place) -> Iterator[Place]:
    """The files of texts in a folder and below it."""
    entries: list[Place] = [*folder.iterdir()]
    for entry in sorted(entries, key=lambda entry: entry.name):
        if not entry.name.startswith(_HIDDEN):
            if entry.is_dir():
                yield from _files_in(entry)
            elif file_suffix(entry) in FORMATS:
                yield entry


def _stamp(file: Place) -> Any:
    """The size of a file and its time, as far as they are known."""
    if isinstance(file, Address):
        return file.stamp()
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]


def _cut_file(rows: int, batch: int, file: Place) -> list[Piece]:
    """The pieces of one file; a Parquet file is cut where its row groups begin, about."""
    piece = Piece(file.absolute() if isinstance(file, Path) else file, str(file))
    source = _at_any_place(file)
    if source is None:
        return [piece]
    with source, parquet_faults(file):
        if not source.seek(0, 2):
            raise DataError(file, "empty file, expected texts and labels")
        ends = _ends_of_groups(require("pyarrow.parquet", "data").ParquetFile(source).metadata)
    bounds = [0]
    for end in ends[:-1]:
        if (start := end - end % batch) - bounds[-1] >= rows:
            bounds.append(start)
    if not ends or not ends[-1]:
        return []
    return [replace(piece, first=first, last=last) for first, last in pairwise([*bounds, ends[-1]])]


def read_piece(
    piece: Piece, layout: dict[str, Any], limits: Limits = USUAL
) -> Iterator[tuple[list[str], Table | None]]:
    """Yield the texts of a piece in parts, each with its rows where the file has columns, see `iter_texts`.

    Raises:
        DataError: As in `iter_texts`.
    """
    try:
        source = _at_any_place(piece.place)
        if source is None:
            yield from iter_texts(piece.place, limits=limits, **layout)
            return
        given, columns = Layout(**layout), tuple[str, ...]()
        for table in _parquet_rows(piece, source, limits):
            columns = columns or find_columns(table, given, labeled=False)[0]
            yield read_column_texts(table, columns, table.refuse), table
    except DataError as error:
        raise DataError(piece.name, error.problem, line=error.line) from None


def _at_any_place(file: Place) -> Any:
    """A Parquet file for reading here and there; None of other files, and where a server sends only the whole file.

    Raises:
        DataError: If it cannot be opened.
    """
    pa = require("pyarrow", "data")
    if file.suffix.lower() != ".parquet":
        return None
    if isinstance(file, Address):
        with explained(file):
            found = file.file_system()
            return None if found is None else found[0].open_input_file(found[1])
    try:
        return pa.OSFile(str(file))
    except OSError as error:
        raise DataError(file, f"cannot be read ({error.strerror or error})") from None


def _parquet_rows(piece: Piece, source: Any, limits: Limits) -> Iterator[Table]:
    """Read the row groups that hold the rows of a piece, and leave out what is before and behind it."""
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    with source, parquet_faults(piece.place):
        file = parquet.ParquetFile(source)
        bounds = [0, *_ends_of_groups(file.metadata)]
        last = bounds[-1] if piece.last is None else piece.last
        groups = [n for n, (start, end) in enumerate(pairwise(bounds)) if start < last and end > piece.first]
        row = bounds[groups[0]]
        for batch in file.iter_batches(limits.part_rows, row_groups=groups):
            first, end = max(piece.first, row), min(last, row + len(batch))
            if first < end:
                part = pa.Table.from_batches([batch]).slice(first - row, end - first)
                for table in arrow_parts(piece.place, part, limits):
                    yield replace(table, first_row=table.first_row + first)
            row += len(batch)


def _ends_of_groups(footer: Any) -> list[int]:
    """The row behind each row group of a Parquet file."""
    return list(accumulate(footer.row_group(group).num_rows for group in range(footer.num_row_groups)))
