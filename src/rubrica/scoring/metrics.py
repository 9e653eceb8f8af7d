"""How good predictions are: accuracy, F1, confusion, log loss; plain numpy.

Where a text may have several labels, each is a question of its own: targets are ones at a text's labels (N, C), and an
answer is every label whose probability is at least its threshold.

Letters: N texts, C classes. A confusion matrix has the truth in rows and the prediction in columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


def softmax(logits: Floats) -> Floats:
    """Logits (N, C) to probabilities (N, C); the maximum is taken off first, so nothing overflows."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def cross_entropy(logits: Floats, targets: Ints) -> Floats:
    """-log p(target) of each text in nats, from logits (N, C) and targets (N,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]


def mean_batch_loss(losses: Floats, batch_size: int) -> float:
    """Mean over batches of each batch's mean, as the seminar reports it; a short last batch weighs as a full one."""
    return float(np.mean([losses[i : i + batch_size].mean() for i in range(0, len(losses), batch_size)]))


def confusion_matrix(targets: Ints, predictions: Ints, num_classes: int) -> Ints:
    """Counts (C, C): row = truth, column = prediction."""
    flat = targets.astype(np.int64) * num_classes + predictions
    return np.bincount(flat, minlength=num_classes**2).reshape(num_classes, num_classes)


def _of_each(counts: Ints, labels: list[str]) -> tuple[list[dict[str, Any]], Floats]:
    """A row of figures for each class, ready for JSON, and the F1 of each, (C,).

    A figure is 0 where nothing was answered or nothing is there, as with scikit-learn's zero_division=0.

    Args:
        counts: See `set_counts`.
        labels: The C class names.
    """
    hits, answered, there = counts.astype(np.float64)
    precision, recall, f1 = hits / np.maximum(answered, 1), hits / np.maximum(there, 1), _f1(hits, answered, there)
    names = ("label", "precision", "recall", "f1", "texts")
    columns = (labels, precision.tolist(), recall.tolist(), f1.tolist(), counts[2].tolist())
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)], f1


def score(logits: Floats, targets: Ints, labels: list[str]) -> dict[str, Any]:
    """Everything that `rubrica evaluate --json` prints, ready for JSON.

    Args:
        logits: (N, C), N at least 1.
        targets: (N,), indices into `labels`.
        labels: The C class names.
    """
    confusion = confusion_matrix(targets, logits.argmax(axis=1), len(labels))
    return summarize(confusion, cross_entropy(logits, targets), labels)


def summarize(confusion: Ints, losses: Floats, labels: list[str]) -> dict[str, Any]:
    """See `score`; from a confusion matrix (C, C) and the log loss of every text (N,)."""
    answered, there = confusion.sum(axis=0), confusion.sum(axis=1)
    per_class, f1 = _of_each(np.stack([np.diag(confusion), answered, there]), labels)
    return {
        "texts": len(losses),
        "accuracy": float(np.trace(confusion) / len(losses)),
        # Classes that neither occur nor are predicted say nothing about the model.
        "macro_f1": float(f1[answered + there > 0].mean()),
        "loss": float(losses.mean()),
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def expected_calibration_error(probabilities: Floats, targets: Ints, bins: int = 15) -> float:
    """How far the probability of the answer is from how often the answer is right, mean over texts, from 0 to 1.

    Texts are binned by the probability of their most probable class, bins of equal width, each with its upper edge;
    |accuracy - mean probability| of each bin, weighed by its texts (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599).

    Args:
        probabilities: (N, C), N at least 1.
        targets: (N,), columns of `probabilities`.
        bins: How many; at least 1.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    hits = probabilities.argmax(axis=1) == targets
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(places, weights=hits - confidence)).sum() / len(targets))


def selective_accuracy(probabilities: Floats, targets: Ints, abstain: float = 0.1) -> float:
    """Accuracy on what is left when the least sure texts are not answered.

    Args:
        probabilities: (N, C), N at least 1.
        targets: (N,), columns of `probabilities`.
        abstain: Share of texts left out, from 0 up to, not with, 1; a part of a text stays in. Of equally sure texts
            the later ones are left out.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    answered = order[: len(order) - int(abstain * len(order))]
    return float((probabilities.argmax(axis=1) == targets)[answered].mean())


def abstaining(probabilities: Floats, targets: Ints, below: float) -> dict[str, Any]:
    """What is gained where texts stay without an answer, and at what price, ready for JSON.

    Args:
        probabilities: (N, C), N at least 1.
        targets: (N,), columns of `probabilities`.
        below: A text is answered where its most probable class is at least so probable.

    Returns:
        `abstain_below`; `coverage`, the share of texts answered; `answered_accuracy`, theirs, None of none.
    """
    answered = probabilities.max(axis=1) >= below
    hits = (probabilities.argmax(axis=1) == targets)[answered]
    accuracy = float(hits.mean()) if len(hits) else None
    return {"abstain_below": below, "coverage": float(answered.mean()), "answered_accuracy": accuracy}


def sigmoid(logits: Floats) -> Floats:
    """Logits to the probability of each label by itself, of the same shape; nothing overflows."""
    return np.asarray(np.exp(-np.logaddexp(logits.dtype.type(0), -logits)))


def binary_cross_entropy(logits: Floats, targets: NDArray[np.uint8]) -> Floats:
    """-log p(its labels and no others) of each text in nats, from logits and targets (N, C): the sum over labels."""
    exact = logits.astype(np.float64)
    return np.asarray((np.logaddexp(0, exact) - exact * targets).sum(axis=1))


def chosen(logits: Floats, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """The labels that are the answers (N, C): those at least as probable as their thresholds (C,)."""
    return np.asarray(sigmoid(logits) >= np.asarray(thresholds))


def set_counts(targets: NDArray[np.uint8], answers: NDArray[np.bool_]) -> Ints:
    """How often each label is rightly answered, answered, and there, int64, (3, C)."""
    return np.stack([array.sum(axis=0, dtype=np.int64) for array in (answers * targets, answers, targets)])


def score_sets(
    logits: Floats, targets: NDArray[np.uint8], thresholds: Sequence[float], labels: list[str]
) -> dict[str, Any]:
    """What `rubrica evaluate --json` prints where a text may have several labels, ready for JSON.

    Args:
        logits: (N, C), N at least 1.
        targets: (N, C).
        thresholds: (C,), see `chosen`.
        labels: The C class names.
    """
    answers = chosen(logits, thresholds)
    exact = int((answers == targets).all(axis=1).sum())
    return summarize_sets(set_counts(targets, answers), exact, binary_cross_entropy(logits, targets), labels)


def summarize_sets(counts: Ints, exact: int, losses: Floats, labels: list[str]) -> dict[str, Any]:
    """See `score_sets`; from counts (3, C), the number of texts all right, and the log loss of every text (N,)."""
    hits, answered, there = counts.astype(np.float64)
    per_class, f1 = _of_each(counts, labels)
    occur = there > 0
    return {
        "texts": len(losses),
        "micro_f1": float(_f1(hits.sum(), answered.sum(), there.sum())),
        # Over the labels that occur: of the others there is nothing to find.
        "macro_f1": float(f1[occur].mean()) if occur.any() else 0.0,
        "subset_accuracy": exact / len(losses),
        "hamming_loss": float((answered + there - 2 * hits).sum() / (len(losses) * len(labels))),
        "loss": float(losses.mean()),
        "per_class": per_class,
    }


def _f1(hits: Any, answered: Any, there: Any) -> Any:
    return 2 * hits / np.maximum(answered + there, 1)


def main_score(scores: dict[str, Any]) -> float:
    """The one figure of `score` or `score_sets` that models are compared by: accuracy, or micro-F1."""
    return float(scores["accuracy"] if "accuracy" in scores else scores["micro_f1"])


def headline(scores: dict[str, Any]) -> str:
    """The figures of `score` or `score_sets` in a line."""
    names = {
        "accuracy": "accuracy",
        "micro_f1": "micro-F1",
        "macro_f1": "macro-F1",
        "subset_accuracy": "subset accuracy",
    }
    return ", ".join(f"{name} {scores[key]:.4f}" for key, name in names.items() if key in scores)
