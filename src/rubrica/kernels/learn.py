"""A recurrent classifier's learning step in one call: words in, loss, accuracy and every gradient out.

The layer of `recurrent.py` with its pooling, one linear layer (the head), the cross-entropy and both ways of all of
them. `native/recurrent.cpp` does in float32 what the numpy below does from the parts in any float type; between two
calls there would be more time lost than most parts take.

Letters: B texts, U distinct words, E numbers in a word vector, H hidden units, G gates, C classes.
"""

from ctypes import c_int, c_int64, c_void_p
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native, recurrent
from rubrica.kernels.recurrent import CELLS, POOLINGS, Floats, Reading


class Weights(NamedTuple):
    """The parameters but for the words, or their gradients; in torch's shapes and the order of a model's parameters.

    Args:
        w_ih: (G * H, E).
        w_hh: (G * H, H).
        b_ih: (G * H,).
        b_hh: (G * H,).
        head: (C, H).
        head_bias: (C,).
    """

    w_ih: Floats
    w_hh: Floats
    b_ih: Floats
    b_hh: Floats
    head: Floats
    head_bias: Floats


def learn(
    reading: Reading,
    targets: NDArray[np.int64],
    vectors: Floats,
    weights: Weights,
    gradients: Weights,
    *,
    trains: bool = True,
    threads: int = 1,
) -> tuple[Floats, Floats | None]:
    """Mean cross-entropy and accuracy (2,), and the gradient by `vectors` (None unless `trains`).

    Args:
        reading: The batch, at least one text.
        targets: The class of each text, (B,).
        vectors: Of its distinct words, (U, E).
        weights: The parameters.
        gradients: Where theirs are written.
        trains: Whether the vectors want theirs.
        threads: How many the native core may use; part of what bit-identical gradients depend on.
    """
    d_vectors = np.empty_like(vectors) if trains else None
    scores = np.empty(2, vectors.dtype)
    if vectors.dtype != np.float32 or native.library() is None:
        _learn_numpy(reading, targets, vectors, weights, gradients, d_vectors, scores)
        return scores, d_vectors
    run = native.function("recurrent_learn", *[c_int] * 3, *[c_int64] * 5, *[c_void_p] * 19)
    run(
        CELLS.index(reading.cell), POOLINGS.index(reading.pooling), threads,
        len(targets), weights.head.shape[1], *vectors.shape, len(weights.head),
        *recurrent.addresses(reading.rows, reading.starts, reading.lengths, targets, vectors, *weights),
        *recurrent.addresses(d_vectors, *gradients, scores),
    )  # fmt: skip
    return scores, d_vectors


def _learn_numpy(
    reading: Reading,
    targets: NDArray[np.int64],
    vectors: Floats,
    weights: Weights,
    gradients: Weights,
    d_vectors: Floats | None,
    scores: Floats,
) -> None:
    projected = recurrent.project(reading.cell, vectors, weights.w_ih, weights.b_ih)
    features, kept = recurrent.forward(reading, projected, weights.w_hh, weights.b_hh, keep=True)
    logits = features @ weights.head.T + weights.head_bias
    texts = np.arange(len(targets))
    below = logits - logits.max(axis=1, keepdims=True)
    sums = np.exp(below).sum(axis=1)
    scores[:] = np.mean(np.log(sums) - below[texts, targets]), np.mean(logits.argmax(axis=1) == targets)
    d_logits = np.exp(below) / sums[:, None]
    d_logits[texts, targets] -= 1
    d_logits /= len(targets)
    found = recurrent.backward(reading, vectors, weights.w_ih, weights.w_hh, kept, d_logits @ weights.head)
    d_x, d_w_ih, d_b_ih, d_w_hh, d_b_hh = found
    by_hand = (d_w_ih, d_w_hh, d_b_ih, d_b_hh, d_logits.T @ features, d_logits.sum(axis=0))
    for place, gradient in zip(gradients, by_hand, strict=True):
        place[:] = gradient
    if d_vectors is not None:
        d_vectors[:] = d_x
