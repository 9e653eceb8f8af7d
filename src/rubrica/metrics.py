"""How good predictions are: accuracy, F1, confusion, log loss; plain numpy.

Letters: N texts, C classes. A confusion matrix has the truth in rows and the prediction in columns.
"""

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


def precision_recall_f1(confusion: Ints) -> tuple[Floats, Floats, Floats]:
    """Per class (C,), each; 0 where nothing was predicted or nothing is there, as scikit-learn's zero_division=0."""
    hits = np.diag(confusion).astype(np.float64)
    predicted, actual = confusion.sum(axis=0), confusion.sum(axis=1)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(actual, 1)
    return precision, recall, 2 * hits / np.maximum(predicted + actual, 1)


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
    precision, recall, f1 = precision_recall_f1(confusion)
    return {
        "texts": len(losses),
        "accuracy": float(np.trace(confusion) / len(losses)),
        # Classes that neither occur nor are predicted say nothing about the model.
        "macro_f1": float(f1[(confusion.sum(axis=0) + confusion.sum(axis=1)) > 0].mean()),
        "loss": float(losses.mean()),
        "per_class": [
            {
                "label": label,
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "texts": int(confusion[i].sum()),
            }
            for i, label in enumerate(labels)
        ],
        "confusion": confusion.tolist(),
    }


def expected_calibration_error(probabilities: Floats, targets: Ints, bins: int = 15) -> float:
    """How far the probability of the answer is from how often the answer is right, mean over texts, from 0 to 1.

    Texts are binned by the probability of their most probable class, bins of equal width, each with its upper edge;
    |accuracy - mean probability| of each bin, weighed by its texts (Guo et al. 2017, section 3,
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
