"""Texts that lie one after the other: how they are read, step by step, and pooled over time in numpy.

Letters: B texts, N steps of all texts, H numbers per state, F features of a text.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Gradients = tuple[Floats | None, Floats, Floats]  # by vectors (None where they do not train), weight and bias


class Reading(NamedTuple):
    """A batch, and how it is read.

    Args:
        cell: "rnn", "gru" or "lstm"; only `recurrent.py` has a choice.
        pooling: What is made of a text's own states or windows: "last", "max", "average", "average_max" (both side by
            side), or "attention" (their mean by the softmax over u . h_t with a learned u). "states" leaves them apart.
        rows: Which distinct word each token is, int32; a token that is no text's own is never looked at.
        starts: (B,), where each text's first token stands among them, int64.
        lengths: (B,), tokens of each text, int64; a text without tokens has features of zeros.
        reverse: Whether each text is read from its last token to its first; no matter to a convolution.
    """

    cell: str
    pooling: str
    rows: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    reverse: bool = False

    @property
    def tokens(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """The arrays that say where the texts are, as the native core takes them."""
        return self[2:5]

    def num_features(self, hidden: int) -> int:
        """F."""
        return 2 * hidden if self.pooling == "average_max" else hidden

    def steps(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """Yield for each step, of the texts that still run, longest first: the places of its states, and the words.

        A place is counted among all texts' own states, text after text.
        """
        order, firsts = np.argsort(-self.lengths, kind="stable"), np.cumsum(self.lengths) - self.lengths
        for t in range(int(self.lengths.max(initial=0))):
            texts = order[self.lengths[order] > t]
            steps = self.lengths[texts] - 1 - t if self.reverse else t
            yield firsts[texts] + t, self.rows[self.starts[texts] + steps]


def pool_runs(pooling: str, states: Floats, counts: NDArray[np.int64]) -> Floats:
    """Features (B, F) of states (N, H), `counts` (B,) of them a text; zeros where a text has none.

    Args:
        pooling: "last", "max", "average" or "average_max".
        states: Text after text.
        counts: How many each text has.
    """
    if pooling == "average_max":
        return np.hstack([pool_runs(one, states, counts) for one in ("average", "max")])
    if pooling == "last":
        features, full = np.zeros((len(counts), states.shape[1]), states.dtype), counts > 0
        features[full] = states[np.cumsum(counts)[full] - 1]
        return features
    if pooling == "max":
        return _join(np.maximum, states, counts)
    return _join(np.add, states, counts) / np.maximum(counts, 1)[:, None].astype(states.dtype)


def attend_runs(states: Floats, counts: NDArray[np.int64], u: Floats) -> Floats:
    """The mean (B, H) by the softmax of u . h over each text's states, see `pooling.pool_attention`."""
    scores = states @ u
    shares = np.exp(scores - np.repeat(_join(np.maximum, scores, counts), counts))
    total = np.maximum(_join(np.add, shares, counts), 1)  # below 1 only where a text has no states
    return _join(np.add, shares[:, None] * states, counts) / total[:, None]


def _join(join: np.ufunc, states: Floats, counts: NDArray[np.int64]) -> Floats:
    """Each text's states joined by addition or the maximum; zeros where a text has none."""
    joined, full = np.zeros((len(counts), *states.shape[1:]), states.dtype), counts > 0
    if len(states):
        joined[full] = join.reduceat(states, (np.cumsum(counts) - counts)[full])
    return joined


def add_gradients(d_features: Floats, backward: Callable[[str, Floats], Gradients]) -> Gradients:
    """The gradients of "average_max": those of both poolings together, each from its half of d_features (B, 2 F)."""
    average, largest = (np.ascontiguousarray(half) for half in np.split(d_features, 2, axis=1))
    (x_a, w_a, b_a), (x_m, w_m, b_m) = backward("average", average), backward("max", largest)
    return None if x_a is None or x_m is None else x_a + x_m, w_a + w_m, b_a + b_m
