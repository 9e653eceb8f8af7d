"""Data sets as lists of texts and labels: from a file, a folder, the Hugging Face hub, or `mini-news`.

A local path always wins over a name. Formats are known by suffix: CSV and TSV (quoted as in RFC 4180; the first
line must name the columns, so AG News's original CSV wants a line `label,title,description` put on top), JSON
Lines, Parquet, and fastText's `__label__x text`; all but Parquet also with `.gz`. Everything is UTF-8. A folder holds
`train.*`, `test.*` and perhaps `validation.*`, whole or in the shards that `hf download` brings.

Nothing is guessed from values: in a CSV the texts `null`, `NA` and `1.0` are texts.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from types import NoneType
from typing import Any

from rubrica.data.files import FORMATS, Table, arrow_parts, file_suffix, iter_lines, read_lines, read_parts
from rubrica.data.hub import read_hub
from rubrica.data.labels import SEPARATOR, as_lists, check_known, classes_of, hold_lists, read_labels
from rubrica.data.large_files import LARGE_BYTES
from rubrica.data.mini_news import TOPICS, build_mini_news
from rubrica.data.stored_texts import CodedLabels, StoredTexts
from rubrica.errors import DataError, nearest, quote_names
from rubrica.scoring.task import Label, Task
from rubrica.scoring.tasks import task_of

__all__ = ["SPLITS", "Dataset", "Examples", "read_dataset", "read_texts", "iter_lines", "check_trainable"]

log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
MINI_NEWS = "mini-news"

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

_SPLIT_NAMES = {"valid": "validation", "dev": "validation"} | {name: name for name in SPLITS}
_SHARD = re.compile(r"(?P<split>[a-z]+)(-\d+-of-(?P<count>\d+)(-[0-9a-f]+)?)?")
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(:[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts and what the user wrote as their labels (the integer 3 is "3"); as many of the one as of the other.

    Args:
        texts: A list; of more than 64 MB a `StoredTexts`, whose slices are lists.
        labels: A list; beside a `StoredTexts` a `CodedLabels`. In multi-label data a tuple of labels for each text.
    """

    texts: Sequence[str]
    labels: Sequence[Label]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything that was read.

    Args:
        name: What the user asked for.
        splits: By name, in the order of `SPLITS`, at least one.
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
    text_columns: Sequence[str] = (),
    label_column: str | None = None,
    delimiter: str | None = None,
    label_separator: str = SEPARATOR,
) -> Dataset:
    """Read a data set, whatever it is kept in.

    Args:
        source: A file (one split, named train), a folder, `mini-news`, or a hub id: `ag_news`, `owner/name` or
            `owner/name:config`.
        text_columns: Columns to join with a space, empty ones left out; found by name where not given.
        label_column: Found by name where not given; of two columns the one that is not the text.
        delimiter: Of CSV and TSV files, one ASCII character; by default a comma or a tab, by suffix.
        label_separator: Between several labels of a text that are one string; an empty one reads labels whole.

    Raises:
        DataError: If it is not there or cannot be used; with the path and, where there is one, the line.
        MissingExtraError: If pyarrow (or datasets, for a hub id) is not installed.
        ConfigError: If the delimiter is not one character.
    """
    name, path = str(source), _local_path(source)
    if path is None and name == MINI_NEWS:
        news = {split: Examples(*columns) for split, columns in build_mini_news().items()}
        return Dataset(name, news, ("text",), "label", task_of(TOPICS, lists=False))
    splits: dict[str, Examples] = {}
    found, task = None, None
    known: tuple[str, Task] | None
    for split, tables in (_hub_parts(name) if path is None else _local_parts(path, delimiter)).items():
        first = next(tables)
        found = found or _find_columns(first, _as_tuple(text_columns), label_column)
        if splits and _is_unlabeled(first, found[1]):
            log.warning("%s: the %s split has no labels and is left out", first.path, split)
            continue
        known = None if task is None else (split, task)
        examples = _gather(_columns(table, *found, label_separator, known) for table in chain([first], tables))
        if task is None:
            task = task_of(
                first.class_names.get(found[1]) or classes_of(examples.labels), lists=hold_lists(examples.labels)
            )
            if hold_lists(examples.labels):
                examples = Examples(examples.texts, as_lists(examples.labels))
                _explain_lists(name, examples.labels, label_separator)
        if examples.texts:
            splits[split] = examples
    assert found is not None  # there is at least one split, and of each at least one table
    assert task is not None
    return Dataset(name, splits, *found, task)


def _explain_lists(name: str, labels: Sequence[Label], separator: str) -> None:
    example = next((found for found in labels if len(found) > 1), ("a", "b"))
    log.info(
        '%s: each text may have several labels, as %s; pass --label-separator "" where "%s" is part of a label',
        name, quote_names(example), separator or SEPARATOR,
    )  # fmt: skip


def read_texts(source: str | Path, *, text_columns: Sequence[str] = (), delimiter: str | None = None) -> Sequence[str]:
    """Read the texts of one file, to predict them: labels may be there or not, and in a `.txt` a line is a text.

    Raises:
        DataError: As in `read_dataset`.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        raise DataError(path, "a folder, expected one file of texts")
    if file_suffix(path) in (".txt", ".ft"):
        return _gather((lines, []) for lines in read_lines(path)).texts
    tables = read_parts(path, delimiter)
    table = next(tables)
    names = list(table.columns)
    columns = tuple(_named(table, name) for name in _as_tuple(text_columns)) or _find_texts(names)
    if not columns and len(names) == 2 and (label := _find_label(names)):
        columns = tuple(name for name in names if name != label)
    if not columns:
        raise _no_column(table, "texts", "--text-column")
    return _gather((_texts(part, columns), []) for part in chain([table], tables)).texts


def check_trainable(dataset: Dataset) -> None:
    """Make sure that there is something to learn.

    Raises:
        DataError: If there is no train split, fewer than two classes, or a class without an example in train.
    """
    if "train" not in dataset.splits:
        raise DataError(dataset.name, f"no train split, found {', '.join(dataset.splits)}; add train.*")
    if dataset.task.num_classes < 2:
        problem = f'one class only ("{dataset.task.labels[0]}"), expected at least 2'
        raise DataError(dataset.name, f'{problem}; check column "{dataset.label_column}" or pass --label-column')
    if missing := set(dataset.task.labels).difference(classes_of(dataset.splits["train"].labels)):
        names = quote_names(sorted(missing))
        raise DataError(dataset.name, f"train has no example of {names}; add some or drop the class")


# From a source to tables


def _local_path(source: str | Path) -> Path | None:
    """The path that is meant, or None for a name."""
    name, path = str(source), Path(source).expanduser()
    if path.exists():
        return path
    pathlike = isinstance(source, Path) or not _HUB_ID.fullmatch(name) or file_suffix(path) in FORMATS
    if pathlike or ("/" not in name and path.suffix):
        raise DataError(name, f"no such file or folder (looked from {Path.cwd()}); check the spelling")
    return None


def _local_parts(path: Path, delimiter: str | None) -> dict[str, Iterator[Table]]:
    if not path.is_dir():
        return {"train": read_parts(path, delimiter)}
    files = _split_files(path)
    if not files:  # `hf download` keeps the files of a data set one folder deeper
        folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir()]
        inside = {folder.name: found for folder in folders if (found := _split_files(folder))}
        if len(inside) > 1:
            raise DataError(path, f"several folders hold data ({', '.join(inside)}); pass one of them")
        files = next(iter(inside.values()), {})
    if "train" not in files and len(files) != 1:
        present = ", ".join(f"{split}.*" for split in files) or "neither"
        formats = " ".join(FORMATS)
        raise DataError(path, f"found {present}, expected train.* and test.* in one of the formats {formats}")
    shards = {split: map(read_parts, files[split], repeat(delimiter)) for split in SPLITS if split in files}
    return {split: chain.from_iterable(parts) for split, parts in shards.items()}


def _split_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split: one, or all its shards."""
    files: dict[str, list[Path]] = {}
    shards: dict[str, set[str | None]] = {}
    for file in sorted(folder.iterdir()):
        match = _SHARD.fullmatch(file.name.lower().partition(".")[0])
        split = _SPLIT_NAMES.get(match["split"]) if match else None
        if match and split and file_suffix(file) in FORMATS and file.is_file():
            files.setdefault(split, []).append(file)
            shards.setdefault(split, set()).add(match["count"])
    for split, found in files.items():
        count, *others = shards[split]
        if others or (count is None and len(found) > 1):
            names = ", ".join(file.name for file in found)
            raise DataError(folder, f"several files for the {split} split ({names}); keep one")
        if count is not None and int(count) != len(found):
            raise DataError(folder, f"{len(found)} of {int(count)} shards of {split}; download the others")
    return files


def _hub_parts(name: str) -> dict[str, Iterator[Table]]:
    found = {_SPLIT_NAMES.get(split): table for split, table in read_hub(name).items()}
    parts = {split: arrow_parts(name, found[split]) for split in SPLITS if split in found}
    if "train" not in parts and len(parts) != 1:
        raise DataError(name, f"found splits {', '.join(parts) or 'of other names'}, expected train and test")
    return parts


# From tables to texts and labels


def _gather(parts: Iterable[tuple[list[str], list[Label]]]) -> Examples:
    """The texts and labels of all parts: a list of texts while they are few, then a file of them."""
    texts: list[str] | StoredTexts = []
    labels: list[Label] | CodedLabels = []
    size = 0
    for more, spelled in parts:
        size += sum(map(len, more))
        if size > LARGE_BYTES and isinstance(texts, list):
            texts, labels = StoredTexts(texts), CodedLabels(labels)
        texts.extend(more)
        labels.extend(spelled)
    return Examples(texts, labels)


def _columns(
    table: Table, texts_from: Sequence[str], labels_from: str, separator: str, known: tuple[str, Task] | None
) -> tuple[list[str], list[Label]]:
    """Texts and labels of a table, which must have no other labels than are known."""
    labels = read_labels(table, _named(table, labels_from), separator)
    if known is not None:
        labels = check_known(table, labels, *known)
    return _texts(table, [_named(table, column) for column in texts_from]), labels


def _find_columns(table: Table, text_columns: tuple[str, ...], label_column: str | None) -> tuple[tuple[str, ...], str]:
    texts = tuple(_named(table, name) for name in text_columns)
    label = _named(table, label_column) if label_column is not None else ""
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


def _find_texts(names: Iterable[str]) -> tuple[str, ...]:
    by_key = {_key(name): name for name in names}
    whole = tuple(by_key[key] for key in TEXT_COLUMNS if key in by_key)
    return whole[:1] or tuple(by_key[key] for key in TEXT_PARTS if key in by_key)


def _find_label(names: Iterable[str]) -> str:
    by_key = {_key(name): name for name in names}
    return next((by_key[key] for key in LABEL_COLUMNS if key in by_key), "")


def _key(name: str) -> str:
    return name.strip().lower()


def _named(table: Table, wanted: str) -> str:
    """The column that the user names, in any case."""
    by_key = {_key(name): name for name in table.columns}
    found = wanted if wanted in table.columns else by_key.get(_key(wanted))
    if found is None:
        raise DataError(table.path, f'no column "{wanted}"; {nearest(wanted, table.columns)}')
    return found


def _no_column(table: Table, kind: str, option: str) -> DataError:
    advice = f"pass {option} (or --delimiter), and if the first line is not the names of the columns, add them"
    return DataError(table.path, f"no column for {kind}; columns are {quote_names(table.columns)}; {advice}")


def _as_tuple(columns: Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _texts(table: Table, columns: Sequence[str]) -> list[str]:
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
        values = [None if _is_nan(value) else value for value in values]
        for row, value in enumerate(values):
            if not isinstance(value, str | None):
                raise table.error(row, f'found {_shown(value)} in "{column}", expected a text')
    return values


def _is_unlabeled(table: Table, column: str) -> bool:
    """Whether this is a hub's test split whose labels are kept secret: all of them -1."""
    return column in table.class_names and all(value == -1 for value in table.values(column))


def _shown(value: Any) -> str:
    return f"{value!r:.40}"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value
