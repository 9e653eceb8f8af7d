"""A text shared out over the labels that it may have, each as much as it is probable: what others learn of an answer.

Letters: N texts, C classes.
"""

from collections.abc import Iterator, Sequence

from rubrica.scoring.metrics import Floats

Share = tuple[int, str | tuple[str, ...], float]
"""The number of a text, a label or a set of labels, and how much of the text has it."""

_POSSIBLE = 0.1  # a less probable label is left to the others
_CUTS = tuple((step + 0.5) / 10 for step in range(10))  # probabilities in steps of a tenth


def shares_of_one(labels: Sequence[str], probabilities: Floats) -> Iterator[Share]:
    """Of texts that have one label each: the possible ones. `probabilities` are (N, C), at least one above 0 each."""
    for text, row in enumerate((probabilities / probabilities.sum(axis=1, keepdims=True)).tolist()):
        least = min(_POSSIBLE, max(row))  # of very many labels none may be probable
        possible = [(label, share) for label, share in zip(labels, row, strict=True) if share >= least]
        total = sum(share for _, share in possible)
        yield from ((text, label, share / total) for label, share in possible)


def shares_of_several(labels: Sequence[str], probabilities: Floats) -> Iterator[Share]:
    """Of texts that may have several labels: a label of probability 0.3 is in three tenths of a text. (N, C)."""
    for text, row in enumerate(probabilities.tolist()):
        sets = [tuple(label for label, p in zip(labels, row, strict=True) if p > cut) for cut in _CUTS]
        for chosen in dict.fromkeys(sets):
            yield text, chosen, sets.count(chosen) / len(sets)
