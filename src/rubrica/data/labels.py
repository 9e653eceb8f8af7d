"""Labels as they stand in a column: a name for each text, a tuple of names, or scores; `spell` says what the names are.

A column gives a text several labels as a list (JSON, Parquet, hub), as several `__label__` of a fastText line, as one
string `a|b`, or as a list that was written as a string, `['a', 'b']`. One list of any length, or one such string, makes
the data set multi-label. So do several columns of 0 and 1, one for each label. An empty list is a text without a label;
an empty string is an error. Where a label is not certain, see `soft_labels.py`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from rubrica.data.columns import find_named
from rubrica.data.objects import list_in, scores_in
from rubrica.data.soft_labels import Scored, certain, holds_scores, named_scores, read_scored, scored_number
from rubrica.data.table import Bad, Table
from rubrica.errors import DataError, quote_names
from rubrica.scoring.label_names import spell
from rubrica.scoring.task import Label, Task

_PART = re.compile(r"0?\.[0-9]+")  # of 1


def read_labels(table: Table, columns: tuple[str, ...], separator: str, bad: Bad) -> list[Label | Scored]:
    """The label of each row, a string; a tuple of strings for a row with a list; scores for a row with a mapping.

    The name of a column may be in any case. An empty separator reads every string whole. A row without a label, or
    with something that is none, goes to `bad`, and has any label if that returns.

    Raises:
        DataError: If there is no such column.
    """
    columns = tuple(name for column in columns for name in find_named(table, column))
    if len(columns) > 1:
        return _read_indicators(table, columns, bad)
    names = table.class_names.get(columns[0])
    values = table.values(columns[0])
    kinds = set(map(type, values))  # of one kind each value is read once; of several, 1 and True would be one
    different = dict.fromkeys(values) if len(kinds) == 1 and kinds <= {str, int, float, bool} else values
    labels, faults = list[Label | Scored](), dict[int, str]()
    for place, value in enumerate(different):
        try:
            labels.append(_read_label(value, names, separator))
        except ValueError as error:
            missing = f"no label in {quote_names(columns)}; add one or remove the row"
            faults[place] = missing if str(error) == "no label" else f"column {quote_names(columns)}: {error}"
            labels.append("")
    if different is values:
        for row, problem in faults.items():
            bad(row, problem)
        return labels
    if faults:
        wrong = {value: faults[place] for place, value in enumerate(different) if place in faults}
        for row, value in enumerate(values):
            if value in wrong:
                bad(row, wrong[value])
    return list(map(dict(zip(different, labels, strict=True)).__getitem__, values))


def read_numbers(table: Table, columns: tuple[str, ...], bad: Bad) -> list[Label | Scored]:
    """The score of each row, a number from 0 to 1; a row without one goes to `bad`.

    Raises:
        DataError: If there is no such column, or there are several.
    """
    columns = tuple(name for column in columns for name in find_named(table, column))
    if len(columns) > 1:
        raise DataError(table.path, f"a text has one score, and {quote_names(columns)} are several; name one column")
    (column,), found = columns, list[Label | Scored]()
    for row, value in enumerate(table.values(column)):
        try:
            found.append(scored_number(value))
        except ValueError as error:
            bad(row, f"column {quote_names(columns)}: {error}")
            found.append(Scored(()))
    return found


def _read_indicators(table: Table, columns: tuple[str, ...], bad: Bad) -> list[Label | Scored]:
    """The names of the columns that hold 1 in each row; the scores of a row with a number between 0 and 1."""
    labels = [spell(column) for column in columns]
    rows = []
    truth = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}
    for column in columns:
        found: list[float] = []
        for row, value in enumerate(table.values(column)):
            try:
                name = spell(value)
                found.append(truth[name] if name in truth else named_scores({column: value})[spell(column)])
            except ValueError:
                found_in = f"found {value!r:.40} in {quote_names([column])}"
                bad(row, f"{found_in}, expected 0 or 1, or a probability, in each of several columns of labels")
                found.append(0.0)
        rows.append(found)
    return [_indicated(labels, row) for row in zip(*rows, strict=True)]


def _indicated(labels: Sequence[str], row: Sequence[float]) -> Label | Scored:
    found = [(label, score) for label, score in zip(labels, row, strict=True) if score]
    if all(score == 1 for _, score in found):
        return tuple(label for label, _ in found)
    return read_scored(found)


def as_list(label: Label | Scored) -> tuple[str, ...]:
    """A text's labels as a tuple; all that it may have where they are not certain."""
    return label if isinstance(label, tuple) else label.names if isinstance(label, Scored) else (label,)


def classes_of(labels: Iterable[Label | Scored]) -> list[str]:
    """Every name that occurs, once, in the order of the targets: integers by value, else sorted."""
    names = sorted({name for label in set(labels) for name in as_list(label)})
    integers = all(re.fullmatch(r"-?[0-9]{1,18}", name) for name in names)
    return sorted(names, key=int) if integers else names


def like_train(labels: list[Label | Scored], task: Task, bad: Bad) -> list[Label | Scored]:
    """The labels of a table of another split, in the form of train's labels; train may lack some of them.

    A row with a list, or without a score above 0, where each text of train has one name goes to `bad`.
    """
    spelled, wrong = dict[Label | Scored, Label | Scored](), dict[Label | Scored, str]()
    for label in dict.fromkeys(labels):
        try:
            name = certain(label, task)
            spelled[label] = label if isinstance(label, Scored) else name
        except ValueError as error:
            advice = "" if isinstance(label, Scored) else '; write one label, or pass --label-separator ""'
            spelled[label], wrong[label] = "", f"{error}{advice}"
    for row, label in enumerate(labels if wrong else ()):
        if label in wrong:
            bad(row, wrong[label])
    return [spelled[label] for label in labels]


def _read_label(value: Any, names: list[str] | None, separator: str) -> Label | Scored:
    if isinstance(value, str) and names is None and separator:
        if (found := list_in(value)) is not None:
            value = found
        elif (scored := scores_in(value)) is not None:
            return read_scored(scored)
        elif separator in value:
            return _split(value, separator)
    if holds_scores(value):
        return read_scored(value)
    if isinstance(value, list | tuple | set | frozenset) or len(getattr(value, "shape", ())) == 1:
        parts = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        return tuple(dict.fromkeys(_name(part, names) for part in parts))
    return _name(value, names)


def _split(value: str, separator: str) -> Label:
    parts = value.strip().split(separator)
    if not all(map(str.strip, parts)):
        advice = f'remove a "{separator}", or pass --label-separator "" if it is part of the label'
        raise ValueError(f'an empty label in "{value:.40}"; {advice}')
    return tuple(dict.fromkeys(map(spell, parts)))


def _name(value: Any, names: list[str] | None) -> str:
    """A label's name; the integers of a hub stand for the names that it gives."""
    if names is None:
        return spell(value)
    spelled = spell(value)
    if spelled.isdecimal() and int(spelled) in range(len(names)) and names[int(spelled)].strip():
        return spell(names[int(spelled)])
    raise ValueError(f"found {value!r:.40}, expected a class of 0 to {len(names) - 1}")


def differ_by_case(labels: Iterable[Label | Scored]) -> str | None:
    """Two names that are the same but for capitals, in a sentence."""
    spelled: dict[str, str] = {}
    for name in sorted({name for label in labels for name in as_list(label)}):
        if (other := spelled.setdefault(name.casefold(), name)) != name:
            return f'the labels "{other:.40}" and "{name:.40}" differ by case only; write one if they mean the same'
    return None


def hint(labels: Iterable[Label | Scored]) -> str | None:
    """What the names of the labels may mean: most of them hold a comma or a semicolon, or all are parts of 1."""
    names = {label for label in labels if isinstance(label, str)}
    for mark in (";", ","):
        holding = [name for name in names if mark in name]
        if len(names) > 1 and 2 * len(holding) > len(names):
            advice = f'pass --label-separator "{mark}" if it stands between several labels'
            return f'labels such as "{min(holding):.40}" hold a "{mark}"; {advice}'
    parts = {name for name in names if _PART.fullmatch(name)}
    if parts and names - parts <= {"0", "1"}:
        return f'labels such as "{min(parts)}" are numbers from 0 to 1; pass --regression if they are scores'
    return None
