"""Data sets as lists of texts and labels: from files, the Hugging Face hub, `mini-news`, or Python's own objects.

A local path always wins over a name. Formats are known by suffix, see `files.FORMATS`. A folder holds `train.*`,
`test.*` and perhaps `validation.*`, each as one file or in the shards that `hf download` brings.

Every way in gives tables; from there on there is one road, so the same data is the same data set whatever it came in
as. Nothing is guessed from values: in a CSV the texts `null`, `NA` and `1.0` are texts. All of it with examples:
docs/data.md.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.data.addresses import Place, name_of, place_of
from rubrica.data.columns import find_columns, read_column_texts
from rubrica.data.files import file_suffix, read_parts, reader_of
from rubrica.data.labels import as_list, classes_of, differ_by_case, hint, like_train, read_labels, read_numbers
from rubrica.data.large_files import USUAL, Limits, read_text
from rubrica.data.layout import Layout, make_layout
from rubrica.data.line_files import read_fasttext, read_lines
from rubrica.data.objects import GIVEN, SEPARATOR, column_of, label_columns
from rubrica.data.soft_labels import Scored, SoftLabels, as_scored, other_totals, settle
from rubrica.data.sources import find_splits
from rubrica.data.stored_texts import CodedLabels, StoredTexts, take_texts
from rubrica.data.table import Table
from rubrica.errors import DataError, quote_names
from rubrica.progress import BytesBar, Show, silent
from rubrica.scoring.label_names import spell
from rubrica.scoring.task import Label, Task
from rubrica.scoring.tasks import regression, task_of
from rubrica.scoring.unknown_labels import LEFT_OUT, WRONG, warn_unknown
from rubrica.text.strings import as_texts

log = logging.getLogger(__name__)

_TAKEN = 1 << 16  # texts at a time
_FORM = ("text_columns", "columns", "header", "delimiter", "quotes", "encoding", "label_prefix")  # of `Layout`
_MANY = 20  # where fewer than one text in 20 is not like the others, somebody made a mistake


@dataclass(frozen=True, slots=True, repr=False)
class Examples:
    """Texts and what the user wrote as their labels (the integer 3 is "3").

    Args:
        texts: A list; of more than 64 MB a `StoredTexts`, whose slices are lists.
        labels: One for each text, in a list; beside a `StoredTexts` in a `CodedLabels`. In multi-label data a label
            is a tuple of names.
        soft: How probable each label of each text is; `labels` are then the most probable ones. None where labels are
            certain, see `soft_labels.py`.
    """

    texts: Sequence[str]
    labels: Sequence[Label]
    soft: SoftLabels | None = None

    def __repr__(self) -> str:
        return f"Examples({len(self.texts):,} texts)"  # not all of them

    def take(self, rows: NDArray[np.int64]) -> "Examples":
        """Some of the texts, by their places in ascending order; on disk where the others are."""
        some = [rows[first : first + _TAKEN] for first in range(0, len(rows), _TAKEN)]
        texts = chain.from_iterable(take_texts(self.texts, part) for part in some)
        labels = (self.labels[row] for part in some for row in part.tolist())
        soft = None if self.soft is None else self.soft.take(rows)
        if isinstance(self.texts, StoredTexts):
            return Examples(StoredTexts(texts), CodedLabels(labels), soft)
        return Examples(list(texts), list(labels), soft)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything that was read.

    Args:
        name: What the user asked for.
        splits: By name, in the order train, validation, test; at least one.
        text_columns: The columns that were joined with a space to make the text.
        label_column: The column of the labels.
        task: The class names of train (or of the only split), and whether a text has one of them. The names stand in
            the order of a hub ClassLabel, else integers by value, else sorted.
        suffix: Of its files; empty where it is no file.
        form: How its files are written and where their texts stand, as the user said, see `form_like`.
    """

    name: str
    splits: dict[str, Examples]
    text_columns: tuple[str, ...]
    label_column: str
    task: Task
    suffix: str = ""
    form: dict[str, Any] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """What a notebook shows: how many texts each label has, and the first texts."""
        from rubrica.data.notebook import show_dataset  # late: few are shown

        return show_dataset(self.name, self.splits, self.task.labels, self.task.remark)


def read_dataset(source: Any, *, limits: Limits = USUAL, **layout: Any) -> Dataset:
    """Read a data set, whatever it is kept in.

    Args:
        source: The path or address of a file (one split, named train) or a folder, `mini-news`, or a hub id: `ag_news`,
            `owner/name` or `owner/name:config`. Or Python's own: a DataFrame, a pyarrow table, a `Dataset`, a list of
            dicts, a dict of columns; a dict of them by the names of splits.
        limits: How much is in memory at a time.
        layout: What the user says about it, see `Layout`: `text_columns`, `label_column`, `label_separator`, `columns`,
            `header`, `delimiter`, `quotes`, `encoding`, `label_prefix`, `regression`, `on_bad_row`.

    Raises:
        DataError: If it is not there or cannot be used; with the path and, where there is one, the line.
        MissingExtraError: If pyarrow (or datasets, for a hub id) is not installed.
        ConfigError: If a part of the layout cannot be one.
        TypeError: If the source is no table, or the layout has no part of this name.
    """
    given = make_layout(layout)
    name = name_of(source) if isinstance(source, str | Path) else GIVEN
    with BytesBar() as bar:
        return _read(name, find_splits(source, given, limits, bar.show), given, limits)


def read_pairs(texts: Any, labels: Any, *, label_separator: str = SEPARATOR, regression: bool = False) -> Dataset:
    """A data set of train alone, from texts and their labels in any of Python's columns.

    Args:
        texts: A list, a NumPy array, a column of pandas, polars, pyarrow or `datasets`, anything that gives strings.
        labels: The label of each text; or its labels as a list or set; or a matrix of 0 and 1, a column for each label;
            or how probable each label is, a dict for each text.
        label_separator: Stands between several labels in one string; an empty one reads labels whole.
        regression: The labels are scores, numbers from 0 to 1.

    Raises:
        DataError: If a text has no label.
        TypeError: If they are no columns.
        ValueError: If there is not one label for each text.
    """
    texts_found, named = list(column_of(texts)), label_columns(labels)
    count = len(next(iter(named.values()), ()))
    if not texts_found or len(texts_found) != count:
        raise ValueError(f"{len(texts_found)} texts and {count} labels; give a label for each text, at least one")
    name = "text" if "text" not in named else "the text"
    table = Table(GIVEN, {name: texts_found} | {label: list(column) for label, column in named.items()})
    how: dict[str, Any] = {"label_separator": label_separator, "regression": regression}
    layout = Layout(text_columns=(name,), label_column=tuple(named), **how)
    return _read(GIVEN, {"train": iter([table])}, layout, USUAL)


def _read(name: str, found: dict[str, Iterator[Table]], layout: Layout, limits: Limits) -> Dataset:
    """The data set in tables of rows, by split; train decides about columns and classes."""
    splits, task, suffix = dict[str, Examples](), None, ""
    texts_from, labels_from = tuple[str, ...](), tuple[str, ...]()
    for split, tables in found.items():
        first = next(tables)
        if task is None:
            texts_from, labels_from = find_columns(first, layout)
            suffix = "" if isinstance(first.path, str) else file_suffix(first.path)
        elif _is_secret(first, labels_from):
            # A hub keeps the labels of some test splits secret.
            log.warning("%s: the %s split has no labels and is left out", first.path, split)
            continue
        rows = _iter_rows(chain([first], tables), texts_from, labels_from, layout, task)
        texts, labels = _gather(rows, limits)
        if task is None and not len(texts):
            layout.bad_rows.tell(name, 0)
        if task is None:
            names = next((first.class_names[column] for column in labels_from if column in first.class_names), None)
            if layout.regression:
                task = regression()
            else:
                task = _task_of(name, labels, names, layout.label_separator if len(labels_from) == 1 else "")
        splits[split] = _settled(texts, labels, task)
    layout.bad_rows.tell(name, 1)
    assert task is not None  # there is at least one split
    form = {name: getattr(layout, name) for name in _FORM}
    return Dataset(name, splits, texts_from, ", ".join(labels_from), task, suffix, form)


def form_like(path: Place, data: Dataset, *, names: bool = True) -> dict[str, Any]:
    """How to read a further file of texts: as the files of a data set, if it has their suffix, else by itself.

    Where it lacks the columns of the texts, they are found by their names. Without `names` the file has other columns.
    """
    if not data.suffix or file_suffix(path) != data.suffix:
        return {}
    form = data.form if names else data.form | {"columns": None, "header": True}
    layout = make_layout(form)
    if layout.texts and not set(layout.texts) <= next(read_parts(path, layout, USUAL)).columns.keys():
        return form | {"text_columns": ()}
    return form


def read_texts(source: str | Path, *, limits: Limits = USUAL, **layout: Any) -> Sequence[str]:
    """Read the texts of one file, to predict them. Labels may be there or not; in a `.txt` a line is a text.

    Raises:
        DataError: As in `read_dataset`.
    """
    with BytesBar() as bar:
        parts = iter_texts(source, limits=limits, show=bar.show, **layout)
        texts, _ = _gather(((part, []) for part, _ in parts), limits)
    return texts


def iter_texts(
    source: str | Place, *, limits: Limits = USUAL, show: Show = silent, **layout: Any
) -> Iterator[tuple[list[str], Table | None]]:
    """Yield the texts of one file in parts, as `read_texts` reads them, each with its rows where the file has columns.

    `show` is told how far the reading is.

    Raises:
        DataError: As in `read_dataset`.
    """
    path, given = place_of(source), make_layout(layout)
    if path.is_dir():
        raise DataError(path, "a folder, expected one file of texts")
    if reader_of(path, given) is read_fasttext:
        for lines in read_lines(read_text(path, limits, given.encoding, show), given):
            yield as_texts(lines), None
        return
    tables = read_parts(path, given, limits, show)
    first = next(tables)
    columns, _ = find_columns(first, given, labeled=False)
    for table in chain([first], tables):
        yield read_column_texts(table, columns, table.refuse), table


def _is_secret(table: Table, labels_from: tuple[str, ...]) -> bool:
    return any(
        column in table.class_names and all(value == -1 for value in table.values(column)) for column in labels_from
    )


def _iter_rows(
    tables: Iterable[Table],
    texts_from: Sequence[str],
    labels_from: tuple[str, ...],
    layout: Layout,
    task: Task | None,
) -> Iterator[tuple[list[str], list[Label | Scored]]]:
    """Yield the texts and labels of each table; behind train, `task` says what form the labels have."""
    for table in tables:
        faults: dict[int, str] = {}
        bad = table.refuse if layout.bad_rows.are_errors else faults.setdefault
        if layout.regression:
            labels = read_numbers(table, labels_from, bad)
        else:
            labels = read_labels(table, labels_from, layout.label_separator, bad)
        if task is not None:
            if len(labels_from) > 1 and task.has_confusion:
                labels = list(map(as_scored, labels))  # train has a number for each label, so one of 1 is a score, too
            labels = like_train(labels, task, bad)
        texts = read_column_texts(table, texts_from, bad)
        if faults:
            left = table.leave_out(faults, layout.bad_rows)
            texts, labels = list(compress(texts, left)), list(compress(labels, left))
        tell_empty(texts, table)
        yield texts, labels


def tell_empty(texts: list[str], table: Table) -> None:
    """Warn of the empty texts among the texts of a table."""
    if empty := texts.count(""):
        place = str(table.error(texts.index(""), "an empty text"))
        log.warning("%s%s", place, f" (and {empty - 1} more)" if empty > 1 else "")


def _gather(
    parts: Iterable[tuple[list[str], list[Any]]], limits: Limits
) -> tuple[Sequence[str], list[Any] | CodedLabels]:
    """The texts and labels of all parts, in lists while they are few, else in a file."""
    texts: list[str] | StoredTexts = []
    labels: list[Any] | CodedLabels = []
    size = 0
    for more, spelled in parts:
        size += sum(map(len, more))
        if size > limits.large_bytes and isinstance(texts, list):
            texts, labels = StoredTexts(texts), CodedLabels(labels)
        texts.extend(more)
        labels.extend(spelled)
    return texts, labels


def _task_of(name: str, labels: Sequence[Label | Scored], class_names: list[str] | None, separator: str) -> Task:
    """The task that the labels of train ask for; says what is not plain to see."""
    found = dict.fromkeys(labels)
    scored = any(isinstance(label, Scored) for label in found)
    totals = other_totals(labels) if scored else []
    lists = bool(totals) or (not scored and any(isinstance(label, tuple) for label in found))
    if scored and totals:
        share = f"of {len(totals):,} of {len(labels):,} texts they do not add up to 1 ({totals[0]:.4g})"
        level = logging.INFO if _MANY * len(totals) > len(labels) else logging.WARNING
        log.log(level, "%s: labels are scores, and %s, so a text may have several labels", name, share)
    elif scored:
        log.info("%s: labels are scores, which add up to 1, so each text has one label", name)
    elif lists:
        _explain_lists(name, map(as_list, labels), separator)
    elif found_hint := hint(found):
        log.warning("%s: %s", name, found_hint)
    if alike := differ_by_case(found):
        log.warning("%s: %s", name, alike)
    return task_of([spell(label) for label in class_names] if class_names else classes_of(found), lists=lists)


def _settled(texts: Sequence[str], labels: list[Any] | CodedLabels, task: Task) -> Examples:
    """The texts with labels in the form of the task."""
    if task.gives_labels and not any(isinstance(label, Scored) for label in set(labels)):
        return Examples(texts, labels if task.has_confusion else type(labels)(map(as_list, labels)))
    found, soft = settle(labels, task)
    return Examples(texts, type(labels)(found), soft)


def _explain_lists(name: str, labels: Iterable[tuple[str, ...]], separator: str) -> None:
    example = next((found for found in labels if len(found) > 1), ())
    told = f", as {quote_names(example)}" if example else ""
    if example and separator:
        told += f'; pass --label-separator "" where "{separator}" is part of a label'
    log.info("%s: each text may have several labels%s", name, told)


def check_trainable(dataset: Dataset, least: int = 2) -> None:
    """Make sure that there is something to learn.

    Raises:
        DataError: If there is no train split, fewer than `least` classes, or a class without an example in train.
    """
    if "train" not in dataset.splits:
        raise DataError(dataset.name, f"no train split, found {', '.join(dataset.splits)}; add train.*")
    if not dataset.task.gives_labels:
        scores = dataset.splits["train"].soft
        assert scores is not None  # of a regression every split has them
        given = scores.probabilities[:, -1]  # how far up the scale
        if least > 1 and len(given) and np.ptp(given) == 0:
            problem = f"every text has the score {given[0]:g}, so there is nothing to learn"
            raise DataError(dataset.name, f"{problem}; check column {quote_names([dataset.label_column])}")
        return
    check_classes(dataset, least)
    train = dataset.splits["train"]
    there = set(classes_of(train.labels) if train.soft is None else train.soft.there)
    if missing := set(dataset.task.labels) - there:
        names = quote_names(sorted(missing))
        raise DataError(dataset.name, f"train has no example of {names}; add some or drop the class")


def check_classes(dataset: Dataset, least: int = 2) -> None:
    """Make sure that a data set has enough classes.

    Raises:
        DataError: If there are fewer than `least`.
    """
    if dataset.task.num_classes < least:
        found = f"one class only ({quote_names(dataset.task.labels)})" if dataset.task.labels else "no text has a label"
        problem = f"{found}, expected at least {least} class{'es' if least > 1 else ''}"
        column = quote_names([dataset.label_column])
        advice = "or pass --label-column"
        if dataset.task.labels and next(iter(dataset.splits.values())).soft is not None:
            advice = "or give one number a text and pass --regression"
        raise DataError(dataset.name, f"{problem}; check column {column} {advice}")


def leave_out_unknown(dataset: Dataset) -> Dataset:
    """The data set without the validation texts whose labels train lacks, since they cannot choose anything.

    It warns of them, and of such texts of test, which count as wrong.

    Raises:
        DataError: If the labels cannot be scored, see `Task.encode_all`.
    """
    task, splits = dataset.task, dict(dataset.splits)
    for name, fate in (("validation", LEFT_OUT), ("test", WRONG)):
        if name not in splits:
            continue
        place = f"{dataset.name} ({name})"
        try:
            targets, unknown = task.encode_all(splits[name].labels)
        except ValueError as error:
            raise DataError(place, str(error)) from None
        if unknown:
            strange = task.has_unknown(targets)
            warn_unknown(place, task, strange, unknown, fate)
            if fate == LEFT_OUT:
                splits[name] = splits[name].take(np.flatnonzero(~strange))
    return replace(dataset, splits={name: examples for name, examples in splits.items() if len(examples.texts)})
