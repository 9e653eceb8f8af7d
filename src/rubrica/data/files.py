r"""Files of texts and labels as columns: CSV, TSV, JSON Lines, Parquet, fastText, and all but Parquet as `.gz`.

A file is read once: whole, or in parts of some thousand rows if it is larger than 64 MB. The fast reader says whether
it is sound; only when it is not does a slow pass over the same bytes look for the line to name. Lines are physical
ones, ended by `\n`; those inside quotes count.

What is in memory of a large file at a time: 16 MB of lines, 4 MB of CSV or its longest row, the columns of 16,384 rows
of Parquet. Large JSON Lines have the columns that the first 16 MB name.
"""

import codecs
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from rubrica.data.csv_lines import LONGEST_ROW, check_quotes, csv_fault, csv_lines
from rubrica.data.large_files import LARGE_BYTES, Data, decode, iter_pages, iter_stretches, read_data
from rubrica.errors import ConfigError, DataError, require

_LABEL_PREFIX = "__label__"
_BLOCK_BYTES = 4 << 20  # of CSV a thread takes at a time: on two cores 1 to 8 MiB read AG News equally fast
_PART_ROWS = 1 << 14  # of a large Parquet file or hub data set at a time


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of one file, of one split of a hub data set, or of some rows of either.

    Args:
        path: For messages.
        columns: By name; lists, or pyarrow columns that become lists when they are asked for.
        class_names: Of the columns that hold the integers of a hub ClassLabel.
        row_lines: The physical line of every row, or None where there are no lines.
        first_row: How many rows of the whole stand before these.
    """

    path: Path | str
    columns: dict[str, Any]
    class_names: dict[str, list[str]]
    row_lines: Callable[[], Iterable[int]] | None = None
    first_row: int = 0

    def values(self, column: str) -> list[Any]:
        """A column as Python objects."""
        values = self.columns[column]
        return values if isinstance(values, list) else values.to_pylist()

    def error(self, row: int, problem: str) -> DataError:
        """The error for a row, counted from 0, at its line where there is one."""
        if self.row_lines is None:
            return DataError(self.path, f"row {self.first_row + row + 1}: {problem}")
        return DataError(self.path, problem, line=next(islice(self.row_lines(), row, None)))


def read_parts(path: Path, delimiter: str | None = None) -> Iterator[Table]:
    """Read a file of any known format, in one part or, if it is large, in many that have rows each.

    Args:
        path: The suffix says the format.
        delimiter: Of CSV and TSV; by default a comma or a tab, by suffix.

    Raises:
        DataError: If it cannot be read or is not what its suffix says.
        ValueError: If the delimiter is not one ASCII character.
    """
    if delimiter == r"\t":  # what a shell leaves of it
        delimiter = "\t"
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n'):
        raise ConfigError(f"delimiter is {delimiter!r}, expected one ASCII character, not a quote or a line end")
    form = FORMATS.get(file_suffix(path))
    if form is None:
        raise DataError(path, f'unknown format "{path.suffix}", expected one of {", ".join(FORMATS)}')
    data = _read_data(path)
    if not any(stretch.removeprefix(codecs.BOM_UTF8).strip() for stretch in iter_stretches(data)):
        raise DataError(path, "empty file, expected texts and labels")
    rows = 0
    for table in form.read(path, data, delimiter or form.delimiter):
        if count := len(next(iter(table.columns.values()), ())):
            yield replace(table, first_row=rows)
            rows += count
    if not rows:
        raise DataError(path, "no rows, only the names of the columns; add texts and labels")


def read_lines(path: Path) -> Iterator[list[str]]:
    """The texts of a plain or fastText file, one a line, in stretches; as in fastText, labels are passed over.

    Raises:
        DataError: If it cannot be read or is not UTF-8.
    """
    for _, page in iter_pages(path, _read_data(path)):
        lines = _split_lines(page.removesuffix("\n"))
        yield [_split_labels(line)[1] if _LABEL_PREFIX in line else line for line in lines]


def iter_lines(source: Path | str) -> Iterator[str]:
    r"""Yield one text a line from a UTF-8 file or, for `-`, from stdin as it comes.

    Only `\n` and `\r\n` end a line, and an empty line is a text: n lines in, n answers out.

    Raises:
        DataError: If there is no such file or a line is not UTF-8.
    """
    standard = str(source) == "-"
    path = "<stdin>" if standard else Path(source).expanduser()
    try:
        with nullcontext(sys.stdin.buffer) if standard else Path(path).open("rb") as stream:
            for number, line in enumerate(stream, 1):
                text = decode(path, line, first_line=number)
                yield text.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})") from None


def file_suffix(path: Path) -> str:
    """The suffix in lower case that says the format; `.csv` for `a.CSV.gz`."""
    inner = Path(path.name.lower().removesuffix(".gz")).suffix
    return inner if inner != ".parquet" else path.suffix.lower()


def arrow_parts(path: Path | str, table: Any) -> Iterator[Table]:
    """A pyarrow table, a large one in parts, with the class names that `datasets` leaves in its metadata.

    Raises:
        DataError: If two columns have one name.
    """
    _check_header(path, table.column_names)
    rows = _PART_ROWS if table.nbytes > LARGE_BYTES else max(1, table.num_rows)
    for first in range(0, table.num_rows, rows):
        yield _arrow_table(path, table.slice(first, rows), first)


def _arrow_table(path: Path | str, table: Any, first_row: int = 0) -> Table:
    columns = dict(zip(table.schema.names, table.columns, strict=True))
    return Table(path, columns, _class_names(table.schema.metadata or {}), first_row=first_row)


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        inner = {name: kind.get("feature", kind) for name, kind in features.items()}  # of a list, what it holds
        kinds = {name: kind for name, kind in inner.items() if kind.get("_type") == "ClassLabel"}
        return {name: [str(label) for label in kind["names"]] for name, kind in kinds.items()}
    except (ValueError, KeyError, TypeError, AttributeError):  # no notes, or not those of `datasets`
        return {}


def _read_data(path: Path) -> Data:
    import gzip
    import zlib

    try:
        return read_data(path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:  # before OSError, which BadGzipFile is
        raise DataError(path, f"broken gzip file ({error}); compress or download it again") from None
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})") from None


def _split_lines(text: str) -> list[str]:
    # str.splitlines would also split at U+2028, form feeds and other characters that texts contain.
    return [line.removesuffix("\r") for line in text.split("\n")]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _check_header(path: Path | str, names: list[str]) -> None:
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(path, f'two columns are named "{min(twice)}"; rename one of them')


# CSV and TSV


def _read_csv(path: Path, data: Data, delimiter: str) -> Iterator[Table]:
    import csv

    pa = require("pyarrow", "data")
    head = io.TextIOWrapper(io.BytesIO(next(iter_stretches(data))), "utf-8-sig", newline="")
    rows, waiting = 0, None
    try:
        header = next(row for row in csv.reader(head, delimiter=delimiter) if row)
        _check_header(path, header)
        for part in _csv_parts(data, delimiter, header):
            if waiting is not None:
                yield waiting
            columns = dict(zip(header, part.columns, strict=True))
            waiting = Table(path, columns, {}, partial(csv_lines, path, data, delimiter, rows))
            rows += len(part)
    except (UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
        fallback = DataError(path, f"no CSV that can be read ({_first_line(error)})")
        raise csv_fault(path, data, delimiter) or fallback from None
    if waiting is not None:
        # pyarrow takes the end of the file for a missing last quote; then the file ends in the last field as read.
        last = waiting.columns[header[-1]][-1].as_py() if rows else ""
        tail = b'"' + last.replace('"', '""').encode()
        if data[-len(tail) :] == tail:
            check_quotes(path, data, delimiter)
        yield waiting


def _csv_parts(data: Data, delimiter: str, header: list[str]) -> Iterator[Any]:
    """All rows as one pyarrow table, which all threads read, or of mapped data as many small ones."""
    pa, pa_csv = require("pyarrow", "data"), require("pyarrow.csv", "data")
    kinds = pa_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)

    def read(block_bytes: int) -> Iterable[Any]:
        options = pa_csv.ReadOptions(block_size=block_bytes), parse, kinds
        source = pa.BufferReader(pa.py_buffer(data))
        return [pa_csv.read_csv(source, *options)] if isinstance(data, bytes) else pa_csv.open_csv(source, *options)

    rows = seen = 0
    try:
        for part in read(_BLOCK_BYTES):
            yield part
            rows += len(part)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
        # A row is longer than a block. Now a block is as long as it may be, and what was read is passed over.
        for part in read(max(_BLOCK_BYTES, min(len(data), LONGEST_ROW))):
            seen += len(part)
            if seen > rows:
                yield part.slice(max(0, len(part) - (seen - rows)))


# Formats of one row a line


def _read_jsonl(path: Path, data: Data, _: str) -> Iterator[Table]:
    """Read with the standard library: pyarrow would make dates of texts that look so and refuse mixed labels."""
    names: list[str] = []
    for first_line, page in iter_pages(path, data):
        rows, lines = [], []
        for number, line in enumerate(_split_lines(page), first_line):
            if line.strip():
                rows.append(_json_row(path, line, number))
                lines.append(number)
        names = names or list(dict.fromkeys(chain.from_iterable(rows)))
        yield Table(path, {name: [row.get(name) for row in rows] for name in names}, {}, partial(iter, lines))


def _json_row(path: Path, line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        found = f"bad JSON at column {error.colno} ({error.msg})"
        raise DataError(path, f"{found}, expected one object a line", line=number) from None
    except (ValueError, RecursionError) as error:  # an integer of 5,000 digits, a thousand brackets
        raise DataError(path, f"bad JSON ({error}), expected one object a line", line=number) from None
    if not isinstance(row, dict):
        found = type(row).__name__
        raise DataError(path, f'found a {found}, expected an object such as {{"text": ...}}', line=number)
    if "\\u" in line and not _is_unicode(row):
        problem = "half a surrogate pair among the \\u escapes; write the character itself"
        raise DataError(path, problem, line=number)
    return row


def _is_unicode(row: dict[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_fasttext(path: Path, data: Data, _: str) -> Iterator[Table]:
    for first_line, page in iter_pages(path, data):
        texts, lines = [], []
        labels: list[str | list[str]] = []
        for number, line in enumerate(_split_lines(page), first_line):
            if not line.strip():
                continue
            found, text = _split_labels(line)
            if not found:
                problem = f"no label, expected {_LABEL_PREFIX}NAME before or after the text"
                raise DataError(path, problem, line=number)
            texts.append(text)
            labels.append(found if len(found) > 1 else found[0])
            lines.append(number)
        yield Table(path, {"text": texts, "label": labels}, {}, partial(iter, lines))


def _split_labels(line: str) -> tuple[list[str], str]:
    """The labels before and after a fastText line's text, and the text."""
    labels, text = [], line.strip()
    while text.startswith(_LABEL_PREFIX):
        label, *rest = text.split(maxsplit=1)
        labels.append(label)
        text = rest[0] if rest else ""
    while (words := text.rsplit(maxsplit=1)) and words[-1].startswith(_LABEL_PREFIX):
        labels.append(words[-1])
        text = words[0] if len(words) > 1 else ""
    return [label.removeprefix(_LABEL_PREFIX) for label in labels], text


def _read_parquet(path: Path, data: Data, _: str) -> Iterator[Table]:
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    try:
        file = parquet.ParquetFile(pa.BufferReader(pa.py_buffer(data)))
        if isinstance(data, bytes):
            yield from arrow_parts(path, file.read())
            return
        for batch in file.iter_batches(_PART_ROWS):
            yield from arrow_parts(path, pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError) as error:  # pyarrow raises OSError for a page that does not decompress
        raise DataError(path, f"broken Parquet file ({_first_line(error)}); write or download it again") from None


class _Format(NamedTuple):
    read: Callable[[Path, Data, str], Iterator[Table]]
    delimiter: str = ""


FORMATS = {
    ".csv": _Format(_read_csv, ","),
    ".tsv": _Format(_read_csv, "\t"),
    ".jsonl": _Format(_read_jsonl),
    ".ndjson": _Format(_read_jsonl),
    ".parquet": _Format(_read_parquet),
    ".txt": _Format(_read_fasttext),
    ".ft": _Format(_read_fasttext),
}
"""How to read a file, by suffix."""
