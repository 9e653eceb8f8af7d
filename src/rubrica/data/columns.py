"""Which columns are the text and the label, and the texts of a table."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any
from unicodedata import normalize

from rubrica.data.layout import Layout
from rubrica.data.objects import GIVEN
from rubrica.data.table import Bad, Table
from rubrica.errors import DataError, nearest, on_one_line, quote_names
from rubrica.text.strings import as_text, as_texts, is_missing

TEXT_COLUMNS = (
    "text", "sentence", "review", "comment", "message", "question", "query", "tweet", "document", "utterance",
    "comment_text", "review_text", "текст", "сообщение", "отзыв", "комментарий", "вопрос",
)  # fmt: skip
"""Names of a column that is the text, best first."""

TEXT_PARTS = ("title", "headline", "subject", "заголовок", "description", "content", "body", "abstract")
"""Names of columns that are joined in this order to make the text, where no column of `TEXT_COLUMNS` is there."""

LABEL_COLUMNS = (
    "label", "labels", "category", "class", "target", "topic", "rubric", "sentiment", "intent", "class index",
    "coarse_label", "label_text", "рубрика", "метка", "класс", "категория", "тема", "тональность",
)  # fmt: skip
"""Names of the column of labels, best first."""


log = logging.getLogger(__name__)

_LOOKED_AT = 1000  # rows that tell what a column without a name is


def find_columns(table: Table, layout: Layout, *, labeled: bool = True) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the columns of the text, and of the labels.

    They are the ones that the user gives; the others are found by name. Where the columns have no names, the values
    tell. Where the table need not be labeled, there may be no column of labels.

    Raises:
        DataError: If a given column is missing, or none is found.
    """
    texts = tuple(name for wanted in layout.texts for name in find_named(table, wanted))
    labels = tuple(name for wanted in layout.labels for name in find_named(table, wanted))
    if not layout.header and not layout.names and not (texts and (labels or not labeled)):
        return (tuple(table.columns), ()) if len(table.columns) == 1 else _by_values(table, texts, labels)
    others = [name for name in table.columns if name not in labels]
    texts = texts or _present(table, TEXT_COLUMNS, others)[:1] or _present(table, TEXT_PARTS, others)
    others = [name for name in others if name not in texts]
    if not labels and (labels := _present(table, LABEL_COLUMNS, others)[:1]):
        others.remove(labels[0])
    if len(table.columns) == 2 and len(others) == 1:
        texts, labels = texts or (others[0],), labels or (others[0],)
    if not texts:
        raise _no_column(table, "texts", "--text-column")
    if labeled and not labels:
        raise _no_column(table, "labels", "--label-column", others)
    return texts, labels


def find_named(table: Table, wanted: str) -> tuple[str, ...]:
    """The column that the user names, in any case; or several with commas between their names.

    Raises:
        DataError: If there is none.
    """
    if wanted in table.columns:
        return (wanted,)
    if found := _present(table, [wanted], table.columns):
        return found[:1]
    if "," in wanted:
        return tuple(name for part in wanted.split(",") for name in find_named(table, part.strip()))
    raise DataError(table.path, f'no column "{wanted}"; {nearest(wanted, table.columns)}')


def read_column_texts(table: Table, columns: Sequence[str], bad: Bad) -> list[str]:
    """The text of each row: its columns joined with a space, without the empty ones; "" where all are empty.

    A row with something else than a text goes to `bad`.

    Raises:
        DataError: If a column is missing.
    """
    columns = [name for column in columns for name in find_named(table, column)]
    texts, *more = [_strings(table, column, bad) for column in columns]
    if more:
        texts = [" ".join(filter(None, row)) for row in zip(texts, *more, strict=True)]
    return texts


def _strings(table: Table, column: str, bad: Bad) -> list[str]:
    values = table.values(column)
    try:
        return as_texts(values)
    except TypeError:
        texts = []
        for row, value in enumerate(values):
            try:
                texts.append(as_text(value))
            except TypeError as error:
                bad(row, f"found {error} in {quote_names([column])}, expected a text")
                texts.append("")
        return texts


def _present(table: Table, known: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """The names of columns that are known, in the order of the known ones.

    Raises:
        DataError: If two columns have one known name, in capitals and small letters.
    """
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(_key(name), []).append(name)
    found = [by_key[key] for key in map(_key, known) if key in by_key]
    if twice := next((same for same in found[:1] if len(same) > 1), None):
        problem = f"two columns are named alike ({quote_names(twice)})"
        raise DataError(table.path, f"{problem}; rename one, or pass --text-column and --label-column")
    return tuple(same[0] for same in found)


def _by_values(
    table: Table, texts: tuple[str, ...], labels: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of a file without names: the label repeats most often, and the text has most of the letters.

    Raises:
        DataError: If the values do not tell.
    """
    values = {name: table.values(name)[:_LOOKED_AT] for name in table.columns}
    kinds = {name: len(set(map(str, column))) for name, column in values.items() if name not in texts}
    fewest = min((count for count in kinds.values() if count > 1), default=0)
    found = labels or tuple(name for name, count in kinds.items() if count == fewest)
    sizes = {name: sum(map(len, map(str, values[name]))) for name in values if name not in found}
    largest = max(sizes.values(), default=0)
    long = texts or tuple(name for name, size in sizes.items() if size * 4 > largest)
    if len(found) != 1 or not long or (not labels and fewest == len(next(iter(values.values())))):
        advice = "name the columns: --columns label,text"
        raise DataError(table.path, f"{len(values)} columns without names, and their values do not tell; {advice}")
    log.info(
        "%s: column %s is read as the label and %s as the text; pass --columns to say otherwise",
        table.path, found[0], ", ".join(long),
    )  # fmt: skip
    return long, found


def indicators(table: Table, names: Iterable[str]) -> list[str]:
    """The columns that hold nothing but 0 and 1, in their first rows."""
    first = {name: set(map(_plain, table.values(name)[:_LOOKED_AT])) for name in names}
    return [name for name, found in first.items() if found and found <= {"0", "1"}]


def _plain(value: Any) -> str:
    found = "" if is_missing(value) else str(value).strip().lower().removesuffix(".0")
    return {"false": "0", "true": "1"}.get(found, found)


def _key(name: str) -> str:
    return normalize("NFC", name).strip().lower()


def _no_column(table: Table, kind: str, option: str, others: Sequence[str] = ()) -> DataError:
    advice = f"pass {option}"
    if table.path != GIVEN and not str(table.path).lower().endswith((".json", ".jsonl", ".ndjson", ".parquet")):
        advice += " (or --delimiter), or --columns label,text to name them if the first line is data"
    if len(ones := indicators(table, others)) > 1:
        named = ",".join(map(on_one_line, ones))
        advice = f"for the labels of its columns of 0 and 1 pass --label-column {named}"
    return DataError(table.path, f"no column for {kind}; columns are {quote_names(table.columns)}; {advice}")
