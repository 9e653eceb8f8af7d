"""Labels as they stand in a column: a name for each text, or a tuple of names.

A column gives a text several labels as a list (JSON Lines, Parquet, hub), as several `__label__` of a fastText line, or
as one string `a|b`. One list of any length, or one such string, makes the data set multi-label. An empty list is a text
without a label; an empty string is an error.
"""

import re
from collections.abc import Iterable
from typing import Any

from rubrica.data.columns import find_named
from rubrica.data.table import Table
from rubrica.scoring.task import Label, Task

SEPARATOR = "|"
"""The mark between labels in one string."""


def read_labels(table: Table, column: str, separator: str) -> list[Label]:
    """The label of each row, a string; a tuple of strings for a row with a list.

    The name of the column may be in any case. An empty separator reads every string whole.

    Raises:
        DataError: If there is no such column, or a row has no label or something that is none.
    """
    column = find_named(table, column)
    names = table.class_names.get(column)
    values = table.values(column)
    different = dict.fromkeys(values) if set(map(type, values)) == {str} else values  # each string is read once
    labels: list[Label] = []
    for value in different:
        try:
            labels.append(_read_label(value, column, names, separator))
        except ValueError as error:
            raise table.error(values.index(value), str(error)) from None
    if different is values:
        return labels
    return list(map(dict(zip(different, labels, strict=True)).__getitem__, values))


def as_list(label: Label) -> tuple[str, ...]:
    """A text's labels as a tuple."""
    return label if isinstance(label, tuple) else (label,)


def classes_of(labels: Iterable[Label]) -> list[str]:
    """Every name that occurs, once, in the order of the targets: integers by value, else sorted."""
    names = sorted({name for label in set(labels) for name in as_list(label)})
    integers = all(re.fullmatch(r"-?[0-9]{1,18}", name) for name in names)
    return sorted(names, key=int) if integers else names


def check_known(table: Table, labels: list[Label], split: str, task: Task) -> list[Label]:
    """The labels of a table of another split, in the form of train's labels, which the task knows.

    Raises:
        DataError: For the first row with a name that train lacks, or with a list where each text of train has one name.
    """
    classes = set(task.labels)
    spelled: dict[Label, Label] = {}
    for label in dict.fromkeys(labels):
        try:
            spelled[label] = task.spell(label)
        except ValueError as error:
            raise table.error(labels.index(label), f'{error}; write one label, or pass --label-separator ""') from None
        if strange := [name for name in as_list(label) if name not in classes]:
            problem = f'label "{strange[0]}" of the {split} split does not occur in train'
            advice = "correct it, remove the row, or add such a text to train"
            raise table.error(labels.index(label), f"{problem}; {advice}")
    return [spelled[label] for label in labels]


def _read_label(value: Any, column: str, names: list[str] | None, separator: str) -> Label:
    if isinstance(value, list):
        return tuple(dict.fromkeys(_name(part, column, names) for part in value))
    if names is not None or not isinstance(value, str) or not separator or separator not in value:
        return _name(value, column, names)
    parts = tuple(dict.fromkeys(map(str.strip, value.split(separator))))
    if "" in parts:
        advice = f'remove a "{separator}", or pass --label-separator "" if it is part of the label'
        raise ValueError(f'an empty label in "{value:.40}"; {advice}')
    return parts


def _name(value: Any, column: str, names: list[str] | None) -> str:
    """A label as the user would write it."""
    expected = "a label: a string or an integer"
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        raise ValueError(f'no label in "{column}"; add one or remove the row')
    if names is not None:
        if isinstance(value, int) and value in range(len(names)) and names[value].strip():
            return names[value]
        expected = f"a class of 0 to {len(names) - 1}"
    elif isinstance(value, bool):
        return str(value).lower()
    elif isinstance(value, str | int):
        return str(value)
    elif isinstance(value, float) and value.is_integer():  # pandas makes floats of integers when one of them is missing
        return str(int(value))
    raise ValueError(f'found {value!r:.40} in "{column}", expected {expected}')
