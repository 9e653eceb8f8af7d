"""Python's objects as tables and columns: lists, NumPy, pandas, polars, pyarrow, `datasets`, dicts.

No library is imported: an object is known by the methods that it has.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rubrica.errors import DataError, quote_names

_GAP = re.compile(r"""(?<=['"\d.])\s+(?=['"\d-])""")  # numpy writes no commas
_NUMPY = re.compile(r"np\.float\d+\(([^()]*)\)")
_LISTS = ("tolist", "to_pylist", "to_list")  # of NumPy and pandas, pyarrow, polars
_SHORT_FLOATS = ("float32", "float16", "Float32", "float", "halffloat")  # as these libraries call them

SEPARATOR = "|"
"""The mark between labels in one string."""

GIVEN = "the given data"
"""What messages call data that has no path."""


def columns_of(source: Any) -> dict[str, list[Any]]:
    """The columns of a table by name, as lists.

    Raises:
        DataError: If two columns have one name.
        TypeError: If it is no table.
    """
    if hasattr(source, "iloc") and getattr(source, "ndim", 0) == 2:  # pandas; two columns may have one name
        names = [str(name) for name in source.columns]
        if twice := {name for name in names if names.count(name) > 1}:
            raise DataError(GIVEN, f'two columns are named "{min(twice)}"; rename one of them')
        return {name: as_list(source.iloc[:, place]) for place, name in enumerate(names)}
    if hasattr(source, "to_dict") and hasattr(source, "get_column"):  # polars
        return {str(name): as_list(source.get_column(name)) for name in source.columns}
    if hasattr(source, "to_pydict"):  # pyarrow
        return {name: as_list(source.column(name)) for name in source.column_names}
    if isinstance(source, Mapping):
        return {str(name): list(column_of(column)) for name, column in source.items()}
    if isinstance(source, Iterable) and not isinstance(source, str | bytes):
        rows = list(source)
        if rows and all(isinstance(row, Mapping) for row in rows):
            keys = dict.fromkeys(name for row in rows for name in row)
            return {str(key): [row.get(key) for row in rows] for key in keys}
    found = type(source).__name__
    raise TypeError(f"found a {found} without labels; pass train(texts, labels), a table with columns, or a path")


def column_of(values: Any, kind: str = "text") -> Sequence[Any]:
    """A column as a sequence of Python's own values; `kind` says what it holds, for messages.

    A sequence of texts that lies on the disk stays there. A table of one column is this column.

    Raises:
        TypeError: If it is one string, no column, or a table of several columns.
        ValueError: If it is an array of several columns.
    """
    if isinstance(values, str | bytes):
        raise TypeError(f"{kind}s is one string ({values[:20]!r}...); pass a list: [{kind}]")
    values = only_column(values, kind)
    shape: tuple[int, ...] = getattr(values, "shape", (0,))
    if len(shape) == 2 and shape[1] == 1 and hasattr(values, "ravel"):
        values = values.ravel()
    elif len(shape) != 1:
        raise ValueError(f"{kind}s have shape {tuple(shape)}, expected one dimension; pass one column of the table")
    if any(hasattr(values, name) for name in _LISTS):
        return as_list(values)
    if isinstance(values, Mapping | set | frozenset) or not isinstance(values, Iterable):
        raise TypeError(f"{kind}s is {values!r:.40} ({type(values).__name__}), expected a list of {kind}s")
    if isinstance(values, Sequence) and not (values and isinstance(values[0], Mapping)):
        return values
    items = list(values)
    if items and all(isinstance(item, Mapping) for item in items):
        names = list(dict.fromkeys(name for item in items for name in item))
        if len(names) != 1:
            raise TypeError(f"{kind}s are dicts of {quote_names(map(str, names))}; pass one column, a list of {kind}s")
        return [item.get(names[0]) for item in items]
    return items


def only_column(values: Any, kind: str = "text") -> Any:
    """The column of a table of one column; what is no table stays as it is.

    Raises:
        TypeError: If it is a table of several columns.
    """
    found = column_names(values)
    if found is None:
        return values
    names = list(map(str, found))
    if len(names) != 1:
        advice = f"pass one column, for example table[{names[0]!r}]" if names else "pass a list"
        raise TypeError(f"{kind}s is a table of {len(names)} columns ({quote_names(names)}); {advice}")
    if hasattr(values, "iloc"):
        return values.iloc[:, 0]
    return values[names[0]]


def column_names(values: Any) -> list[Any] | None:
    """The names of a table's columns; None of what is no table."""
    named = getattr(values, "column_names", getattr(values, "columns", None))
    return None if named is None else list(named)


def list_in(text: str) -> list[Any] | None:
    """The list that a program wrote as a string, such as `['a', 'b']`; None where a string is none."""
    found = _written(text)
    if not isinstance(found, list | tuple | set):
        return None
    parts = sorted(found, key=str) if isinstance(found, set) else list(found)
    return parts if all(part is None or isinstance(part, str | int | float) for part in parts) else None


def scores_in(text: str) -> dict[str, Any] | None:
    """The scores that a program wrote as a string, such as `{'a': 0.9, 'b': 0.1}`; None where a string has none."""
    found = _written(text)
    if not isinstance(found, dict):
        return None
    plain = all(isinstance(name, str) and isinstance(score, int | float | str | None) for name, score in found.items())
    return found if plain else None


def _written(text: str) -> Any:
    """What a string in brackets holds, as Python or JSON writes it; None where it is something else."""
    text = text.strip()
    if text[:1] + text[-1:] not in ("[]", "{}", "()"):
        return None
    text = _NUMPY.sub(r"\1", text)
    try:
        return ast.literal_eval(text if "," in text else _GAP.sub(", ", text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        return json.loads(text)  # null, true
    except (ValueError, RecursionError):
        return None


def as_list(values: Any) -> list[Any]:
    """A column of NumPy, pandas, pyarrow or polars as Python's own values.

    A number of less than double precision keeps its shortest digits: 0.1 is 0.1, and not 0.10000000149011612.
    """
    if str(getattr(values, "dtype", getattr(values, "type", None))) in _SHORT_FLOATS:
        import numpy as np

        return list(np.asarray(values).astype(str).astype(float).tolist())
    return list(next(getattr(values, name)() for name in _LISTS if hasattr(values, name)))


def label_columns(labels: Any) -> Mapping[str, Sequence[Any]]:
    """The labels of some texts as columns: one, or of a matrix of 0 and 1 (or a table of them) a column for each label.

    Raises:
        TypeError: If they are no column and no matrix.
        ValueError: If a matrix holds something else than 0 and 1.
    """
    if hasattr(labels, "toarray"):  # a sparse matrix
        labels = labels.toarray()
    if hasattr(labels, "iloc") and getattr(labels, "ndim", 0) == 2 and labels.shape[1] > 1:
        return columns_of(labels)
    if (hasattr(labels, "get_column") or hasattr(labels, "to_pydict")) and len(labels.columns) > 1:
        return columns_of(labels)
    shape: tuple[int, ...] = getattr(labels, "shape", ())
    if len(shape) == 2 and shape[1] > 1 and hasattr(labels, "tolist"):
        labels = labels.tolist()
        if not _is_matrix(labels):
            raise ValueError(f"labels have shape {tuple(shape)}; give one a text, or a matrix of 0 and 1")
    if isinstance(labels, list | tuple) and _hold_scores([of for of in labels if isinstance(of, Mapping)]):
        return {"label": labels}
    column = column_of(labels, "label")
    if isinstance(column, list | tuple):  # rows may be arrays
        column = [as_list(row) if getattr(row, "shape", ()) else row for row in column]
    if _is_matrix(column):
        return {str(place): list(of) for place, of in enumerate(zip(*column, strict=True))}
    return {"label": column}


def _hold_scores(rows: Sequence[Mapping[Any, Any]]) -> bool:
    """Whether dicts are scores; dicts of one key are a table of one column, unless they hold decimals."""
    return len({name for row in rows for name in row}) > 1 or any(
        isinstance(value, float) for row in rows for value in row.values()
    )


def _is_matrix(labels: Any) -> bool:
    """Whether labels are rows of 0 and 1, at least two in each; as in scikit-learn, lists of them are a matrix too."""
    if not isinstance(labels, list | tuple) or not labels:
        return False
    widths = {len(row) if isinstance(row, list | tuple) else 0 for row in labels}
    return len(widths) == 1 and min(widths) > 1 and all(value in (0, 1) for row in labels for value in row)


def ones(row: Sequence[Any], names: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns where a row of a matrix holds 1.

    Raises:
        ValueError: If it holds something else than 0 and 1.
    """
    if strange := [value for value in row if value not in (0, 1)]:
        raise ValueError(f"labels hold {strange[0]!r:.40}, expected a matrix of 0 and 1")
    return tuple(name for name, value in zip(names, row, strict=True) if value)
