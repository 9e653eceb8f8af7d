"""A linear classifier trained by dual coordinate descent, on sparse features.

Source of the solver: C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi, S. Sundararajan, "A dual coordinate descent
method for large-scale linear SVM", ICML 2008, https://doi.org/10.1145/1390156.1390208, which is liblinear's for the
L2-regularised squared hinge; the intercept is the weight of a constant feature of 1, as there. Departures: the
machines of all classes go through a text together, so each weight row is fetched once for all of them; no shrinking.

Letters: N texts, F features, C columns (one machine each), P parts of W columns (C and what pads it).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import call
from rubrica.kernels.runs import Floats

TEXTS_PER_THREAD = 64
"""Fewer are not worth a thread."""

_STILL = 1e-7  # slopes below it are rounding


class Entries(NamedTuple):
    """The features of N texts. Text i has the indices and values `[places[i] : places[i] + sizes[i]]`.

    Args:
        places: Where the features of each text start, int64, (N,).
        sizes: How many features each text has, int32, (N,).
        indices: Features by number, words' before characters'.
        values: TF-IDF, float32.
    """

    places: NDArray[np.int64]
    sizes: NDArray[np.int32]
    indices: NDArray[np.uint32]
    values: NDArray[np.float32]


class Machines(NamedTuple):
    """C linear machines, in P parts of W columns, and how far they are.

    Args:
        signs: int8, (P, N, W): 1 where a text is in the class, -1 where not, 0 where there is no such machine.
        costs: C of the support vector machine for each text, (N,); one of 0 is passed over.
        alphas: Of the dual problem, (P, N, W); zeros at the start, like the two that follow.
        weights: (P, F, W).
        biases: (P, W).
    """

    signs: NDArray[np.int8]
    costs: Floats
    alphas: Floats
    weights: Floats
    biases: Floats


def count_classes(
    entries: Entries, texts: NDArray[np.int64], classes: NDArray[np.int64], counts: NDArray[np.uint32]
) -> None:
    """Add to `counts` (F, C) in how many texts of each class each feature is.

    There are P pairs of a text and a class that it has: `texts` (P,) and `classes` (P,).
    """
    if native.library() is None:
        for text, target in zip(texts.tolist(), classes.tolist(), strict=True):
            place = int(entries.places[text])
            np.add.at(counts[:, target], entries.indices[place : place + int(entries.sizes[text])], 1)
        return
    call("linear_count", len(texts), counts.shape[1], texts, classes, *entries[:3], counts)


def descend(machines: Machines, entries: Entries, order: NDArray[np.int64], threads: int = 1) -> float:
    """Coordinate descent over some of the N texts, in their order; alphas, weights and biases move in place.

    Each text is in `order` at most once. Each thread takes whole parts; the result does not depend on their number.

    Returns:
        The largest projected gradient that was met.
    """
    if not native.computes(machines.weights.dtype):
        return max((_descend_numpy(machines, entries, order, part) for part in range(len(machines.signs))), default=0)
    parts, count, width = machines.signs.shape
    worst = np.zeros(parts)
    call("linear_descend",
        threads, parts, width, count, machines.weights.shape[1], len(order),
        order, *entries, *machines, worst,
    )  # fmt: skip
    return float(worst.max(initial=0))


def scores(entries: Entries, weight: Floats, bias: Floats, threads: int = 1) -> Floats:
    """What the machines (weight (F, C), bias (C,)) say of N texts, (N, C)."""
    count, columns = len(entries.places), weight.shape[1]
    if not native.computes(weight.dtype):
        found = np.tile(bias, (count, 1))
        for i, (place, size) in enumerate(zip(entries.places.tolist(), entries.sizes.tolist(), strict=True)):
            found[i] += entries.values[place : place + size] @ weight[entries.indices[place : place + size]]
        return found
    found = np.empty((count, columns), np.float32)
    call("linear_scores",
        max(1, min(threads, count // TEXTS_PER_THREAD)), count, columns,
        *entries, np.ascontiguousarray(weight), bias, found,
    )  # fmt: skip
    return found


def _descend_numpy(machines: Machines, entries: Entries, order: NDArray[np.int64], part: int) -> float:
    signs, alphas, weights, bias = (array[part] for array in (machines.signs, *machines[2:]))
    worst = 0.0
    for text in order[machines.costs[order] > 0].tolist():
        here = slice(int(entries.places[text]), int(entries.places[text]) + int(entries.sizes[text]))
        found, values = entries.indices[here], entries.values[here].astype(weights.dtype)
        ridge = 0.5 / machines.costs[text]
        slopes = signs[text] * (values @ weights[found] + bias) - 1 + ridge * alphas[text]
        slopes[(signs[text] == 0) | ((alphas[text] == 0) & (slopes > 0))] = 0
        largest = float(np.abs(slopes).max())
        worst = max(worst, largest)
        if largest <= _STILL:
            continue
        moved = np.maximum(alphas[text] - slopes / (values @ values + 1 + ridge), 0)
        move = (moved - alphas[text]) * signs[text]
        alphas[text] = moved
        bias += move
        np.add.at(weights, found, values[:, None] * move)
    return worst
