"""Which texts of train are held out for validation.

A share of every class is held out. Where that is less than half a text of many classes, so that too few texts would be
held out, classes drawn at random give one text each, if that makes 10 texts. Where a text may have several labels, the
rarest label chooses first, since it has few texts to choose from (the idea of K. Sechidis et al., "On the
stratification of multi-label data", ECML 2011; for two parts one pass over the labels is enough). Texts that differ
only in case, spaces and punctuation go to one side: else validation would ask for what training has shown.

Letters: N texts.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.files import make_array
from rubrica.scoring.task import Rows, Targets, Task

LEAST = 10  # texts; fewer, of other classes than most texts, tell nothing about probabilities
_SOUGHT = 1000  # classes, each of which is sought among all texts; the rows of more are sorted once, in memory
_STRETCH = 1 << 16  # texts, or their targets, at a time
_PUNCTUATION = bytes(code for code in range(128) if not chr(code).isalnum())
_SMALL = bytes(range(256)).lower()


def text_keys(num_texts: int, stretches: Iterable[Sequence[str]]) -> Rows:
    """A number for each text, int64, (N,): the same for texts with the same letters and digits in any case.

    The texts come some at a time. Python draws a new hash in each process, so the numbers are good for one process.
    """
    keys, done = make_array(num_texts, np.int64), 0
    for texts in stretches:
        keys[done : done + len(texts)] = [hash(_letters(text)) for text in texts]
        done += len(texts)
    return keys


def _letters(text: str) -> bytes:
    """The letters and digits of a text in lower case."""
    if text.isascii():
        return text.encode().translate(_SMALL, _PUNCTUATION)
    letters = "".join(filter(str.isalnum, text))
    return letters.lower().encode("utf-8", "surrogatepass").translate(None, _PUNCTUATION)


def hold_out(task: Task, targets: Targets, fraction: float, seed: int, keys: Rows | None = None) -> tuple[Rows, Rows]:
    """Split the rows of train into the part to train on and the part held out for validation.

    Every class keeps at least one text to train on; of few texts none is held out.

    Args:
        task: What the targets mean.
        targets: Of N texts.
        fraction: The share to hold out.
        seed: Of the random choice.
        keys: Texts with the same number go to one side, (N,).
    """
    held = _choose(task, targets, fraction, np.random.default_rng(seed))
    if keys is not None and held.any():
        alone = np.flatnonzero(held)
        _join_duplicates(held, keys)
        _give_back(held, task, targets, keys)
        if not held.any():  # few texts, many times each: better some that training has shown than none
            held[alone] = True
    num_held = int(np.count_nonzero(held))
    return _places(held, len(held) - num_held, np.logical_not), _places(held, num_held, np.asarray)


def split_folds(task: Task, targets: Targets, keys: Rows, folds: int, seed: int, counts: Rows) -> Rows:
    """The fold of each text, (N,): texts with the same key are in one fold, and each class is spread over all folds.

    A text with several labels counts as one of its rarest label.

    Args:
        task: What the targets mean.
        targets: Of N texts.
        keys: See `text_keys`, (N,).
        folds: How many.
        seed: Of the random choice.
        counts: How many texts each class has, (C,), perhaps among more texts than these.
    """
    distinct, firsts, groups = np.unique(keys, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(distinct))
    # The keys are another run's hashes: by place, the order is the same in every process.
    order = np.argsort(firsts, kind="stable")[order]
    classes = _rarest(task, targets[firsts[order]], counts)
    order = order[np.argsort(classes, kind="stable")]
    fold_of = np.empty(len(distinct), np.int64)
    fold_of[order] = np.arange(len(distinct)) % folds
    return np.asarray(fold_of[groups])


def _rarest(task: Task, targets: Targets, counts: Rows) -> Rows:
    """The rarest class of each text, (N,); -1 for a text without a label."""
    found, (texts, classes) = np.full(len(targets), -1), task.pairs(targets)
    order = np.argsort(-counts[classes], kind="stable")
    found[texts[order]] = classes[order]
    return found


def hold_out_fold(task: Task, targets: Targets, keys: Rows, fold_of: Rows, fold: int) -> tuple[Rows, Rows]:
    """The rows to train on, and the rows of a fold; a class without a text to train on takes its texts back."""
    held = fold_of == fold
    _give_back(held, task, targets, keys)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _choose(task: Task, targets: Targets, fraction: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Hold out a share of the texts of each class; a text that an earlier class has placed stays where it is."""
    held, settled = make_array(len(targets), bool), make_array(len(targets), bool)
    held[:] = settled[:] = False
    counts = task.class_counts(targets)
    rows_of = _rows_of_classes(task, targets, counts)
    for label in task.hold_out_order(counts):
        count, rows = int(counts[label]), rows_of(label)
        wanted = min(round(fraction * count), count - 1) - int(np.count_nonzero(held[rows]))
        rows = rows[~settled[rows]]
        generator.shuffle(rows)
        held[rows[: max(0, wanted)]] = True
        settled[rows] = True
    rows = np.flatnonzero(~settled)  # texts without a label
    generator.shuffle(rows)
    held[rows[: round(fraction * len(rows))]] = True
    wanted = round(fraction * len(targets))
    missing = wanted - int(np.count_nonzero(held))
    without = np.flatnonzero((counts > 1) & (task.class_counts(targets, held) == 0))
    if wanted >= LEAST and missing > 0 and len(without):
        for label in generator.permutation(without)[:missing].tolist():
            held[generator.choice(rows_of(label))] = True
    _give_back(held, task, targets, None)
    return held


def _rows_of_classes(task: Task, targets: Targets, counts: Rows) -> Callable[[int], Rows]:
    """What gives the rows of a class, in ascending order."""
    if len(counts) <= _SOUGHT:
        return lambda label: _places(targets, int(counts[label]), partial(task.has_label, label=label))
    rows, classes = task.pairs(targets)
    rows, ends = rows[np.argsort(classes, kind="stable")], np.cumsum(counts)
    return lambda label: rows[ends[label] - counts[label] : ends[label]].copy()


def _join_duplicates(held: NDArray[np.bool_], keys: Rows) -> None:
    """Let all texts with one key go where the first of them went."""
    ordered = make_array(len(keys), np.int64)
    ordered[:] = keys
    ordered.sort()
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    rows = _rows_among(keys, repeated)
    _, firsts, groups = np.unique(keys[rows], return_index=True, return_inverse=True)
    held[rows] = held[rows[firsts]][groups]


def _give_back(held: NDArray[np.bool_], task: Task, targets: Targets, keys: Rows | None) -> None:
    """Give a class that has no text left to train on all its texts back, and with them their duplicates."""
    counts = task.class_counts(targets)
    for label in np.flatnonzero((counts > 0) & (counts == task.class_counts(targets, held))).tolist():
        rows = np.flatnonzero(task.has_label(targets, label))
        held[rows if keys is None else _rows_among(keys, keys[rows])] = False


def _rows_among(keys: Rows, wanted: Rows) -> Rows:
    """The rows whose key is among the wanted ones."""
    starts = range(0, len(keys), _STRETCH)
    return np.concatenate([first + np.flatnonzero(np.isin(keys[first : first + _STRETCH], wanted)) for first in starts])


def _places(values: NDArray[Any], count: int, wanted: Callable[[NDArray[Any]], NDArray[np.bool_]]) -> Rows:
    """The places of the wanted values, which are `count`."""
    places, done = make_array(count, np.int64), 0
    for first in range(0, len(values), _STRETCH):
        found = first + np.flatnonzero(wanted(values[first : first + _STRETCH]))
        places[done : done + len(found)] = found
        done += len(found)
    return places
