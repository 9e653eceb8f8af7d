r"""Files with a row on each line: JSON Lines and fastText's `__label__x text`.

Python's `json` reads JSON Lines: pyarrow would turn texts that look like dates into dates, and refuse a column of
strings and integers. Large JSON Lines have the columns that the first stretch names.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from rubrica.data.large_files import Content
from rubrica.data.table import Table
from rubrica.errors import DataError

_LABEL_PREFIX = "__label__"
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a pair; two halves are one character


def read_lines(content: Content) -> Iterator[list[str]]:
    """The texts of a plain or fastText file, one a line, in stretches; as in fastText, labels are passed over.

    Raises:
        DataError: If the file is not UTF-8.
    """
    for _, lines in content.pages():
        yield [_split_labels(line)[1] if _LABEL_PREFIX in line else line for line in lines]


def read_jsonl(content: Content, _: str) -> Iterator[Table]:
    """The objects of JSON Lines; their keys are the columns, and a blank line is no row.

    Raises:
        DataError: With the first line that is no JSON object.
    """
    names: list[str] = []
    for first_line, page in content.pages():
        lines = {number: line for number, line in enumerate(page, first_line) if line.strip()}
        rows = [_json_row(content.path, line, number) for number, line in lines.items()]
        names = names or list(dict.fromkeys(chain.from_iterable(rows)))
        columns = {name: [row.get(name) for row in rows] for name in names}
        yield Table(content.path, columns, row_lines=partial(iter, list(lines)))


def read_fasttext(content: Content, _: str) -> Iterator[Table]:
    """The texts and labels of a fastText file; a blank line is no row.

    Raises:
        DataError: With the first line that has no `__label__`.
    """
    for first_line, page in content.pages():
        texts, labels, lines = list[str](), list[str | list[str]](), list[int]()
        for number, line in enumerate(page, first_line):
            if not line.strip():
                continue
            found, text = _split_labels(line)
            if not found:
                problem = f"no label, expected {_LABEL_PREFIX}NAME before or after the text"
                raise DataError(content.path, problem, line=number)
            texts.append(text)
            labels.append(found if len(found) > 1 else found[0])
            lines.append(number)
        yield Table(content.path, {"text": texts, "label": labels}, row_lines=partial(iter, lines))


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
    if "\\u" in line and _SURROGATE.search(json.dumps(row, ensure_ascii=False)):
        problem = "half a surrogate pair among the \\u escapes; write the character itself"
        raise DataError(path, problem, line=number)
    return row


def _split_labels(line: str) -> tuple[list[str], str]:
    """The labels before and after a fastText line's text, and the text."""
    labels, text = [], line.strip()
    while text.startswith(_LABEL_PREFIX):
        label, *rest = text.split(maxsplit=1)
        labels.append(label)
        text = rest[0] if rest else ""
    while _LABEL_PREFIX in text and (words := text.rsplit(maxsplit=1))[-1].startswith(_LABEL_PREFIX):
        labels.append(words[-1])
        text = words[0] if len(words) > 1 else ""
    return [label.removeprefix(_LABEL_PREFIX) for label in labels], text
