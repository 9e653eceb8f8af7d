"""The lines of faults in a CSV file: the slow pass, made only on the way to an error.

A large file is gone through in pages, so that it need not fit into memory here either.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rubrica.data.large_files import Data, iter_pages
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
    records = _iter_records(path, data, delimiter)
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
    for record in _iter_records(path, data, delimiter):
        if record.open_quote is not None:
            problem = 'a quote opens here and never closes; close it, or write a quote inside a text as ""'
            raise DataError(path, problem, line=record.open_quote)


class _Record(NamedTuple):
    line: int
    fields: list[str]
    open_quote: int | None  # the line of a quote that nothing closes


def _iter_records(path: Path, data: Data, delimiter: str) -> Iterator[_Record]:
    """Go through a CSV file slowly, as pyarrow does: blank lines are nothing, quotes inside a bare field are text."""
    mark = re.escape(delimiter)
    field = re.compile(rf'(?P<quoted>"(?:[^"]|"")*+(?P<close>"?))?[^{mark}\r\n]*+(?P<end>{mark}|\r\n|\r|\n|\Z)')
    pages = (page for _, page in iter_pages(path, data))
    page, line = next(pages, None), 1
    while page is not None:
        following = next(pages, None)
        start, begin, fields, open_quote = line, 0, list[str](), None
        for match in field.finditer(page):
            value = match[0].removesuffix(match["end"])
            if match["quoted"] is not None and not match["close"]:
                if following is not None and len(page) - begin < LONGEST_ROW:
                    # The record goes on in the next page. What is read again doubles, so it adds up to little.
                    rest, line = page[begin:], start
                    while len(following) < len(rest) and (more := next(pages, None)) is not None:
                        following += more
                    following = rest + following
                    break
                open_quote = line
            fields.append(value.strip('"') if match["quoted"] else value)
            line += match[0].count("\n")
            if match["end"] == delimiter:
                continue
            if fields != [""] or match["quoted"] is not None:
                yield _Record(start, fields, open_quote)
            start, begin, fields = line, match.end(), []
        page = following


def csv_lines(path: Path, data: Data, delimiter: str, first_row: int) -> Iterator[int]:
    """The line where each row starts, from the given one on; the names of the columns are no row."""
    return (record.line for record in islice(_iter_records(path, data, delimiter), 1 + first_row, None))
