"""Which columns are the text and the label, and the texts of a table."""

from collections.abc import Iterable, Sequence
from types import NoneType

from rubrica.data.table import Table
from rubrica.errors import DataError, nearest, quote_names

TEXT_COLUMNS = (
    "text", "sentence", "review", "comment", "message", "question", "query", "tweet", "document", "текст",
)  # fmt: skip
"""Names of a column that is the text, best first."""

TEXT_PARTS = ("title", "headline", "subject", "заголовок", "description", "content", "body", "abstract")
"""Names of columns that are joined in this order to make the text, where no column of `TEXT_COLUMNS` is there."""

LABEL_COLUMNS = (
    "label", "labels", "category", "class", "target", "topic", "rubric", "sentiment", "intent", "class index",
    "coarse_label", "label_text", "рубрика", "метка", "класс", "категория",
)  # fmt: skip
"""Names of the column of labels, best first."""


def find_columns(
    table: Table, text_columns: str | Sequence[str], label_column: str | None, *, labeled: bool = True
) -> tuple[tuple[str, ...], str]:
    """The names of the columns of the text, and of the column of the label.

    They are the ones that the user gives; empty text columns and a label column None are found by name. Where the
    table need not be labeled, the label's column may be "".

    Raises:
        DataError: If a given column is missing, or none is found.
    """
    wanted = (text_columns,) if isinstance(text_columns, str) else text_columns
    texts = tuple(find_named(table, name) for name in wanted)
    label = "" if label_column is None else find_named(table, label_column)
    others = [name for name in table.columns if name != label]
    texts = texts or _present(TEXT_COLUMNS, others)[:1] or _present(TEXT_PARTS, others)
    others = [name for name in others if name not in texts]
    if not label and (known := _present(LABEL_COLUMNS, others)):
        label = known[0]
        others.remove(label)
    if len(table.columns) == 2 and len(others) == 1:
        texts, label = texts or (others[0],), label or others[0]
    if not texts:
        raise _no_column(table, "texts", "--text-column")
    if labeled and not label:
        raise _no_column(table, "labels", "--label-column")
    return texts, label


def find_named(table: Table, wanted: str) -> str:
    """The column that the user names, in any case.

    Raises:
        DataError: If there is none.
    """
    if wanted in table.columns:
        return wanted
    if found := _present([wanted.strip().lower()], table.columns):
        return found[0]
    raise DataError(table.path, f'no column "{wanted}"; {nearest(wanted, table.columns)}')


def read_column_texts(table: Table, columns: Sequence[str]) -> list[str]:
    """The text of each row: its columns joined with a space, without the empty ones.

    Raises:
        DataError: If a column is missing, or a row has no text or something else in its place.
    """
    columns = [find_named(table, column) for column in columns]
    texts, *more = [_strings(table, column) for column in columns]
    if more:
        rows = zip(texts, *more, strict=True)
        texts = [None if row.count(None) == len(row) else " ".join(filter(None, row)) for row in rows]
    if None in texts:
        raise table.error(texts.index(None), f"no text in {quote_names(columns)}; add one or remove the row")
    return texts  # type: ignore[return-value]


def _strings(table: Table, column: str) -> list[str | None]:
    values = table.values(column)
    if not set(map(type, values)) <= {str, NoneType}:
        values = [None if value != value else value for value in values]  # nan, of pandas
        for row, value in enumerate(values):
            if not isinstance(value, str | None):
                raise table.error(row, f'found {value!r:.40} in "{column}", expected a text')
    return values


def _present(known: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """The names of columns that are known, in the order of the known ones."""
    by_key = {name.strip().lower(): name for name in names}
    return tuple(by_key[key] for key in known if key in by_key)


def _no_column(table: Table, kind: str, option: str) -> DataError:
    advice = f"pass {option} (or --delimiter), and if the first line is not the names of the columns, add them"
    return DataError(table.path, f"no column for {kind}; columns are {quote_names(table.columns)}; {advice}")
