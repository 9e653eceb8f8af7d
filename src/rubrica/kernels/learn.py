"""A recurrent classifier's learning step in one call: words in, loss, accuracy and every gradient out.

The layer of `recurrent.py` with its pooling, in one direction or both, one linear layer (the head), the cross-entropy,
and the way back through all of them. Between two calls more time would be lost than most parts take. There is no numpy
twin: where the native core is not there, torch trains.

Letters: B texts, U distinct words, E numbers in a word vector, H hidden units, G gates, D directions, F features of a
text (the features of a reading from the end after the others), C classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels.border import call
from rubrica.kernels.recurrent import CELLS, POOLINGS
from rubrica.kernels.runs import Floats, Reading


class Lesson(NamedTuple):
    """What is learned from the texts of a batch, and by which parameters.

    Args:
        targets: The class of each text, (B,).
        weights: The parameters in a model's order and torch's shapes: of each direction w_ih (G * H, E), w_hh
            (G * H, H), b_ih and b_hh (G * H,); with an attention its vectors (D, H); the head's (C, F) and (C,).
        gradients: Where the gradients of the weights are written.
        smoothing: Share of a target that goes to all classes alike.
        text_weights: How much each text counts, (B,); the mean is by them. None counts all alike.
    """

    targets: NDArray[np.int64]
    weights: Sequence[Floats]
    gradients: Sequence[Floats]
    smoothing: float = 0.0
    text_weights: Floats | None = None


def learn(
    reading: Reading,
    vectors: Floats,
    lesson: Lesson,
    *,
    mask: Floats | None = None,
    trains: bool = True,
    threads: int = 1,
) -> tuple[Floats, Floats | None]:
    """Mean cross-entropy and accuracy (2,), and the gradient by `vectors` (None unless `trains`).

    The batch has at least one text, and (U, E) vectors; a second direction reads it from the end. The features are
    multiplied by `mask` (B, F) before the head: dropout. The number of threads that the native core may use is part of
    what bit-identical gradients depend on.
    """
    targets, weights, gradients, smoothing, text_weights = lesson
    d_vectors = np.empty_like(vectors) if trains else None
    scores = np.empty(2, vectors.dtype)
    call("recurrent_learn",
        CELLS.index(reading.cell), POOLINGS.index(reading.pooling), (len(weights) - 2) // 4, threads,
        len(targets), weights[1].shape[1], *vectors.shape, len(weights[-1]), smoothing,
        *reading.tokens, targets, text_weights, mask, vectors, list(weights), d_vectors, list(gradients), scores,
    )  # fmt: skip
    return scores, d_vectors
