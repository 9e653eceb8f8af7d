"""Texts whose labels are not certain, as texts that have one: each stands once for each label that it may have.

A text counts 1 in all, shared out over its labels, each as much as it is probable. So every family learns from
probabilities with the weights that it has for texts, and needs no loss of its own for them.

Letters: N texts, R rows to learn from.
"""

from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rubrica.corpus.corpus import Split
from rubrica.data.stored_texts import StoredTexts, take_texts
from rubrica.scoring.task import Floats, Rows, Targets, Task
from rubrica.text.batching import iter_rows

_POSSIBLE = 0.01  # as probable must a label be that somebody gave; a distribution over 1,000 labels is no 1,000 rows
_STRETCH = 1 << 16  # texts at a time


def spread(split: Split, task: Task) -> tuple[Split, Rows]:
    """The texts shared out over their labels, and the text of each row, (R,), in ascending order.

    Args:
        split: With probabilities of the labels, (N, C).
        task: What the labels are.
    """
    assert split.probabilities is not None
    parts = [_spread_some(task, split.probabilities, first) for first in range(0, len(split.targets), _STRETCH)]
    owners, targets, weights = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if split.weights is not None:
        weights *= split.weights[owners]
    texts = chain.from_iterable(take_texts(split.texts, part) for part in iter_rows(owners, _STRETCH))
    own = len(split.targets) if split.own is None else split.own
    rows = Split(
        split.tokens.take(owners),
        targets,
        StoredTexts(texts) if isinstance(split.texts, StoredTexts) else list(texts),
        weights=weights,
        own=int(np.searchsorted(owners, own)),
    )
    return rows, owners


def _spread_some(task: Task, probabilities: Floats, first: int) -> tuple[Rows, Targets, NDArray[np.float32]]:
    """The texts, the targets and the weights of the rows of a stretch of texts."""
    shares = list(task.shares(task.labels, probabilities[first : first + _STRETCH], _POSSIBLE))
    owners = np.array([first + text for text, _, _ in shares], np.int64)
    return owners, task.encode([label for _, label, _ in shares]), np.array([share for *_, share in shares], np.float32)
