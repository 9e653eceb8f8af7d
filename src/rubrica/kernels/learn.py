"""A recurrent classifier's learning step in one call: words in, loss, accuracy and every gradient out.

The layer of `recurrent.py` with its pooling, in one direction or both, one linear layer (the head), the cross-entropy
and both ways of all of them. `native/recurrent.cpp` does in float32 what the numpy below does from the parts in any
float type; between two calls there would be more time lost than most parts take.

Letters: B texts, U distinct words, E numbers in a word vector, H hidden units, G gates, D directions, F features of a
text (those of a reading from the end after the others), C classes.
"""

from collections.abc import Sequence
from ctypes import c_double, c_int, c_int64, c_void_p

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native, recurrent
from rubrica.kernels.recurrent import CELLS, POOLINGS, Floats, Reading


def learn(
    reading: Reading,
    targets: NDArray[np.int64],
    vectors: Floats,
    weights: Sequence[Floats],
    gradients: Sequence[Floats],
    *,
    smoothing: float = 0.0,
    text_weights: Floats | None = None,
    mask: Floats | None = None,
    trains: bool = True,
    threads: int = 1,
) -> tuple[Floats, Floats | None]:
    """Mean cross-entropy and accuracy (2,), and the gradient by `vectors` (None unless `trains`).

    Args:
        reading: The batch, at least one text; a second direction reads it from the end.
        targets: The class of each text, (B,).
        vectors: Of its distinct words, (U, E).
        weights: The parameters in a model's order and torch's shapes: of each direction w_ih (G * H, E), w_hh
            (G * H, H), b_ih and b_hh (G * H,); with an attention its vectors (D, H); the head's (C, F) and (C,).
        gradients: Where theirs are written.
        smoothing: Share of a target that goes to all classes alike.
        text_weights: How much each text counts, (B,); the mean is by them. None counts all alike.
        mask: What the features are multiplied by before the head, (B, F): dropout.
        trains: Whether the vectors want theirs.
        threads: How many the native core may use; part of what bit-identical gradients depend on.
    """
    d_vectors = np.empty_like(vectors) if trains else None
    scores = np.empty(2, vectors.dtype)
    if vectors.dtype != np.float32 or native.library() is None:
        _learn_numpy(reading, targets, vectors, weights, gradients, d_vectors, scores, smoothing, text_weights, mask)
        return scores, d_vectors
    run = native.function("recurrent_learn", *[c_int] * 4, *[c_int64] * 5, c_double, *[c_void_p] * 11)
    lists = [(c_void_p * len(arrays))(*native.addresses(*arrays)) for arrays in (weights, gradients)]
    run(
        CELLS.index(reading.cell), POOLINGS.index(reading.pooling), num_directions(weights), threads,
        len(targets), weights[1].shape[1], *vectors.shape, len(weights[-1]), smoothing,
        *native.addresses(reading.rows, reading.starts, reading.lengths, targets, text_weights, mask, vectors),
        lists[0], *native.addresses(d_vectors), lists[1], *native.addresses(scores),
    )  # fmt: skip
    return scores, d_vectors


def num_directions(weights: Sequence[Floats]) -> int:
    """D of a model's parameters, see `learn`."""
    return (len(weights) - 2) // 4


def _learn_numpy(
    reading: Reading,
    targets: NDArray[np.int64],
    vectors: Floats,
    weights: Sequence[Floats],
    gradients: Sequence[Floats],
    d_vectors: Floats | None,
    scores: Floats,
    smoothing: float,
    text_weights: Floats | None,
    mask: Floats | None,
) -> None:
    directions, (head, head_bias) = num_directions(weights), weights[-2:]
    walks, parts = [], []
    for i in range(directions):
        way = reading._replace(reverse=i == 1)
        w_ih, w_hh, b_ih, b_hh = weights[4 * i : 4 * i + 4]
        u = weights[-3][i] if reading.pooling == "attention" else None
        projected = recurrent.project(reading.cell, vectors, w_ih, b_ih)
        features, kept = recurrent.forward(way, projected, w_hh, b_hh, u, keep=True)
        walks.append((way, vectors, w_ih, w_hh, kept, u))
        parts.append(features)
    features = np.hstack(parts) if mask is None else np.hstack(parts) * mask
    d_logits = _cross_entropy(features @ head.T + head_bias, targets, smoothing, text_weights, scores)
    gradients[-2][:], gradients[-1][:] = d_logits.T @ features, d_logits.sum(axis=0)
    d_features = d_logits @ head if mask is None else d_logits @ head * mask
    for i, (way, x, w_ih, w_hh, kept, u) in enumerate(walks):
        part = np.split(d_features, directions, axis=1)[i]
        d_x, d_w_ih, d_b_ih, d_w_hh, d_b_hh, d_u = recurrent.backward(way, x, w_ih, w_hh, kept, part, u)
        for place, gradient in zip(gradients[4 * i :], (d_w_ih, d_w_hh, d_b_ih, d_b_hh), strict=False):
            place[:] = gradient
        if d_u is not None:
            gradients[-3][i] = d_u
        if d_vectors is not None and d_x is not None:
            d_vectors[:] = d_vectors + d_x if i else d_x


def _cross_entropy(
    logits: Floats, targets: NDArray[np.int64], smoothing: float, text_weights: Floats | None, scores: Floats
) -> Floats:
    """The derivative by the logits (B, C); the mean loss and the accuracy are written into `scores`."""
    texts = np.arange(len(targets))
    below = logits - logits.max(axis=1, keepdims=True)
    sums, wanted = np.exp(below).sum(axis=1), below[texts, targets]
    gradient: Floats = np.exp(below) / sums[:, None]
    gradient[texts, targets] -= 1 - smoothing
    if smoothing:
        wanted = (1 - smoothing) * wanted + smoothing * below.mean(axis=1)
        gradient -= smoothing / logits.shape[1]
    losses, counts, total = np.log(sums) - wanted, np.ones(1, logits.dtype), len(targets)
    if text_weights is not None:  # where nothing counts, loss and gradients are zero
        counts, total = text_weights, text_weights.sum() or 1
    scores[:] = (counts * losses).sum() / total, np.mean(logits.argmax(axis=1) == targets)
    return gradient * counts[:, None] / total
