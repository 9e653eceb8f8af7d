"""Rows of ragged ids to one padded batch, without a loop over its rows.

Letters: B texts of a batch, T tokens of its longest text.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rubrica.vocab import PAD_ID, TokenIds


def pad_batch(texts: TokenIds, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids (B, T) of the given texts, filled up at the end with `PAD_ID`, and their lengths (B,).

    A batch of nothing but empty texts is one step long, so that every network has something to read.
    """
    starts = texts.offsets[rows]
    lengths = texts.offsets[rows + 1] - starts
    steps = np.arange(max(1, int(lengths.max(initial=0))))
    real = steps < lengths[:, None]
    batch = np.full(real.shape, PAD_ID, np.int64)
    # Boolean indexing walks the rows in order, and so do the ids that are put there.
    batch[real] = texts.ids[(starts[:, None] + steps)[real]]
    return batch, lengths


def iter_rows(order: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Cut an order of texts into batches; the last one may be shorter."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
