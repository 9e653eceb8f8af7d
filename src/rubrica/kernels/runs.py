"""Pooling over time in numpy, of states that lie text after text; the twin of `pooling.py` without padding.

Letters: B texts, N steps of all texts, H numbers per state.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def pool_runs(pooling: str, states: Floats, counts: NDArray[np.int64]) -> Floats:
    """Features (B, H) of states (N, H), `counts` (B,) of them a text; zeros where a text has none.

    Args:
        pooling: "last", "max" or "average".
        states: Text after text.
        counts: How many each text has.
    """
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


def unpool_runs(pooling: str, states: Floats, counts: NDArray[np.int64], d_features: Floats) -> Floats:
    """The gradient by the states (N, H) from that by the features (B, H)."""
    if pooling == "average":
        return np.repeat(d_features / np.maximum(counts, 1).astype(states.dtype)[:, None], counts, axis=0)
    d_states, units = np.zeros_like(states), np.arange(states.shape[1])
    for end, count, d in zip(np.cumsum(counts), counts, d_features, strict=True):
        if count:
            best = count - 1 if pooling == "last" else states[end - count : end].argmax(axis=0)
            d_states[end - count + best, units] = d
    return d_states
