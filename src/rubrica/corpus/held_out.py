"""Which texts of train are held out for validation.

One label a text: a share of every class. Several: a share of every label, the rarest first, since a text with a rare
and a common label is one of few for the one and of many for the other (the idea of K. Sechidis et al., "On the
stratification of multi-label data", ECML 2011; of two parts it needs no more than one pass over the labels).
Texts that are the same but for case, spaces and punctuation go to one side, else validation would ask for what
training has shown.

Letters: N texts, C classes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.files import make_array

_STRETCH = 1 << 16  # texts, or their targets, at a time
_PUNCTUATION = bytes(code for code in range(128) if not chr(code).isalnum())

Rows = NDArray[np.int64]


def text_keys(num_texts: int, stretches: Iterable[Sequence[str]]) -> Rows:
    """A number for each text, int64, (N,): the same for texts with the same letters and digits, case apart.

    The numbers are good for one process: Python draws a new hash in each.

    Args:
        num_texts: N.
        stretches: The texts, some at a time.
    """
    keys, done = make_array(num_texts, np.int64), 0
    for texts in stretches:
        keys[done : done + len(texts)] = [hash(_letters(text)) for text in texts]
        done += len(texts)
    return keys


def _letters(text: str) -> bytes:
    if not text.isascii():
        text = "".join(filter(str.isalnum, text))
    return text.lower().encode("utf-8", "surrogatepass").translate(None, _PUNCTUATION)


def hold_out(targets: NDArray[Any], fraction: float, seed: int, keys: Rows | None = None) -> tuple[Rows, Rows]:
    """Split the rows of train into those that stay and those held out for validation.

    Every class keeps at least one text to train on; of few texts none is held out.

    Args:
        targets: The class of each text (N,), or where a text may have several, ones at its own (N, C).
        fraction: The share to hold out.
        seed: What the choice follows.
        keys: Texts with the same number go to one side, (N,).
    """
    generator = np.random.default_rng(seed)
    held = make_array(len(targets), bool)
    held[:] = False
    (_hold_sets if targets.ndim == 2 else _hold_classes)(held, targets, fraction, generator)
    if keys is not None and held.any():
        alone = np.flatnonzero(held)
        _join_duplicates(held, keys)
        _give_back(held, targets, keys)
        if not held.any():  # few texts, many times each: better some that training has shown than none
            held[alone] = True
    num_held = int(np.count_nonzero(held))
    return _places(held, False, len(held) - num_held), _places(held, True, num_held)


def _hold_classes(held: NDArray[np.bool_], targets: Rows, fraction: float, generator: np.random.Generator) -> None:
    for target, count in enumerate(np.bincount(targets).tolist()):
        if count:
            rows = _places(targets, target, count)
            generator.shuffle(rows)
            held[rows[: min(round(fraction * count), count - 1)]] = True


def _hold_sets(
    held: NDArray[np.bool_], targets: NDArray[np.uint8], fraction: float, generator: np.random.Generator
) -> None:
    """Of each label, rarest first, as many of the texts that no rarer label has settled as its share still wants."""
    settled = make_array(len(targets), bool)
    settled[:] = False
    counts = class_counts(targets)
    for label in np.argsort(counts, kind="stable").tolist():
        count = int(counts[label])
        rows = _places(targets[:, label], 1, count)
        wanted = min(round(fraction * count), count - 1) - int(np.count_nonzero(held[rows]))
        rows = rows[~settled[rows]]
        generator.shuffle(rows)
        held[rows[: max(0, wanted)]] = True
        settled[rows] = True
    rows = np.flatnonzero(~settled)  # texts without a label
    generator.shuffle(rows)
    held[rows[: round(fraction * len(rows))]] = True
    _give_back(held, targets, None)


def _join_duplicates(held: NDArray[np.bool_], keys: Rows) -> None:
    """Let all texts with one key go where the first of them went."""
    ordered = make_array(len(keys), np.int64)
    ordered[:] = keys
    ordered.sort()
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    rows = np.flatnonzero(_among(keys, repeated))
    _, firsts, groups = np.unique(keys[rows], return_index=True, return_inverse=True)
    held[rows] = held[rows[firsts]][groups]


def _give_back(held: NDArray[np.bool_], targets: NDArray[Any], keys: Rows | None) -> None:
    """Give a class that has no text left to train on its own back, and with them their duplicates."""
    counts = class_counts(targets)
    for label in np.flatnonzero((counts > 0) & (counts == class_counts(targets, held))):
        rows = np.flatnonzero(targets[:, label] if targets.ndim == 2 else targets == label)
        held[rows if keys is None else np.flatnonzero(_among(keys, keys[rows]))] = False


def class_counts(targets: NDArray[Any], rows: NDArray[Any] | None = None) -> Rows:
    """How many texts each class has, (C,).

    Args:
        targets: As in `hold_out`.
        rows: Which texts to count, as places or as a mask; all by default.
    """
    counted = targets if rows is None else targets[rows]
    if targets.ndim == 2:
        return np.asarray(counted.sum(axis=0, dtype=np.int64))
    return np.bincount(counted, minlength=int(targets.max(initial=-1)) + 1)


def _among(values: Rows, wanted: Rows) -> NDArray[np.bool_]:
    found = make_array(len(values), bool)
    for first in range(0, len(values), _STRETCH):
        found[first : first + _STRETCH] = np.isin(values[first : first + _STRETCH], wanted)
    return found


def _places(values: NDArray[Any], wanted: int, count: int) -> Rows:
    """Where `values` is the wanted one, which is `count` times."""
    places, done = make_array(count, np.int64), 0
    for first in range(0, len(values), _STRETCH):
        found = first + np.flatnonzero(values[first : first + _STRETCH] == wanted)
        places[done : done + len(found)] = found
        done += len(found)
    return places
