"""Pooling over time in numpy, of states that lie text after text; the twin of `pooling.py` without padding.

Letters: B texts, N steps of all texts, H numbers per state.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Gradients = tuple[Floats | None, Floats, Floats]  # by vectors (None where they do not train), weight and bias


def pool_runs(pooling: str, states: Floats, counts: NDArray[np.int64]) -> Floats:
    """Features (B, F) of states (N, H), `counts` (B,) of them a text; zeros where a text has none.

    Args:
        pooling: "last", "max", "average" or "average_max", which is both side by side.
        states: Text after text.
        counts: How many each text has.
    """
    if pooling == "average_max":
        return np.hstack([pool_runs(one, states, counts) for one in ("average", "max")])
    full = counts > 0
    features = np.zeros((len(counts), states.shape[1]), states.dtype)
    ends = np.cumsum(counts)[full]
    if pooling == "last" or not len(ends):
        features[full] = states[ends - 1]
        return features
    add = np.maximum if pooling == "max" else np.add
    features[full] = add.reduceat(states, ends - counts[full])
    if pooling == "average":
        features[full] /= counts[full, None].astype(states.dtype)
    return features


def attend_runs(states: Floats, counts: NDArray[np.int64], u: Floats) -> Floats:
    """The mean (B, H) by the softmax of u . h over each text's states, see `pooling.pool_attention`."""
    scores, owners, full = states @ u, np.repeat(np.arange(len(counts)), counts), counts > 0
    if not len(owners):
        return np.zeros((len(counts), states.shape[1]), states.dtype)
    firsts, highest = (np.cumsum(counts) - counts)[full], np.zeros(len(counts), states.dtype)
    highest[full] = np.maximum.reduceat(scores, firsts)
    shares = np.exp(scores - highest[owners])
    features, total = np.zeros((len(counts), states.shape[1]), states.dtype), np.ones(len(counts), states.dtype)
    total[full] = np.add.reduceat(shares, firsts)
    features[full] = np.add.reduceat(shares[:, None] * states, firsts)
    return features / total[:, None]


def add_gradients(d_features: Floats, backward: Callable[[str, Floats], Gradients]) -> Gradients:
    """The gradients of "average_max": those of both poolings together, each from its half of d_features (B, 2 F)."""
    average, largest = (np.ascontiguousarray(half) for half in np.split(d_features, 2, axis=1))
    (x_a, w_a, b_a), (x_m, w_m, b_m) = backward("average", average), backward("max", largest)
    return None if x_a is None or x_m is None else x_a + x_m, w_a + w_m, b_a + b_m
