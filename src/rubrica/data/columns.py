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
"""Names of columns that are the text together, joined in this order, where there is none of `TEXT_COLUMNS`."""

LABEL_COLUMNS = (
    "label", "labels", "category", "class", "target", "topic", "rubric", "sentiment", "intent", "class index",
    "coarse_label", "label_text", "рубрика", "метка", "класс", "категория",
)  # fmt: skip
"""Names of the column of labels, best first."""


def find_columns(
    table: Table, text_columns: str | Sequence[str], label_column: str | None
) -> tuple[tuple[str, ...], str]:
    """The names of the columns of the text, and of the column of the label.

    Args:
        table: Its columns are looked through.
        text_columns: As the user gives them; empty to find them.
        label_column: As the user gives it; None to find it.

    Raises:
        DataError: If a given column is missing, or none is found.
    """
    texts = tuple(find_named(table, name) for name in _as_tuple(text_columns))
    label = find_named(table, label_column) if label_column is not None else ""
    texts = texts or _find_texts([name for name in table.columns if name != label])
    label = label or _find_label([name for name in table.columns if name not in texts])
    others = [name for name in table.columns if name not in (*texts, label)]
    if len(table.columns) == 2 and len(others) == 1:
        texts, label = texts or (others[0],), label or others[0]
    if not texts:
        raise _no_column(table, "texts", "--text-column")
    if not label:
        raise _no_column(table, "labels", "--label-column")
    return texts, label


def find_text_columns(table: Table, text_columns: str | Sequence[str]) -> tuple[str, ...]:
    """The names of the columns of the text, of a table that need not have labels.

    Raises:
        DataError: If a given column is missing, or none is found.
    """
    names = list(table.columns)
    texts = tuple(find_named(table, name) for name in _as_tuple(text_columns)) or _find_texts(names)
    if not texts and len(names) == 2 and (label := _find_label(names)):
        texts = tuple(name for name in names if name != label)
    if not texts:
        raise _no_column(table, "texts", "--text-column")
    return texts


def find_named(table: Table, wanted: str) -> str:
    """The column that the user names, in any case.

    Raises:
        DataError: If there is none.
    """
    by_key = {_key(name): name for name in table.columns}
    found = wanted if wanted in table.columns else by_key.get(_key(wanted))
    if found is None:
        raise DataError(table.path, f'no column "{wanted}"; {nearest(wanted, table.columns)}')
    return found


def read_column_texts(table: Table, columns: Sequence[str]) -> list[str]:
    """The text of each row: its columns joined with a space, without the empty ones.

    Raises:
        DataError: If a row has no text, or something else in its place.
    """
    parts = [_strings(table, column) for column in columns]
    if len(parts) == 1:
        [texts] = parts
    else:
        rows = zip(*parts, strict=True)
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


def _as_tuple(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _find_texts(names: Iterable[str]) -> tuple[str, ...]:
    by_key = {_key(name): name for name in names}
    whole = tuple(by_key[key] for key in TEXT_COLUMNS if key in by_key)
    return whole[:1] or tuple(by_key[key] for key in TEXT_PARTS if key in by_key)


def _find_label(names: Iterable[str]) -> str:
    by_key = {_key(name): name for name in names}
    return next((by_key[key] for key in LABEL_COLUMNS if key in by_key), "")


def _key(name: str) -> str:
    return name.strip().lower()


def _no_column(table: Table, kind: str, option: str) -> DataError:
    advice = f"pass {option} (or --delimiter), and if the first line is not the names of the columns, add them"
    return DataError(table.path, f"no column for {kind}; columns are {quote_names(table.columns)}; {advice}")
