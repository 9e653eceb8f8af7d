r"""CSV and TSV files, read by pyarrow; a slow pass over the same bytes finds the line of a fault.

Lines are physical ones, ended by `\n`; the lines inside quotes count.
"""

from collections.abc import Iterator
from functools import partial
from io import BytesIO, TextIOWrapper
from itertools import islice
from typing import Any

from rubrica.data.dialect import Dialect, column_names, find_dialect
from rubrica.data.large_files import Content
from rubrica.data.layout import Layout
from rubrica.data.table import Table, check_names
from rubrica.errors import DataError, quote_names, require

_ALONE = 1 << 20  # bytes; fewer are read before a second thread has started
_MOST_COLUMNS = 10_000  # pyarrow takes 10 kB for each, however few rows there are
_LONGEST_ROW = 1 << 30  # bytes; pyarrow counts them in 32 bits


def read_csv(content: Content, layout: Layout, usual: str) -> Iterator[Table]:
    """The rows of a file; `usual` is the delimiter that a file of this suffix mostly has.

    Raises:
        DataError: With the line of the first fault.
    """
    dialect = find_dialect(content, layout, usual)
    pa = require("pyarrow", "data")
    path, data = content.path, content.data
    rows, waiting = 0, None
    try:
        first = next((fields for _, fields, _ in iter_records(content, dialect)), None)
        if first is None:  # only a line `sep=;`
            raise DataError(path, "no rows; add the names of the columns, texts and labels")
        names = column_names(content, layout, first, header=dialect.header)
        check_names(path, names)
        if len(names) > _MOST_COLUMNS:
            problem = f"{len(names)} columns, expected {_MOST_COLUMNS} at most"
            raise DataError(path, f"{problem}; pass --delimiter, or --columns if the first line is a row")
        widths: list[int] = []  # of rows that are left out
        width = None if layout.bad_rows.are_errors else len(first)
        for part in _parts(content, dialect, first, None if width is None else widths):
            if rows and not len(part):  # blank lines alone
                continue
            if waiting is not None:
                yield waiting
            columns = dict(zip(names, part.columns, strict=True))
            waiting = Table(path, columns, row_lines=partial(_row_lines, content, dialect, rows, width))
            rows += len(part)
        if widths:
            for line, fields, open_quote in iter_records(content, dialect):
                if open_quote is not None:  # nobody knows where the rows behind it begin
                    raise _quote_fault(content, open_quote)
                if len(fields) != len(first):
                    layout.bad_rows.add(_width_fault(content, names, line, fields), fields)
    except (UnicodeDecodeError, pa.ArrowInvalid) as error:
        first_line = str(error).strip().partition("\n")[0]
        fault = _find_fault(content, dialect)
        raise fault or DataError(path, f"no CSV that can be read ({first_line})") from None
    if waiting is not None:
        # pyarrow takes the end of the file for a missing last quote; then the file ends in the last field as read.
        last = waiting.columns[names[-1]][-1].as_py() if rows else ""
        tail = b'"' + last.replace('"', '""').encode()
        if dialect.quotes and data[-len(tail) :] == tail and (fault := _find_fault(content, dialect)):
            raise fault
        yield waiting


def _parts(content: Content, dialect: Dialect, first: list[str], widths: list[int] | None) -> Iterator[Any]:
    """Yield one pyarrow table with all rows of a small file, or many small tables of a large one.

    Rows of other widths are left out, and their widths go to `widths`; without it, the first one is an error.
    """
    pa, pa_csv = require("pyarrow", "data"), require("pyarrow.csv", "data")
    names = None if dialect.header else [str(place) for place in range(len(first))]
    kinds = pa_csv.ConvertOptions(column_types=dict.fromkeys(names or first, pa.string()))
    quote = '"' if dialect.quotes else False

    def leave_out(row: Any) -> str:
        assert widths is not None
        widths.append(row.actual_columns)
        return "skip"

    if widths is not None:
        for _ in content.pages():  # pyarrow cannot hand over a row that is not UTF-8, and says so on stderr
            pass
    parse = pa_csv.ParseOptions(
        delimiter=dialect.delimiter,
        quote_char=quote,
        newlines_in_values=dialect.quotes,
        invalid_row_handler=None if widths is None else leave_out,
    )

    def read(block_bytes: int) -> Iterator[Any]:
        reading = pa_csv.ReadOptions(
            use_threads=len(content.data) > _ALONE,
            block_size=block_bytes,
            column_names=names,
            skip_rows=dialect.skipped,
        )
        options = reading, parse, kinds
        source = pa.BufferReader(pa.py_buffer(content.data))
        if not content.is_large:
            yield pa_csv.read_csv(source, *options)
            return
        for part in pa_csv.open_csv(source, *options):
            content.reached(source.tell())
            yield part

    block_bytes = content.limits.block_bytes
    rows = seen = 0
    try:
        for part in read(block_bytes):
            yield part
            rows += len(part)
    except pa.ArrowInvalid as error:
        if not any(sign in str(error) for sign in ("straddl", "cannot infer number of columns")):
            raise
        # A row, or the line of names, is longer than a block. The file is read again in the longest blocks, without
        # the rows that are out.
        longest = content.limits.line_bytes if content.is_large else _LONGEST_ROW
        for part in read(max(block_bytes, min(len(content.data), longest))):
            seen += len(part)
            if seen > rows:
                yield part.slice(max(0, len(part) - (seen - rows)))


# The slow pass


def _find_fault(content: Content, dialect: Dialect) -> DataError | None:
    """The first byte that is not UTF-8, else the quote that never closes, else the first row of another width."""
    names, fault = list[str](), None
    try:
        for _ in content.pages():  # is it UTF-8?
            pass
    except DataError as error:
        return error
    for line, fields, open_quote in iter_records(content, dialect):
        names = names or fields
        if open_quote is not None:
            return _quote_fault(content, open_quote)
        if fault is None and len(fields) != len(names):
            fault = _width_fault(content, names, line, fields)
    return fault


def _quote_fault(content: Content, line: int) -> DataError:
    advice = 'close it, write a quote inside a text as "", or pass --no-quotes where quotes are plain characters'
    return DataError(content.path, f"a quote opens here and never closes; {advice}", line=line)


def _width_fault(content: Content, names: list[str], line: int, fields: list[str]) -> DataError:
    found = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
    problem = f"{found}, expected {len(names)} ({quote_names(names)}); quote the text or pass --delimiter"
    return DataError(content.path, problem, line=line)


def _row_lines(content: Content, dialect: Dialect, first_row: int, width: int | None) -> Iterator[int]:
    """The line where each row starts, from a given row on; the names of the columns are no row.

    Rows of another width than this one are none, if it is given.
    """
    records = iter_records(content, dialect)
    starts = (line for line, fields, _ in records if width is None or len(fields) == width)
    return islice(starts, dialect.header + first_row, None)


def iter_records(content: Content, dialect: Dialect) -> Iterator[tuple[int, list[str], int | None]]:
    r"""Yield the line of each record, its fields, and the line of a quote in it that never closes.

    The records are the ones that pyarrow sees: a blank line is none, and a `\r` alone ends a record but no line.
    """
    import csv

    line = 1  # the next one
    skipped = dialect.skipped
    inside = unfinished = False  # whether a record has begun, and whether the file ends in it

    def lines() -> Iterator[str]:
        nonlocal line, skipped, inside, unfinished
        for stretch in content.stretches():
            encoding = "utf-8-sig" if line == 1 else "utf-8"
            for text in TextIOWrapper(BytesIO(stretch), encoding, newline=""):
                line += text.endswith("\n")
                if skipped:
                    skipped -= 1
                    continue
                inside = True
                yield text
        unfinished = inside

    rows = csv.reader(
        lines(), delimiter=dialect.delimiter, quoting=csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE
    )
    start, limit = line + skipped, csv.field_size_limit(_LONGEST_ROW)  # 128 KB is its default
    try:
        for fields in rows:
            if fields:
                yield start, fields, line - fields[-1].count("\n") if unfinished else None
            start, inside = line, False
    except csv.Error:  # a field that is longer than any row may be
        yield start, [], start
    finally:
        csv.field_size_limit(limit)
