"""Data sets as lists of texts and labels: from a file, a folder, the Hugging Face hub, or `mini-news`.

A local path always wins over a name. Formats are known by suffix: CSV and TSV (quoted as in RFC 4180; the first line
must name the columns, so the original AG News CSV needs a line `label,title,description` at its top), JSON Lines,
Parquet, and fastText's `__label__x text`; all but Parquet also with `.gz`. Everything is UTF-8. A folder holds
`train.*`, `test.*` and perhaps `validation.*`, each as one file or in the shards that `hf download` brings.

Nothing is guessed from values: in a CSV the texts `null`, `NA` and `1.0` are texts.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from rubrica.data.columns import find_columns, read_column_texts
from rubrica.data.files import file_suffix, read_parts
from rubrica.data.labels import SEPARATOR, as_list, check_known, classes_of, read_labels
from rubrica.data.large_files import USUAL, Limits, read_content
from rubrica.data.line_files import read_lines
from rubrica.data.sources import find_splits
from rubrica.data.stored_texts import CodedLabels, StoredTexts
from rubrica.data.table import Table
from rubrica.errors import DataError, quote_names
from rubrica.files import user_path
from rubrica.scoring.task import Label, Task
from rubrica.scoring.tasks import task_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts and what the user wrote as their labels (the integer 3 is "3").

    Args:
        texts: A list; of more than 64 MB a `StoredTexts`, whose slices are lists.
        labels: One for each text, in a list; beside a `StoredTexts` in a `CodedLabels`. In multi-label data a label
            is a tuple of names.
    """

    texts: Sequence[str]
    labels: Sequence[Label]


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
    """

    name: str
    splits: dict[str, Examples]
    text_columns: tuple[str, ...]
    label_column: str
    task: Task


def read_dataset(
    source: str | Path,
    *,
    text_columns: str | Sequence[str] = (),
    label_column: str | None = None,
    delimiter: str | None = None,
    label_separator: str = SEPARATOR,
    limits: Limits = USUAL,
) -> Dataset:
    """Read a data set, whatever it is kept in.

    Args:
        source: A file (one split, named train), a folder, `mini-news`, or a hub id: `ag_news`, `owner/name` or
            `owner/name:config`.
        text_columns: Columns to join with a space, empty ones left out; found by name where not given.
        label_column: Found by name where not given; of two columns the one that is not the text.
        delimiter: Of CSV and TSV files, one ASCII character; by default a comma or a tab, by suffix.
        label_separator: Between several labels of a text that are one string; an empty one reads labels whole.
        limits: How much is in memory at a time.

    Raises:
        DataError: If it is not there or cannot be used; with the path and, where there is one, the line.
        MissingExtraError: If pyarrow (or datasets, for a hub id) is not installed.
        ConfigError: If the delimiter is not one character.
    """
    name, splits, task = str(source), dict[str, Examples](), None
    texts_from, labels_from = tuple[str, ...](), ""
    for split, tables in find_splits(source, delimiter, limits).items():
        first = next(tables)
        if task is None:
            texts_from, labels_from = find_columns(first, text_columns, label_column)
        elif labels_from in first.class_names and all(value == -1 for value in first.values(labels_from)):
            # A hub keeps the labels of some test splits secret.
            log.warning("%s: the %s split has no labels and is left out", first.path, split)
            continue
        rows = _iter_rows(chain([first], tables), texts_from, labels_from, label_separator, split, task)
        texts, labels = _gather(rows, limits)
        if task is None:
            lists = any(isinstance(label, tuple) for label in set(labels))
            task = task_of(first.class_names.get(labels_from) or classes_of(labels), lists=lists)
            if lists:
                labels = type(labels)(map(as_list, labels))
                _explain_lists(name, labels, label_separator)
        splits[split] = Examples(texts, labels)
    assert task is not None  # there is at least one split
    return Dataset(name, splits, texts_from, labels_from, task)


def read_texts(
    source: str | Path,
    *,
    text_columns: str | Sequence[str] = (),
    delimiter: str | None = None,
    limits: Limits = USUAL,
) -> Sequence[str]:
    """Read the texts of one file, to predict them. Labels may be there or not; in a `.txt` a line is a text.

    Raises:
        DataError: As in `read_dataset`.
    """
    path = user_path(source)
    if path.is_dir():
        raise DataError(path, "a folder, expected one file of texts")
    if file_suffix(path) in (".txt", ".ft"):
        parts = read_lines(read_content(path, limits))
    else:
        tables = read_parts(path, delimiter, limits)
        first = next(tables)
        columns, _ = find_columns(first, text_columns, None, labeled=False)
        parts = (read_column_texts(table, columns) for table in chain([first], tables))
    texts, _ = _gather(((part, []) for part in parts), limits)
    return texts


def _iter_rows(
    tables: Iterable[Table], texts_from: Sequence[str], labels_from: str, separator: str, split: str, task: Task | None
) -> Iterator[tuple[list[str], list[Label]]]:
    """Yield the texts and labels of each table; behind train, `task` says which labels there may be."""
    for table in tables:
        labels = read_labels(table, labels_from, separator)
        if task is not None:
            labels = check_known(table, labels, split, task)
        yield read_column_texts(table, texts_from), labels


def _gather(
    parts: Iterable[tuple[list[str], list[Label]]], limits: Limits
) -> tuple[Sequence[str], list[Label] | CodedLabels]:
    """The texts and labels of all parts, in lists while they are few, else in a file."""
    texts: list[str] | StoredTexts = []
    labels: list[Label] | CodedLabels = []
    size = 0
    for more, spelled in parts:
        size += sum(map(len, more))
        if size > limits.large_bytes and isinstance(texts, list):
            texts, labels = StoredTexts(texts), CodedLabels(labels)
        texts.extend(more)
        labels.extend(spelled)
    return texts, labels


def _explain_lists(name: str, labels: Iterable[Label], separator: str) -> None:
    example = next((found for found in labels if len(found) > 1), ("a", "b"))
    log.info(
        '%s: each text may have several labels, as %s; pass --label-separator "" where "%s" is part of a label',
        name, quote_names(example), separator or SEPARATOR,
    )  # fmt: skip


def check_trainable(dataset: Dataset) -> None:
    """Make sure that there is something to learn.

    Raises:
        DataError: If there is no train split, fewer than two classes, or a class without an example in train.
    """
    if "train" not in dataset.splits:
        raise DataError(dataset.name, f"no train split, found {', '.join(dataset.splits)}; add train.*")
    if dataset.task.num_classes < 2:
        found = f'one class only ("{dataset.task.labels[0]}")' if dataset.task.labels else "no text has a label"
        problem = f"{found}, expected at least 2 classes"
        raise DataError(dataset.name, f'{problem}; check column "{dataset.label_column}" or pass --label-column')
    if missing := set(dataset.task.labels).difference(classes_of(dataset.splits["train"].labels)):
        names = quote_names(sorted(missing))
        raise DataError(dataset.name, f"train has no example of {names}; add some or drop the class")
