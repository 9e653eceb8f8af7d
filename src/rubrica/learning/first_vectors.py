"""What a checkpoint of first word vectors holds, with or without a layer that foresees words behind them.

Letters: V words, E numbers in a word vector.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rubrica.learning.checkpoint import Saved
from rubrica.vectors.word_vectors import Vectors

MATRIX = "matrix"
"""The name of the vectors, (V, E)."""
_WORDS = "words"


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """Where the training is.

    Args:
        steps: Updates of the layer that are done.
    """

    steps: Annotated[int, Meta(ge=0)] = 0


def pack_words(words: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """The words as a tensor, which takes every word; JSON has no half of a surrogate pair."""
    return {_WORDS: np.frombuffer("\n".join(words).encode("utf-8", "surrogatepass"), np.uint8)}


def saved_vectors(saved: Saved, source: str, dim: int) -> Vectors:
    """The vectors of a checkpoint.

    Args:
        saved: What was read.
        source: What is said of where they come from.
        dim: E, as the settings want it.

    Raises:
        ArtifactError: If it has none of this size.
    """
    found, packed = (saved.tensors.get(name) for name in (MATRIX, _WORDS))
    if found is None or packed is None:
        raise saved.broken("words or vectors are missing")
    try:
        words = packed.tobytes().decode("utf-8", "surrogatepass").split("\n")
    except UnicodeDecodeError as error:
        raise saved.broken(f"words: {error.reason}") from None
    if len(set(words)) < len(words):
        raise saved.broken("a word stands twice")
    matrix = np.empty((len(words), dim), np.float32)
    saved._replace(tensors={MATRIX: found}).fill({MATRIX: matrix})
    return Vectors(words, matrix, source)
