"""Probabilities that mean what they say: how much the logits of a model's parts weigh.

Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017, https://arxiv.org/abs/1706.04599: logits
are divided by one number, the temperature, that makes held-out texts most likely. A model of several parts, say a
network and a linear model beside it, has a number for each, found together; it is one over the part's temperature.
The numbers go into the parts' last layers, so a saved model knows nothing of them.

As J. Platt did (1999), a target counts as a little less than sure, as if every class had been seen once more: on a
few texts that all are answered rightly no number would be large enough.

Letters: N texts, C classes, M parts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_STEPS = 100  # Newton's; a handful is enough
_CLOSE = 1e-8  # a step that gains less of the loss is the last


def fit_weights(
    parts: Sequence[Floats], targets: NDArray[np.integer[Any]], text_weights: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """The weights of the parts, at least 0, with the least loss of their weighted sum; the loss is convex in them.

    Args:
        parts: The logits of each part, (N, C).
        targets: The class of each text, (N,), whose loss is the cross-entropy of the softmax; or ones at the classes
            that it has, (N, C), whose loss is that of each class's sigmoid.
        text_weights: How much each text counts, above 0, (N,); None counts all alike.
    """
    logits = np.stack([part.astype(np.float64) for part in parts])
    wanted = _wanted(targets, logits.shape[2])
    counts = np.ones(len(targets)) if text_weights is None else text_weights / text_weights.mean(dtype=np.float64)

    def derivatives(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        return _derivatives(weights, logits, wanted, counts, several=targets.ndim == 2)

    weights = np.ones(len(parts))
    loss, slope, curve = derivatives(weights)
    for _ in range(_STEPS):
        free = (weights > 0) | (slope < 0)
        if not free.any():
            break
        step = np.zeros_like(weights)
        # A part whose logits are all alike has no curve of its own; a little more makes the system solvable.
        system = curve[np.ix_(free, free)] + 1e-12 * np.eye(int(free.sum()))
        step[free] = -np.linalg.solve(system, slope[free])
        length = 1.0
        while True:
            moved = np.maximum(weights + length * step, 0)
            found = derivatives(moved)
            if found[0] <= loss or length < 1e-6:
                break
            length /= 2
        gain, (loss, slope, curve), weights = loss - found[0], found, moved
        if gain < _CLOSE:
            break
    return weights


def _wanted(targets: NDArray[np.integer[Any]], num_classes: int) -> Floats:
    """What the probabilities should be, (N, C)."""
    if targets.ndim == 2:
        unsure = 1 / (len(targets) + 2)
        return np.where(targets > 0, 1 - unsure, unsure)
    unsure = num_classes / (len(targets) + num_classes)
    wanted = np.full((len(targets), num_classes), unsure / num_classes)
    wanted[np.arange(len(targets)), targets] += 1 - unsure
    return wanted


def _derivatives(
    weights: NDArray[np.float64], logits: Floats, wanted: Floats, counts: Floats, *, several: bool
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The weighted mean loss of a text, its first derivatives (M,) and its second ones (M, M)."""
    z = np.tensordot(weights, logits, 1)
    count = len(z)
    if several:
        p = np.exp(-np.logaddexp(0, -z))
        loss = counts @ (np.logaddexp(0, z) - wanted * z).sum(axis=1)
        curve = np.einsum("mnc,knc->mk", logits * (p * (1 - p) * counts[:, None]), logits)
    else:
        below = z - z.max(axis=1, keepdims=True)
        p = np.exp(below)
        sums = p.sum(axis=1, keepdims=True)
        p /= sums
        loss = counts @ (np.log(sums[:, 0]) - (wanted * below).sum(axis=1))
        mean = np.einsum("mnc,nc->mn", logits, p)
        curve = np.einsum("mnc,knc->mk", logits * (p * counts[:, None]), logits) - (mean * counts) @ mean.T
    slope = np.einsum("mnc,nc->m", logits, (p - wanted) * counts[:, None])
    return float(loss) / count, slope / count, curve / count
