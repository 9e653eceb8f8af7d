"""Files of texts and labels as columns, by suffix; packed in any way of `packed.py`.

A file is read once: all of it, or in parts of some thousand rows if it is larger than 64 MB. The fast reader says
whether it is sound; only if it is not does a slow pass over the same bytes look for the line of the fault.

A large file has in memory at a time: 16 MB of lines, 4 MB of CSV or its longest row, 16,384 rows of Parquet. One array
of JSON is in memory as text. `Limits` says how long a line may be, and how much a packed file
may hold.
"""

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rubrica.data.addresses import Place
from rubrica.data.csv_files import read_csv
from rubrica.data.json_files import read_json
from rubrica.data.large_files import Content, Limits, open_binary, read_content, read_text
from rubrica.data.layout import Layout
from rubrica.data.line_files import read_fasttext
from rubrica.data.packed import OPENERS, packing_faults, zip_member
from rubrica.data.table import Table, arrow_parts
from rubrica.errors import DataError, require
from rubrica.progress import Show, silent

NO_ROWS = "no rows, only the names of the columns; add texts and labels, or pass --columns if the only line is a row"
Reader = Callable[[Content, Layout], Iterator[Table]]
"""Reads a file as tables, in one or in parts."""


def read_parts(path: Place, layout: Layout, limits: Limits, show: Show = silent) -> Iterator[Table]:
    """Read a file in one part or, if it is large, in many that have rows each.

    Raises:
        DataError: If it cannot be read, has no rows, or is not what its suffix says.
    """
    read = reader_of(path, layout)
    is_text = read is not _read_parquet
    content = read_text(path, limits, layout.encoding, show) if is_text else read_content(path, limits, show)
    if not any(stretch.removeprefix(codecs.BOM_UTF8).strip() for stretch in content.stretches()):
        raise DataError(path, "empty file, expected texts and labels")
    rows = 0
    for table in read(content, layout):
        if count := len(next(iter(table.columns.values()), ())):
            yield replace(table, first_row=rows)
            rows += count
    if not rows:
        raise DataError(path, NO_ROWS)


def reader_of(path: Place, layout: Layout) -> Reader:
    """What reads a file: by its suffix; a file of lines has columns where the user says so.

    Raises:
        DataError: If the suffix is unknown, or a zip archive cannot be read.
    """
    suffix = file_suffix(path)
    found = FORMATS.get(suffix)
    if not suffix and path.suffix:  # only a packing
        found = read_fasttext
    if layout.is_delimited and found in (None, read_fasttext):
        return partial(read_csv, usual="\t")
    if found is None:
        named = f'unknown format "{suffix}"' if suffix else "no suffix that says the format"
        advice = "if its lines hold columns, pass --columns with their names, such as --columns label,text"
        raise DataError(path, f"{named}, expected one of {', '.join(FORMATS)}; {advice}")
    return found


def file_suffix(path: Place) -> str:
    """The suffix in lower case that says the format; `.csv` for `a.CSV.gz`, and for `a.zip` with `a.csv` inside.

    Raises:
        DataError: If a zip archive cannot be read.
    """
    last = path.suffix.lower()
    if last not in OPENERS:
        return last
    inner = Path(path.stem).suffix.lower()
    if last == ".zip" and inner not in FORMATS and path.is_file():
        try:
            with open_binary(path) as file:
                return Path(zip_member(file)).suffix.lower()
        except packing_faults() as error:
            raise DataError(path, f"broken .zip file ({error}); compress or download it again") from None
    return inner


def _read_parquet(content: Content, layout: Layout) -> Iterator[Table]:
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    path = content.path
    with parquet_faults(path):
        file = parquet.ParquetFile(pa.BufferReader(pa.py_buffer(content.data)))
        batches = map(pa.Table.from_batches, ([batch] for batch in file.iter_batches(content.limits.part_rows)))
        rows = 0
        for table in batches if content.is_large else [file.read()]:
            yield from arrow_parts(path, table, content.limits)
            rows += len(table)
            content.reached(rows * len(content.data) // max(1, file.metadata.num_rows))


@contextmanager
def parquet_faults(path: object) -> Iterator[None]:
    """Turn what pyarrow says of a broken file into a sentence.

    Raises:
        DataError: In place of pyarrow's errors.
    """
    try:
        yield
    except (require("pyarrow", "data").ArrowException, OSError) as error:  # an OSError for a page that does not unpack
        found = str(error).strip().partition("\n")[0]
        raise DataError(path, f"broken Parquet file ({found}); write or download it again") from None


FORMATS: dict[str, Reader] = {
    ".csv": partial(read_csv, usual=","),
    ".tsv": partial(read_csv, usual="\t"),
    ".json": read_json,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".parquet": _read_parquet,
    ".txt": read_fasttext,
    ".ft": read_fasttext,
}
"""How to read a file, by suffix."""
