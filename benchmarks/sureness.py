"""How far a model's probabilities can be trusted: the calibration error, and the accuracy on the surest texts.

Letters: N texts, C classes.
"""

import numpy as np


def expected_calibration_error(probabilities: np.ndarray, targets: np.ndarray, bins: int = 15) -> float:
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


def selective_accuracy(probabilities: np.ndarray, targets: np.ndarray, abstain: float = 0.1) -> float:
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
