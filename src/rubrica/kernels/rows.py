"""Rows of an embedding table: the distinct ones of a batch, and Adam on a few of them or on all.

A batch of 64 texts holds a thousand distinct words of a table of forty thousand. Adam over the whole table moves
seven numbers for each of its own; over the rows in use, a fortieth of that.

Letters: V rows, E numbers in a row, U distinct rows of a batch.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import call
from rubrica.kernels.runs import Floats

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # torch's defaults, which are the paper's
_PER_THREAD = 1 << 14  # fewer numbers are not worth a thread


def distinct(ids: NDArray[np.integer[Any]], vocab_size: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The distinct ids in the order of their first appearance, (U,), and where each id stands among them.

    Raises:
        IndexError: If an id, of an array of any shape, is not from 0 to `vocab_size` - 1.
    """
    ids = np.ascontiguousarray(ids, np.int64)
    if native.library() is None:
        if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
            raise IndexError(f"an id is out of 0..{vocab_size - 1}")
        words, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        order = np.argsort(first)
        return words[order], np.argsort(order).astype(np.int32)[inverse].reshape(ids.shape)
    words, index = np.empty(ids.size, np.int64), np.empty(ids.shape, np.int32)
    count = call("distinct", ids.size, vocab_size, ids, words, index)
    if count < 0:
        raise IndexError(f"an id is out of 0..{vocab_size - 1}")
    return words[:count], index


def take_words(
    ids: NDArray[np.int32], starts: NDArray[np.int64], lengths: NDArray[np.int64], table: Floats, *, steps: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int32], Floats]:
    """The distinct words of some texts (U,), where each token stands among them, text after text, and their vectors.

    Text i is `ids[starts[i] : starts[i] + lengths[i]]`, its vectors are rows of the table (V, E). Texts shorter than
    `steps` are padded with word 0.

    Raises:
        IndexError: If an id is out of range.
    """
    num_tokens = int(np.maximum(lengths, steps).sum())
    room = min(num_tokens, len(table))
    words, index = np.empty(room, np.int64), np.empty(num_tokens, np.int32)
    vectors = np.empty((room, table.shape[1]), np.float32)
    arrays = (ids, starts, lengths, table, words, index, vectors)
    count = call("take_words", len(starts), *table.shape, steps, *arrays)
    if count < 0:
        raise IndexError(f"an id is out of 0..{len(table) - 1}")
    return words[:count], index, vectors[:count]


def square_sum(numbers: Floats) -> float:
    """The sum of the squares, in double precision."""
    result = np.empty(1)
    call("square_sum", numbers.size, numbers, result)
    return float(result[0])


def adam_rows(
    table: Floats,
    first: Floats,
    second: Floats,
    words: NDArray[np.int64],
    gradient: Floats,
    *,
    step: int,
    lr: float,
    dense: bool,
    scale: float = 1.0,
    threads: int = 1,
) -> None:
    """One step of Adam, in place. Source: D. Kingma and J. Ba, 2015, https://arxiv.org/abs/1412.6980.

    The rows `words` (U,) of the table (V, E) have a gradient (U, E), which is multiplied by `scale` first, to clip it.
    `first` and `second` (V, E) are the running means of the gradient and of its square; steps are counted from 1. With
    `dense` the other rows take their step too, with a gradient of zero, as in Adam's own definition. Without it a row
    moves only when its word is in the batch ("lazy"). The result does not depend on the number of threads.
    """
    rows_moved = len(table) if dense else len(words)
    threads = max(1, min(threads, rows_moved * table.shape[1] // _PER_THREAD))
    call("adam_rows",
        threads, dense, *table.shape, len(words), words, gradient, scale,
        table, first, second, step, lr, BETA1, BETA2, EPSILON,
    )  # fmt: skip
