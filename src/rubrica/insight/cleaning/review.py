"""The file in which a person reviews suspects, and the edits that a reviewed one asks for.

It is a CSV that spreadsheets open. A person writes into the column `decision`: `keep`, `drop`, or the label that the
text should have. A row without a decision stays as it is. The rows may be sorted, and some may be gone; columns that
are not needed may be, too. A row is known by its split and its number; the text beside it must be the one that the data
has there, since a data set that has changed has other rows under the old numbers.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rubrica.data.dataset import Dataset
from rubrica.data.files import read_parts
from rubrica.data.labels import as_list
from rubrica.data.large_files import USUAL
from rubrica.data.layout import Layout
from rubrica.data.table import Table
from rubrica.errors import DataError, nearest, quote_names
from rubrica.files import check_place, written_whole
from rubrica.insight.cleaning.suspects import Suspect
from rubrica.insight.findings import shorten
from rubrica.scoring.label_names import spell
from rubrica.scoring.task import Label

COLUMNS = ("row", "split", "text", "label", "suggested", "probability", "why", "decision")
KEEP, DROP = "keep", "drop"
NEEDED = ("row", "split", "text", "decision")
SURE = 0.5  # a row that is rather bad than good goes, if nobody looks at it

_SHOWN = 2000  # characters of a text; a spreadsheet takes 32,767, and nobody reads as many
_SEPARATOR = "|"


def write_review(path: Path, suspects: Iterable[Suspect]) -> None:
    """Write the suspects to be reviewed, in their order.

    Raises:
        DataError: As `check_new` does, or if it cannot be written.
    """
    check_new(path)
    with written_whole(path, DataError) as part, part.open("w", encoding="utf-8-sig", newline="") as file:
        # The mark at the start tells a spreadsheet that it is UTF-8.
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for found in suspects:
            suggested = DROP if found.suggested is None else _join(found.suggested)
            text, chance = shorten(found.text, _SHOWN), f"{found.probability:.4g}"
            writer.writerow([found.row, found.split, text, _join(found.label), suggested, chance, found.why, ""])


def check_new(path: Path) -> None:
    """Make sure that a review does not replace one in which somebody may have made decisions.

    Raises:
        DataError: If there is a file already, or it cannot be written.
    """
    if path.exists():
        raise DataError(path, "is there already and may hold decisions; give another --review, or pass it to --apply")
    check_place(path, DataError)


def sure_edits(suspects: Iterable[Suspect]) -> dict[str, dict[int, Label | None]]:
    """The rows that go if nobody reviews them, by split and by row counted from 0."""
    edits: dict[str, dict[int, Label | None]] = {}
    for found in suspects:
        if found.probability > SURE:
            edits.setdefault(found.split, {})[found.row - 1] = None
    return edits


def read_review(path: Path, dataset: Dataset) -> dict[str, dict[int, Label | None]]:
    """What a reviewed file asks for, by split and by row counted from 0: the new label, or None where a row goes.

    Raises:
        DataError: If it cannot be read, lacks a column, or has a row that does not fit the data, with its line.
    """
    edits: dict[str, dict[int, Label | None]] = {}
    for table, number, row in _rows(path):
        split, place = _find(table, number, row, dataset)
        decision = row["decision"].strip()
        if not decision or _is_word(table, number, decision, KEEP, dataset):
            continue
        drop = _is_word(table, number, decision, DROP, dataset)
        label = None if drop else _label(table, number, decision, dataset)
        before = edits.setdefault(split, {}).setdefault(place, label)
        if before is not None and label is not None and before != label:
            problem = f"row {place + 1} of {split} has two decisions, {_join(before)} and {decision}; leave one"
            raise table.error(number, problem)
        if label is None:  # two suspicions of one row, and one of them is enough to drop it
            edits[split][place] = None
    return edits


def _rows(path: Path) -> Iterator[tuple[Table, int, dict[str, str]]]:
    """The rows of a reviewed file: its table, the number there, and the columns that are needed."""
    for table in read_parts(path, Layout(), USUAL):
        names = {name.strip().lower(): name for name in table.columns}
        if missing := [name for name in NEEDED if name not in names]:
            found = quote_names(table.columns)
            raise DataError(path, f"has no column {missing[0]}, only {found}; keep {', '.join(NEEDED)} of the review")
        columns = [table.values(names[name]) for name in NEEDED]
        for number, values in enumerate(zip(*columns, strict=True)):
            yield table, number, dict(zip(NEEDED, map(_as_string, values), strict=True))


def _as_string(value: Any) -> str:
    return "" if value is None else str(value)


def _find(table: Table, number: int, row: Mapping[str, str], dataset: Dataset) -> tuple[str, int]:
    """The split of a row, and its place there counted from 0."""
    split, place = row["split"].strip(), row["row"].strip()
    if split not in dataset.splits:
        problem = f'the split is "{split:.40}", and {dataset.name} has {", ".join(dataset.splits)}'
        raise table.error(number, f"{problem}; review the data that this file was written for")
    texts = dataset.splits[split].texts
    if not place.isdecimal() or not 1 <= int(place) <= len(texts):
        problem = f'the row is "{place:.40}", expected a number from 1 to {len(texts)}'
        raise table.error(number, f"{problem}; review the data that this file was written for")
    text = texts[int(place) - 1]
    if shorten(row["text"], _SHOWN) != shorten(text, _SHOWN):
        problem = f'row {place} of {split} is "{shorten(text, 40)}", and here "{shorten(row["text"], 40)}"'
        raise table.error(number, f"{problem}; the data has changed since, run `rubrica clean` on it again")
    return split, int(place) - 1


def _is_word(table: Table, number: int, decision: str, word: str, dataset: Dataset) -> bool:
    """Whether a decision is this word.

    Raises:
        DataError: If a class has this name.
    """
    if decision.lower() != word:
        return False
    if decision in dataset.task.labels:
        problem = f'"{decision}" is a decision and also a label of {dataset.name}'
        raise table.error(number, f"{problem}; rename the label in the data first")
    return True


def _label(table: Table, number: int, decision: str, dataset: Dataset) -> Label:
    """The label that a decision names; several stand with a bar between them.

    Raises:
        DataError: If it is none of the data's.
    """
    task = dataset.task
    names = [decision] if decision in task.labels else [part.strip() for part in decision.split(_SEPARATOR)]
    try:
        spelled = [spell(name) for name in names]
    except ValueError as error:
        raise table.error(number, f'the decision is "{decision:.40}": {error}') from None
    if unknown := [name for name in spelled if name not in task.labels]:
        problem = f'the decision is "{unknown[0]:.40}", expected {KEEP}, {DROP} or a label'
        raise table.error(number, f"{problem}; {nearest(unknown[0], task.labels)}")
    try:
        return task.spell(spelled[0] if len(spelled) == 1 else tuple(dict.fromkeys(spelled)))
    except ValueError as error:
        raise table.error(number, f'the decision is "{decision:.40}": {error}') from None


def _join(label: Label) -> str:
    return _SEPARATOR.join(as_list(label))
