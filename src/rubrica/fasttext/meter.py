"""Precision, recall and F1 of answers, counted as fastText counts them.

Source: fastText 0.9.3, src/meter.cc. All labels of all texts count together ("micro"); what has no value is NaN.

Letters: N texts, L labels.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MISSED = -1.0
"""The score of a right label that was not among the answers."""


class Scores(NamedTuple):
    """Precision, recall and F1, each from 0 to 1, or NaN."""

    precision: float
    recall: float
    f1: float


class Meter:
    """Counts answers.

    Args:
        num_labels: L.
        label_id: The number of a label, -1 if there is none.
        keeps_scores: Whether the score of each answer is kept, for curves.
    """

    def __init__(self, num_labels: int, label_id: Callable[[str], int], *, keeps_scores: bool = False) -> None:
        self.num_texts = 0
        self._label_id, self._keeps_scores = label_id, keeps_scores
        self._predicted, self._gold, self._hits = (np.zeros(num_labels, np.int64) for _ in range(3))
        self._kept: list[tuple[NDArray[np.int64], Floats, Floats]] = []

    def add(
        self,
        gold: tuple[NDArray[np.int64], NDArray[np.int64]],
        answers: NDArray[np.int32],
        scores: NDArray[np.float32],
        counts: NDArray[np.int32],
        *,
        skip: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count some texts; those without a label are passed over.

        Args:
            gold: The right labels: the number of the text, and of the label.
            answers: Labels (N, k), best first.
            scores: Of the answers (N, k).
            counts: How many answers a text has (N,).
            skip: Texts to pass over (N,).
        """
        size, (texts, labels) = len(self._gold), gold
        counted = np.zeros(len(counts), bool)
        counted[texts] = True
        if skip is not None:
            counted &= ~skip
        texts, labels = texts[counted[texts]], labels[counted[texts]]
        given = (np.arange(answers.shape[1]) < counts[:, None]) & counted[:, None]
        of, answered = np.nonzero(given)[0], answers[given].astype(np.int64)
        right = np.isin(of * size + answered, texts * size + labels)
        self.num_texts += int(counted.sum())
        self._gold += np.bincount(labels, minlength=size)
        self._predicted += np.bincount(answered, minlength=size)
        self._hits += np.bincount(answered[right], minlength=size)
        if self._keeps_scores:
            missed = labels[~np.isin(texts * size + labels, of * size + answered)]
            self._kept.append((answered, np.minimum(scores[given], 1).astype(np.float64), right.astype(np.float64)))
            self._kept.append((missed, np.full(len(missed), MISSED), np.ones(len(missed))))

    def scores(self, label: int | None = None) -> Scores:
        """Of all labels together, or of one."""
        which = slice(None) if label is None else slice(label, label + 1)
        hits, predicted, gold = (int(count[which].sum()) for count in (self._hits, self._predicted, self._gold))
        precision, recall = _share(hits, predicted), _share(hits, gold)
        if label is not None:
            return Scores(precision, recall, _share(2 * hits, predicted + gold))
        both = precision + recall
        return Scores(precision, recall, 2 * precision * recall / both if both else math.nan)

    def score_vs_true(self, label: str) -> tuple[Floats, Floats]:
        """Scores of the answers with a label, rising, and 1 where each was right, else 0; missed labels score -1."""
        return self._pairs(self._label_id(label))

    def precision_recall_curve(self, label: str | None = None) -> tuple[Floats, Floats]:
        """Precisions and recalls for every threshold, falling, of all labels or of one."""
        return self._curve(label)

    def precision_at_recall(self, recall: float, label: str | None = None) -> float:
        """The best precision with at least this recall; 0 if there is none."""
        precisions, recalls = self._curve(label)
        return float(precisions[recalls >= recall].max(initial=0.0))

    def recall_at_precision(self, precision: float, label: str | None = None) -> float:
        """The best recall with at least this precision; 0 if there is none."""
        precisions, recalls = self._curve(label)
        return float(recalls[precisions >= precision].max(initial=0.0))

    def _pairs(self, label: int | None) -> tuple[Floats, Floats]:
        if not self._kept:
            return np.zeros(0), np.zeros(0)
        labels, scores, right = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        if label is not None:
            scores, right = scores[labels == label], right[labels == label]
        order = np.lexsort((right, scores))
        return scores[order], right[order]

    def _curve(self, label: str | None) -> tuple[Floats, Floats]:
        number = self._label_id(label) if label else None
        scores, right = self._pairs(number)
        scores, right = scores[::-1], right[::-1]
        reached = scores >= 0
        scores, right = scores[reached], right[reached]
        if not len(scores):
            return np.zeros(0), np.zeros(0)
        last = np.append(scores[1:] != scores[:-1], True)  # of equal scores
        hits, seen = np.cumsum(right)[last], np.flatnonzero(last) + 1.0
        gold = int((self._gold if number is None else self._gold[number : number + 1]).sum())
        until = int(np.searchsorted(hits, gold)) + 1  # with the first that reaches all
        recalls = hits / gold if gold else np.full(len(hits), math.nan)
        return np.append((hits / seen)[:until], 1.0), np.append(recalls[:until], 0.0)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
