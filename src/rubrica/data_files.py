r"""Files of texts and labels as columns: CSV, TSV, JSON Lines, Parquet, fastText, and all but Parquet as `.gz`.

A file is read once and whole. The fast reader says whether it is sound; only when it is not does a slow pass over the
same bytes look for the line to name. Lines are physical ones, ended by `\n`; those inside quotes count.
"""

import codecs
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from rubrica.errors import ConfigError, DataError, require

_LABEL_PREFIX = "__label__"
_BLOCK_BYTES = 4 << 20  # of CSV a thread takes at a time: on two cores 1 to 8 MiB read AG News equally fast


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of one file, or of one split of a hub data set.

    Args:
        path: For messages.
        columns: By name; lists, or pyarrow columns that become lists when they are asked for.
        class_names: Of the columns that hold the integers of a hub ClassLabel.
        row_lines: The physical line of every row, or None where there are no lines.
    """

    path: Path | str
    columns: dict[str, Any]
    class_names: dict[str, list[str]]
    row_lines: Callable[[], Iterable[int]] | None = None

    def values(self, column: str) -> list[Any]:
        """A column as Python objects."""
        values = self.columns[column]
        return values if isinstance(values, list) else values.to_pylist()

    def error(self, row: int, problem: str) -> DataError:
        """The error for a row, counted from 0, at its line where there is one."""
        if self.row_lines is None:
            return DataError(self.path, f"row {row + 1}: {problem}")
        return DataError(self.path, problem, line=next(islice(self.row_lines(), row, None)))


def read_file(path: Path, delimiter: str | None = None) -> Table:
    """Read a file of any known format.

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
    data = _read_bytes(path)
    if not data.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(path, "empty file, expected texts and labels")
    table = form.read(path, data, delimiter or form.delimiter)
    if not len(next(iter(table.columns.values()), ())):
        raise DataError(path, "no rows, only the names of the columns; add texts and labels")
    return table


def read_lines(path: Path) -> list[str]:
    """The texts of a plain or fastText file, one a line; as in fastText, labels in it are passed over.

    Raises:
        DataError: If it cannot be read or is not UTF-8.
    """
    text = _decode(path, _read_bytes(path)).removesuffix("\n")
    return [_split_labels(line)[1] if _LABEL_PREFIX in line else line for line in _split_lines(text)]


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
                text = _decode(path, line, first_line=number)
                yield text.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})") from None


def file_suffix(path: Path) -> str:
    """The suffix in lower case that says the format; `.csv` for `a.CSV.gz`."""
    inner = Path(path.name.lower().removesuffix(".gz")).suffix
    return inner if inner != ".parquet" else path.suffix.lower()


def quote_names(names: Iterable[str]) -> str:
    """Names of columns for a message, each short and on one line; a file without a header may have long ones."""
    return ", ".join(f'"{" ".join(name.split())[:40]}"' for name in names)


def arrow_table(path: Path | str, table: Any) -> Table:
    """A pyarrow table, with the class names that the `datasets` library leaves in its metadata.

    Raises:
        DataError: If two columns have one name.
    """
    _check_header(path, table.column_names)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return Table(path, columns, _class_names(table.schema.metadata or {}))


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        kinds = {name: kind for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
        return {name: [str(label) for label in kind["names"]] for name, kind in kinds.items()}
    except (ValueError, KeyError, TypeError, AttributeError):  # no notes, or not those of `datasets`
        return {}


def _read_bytes(path: Path) -> bytes:
    import gzip
    import zlib

    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix.lower() == ".gz" else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:  # before OSError, which BadGzipFile is
        raise DataError(path, f"broken gzip file ({error}); compress or download it again") from None
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})") from None


def _decode(path: Path | str, data: bytes, first_line: int = 1) -> str:
    if first_line == 1:
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        problem = f"not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        raise DataError(path, problem, line=line) from None


def _split_lines(text: str) -> list[str]:
    # str.splitlines would also split at U+2028, form feeds and other characters that texts contain.
    return [line.removesuffix("\r") for line in text.split("\n")]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _check_header(path: Path | str, names: list[str]) -> None:
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(path, f'two columns are named "{min(twice)}"; rename one of them')


# CSV and TSV


def _read_csv(path: Path, data: bytes, delimiter: str) -> Table:
    import csv

    pa, pa_csv = require("pyarrow", "data"), require("pyarrow.csv", "data")
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""), delimiter=delimiter)
    try:
        header = next(row for row in rows if row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise _csv_error(path, data, delimiter, error) from None
    _check_header(path, header)
    kinds = pa_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    try:
        try:
            blocks = pa_csv.ReadOptions(block_size=_BLOCK_BYTES)
            table = pa_csv.read_csv(pa.BufferReader(data), blocks, parse, kinds)
        except pa.ArrowInvalid:  # perhaps only a row longer than a block
            blocks = pa_csv.ReadOptions(block_size=max(_BLOCK_BYTES, min(len(data), 1 << 30)))
            table = pa_csv.read_csv(pa.BufferReader(data), blocks, parse, kinds)
    except pa.ArrowInvalid as error:
        raise _csv_error(path, data, delimiter, error) from None
    # pyarrow takes the end of the file for a missing last quote; then the file ends in the last field as it was read.
    last = table.column(table.num_columns - 1)[-1].as_py() if table.num_rows else ""
    if data.endswith(b'"' + last.replace('"', '""').encode()):
        _check_quotes(path, _decode(path, data), delimiter)
    columns = dict(zip(header, table.columns, strict=True))
    return Table(path, columns, {}, partial(_csv_lines, data, delimiter))


def _csv_error(path: Path, data: bytes, delimiter: str, error: Exception) -> DataError:
    """Find the line that the fast reader stumbled over."""
    try:
        text = _decode(path, data)
        _check_quotes(path, text, delimiter)
    except DataError as fault:
        return fault
    records = _iter_records(text, delimiter)
    names = next(records).fields
    for line, fields, _ in records:
        if len(fields) != len(names):
            found = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
            problem = f"{found}, expected {len(names)} ({quote_names(names)}); quote the text or pass --delimiter"
            return DataError(path, problem, line=line)
    return DataError(path, f"no CSV that can be read ({_first_line(error)})")


def _check_quotes(path: Path, text: str, delimiter: str) -> None:
    for record in _iter_records(text, delimiter):
        if record.open_quote is not None:
            problem = 'a quote opens here and never closes; close it, or write a quote inside a text as ""'
            raise DataError(path, problem, line=record.open_quote)


class _Record(NamedTuple):
    line: int
    fields: list[str]
    open_quote: int | None  # the line of a quote that nothing closes


def _iter_records(text: str, delimiter: str) -> Iterator[_Record]:
    """Go through a CSV file slowly, as pyarrow does: blank lines are nothing, quotes inside a bare field are text."""
    mark = re.escape(delimiter)
    field = re.compile(rf'(?P<quoted>"(?:[^"]|"")*+(?P<close>"?))?[^{mark}\r\n]*+(?P<end>{mark}|\r\n|\r|\n|\Z)')
    line, start, fields = 1, 1, list[str]()
    open_quote = None
    for match in field.finditer(text):
        value = match[0].removesuffix(match["end"])
        if match["quoted"] is not None and not match["close"]:
            open_quote = line
        fields.append(value.strip('"') if match["quoted"] else value)
        line += match[0].count("\n")
        if match["end"] == delimiter:
            continue
        if fields != [""] or match["quoted"] is not None:
            yield _Record(start, fields, open_quote)
        start, fields = line, []


def _csv_lines(data: bytes, delimiter: str) -> Iterator[int]:
    text = data.removeprefix(codecs.BOM_UTF8).decode()
    return (record.line for record in islice(_iter_records(text, delimiter), 1, None))


# Formats of one row a line


def _read_jsonl(path: Path, data: bytes, _: str) -> Table:
    """Read with the standard library: pyarrow would make dates of texts that look so and refuse mixed labels."""
    rows, lines = [], []
    for number, line in enumerate(_split_lines(_decode(path, data)), 1):
        if not line.strip():
            continue
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
        rows.append(row)
        lines.append(number)
    names = dict.fromkeys(chain.from_iterable(rows))
    return Table(path, {name: [row.get(name) for row in rows] for name in names}, {}, lambda: lines)


def _is_unicode(row: dict[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_fasttext(path: Path, data: bytes, _: str) -> Table:
    texts, labels, lines = [], [], []
    for number, line in enumerate(_split_lines(_decode(path, data)), 1):
        if not line.strip():
            continue
        found, text = _split_labels(line)
        if not found:
            problem = f"no label, expected {_LABEL_PREFIX}NAME before or after the text"
            raise DataError(path, problem, line=number)
        if len(found) > 1:
            problem = f"{len(found)} labels, expected 1; several labels a text are not supported yet"
            raise DataError(path, problem, line=number)
        texts.append(text)
        labels += found
        lines.append(number)
    return Table(path, {"text": texts, "label": labels}, {}, lambda: lines)


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


def _read_parquet(path: Path, data: bytes, _: str) -> Table:
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    try:
        return arrow_table(path, parquet.ParquetFile(pa.BufferReader(data)).read())
    except (pa.ArrowException, OSError) as error:  # pyarrow raises OSError for a page that does not decompress
        raise DataError(path, f"broken Parquet file ({_first_line(error)}); write or download it again") from None


class _Format(NamedTuple):
    read: Callable[[Path, bytes, str], Table]
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
