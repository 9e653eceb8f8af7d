"""The lines of faults in a CSV file: the slow pass, made only on the way to an error.

A large file is read in pages, so that it need not fit into memory here either.
"""

from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rubrica.data.large_files import Data, iter_pages, iter_stretches
from rubrica.errors import DataError, quote_names

LONGEST_ROW = 1 << 30  # bytes; pyarrow counts them in 32 bits


def csv_fault(path: Path, data: Data, delimiter: str) -> DataError | None:
    """The first fault: of all bytes that are not UTF-8, else of all quotes, else of the number of columns."""
    try:
        for _ in iter_pages(path, data):  # is it UTF-8?
            pass
        check_quotes(path, data, delimiter)
    except DataError as fault:
        return fault
    records = _iter_records(data, delimiter)
    names = next(records).fields
    for line, fields, _ in records:
        if len(fields) != len(names):
            found = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
            problem = f"{found}, expected {len(names)} ({quote_names(names)}); quote the text or pass --delimiter"
            return DataError(path, problem, line=line)
    return None


def check_quotes(path: Path, data: Data, delimiter: str) -> None:
    """Make sure that every quote closes.

    Raises:
        DataError: With the line of the one that does not.
    """
    for record in _iter_records(data, delimiter):
        if record.open_quote is not None:
            problem = 'a quote opens here and never closes; close it, or write a quote inside a text as ""'
            raise DataError(path, problem, line=record.open_quote)


class _Record(NamedTuple):
    line: int
    fields: list[str]
    open_quote: int | None  # the line of a quote that never closes


def _iter_records(data: Data, delimiter: str) -> Iterator[_Record]:
    r"""The records as pyarrow sees them: a blank line is none, and a `\r` alone ends a record but no line."""
    import csv  # not for an answer

    line = 1  # the next one
    inside = unfinished = False  # whether a record has begun, and whether the file ends in it

    def lines() -> Iterator[str]:
        nonlocal line, inside, unfinished
        for stretch in iter_stretches(data):
            encoding = "utf-8-sig" if line == 1 else "utf-8"
            for text in TextIOWrapper(BytesIO(stretch), encoding, newline=""):
                inside = True
                line += text.endswith("\n")
                yield text
        unfinished = inside

    rows = csv.reader(lines(), delimiter=delimiter)
    start, limit = line, csv.field_size_limit(LONGEST_ROW)  # 128 KB is its default
    try:
        for fields in rows:
            if fields:
                yield _Record(start, fields, line - fields[-1].count("\n") if unfinished else None)
            start, inside = line, False
    except csv.Error:  # a field that is longer than any row may be
        yield _Record(start, [], start)
    finally:
        csv.field_size_limit(limit)


def csv_lines(path: Path, data: Data, delimiter: str, first_row: int) -> Iterator[int]:
    """The line where each row starts, from the given one on; the names of the columns are no row."""
    return (record.line for record in islice(_iter_records(data, delimiter), 1 + first_row, None))
