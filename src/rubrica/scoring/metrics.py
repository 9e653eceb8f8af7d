"""The arithmetic of probabilities and scores, in numpy.

Where a text may have several labels, targets are ones at a text's labels (N, C), and an answer is every label whose
probability is at least its threshold.

Letters: N texts, C classes. A confusion matrix has the truth in rows and the prediction in columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.scoring.report import ClassScore

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

NO_LOSS = -1.0
"""The loss of a text whose label is unknown; every other loss is at least 0."""
_LEAST_WEIGHT = 1e-30  # of a batch, so that its loss is not 0/0


def softmax(logits: Floats) -> Floats:
    """Logits (N, C) to probabilities (N, C); the maximum is taken off first, so nothing overflows."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def cross_entropy(logits: Floats, targets: Ints) -> Floats:
    """-log p(target) of each text in nats, from logits (N, C) and targets (N,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]


def soft_cross_entropy(logits: Floats, targets: Ints | Floats) -> Floats:
    """The mean of -log p(class) of each text in nats; the targets are how probable each class is. Both are (N, C)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    totals = np.log(np.exp(shifted).sum(axis=1))
    return np.asarray(totals * targets.sum(axis=1, dtype=np.float64) - (targets * shifted).sum(axis=1))


def divergence(found: Floats, prior: Floats) -> Floats:
    """The Kullback-Leibler divergence in nats of rows of shares (F, C) from other shares (C,); (F,)."""
    return np.asarray((found * np.log(found / prior)).sum(axis=1))


def confusion_matrix(targets: Ints, predictions: Ints, num_classes: int) -> Ints:
    """Counts (C, C): row = truth, column = prediction."""
    flat = targets.astype(np.int64) * num_classes + predictions
    return np.bincount(flat, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_scores(counts: Ints, labels: Sequence[str]) -> tuple[list[ClassScore], float]:
    """The figures of each class, and the macro-F1; see `set_counts` for the counts.

    A figure is 0 where nothing was answered or nothing is there, as with scikit-learn's zero_division=0. Macro-F1 is
    the mean over the classes that are there or answered, as in scikit-learn: the others say nothing about the model.
    """
    hits, answered, there = counts.astype(np.float64)
    precision, recall = hits / np.maximum(answered, 1), hits / np.maximum(there, 1)
    f1, seen = f1_score(hits, answered, there), answered + there > 0
    columns = (labels, precision.tolist(), recall.tolist(), f1.tolist(), counts[2].tolist())
    rows = [ClassScore(*row) for row in zip(*columns, strict=True)]
    return rows, float(f1[seen].mean()) if seen.any() else 0.0


def sigmoid(logits: Floats) -> Floats:
    """Logits to the probability of each label by itself, of the same shape; nothing overflows."""
    return np.asarray(np.exp(-np.logaddexp(logits.dtype.type(0), -logits)))


def binary_cross_entropy(logits: Floats, targets: Ints | Floats) -> Floats:
    """-log p(its labels and no others) of each text in nats, from logits and targets (N, C): the sum over labels.

    Where labels are not certain, the targets are their probabilities.
    """
    exact = logits.astype(np.float64)
    return np.asarray((np.logaddexp(0, exact) - exact * targets).sum(axis=1))


def chosen(logits: Floats, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """The labels that are the answers (N, C): those at least as probable as their thresholds (C,)."""
    return np.asarray(sigmoid(logits) >= np.asarray(thresholds))


def set_counts(targets: NDArray[np.uint8], answers: NDArray[np.bool_]) -> Ints:
    """How often each label is rightly answered, answered, and there, int64, (3, C)."""
    return np.stack([array.sum(axis=0, dtype=np.int64) for array in (answers * targets, answers, targets)])


def f1_score(hits: Any, answered: Any, there: Any) -> Any:
    """The harmonic mean of precision and recall; 0 where there is nothing to find and nothing was answered."""
    return 2 * hits / np.maximum(answered + there, 1)


def score_lines(names: Sequence[str], row: Sequence[float]) -> str:
    """A JSON object of probabilities by label; the names are JSON already."""
    return "{" + ", ".join(f"{name}: {score!r}" for name, score in zip(names, row, strict=True)) + "}"


def mean_loss(losses: Floats) -> float | None:
    """The mean over the texts that have a loss; None where no text has one."""
    there = losses != NO_LOSS
    return float((losses if there.all() else losses[there]).mean()) if there.any() else None


def weighted_mean(losses: Any, weights: Any) -> Any:
    """The mean of the losses of B texts, in torch; 0 where no text counts."""
    if weights is None:
        return losses.mean()
    return (weights.to(losses) * losses).sum() / weights.sum().clamp(min=_LEAST_WEIGHT)
