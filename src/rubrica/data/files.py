"""Files of texts and labels as columns: CSV, TSV, JSON Lines, Parquet, fastText, and all but Parquet as `.gz`.

A file is read once: all of it, or in parts of some thousand rows if it is larger than 64 MB. The fast reader says
whether it is sound; only if it is not does a slow pass over the same bytes look for the line of the fault.

A large file has in memory at a time: 16 MB of lines, 4 MB of CSV or its longest row, 16,384 rows of Parquet.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rubrica.data.csv_files import read_csv
from rubrica.data.large_files import Content, Limits, read_content
from rubrica.data.line_files import read_fasttext, read_jsonl
from rubrica.data.table import Table, arrow_parts
from rubrica.errors import ConfigError, DataError, require


def read_parts(path: Path, delimiter: str | None, limits: Limits) -> Iterator[Table]:
    """Read a file whose suffix is in `FORMATS`, in one part or, if it is large, in many that have rows each.

    The delimiter is for CSV and TSV; None is a comma or a tab, by suffix.

    Raises:
        DataError: If it cannot be read, has no rows, or is not what its suffix says.
        ConfigError: If the delimiter is not one ASCII character.
    """
    if delimiter == r"\t":  # what a shell leaves of it
        delimiter = "\t"
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n'):
        raise ConfigError(f"delimiter is {delimiter!r}, expected one ASCII character, not a quote or a line end")
    suffix = file_suffix(path)
    if suffix not in FORMATS:
        raise DataError(path, f'unknown format "{path.suffix}", expected one of {", ".join(FORMATS)}')
    content = read_content(path, limits)
    if not any(stretch.removeprefix(codecs.BOM_UTF8).strip() for stretch in content.stretches()):
        raise DataError(path, "empty file, expected texts and labels")
    rows = 0
    for table in FORMATS[suffix](content, delimiter or ("\t" if suffix == ".tsv" else ",")):
        if count := len(next(iter(table.columns.values()), ())):
            yield replace(table, first_row=rows)
            rows += count
    if not rows:
        raise DataError(path, "no rows, only the names of the columns; add texts and labels")


def file_suffix(path: Path) -> str:
    """The suffix in lower case that says the format; `.csv` for `a.CSV.gz`."""
    inner = Path(path.name.lower().removesuffix(".gz")).suffix
    return inner if inner != ".parquet" else path.suffix.lower()


def _read_parquet(content: Content, _: str) -> Iterator[Table]:
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    path = content.path
    try:
        file = parquet.ParquetFile(pa.BufferReader(pa.py_buffer(content.data)))
        batches = map(pa.Table.from_batches, ([batch] for batch in file.iter_batches(content.limits.part_rows)))
        for table in batches if content.is_large else [file.read()]:
            yield from arrow_parts(path, table, content.limits)
    except (pa.ArrowException, OSError) as error:  # pyarrow raises OSError for a page that does not decompress
        found = str(error).strip().partition("\n")[0]
        raise DataError(path, f"broken Parquet file ({found}); write or download it again") from None


FORMATS: dict[str, Callable[[Content, str], Iterator[Table]]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": _read_parquet,
    ".txt": read_fasttext,
    ".ft": read_fasttext,
}
"""How to read a file, by suffix; the second argument is the delimiter of CSV and TSV."""
