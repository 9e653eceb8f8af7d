"""What a checkpoint of first word vectors holds, with or without a layer that foresees words behind them.

Letters: V words, E numbers in a word vector.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from rubrica.learning.checkpoint import Saved
from rubrica.vectors.word_vectors import Vectors

MATRIX = "matrix"
"""The name of the vectors, (V, E)."""


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """Where the training is.

    Args:
        words: V words, in the order of the vectors.
        steps: Updates of the layer.
    """

    words: list[str]
    steps: Annotated[int, Meta(ge=0)] = 0


def saved_vectors(saved: Saved, source: str, dim: int) -> Vectors:
    """The vectors of a checkpoint.

    Raises:
        ArtifactError: If it has none of this size.
    """
    words, found = saved.place(Place).words, saved.tensors.get(MATRIX)
    if len(set(words)) < len(words) or found is None:
        raise saved.broken("a word stands twice, or the vectors are missing")
    matrix = np.empty((len(words), dim), np.float32)
    saved._replace(tensors={MATRIX: found}).fill({MATRIX: matrix})
    return Vectors(words, matrix, source)
