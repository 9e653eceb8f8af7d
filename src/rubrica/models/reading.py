"""How the forward passes read texts: the vector of each distinct word once, and how many threads that is worth.

Letters: N texts, T steps, E numbers in a word vector, U distinct words.
"""

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.rows import distinct
from rubrica.models.family import Floats, Inputs
from rubrica.models.storage import Tensors, take_rows
from rubrica.text.batching import iter_rows, pad_batch
from rubrica.text.vocab import TokenIds

_PADDED_BATCH = 256  # texts that are padded together; more only cost memory
_TOKENS_PER_THREAD = 4096  # a thread is worth starting for this many

Rows = NDArray[np.int64]


def tokens_of(inputs: Inputs) -> TokenIds:
    """The ids of the texts, which every family that reads words is given."""
    assert inputs.tokens is not None
    return inputs.tokens


def batches(inputs: Inputs, *, masked: bool) -> list[Rows]:
    """Texts that are padded together: of similar length, or where padding is read, as they come."""
    tokens = tokens_of(inputs)
    if masked:
        return list(iter_rows(np.argsort(tokens.lengths, kind="stable"), _PADDED_BATCH))
    return list(iter_rows(np.arange(len(tokens)), inputs.batch_size))


def read_words(tensors: Tensors, inputs: Inputs, *, masked: bool) -> tuple[Floats, NDArray[np.int32], Rows, Rows]:
    """Read the words of all texts.

    Returns:
        The vectors of the distinct words (U, E); which of them each token is, text after text; where each text starts
        (N,); and how many steps it has (N,). A text that is not masked has the steps of the longest in its batch.
    """
    tokens = tokens_of(inputs)
    ids, starts, lengths = tokens.ids, tokens.offsets[:-1], tokens.lengths
    if not masked:
        padded = [pad_batch(tokens, rows)[0] for rows in batches(inputs, masked=False)]
        ids = np.concatenate([batch.ravel() for batch in padded])
        lengths = np.array([batch.shape[1] for batch in padded for _ in batch], np.int64)
        starts = np.cumsum(lengths) - lengths
    words, rows = distinct(ids, len(tensors["embedding.weight"]))
    return take_rows(tensors, "embedding.weight", words), rows, starts, lengths


def threads_for(num_tokens: int) -> int:
    """The number of threads that this many tokens are worth."""
    return max(1, min(native.num_threads(), num_tokens // _TOKENS_PER_THREAD))
