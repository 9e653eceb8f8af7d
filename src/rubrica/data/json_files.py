"""JSON: an object on each line (JSON Lines), an array of objects, or one object that holds the columns.

Python's `json` reads it: pyarrow would turn texts that look like dates into dates, and refuse a column of strings and
integers. Large JSON Lines have the columns that the first stretch names.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

from rubrica.data.addresses import Place
from rubrica.data.large_files import Content, decode
from rubrica.data.layout import Layout
from rubrica.data.table import Table
from rubrica.errors import DataError

_SURROGATE = re.compile("[\ud800-\udfff]")  # half a pair; two halves are one character
_BLANK = re.compile(r"[ \t\r\n]*")
_AT_A_TIME = 1 << 14  # objects of an array that are Python's own at the same time


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Python's own reader would drop a value whose key comes again."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {max(keys, key=keys.count)!r} stands twice in an object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def read_json(content: Content, layout: Layout) -> Iterator[Table]:
    """The rows of an array, of JSON Lines, or of columns as pandas' `to_json` writes them.

    Raises:
        DataError: With the first line that is none of them.
    """
    start = bytes(content.data[:64]).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        yield from _read_array(content)
        return
    end = content.data.find(b"\n")
    one_line = end < 0 or not content.data[end : end + 64].strip()
    if one_line and (columns := _columns_of(content)):
        yield columns
        return
    try:
        yield from _read_lines(content, layout, first_line=1)
    except DataError as error:  # perhaps one object over several lines
        if error.line == 1 and (columns := _columns_of(content)):
            yield columns
            return
        if error.line != 1 or layout.bad_rows.are_errors:
            raise
        layout.bad_rows.add(error, None)
        yield from _read_lines(content, layout, first_line=2)


def _read_lines(content: Content, layout: Layout, first_line: int) -> Iterator[Table]:
    """The objects from a line on. A bad first line is an error, since it may begin something else; others are bad."""
    names: list[str] = []
    for page_line, page in content.pages():
        rows: dict[int, dict[str, Any]] = {}
        for number, line in enumerate(page, page_line):
            if number < first_line or not line.strip():
                continue
            try:
                rows[number] = _row(content.path, line, number)
            except DataError as error:
                if number == 1:
                    raise
                layout.bad_rows.add(error, line)
        names = names or list(dict.fromkeys(chain.from_iterable(rows.values())))
        yield _table(content.path, names, list(rows.values()), list(rows))


def _read_array(content: Content) -> Iterator[Table]:
    """The objects of an array, some thousand at a time."""
    path, text = content.path, decode(content.path, bytes(content.data))
    names, rows, lines = list[str](), list[dict[str, Any]](), list[int]()
    place, line, counted = text.index("[") + 1, 1, 0
    scan = _DECODER.raw_decode
    while True:
        place = _behind_blanks(text, place)
        line, counted = line + text.count("\n", counted, place), place
        if text.startswith("]", place) and not rows and not names:  # an array without objects
            break
        try:
            row, end = scan(text, place)
        except (ValueError, RecursionError) as error:
            counted_from = 1 if isinstance(error, json.JSONDecodeError) else line
            raise _bad_json(path, error, counted_from, "an array of objects") from None
        rows.append(_checked(path, row, line, text[place:end]))
        lines.append(line)
        place = _behind_blanks(text, end)
        ended = text.startswith("]", place)
        if ended or (content.is_large and len(rows) == _AT_A_TIME):
            names = names or list(dict.fromkeys(chain.from_iterable(rows)))
            yield _table(path, names, rows, lines)
            content.reached(place * len(content.data) // len(text))
            rows, lines = [], []
        if ended:
            break
        if not text.startswith(",", place):
            line += text.count("\n", counted, place)
            raise DataError(path, 'bad JSON, expected "," or "]" behind an object', line=line)
        place += 1
    if rest := text[(end := _behind_blanks(text, place + 1)) :]:
        line += text.count("\n", counted, end)
        raise DataError(path, f"found {rest[:20]!r} behind the array", line=line)


def _columns_of(content: Content) -> Table | None:
    """The columns of one object of lists, or of objects as in `{"text": {"0": "a"}}`; None where it is no such."""
    try:
        whole = _DECODER.decode(decode(content.path, bytes(content.data)))
    except (ValueError, RecursionError):
        return None
    if not isinstance(whole, dict):
        return None
    if len(whole) == 1 and _is_rows(rows := next(iter(whole.values()))):  # {"data": [{...}, ...]}
        return _table(content.path, list(dict.fromkeys(chain.from_iterable(rows))), rows, None)
    columns = whole
    if all(isinstance(of, dict) for of in whole.values()):  # by the index of pandas
        keys = dict.fromkeys(key for of in whole.values() for key in of)
        columns = {name: [of.get(key) for key in keys] for name, of in whole.items()}
    is_table = all(isinstance(column, list) for column in columns.values())
    if not is_table or len({len(column) for column in columns.values()}) != 1:
        return None
    if _SURROGATE.search(json.dumps(columns, ensure_ascii=False)):
        return None
    return Table(content.path, columns)


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(path: Place, names: list[str], rows: list[dict[str, Any]], lines: list[int] | None) -> Table:
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Table(path, columns, row_lines=None if lines is None else partial(iter, lines))


def _row(path: Place, line: str, number: int) -> dict[str, Any]:
    try:
        row = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:  # an integer of 5,000 digits, a thousand brackets
        raise _bad_json(path, error, number, "one object a line") from None
    return _checked(path, row, number, line)


def _checked(path: Place, row: Any, line: int, source: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        found = type(row).__name__
        raise DataError(path, f'found a {found}, expected an object such as {{"text": ...}}', line=line)
    if "\\u" in source and _SURROGATE.search(json.dumps(row, ensure_ascii=False)):
        problem = "half a surrogate pair among the \\u escapes; write the character itself"
        raise DataError(path, problem, line=line)
    return row


def _bad_json(path: Place, error: Exception, line: int, expected: str) -> DataError:
    """The error for JSON that begins in a line."""
    found = f"bad JSON ({error})"
    if isinstance(error, json.JSONDecodeError):
        found, line = f"bad JSON at column {error.colno} ({error.msg})", line + error.lineno - 1
    return DataError(path, f"{found}, expected {expected}", line=line)


def _behind_blanks(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    assert match is not None  # it matches nothing, too
    return match.end()
