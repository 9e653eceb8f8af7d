"""Probabilities that mean what they say: how much the logits of each member of a model weigh.

Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017, https://arxiv.org/abs/1706.04599: logits
are divided by one number, the temperature, that makes held-out texts most likely. Each member of a model, say a
network and the linear model beside it, has its own weight: one over its temperature. All are found together, and they
go into the members' last layers, so a saved model does not know them.

A target counts as a little less than sure (J. Platt, 1999), as if every class had been seen once more (of many classes,
20 texts more). Without this, a few texts that are all answered rightly would ask for an infinite weight.

Letters: N texts, C classes, M members.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rubrica.scoring.several_labels import SeveralLabels
from rubrica.scoring.task import Floats, Targets, Task

DECISIONS = SeveralLabels(())
"""The task of `fit_weights` where a tree of decisions finds the class: each decision on the way to a text's class is an
answer of its own, all of them yes, and its logit counts with the sign changed where the tree must say no. A decision of
logit 0 has no effect on the weights, and fills up a short way."""

_STEPS = 100  # Newton's; a handful is enough
_CLOSE = 1e-8  # the search ends with a step that lowers the loss by less


def fit_weights(
    task: Task, parts: Sequence[Floats], targets: Targets, text_weights: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """The weights of the members, at least 0, with the least loss of their weighted sum; the loss is convex in them.

    Args:
        task: Its loss is made small.
        parts: The logits of each member, (N, C).
        targets: Of the N texts.
        text_weights: How much each text counts, above 0, (N,); None counts all alike.
    """
    logits = np.stack([part.astype(np.float64) for part in parts])
    wanted = task.wanted(targets)
    counts = np.ones(len(targets)) if text_weights is None else text_weights / text_weights.mean(dtype=np.float64)

    weights = np.ones(len(parts))
    loss, slope, curve = task.derivatives(weights, logits, wanted, counts)
    for _ in range(_STEPS):
        free = (weights > 0) | (slope < 0)
        if not free.any():
            break
        step = np.zeros_like(weights)
        # A member with constant logits has no curvature; a small ridge keeps the system solvable.
        system = curve[np.ix_(free, free)] + 1e-12 * np.eye(int(free.sum()))
        step[free] = -np.linalg.solve(system, slope[free])
        length = 1.0
        while True:
            moved = np.maximum(weights + length * step, 0)
            found = task.derivatives(moved, logits, wanted, counts)
            if found[0] <= loss or length < 1e-6:
                break
            length /= 2
        gain, (loss, slope, curve), weights = loss - found[0], found, moved
        if gain < _CLOSE:
            break
    return weights
