r"""How a CSV file is written: what parts its columns, whether quotes enclose fields, and what the columns are called.

The first lines tell. A file has the usual delimiter of its suffix if that parts its first line, else the one of comma,
semicolon, tab and bar that parts it most often. Excel's line `sep=;` says it itself, and is no row.

Quotes enclose fields, as in RFC 4180. In files parted by tabs many programs write quotes as plain characters; they are
plain where all lines have the same number of columns, and some field opens a quote and does not close it.
"""

import logging
import re
from collections.abc import Iterator
from typing import NamedTuple

from rubrica.data.large_files import Content, decode
from rubrica.data.layout import Layout
from rubrica.errors import DataError

log = logging.getLogger(__name__)

_DELIMITERS = ",;\t|"
_LINE_END = re.compile(r"\r\n|\r|\n")
_SAMPLED = 50  # lines that must agree where no header is there to tell
_SEP_LINE = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=([^\r\n])\1*"?\r?\n', re.IGNORECASE)
_OPENED = re.compile(rb'(?<![^\t\r\n])"')
_ENCLOSED = re.compile(rb'(?<![^\t\r\n])"(?:[^"\t\r\n]|"")*"(?=[\t\r\n]|\Z)')


class Dialect(NamedTuple):
    """How a file is written.

    Args:
        delimiter: Parts the columns.
        quotes: Whether a field may stand in quotes.
        skipped: Lines at the top that are neither names nor rows: 0 or 1.
        header: Whether the first line below them names the columns.
    """

    delimiter: str
    quotes: bool
    skipped: int
    header: bool


def find_dialect(content: Content, layout: Layout, usual: str) -> Dialect:
    """How a file is written, by what the user says and by its first lines."""
    sep = _SEP_LINE.match(content.data)
    lines = _first_lines(content, skipped=1 if sep else 0)
    delimiter = layout.mark or (sep[1].decode("latin-1") if sep else _guess_delimiter(lines, layout, usual))
    quotes = layout.quotes if layout.quotes is not None else delimiter != "\t" or not _quotes_are_plain(content)
    header = layout.header and not layout.names
    if layout.names and lines:  # they may stand in the file, too
        first = next(_split(lines[:1], delimiter), [])
        header = [name.strip().lower() for name in first] == [name.lower() for name in layout.names]
    return Dialect(delimiter, quotes, 1 if sep else 0, header)


def column_names(content: Content, layout: Layout, first: list[str], *, header: bool) -> list[str]:
    """The names of the columns: the user's, else the first line's, else numbers from 1; an unnamed one has its number.

    Raises:
        DataError: If the user gives more or fewer names than there are columns.
    """
    if layout.names and len(layout.names) != len(first):
        problem = f"{len(first)} columns, but --columns names {len(layout.names)} ({', '.join(layout.names)})"
        raise DataError(content.path, f"{problem}; name every column, or pass --delimiter")
    named = layout.names or (first if header else [""] * len(first))
    taken = set(named)
    return [name if name.strip() else _number(place, taken) for place, name in enumerate(named, 1)]


def _number(place: int, named: set[str]) -> str:
    return str(place) if str(place) not in named else f"column {place}"


def _first_lines(content: Content, *, skipped: int) -> list[str]:
    """The first lines that are not blank; fewer where a byte is not UTF-8, which the reader will say."""
    start = bytes(content.data[: 1 << 16])
    lines = _LINE_END.split(decode(content.path, start[: start.rfind(b"\n") + 1] or start, lenient=True))
    return [line for line in lines[skipped:] if line.strip()][:_SAMPLED]


def _guess_delimiter(lines: list[str], layout: Layout, usual: str) -> str:
    marks = [usual, *_DELIMITERS.replace(usual, "")]
    if layout.names:
        for mark in marks:
            if all(len(fields) == len(layout.names) for fields in _split(lines, mark)):
                return mark
    counts = {mark: len(next(_split(lines[:1], mark), [])) for mark in marks}
    return usual if counts[usual] > 1 else max(marks, key=lambda mark: counts[mark])


def _split(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    import csv

    return csv.reader(lines, delimiter=delimiter)


def _quotes_are_plain(content: Content) -> bool:
    opened = sum(1 for _ in _OPENED.finditer(content.data))
    if opened == sum(1 for _ in _ENCLOSED.finditer(content.data)):
        return False
    widths = set[int]()
    for stretch in content.stretches():
        lines = stretch.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        widths.update(line.count(b"\t") for line in lines if line.strip())
    plain = len(widths) == 1 and widths != {0}
    if plain:
        log.info("%s: quotes are read as plain characters; pass --quotes if they enclose fields", content.path)
    return plain
