"""A text shared out over the labels that it may have, each as much as it is probable: what others learn of an answer.

Letters: N texts, C classes.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from rubrica.scoring.metrics import Floats

Share = tuple[int, str | tuple[str, ...], float]
"""The number of a text, a label or a set of labels, and how much of the text has it."""

POSSIBLE = 0.1  # as probable must a label be that a model answers; what is less probable is left to the others
_STEPS = 10  # of the probabilities of many labels: a text of 90 labels would be 91 texts else


def shares_of_one(labels: Sequence[str], probabilities: Floats, possible: float = POSSIBLE) -> Iterator[Share]:
    """Of texts that have one label each: the possible ones. `probabilities` are (N, C), at least one above 0 each."""
    for text, row in enumerate((probabilities / probabilities.sum(axis=1, keepdims=True)).tolist()):
        least = min(possible, max(row))  # of very many labels none may be probable
        kept = [(label, share) for label, share in zip(labels, row, strict=True) if share >= least and share]
        total = sum(share for _, share in kept)
        yield from ((text, label, share / total) for label, share in kept)


def shares_of_several(labels: Sequence[str], probabilities: Floats, possible: float = POSSIBLE) -> Iterator[Share]:
    """Of texts that may have several labels: a label of probability 0.3 is in three tenths of a text. (N, C).

    Labels that are not `possible` stay: they make no text more rows than `_STEPS` and one.
    """
    if len(labels) >= _STEPS:
        probabilities = np.ceil(probabilities * _STEPS - 0.5) / _STEPS
    for text, row in enumerate(probabilities.tolist()):
        for below, cut in pairwise(sorted({0.0, *row, 1.0})):
            yield text, tuple(label for label, p in zip(labels, row, strict=True) if p >= cut), cut - below
