"""Labels as they stand in a column: a name for each text, or a tuple of names.

A column gives a text several labels as a list (JSON Lines, Parquet, hub), as several `__label__` of a fastText line, or
as one string `a|b`. One list of any length, or one such string, makes the data set multi-label. An empty list is a text
without a label; an empty string is an error.
"""

import re
from collections.abc import Iterable
from typing import Any

from rubrica.data.columns import find_named
from rubrica.data.stored_texts import CodedLabels
from rubrica.data.table import Table
from rubrica.scoring.task import Label, Task

SEPARATOR = "|"
"""The mark between labels in one string."""


def read_labels(table: Table, column: str, separator: str) -> list[Label]:
    """The label of each row, a string; a tuple of strings for a row with a list.

    Args:
        table: Some rows.
        column: The column of the labels, in any case.
        separator: The mark between labels in one string; an empty one reads every string whole.

    Raises:
        DataError: If there is no such column, or a row has no label or something that is none.
    """
    column = find_named(table, column)
    values = table.values(column)
    names = table.class_names.get(column)
    spelled: list[Any] = values
    if names is not None or set(map(type, values)) != {str}:
        spelled = [_all_of(value, names) if isinstance(value, list) else _one(value, names) for value in values]
    lists = {}
    for label in dict.fromkeys(spelled):
        if names is None and separator and isinstance(label, str) and separator in label:
            lists[label] = tuple(dict.fromkeys(map(str.strip, label.split(separator))))
        if _is_blank(lists.get(label, label)):
            row = spelled.index(label)
            raise table.error(row, _problem(values[row], column, names, separator))
    return [lists.get(label, label) for label in spelled] if lists else spelled


def hold_lists(labels: Iterable[Label]) -> bool:
    """Whether some text has a list of labels, of any length."""
    return any(isinstance(label, tuple) for label in labels)


def as_lists(labels: list[Label] | CodedLabels) -> list[Label] | CodedLabels:
    """The same labels, each a tuple."""
    return type(labels)(map(as_list, labels))


def as_list(label: Label) -> tuple[str, ...]:
    """A text's labels as a tuple."""
    return label if isinstance(label, tuple) else (label,)


def classes_of(labels: Iterable[Label]) -> list[str]:
    """Every name that occurs, once, in the order of the targets: integers by value, else sorted."""
    names = sorted({name for label in set(labels) for name in as_list(label)})
    integers = all(re.fullmatch(r"-?[0-9]{1,18}", name) for name in names)
    return sorted(names, key=int) if integers else names


def check_known(table: Table, labels: list[Label], split: str, task: Task) -> list[Label]:
    """The labels of another split, in the form of train's labels.

    Args:
        table: The rows, for the place of an error.
        labels: Their labels as read.
        split: The name of the split.
        task: The names that train has, and whether a text has one of them.

    Raises:
        DataError: For the first row with a name that train lacks, or with a list where each text of train has one name.
    """
    classes = set(task.labels)
    spelled: dict[Label, Label] = {}
    for label in dict.fromkeys(labels):
        try:
            spelled[label] = task.spell(label)
        except ValueError as error:
            problem = f"{error}, and each text of train has one"
            advice = 'correct one of them, or pass --label-separator "" to read labels whole'
            raise table.error(labels.index(label), f"{problem}; {advice}") from None
        if strange := [name for name in as_list(label) if name not in classes]:
            problem = f'label "{strange[0]}" of the {split} split does not occur in train'
            advice = "correct it, remove the row, or add such a text to train"
            raise table.error(labels.index(label), f"{problem}; {advice}")
    return [spelled[label] for label in labels]


def _one(value: Any, names: list[str] | None) -> str | None:
    """A label as the user would write it; None for a value that cannot be one."""
    if names is not None:
        return names[value] if isinstance(value, int) and value in range(len(names)) else None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):  # pandas makes floats of integers when one of them is missing
        return str(int(value)) if value.is_integer() else None
    return str(value) if isinstance(value, str | int) else None


def _all_of(values: list[Any], names: list[str] | None) -> tuple[str | None, ...]:
    return tuple(dict.fromkeys(_one(value, names) for value in values))


def _is_blank(label: Any) -> bool:
    if isinstance(label, tuple):
        return any(map(_is_blank, label))
    return label is None or not label.strip()


def _problem(value: Any, column: str, names: list[str] | None, separator: str) -> str:
    if isinstance(value, list):
        value = next(part for part in value if _is_blank(_one(part, names)))
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        return f'no label in "{column}"; add one or remove the row'
    if isinstance(value, str) and separator and separator in value:
        advice = f'remove a "{separator}", or pass --label-separator "" if it is part of the label'
        return f'an empty label in "{value:.40}"; {advice}'
    expected = f"a class of 0 to {len(names) - 1}" if names is not None else "a label: a string or an integer"
    return f'found {value!r:.40} in "{column}", expected {expected}'
