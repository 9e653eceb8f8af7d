r"""Files with a text on each line, and fastText's labels among its words: `__label__x a text`.

As in fastText, a word that begins with the prefix is a label, wherever it stands, and only its own white space parts
words: a space, `\t`, `\v`, `\f`, `\r` and the zero byte. So a label may hold a no-break space.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial

from rubrica.data.large_files import Content
from rubrica.data.layout import Layout
from rubrica.data.table import Table
from rubrica.errors import DataError

_SPACE = " \t\v\f\r\0"


def read_lines(content: Content, layout: Layout) -> Iterator[list[str]]:
    """The texts of a plain or fastText file, one a line, in stretches; as in fastText, labels are passed over.

    Raises:
        DataError: If the file is not in its encoding.
    """
    split = label_splitter(layout.label_prefix)
    for _, lines in content.pages():
        yield [split(line)[1] for line in lines]


def read_fasttext(content: Content, layout: Layout) -> Iterator[Table]:
    """The texts and labels of a fastText file; a blank line is no row, and a line without a label a bad one.

    Raises:
        DataError: If the file is not in its encoding.
    """
    split = label_splitter(layout.label_prefix)
    for first_line, page in content.pages():
        texts, labels, lines = list[str](), list[str | list[str]](), list[int]()
        for number, line in enumerate(page, first_line):
            if not line.strip():
                continue
            found, text = split(line)
            if not found:
                advice = "pass --label-prefix if labels begin otherwise, or --columns label,text if lines hold columns"
                problem = f"no label, expected {layout.label_prefix}NAME among the words; {advice}"
                layout.bad_rows.add(DataError(content.path, problem, line=number), line)
                continue
            texts.append(text)
            labels.append(found if len(found) > 1 else found[0])
            lines.append(number)
        yield Table(content.path, {"text": texts, "label": labels}, row_lines=partial(iter, lines))


def label_splitter(prefix: str) -> Callable[[str], tuple[list[str], str]]:
    """A function from a line to its labels without the prefix, and its text; a line without labels stays as it is."""
    label = re.compile(rf"(?<![^{_SPACE}]){re.escape(prefix)}([^{_SPACE}]*)[{_SPACE}]*")

    first_space = re.compile(f"[{_SPACE}]").split

    def split(line: str) -> tuple[list[str], str]:
        if prefix not in line:
            return [], line
        if line.startswith(prefix) and line.find(prefix, 1) < 0:  # most lines
            name, *rest = first_space(line, 1)
            return [name[len(prefix) :]], rest[0].strip(_SPACE + "\n") if rest else ""
        if not (found := label.findall(line)):
            return [], line
        return found, label.sub("", line).strip(_SPACE + "\n")

    return split
