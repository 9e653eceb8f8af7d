"""Texts to batches of similar length, and ragged ids to one padded batch, without a loop over its rows.

Letters: B texts of a batch, T tokens of its longest text.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rubrica.text.vocab import PAD_ID, TokenIds

_SORTED_BATCHES = 50  # sorted together: padding falls to 3 %, and 3,200 texts are still well mixed


def pad_batch(texts: TokenIds, rows: NDArray[np.int64], least: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids (B, T) of the given texts, filled up at the end with `PAD_ID`, and their lengths (B,).

    T is at least `least`, and that is at least 1, so that every network has something to read.
    """
    starts, lengths = texts.offsets[rows], texts.lengths_of(rows)
    steps = np.arange(max(least, int(lengths.max(initial=0))))
    real = steps < lengths[:, None]
    batch = np.full(real.shape, PAD_ID, np.int64)
    # Boolean indexing walks the rows in order, and so do the ids that are put there.
    batch[real] = texts.ids[(starts[:, None] + steps)[real]]
    return batch, lengths


def iter_rows(order: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Cut an order of texts into batches; the last one may be shorter."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def similar_batches(
    order: NDArray[np.int64], texts: TokenIds, batch_size: int, generator: "np.random.Generator"
) -> list[NDArray[np.int64]]:
    """Cut a random order of texts, (N,), into batches of similar length, themselves shuffled; `order` changes in place.

    Only texts that stand near each other in the order are sorted together, so that who meets whom in a batch is still
    drawn anew in each epoch. A batch of 64 random news texts is more than half padding, a batch made here 3 %. One
    batch, somewhere, may be shorter than `batch_size`.
    """
    for near in iter_rows(order, batch_size * _SORTED_BATCHES):
        near[:] = near[np.argsort(texts.lengths_of(near), kind="stable")]
    batches = list(iter_rows(order, batch_size))
    return [batches[i] for i in generator.permutation(len(batches))]
