"""Probabilities that mean what they say: how much the logits of each member of a model weigh.

Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017, https://arxiv.org/abs/1706.04599: logits
are divided by one number, the temperature, that makes held-out texts most likely. Each member of a model, say a
network and the linear model beside it, has its own weight: one over its temperature. All are found together, and they
go into the members' last layers, so a saved model does not know them.

A target counts as a little less than sure (J. Platt, 1999), as if every class had been seen once more (of many classes,
20 texts more). Without this, a few texts that are all answered rightly would ask for an infinite weight.

The machines of a linear model learn each class against all others, and where a class is rare their margins are small
and low. So a linear model counts by class: its weight and an offset grow with how rare a class is. Two numbers more say
how much, whatever the number of classes, so that few held-out texts find them.

Letters: N texts, C classes, M members.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.scoring.several_labels import SeveralLabels
from rubrica.scoring.task import Floats, Targets, Task

DECISIONS = SeveralLabels(())
"""The task of `fit_weights` where a tree of decisions finds the class: each decision on the way to a text's class is an
answer of its own, all of them yes, and its logit counts with the sign changed where the tree must say no. A decision of
logit 0 has no effect on the weights, and fills up a short way."""

_RARE = 10  # texts of a class that is half way between frequent and rare
_UNEVEN = 0.1  # the rarest class is rarer by this than the most frequent one, or all classes count alike
_STEPS = 100  # Newton's; a handful is enough
_CLOSE = 1e-8  # the search ends with a step that lowers the loss by less


class Weights(NamedTuple):
    """How the logits of the members are added up.

    Args:
        members: What each member's logits are multiplied by: a number, or one for each class, (C,).
        offset: What is added to the logits of the last member, (C,); None for nothing.
    """

    members: tuple[float | Floats, ...]
    offset: Floats | None = None

    def apply(self, parts: Sequence[Floats]) -> list[Floats]:
        """The parts (N, C) of the sum of the logits."""
        weighed = [np.asarray(weight * part, np.float32) for weight, part in zip(self.members, parts, strict=True)]
        return weighed if self.offset is None else [*weighed[:-1], weighed[-1] + self.offset]


def rarity(counts: NDArray[np.integer[Any]]) -> Floats | None:
    """How rare each class is, from 0 to 1 where it has no text, (C,), by its texts; None where all are about alike."""
    rare = (_RARE / (counts + _RARE)).astype(np.float32)
    return rare if rare.max() - rare.min() >= _UNEVEN else None


def fit_by_class(
    task: Task,
    parts: Sequence[Floats],
    rare: Floats,
    targets: Targets,
    text_weights: NDArray[np.float32] | None = None,
    probabilities: Floats | None = None,
) -> Weights:
    """`fit_weights`, where the last member is a linear model that counts by class, see `rarity`."""
    linear = parts[-1]
    if task.num_machines == 1:  # of two classes; it says of the second what it does not say of the first
        sides = np.array([-1, 1], np.float32)
        shifts = [np.broadcast_to(sides, linear.shape)]
        *weights, shift = fit_weights(task, parts, targets, text_weights, shifts, probabilities)
        return Weights(tuple(weights), np.float32(shift) * sides)
    offset = np.broadcast_to(rare, linear.shape)
    members = [*parts, linear * rare]
    *weights, weight, steeper, shift = fit_weights(task, members, targets, text_weights, [offset], probabilities)
    return Weights((*weights, np.float32(weight) + np.float32(steeper) * rare), np.float32(shift) * rare)


def fit_weights(
    task: Task,
    parts: Sequence[Floats],
    targets: Targets,
    text_weights: NDArray[np.float32] | None = None,
    shifts: Sequence[Floats] = (),
    probabilities: Floats | None = None,
) -> NDArray[np.float64]:
    """The weights of the members, at least 0, with the least loss of their weighted sum; the loss is convex in them.

    Args:
        task: Its loss is made small.
        parts: The logits of each member, (N, C).
        targets: Of the N texts.
        text_weights: How much each text counts, above 0, (N,); None counts all alike.
        shifts: More parts, whose weights may be negative and follow behind the others.
        probabilities: How probable each class of each text is, (N, C), where the targets are not certain.
    """
    logits = np.stack([part.astype(np.float64) for part in (*parts, *shifts)])
    wanted = task.wanted(targets, probabilities)
    counts = np.ones(len(targets)) if text_weights is None else text_weights / text_weights.mean(dtype=np.float64)

    weights = np.repeat([1.0, 0.0], [len(parts), len(shifts)])
    least = np.repeat([0.0, -np.inf], [len(parts), len(shifts)])
    loss, slope, curve = task.derivatives(weights, logits, wanted, counts)
    for _ in range(_STEPS):
        free = (weights > least) | (slope < 0)
        if not free.any():
            break
        step = np.zeros_like(weights)
        # A member with constant logits has no curvature; a small ridge keeps the system solvable.
        system = curve[np.ix_(free, free)] + 1e-12 * np.eye(int(free.sum()))
        step[free] = -np.linalg.solve(system, slope[free])
        if slope @ step > 0:  # a curve of nothing but rounding leads uphill
            step[free] = -slope[free]
        length = 1.0
        while True:
            moved = np.maximum(weights + length * step, least)
            found = task.derivatives(moved, logits, wanted, counts)
            # Where all answers are right and sure, there is hardly a curve, and a step is far too long. It is halved
            # until the loss does not rise, but for what rounding adds to a short one.
            if found[0] <= loss or (length < 1e-6 and found[0] - loss < _CLOSE):
                break
            length /= 2
        gain, (loss, slope, curve), weights = loss - found[0], found, moved
        if gain < _CLOSE:
            break
    return weights
