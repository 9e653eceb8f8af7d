"""The words whose vectors point where a vector points.

Source: fastText 0.9.3, src/fasttext.cc (getNN, getAnalogies).

Letters: V words, D numbers in a vector.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 14  # words at a time


def normalise(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (V, D) of length 1, in place; one of length 0 stays as it is."""
    for first in range(0, len(vectors), _BLOCK):
        block = vectors[first : first + _BLOCK]
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        block /= np.where(lengths > 0, lengths, 1)[:, None]
    return vectors


def nearest_words(
    vectors: NDArray[np.float32], query: NDArray[np.float32], k: int, without: Collection[int]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The cosines of the k nearest words, and their numbers, best first.

    Args:
        vectors: Of the words, each of length 1 (V, D).
        query: A vector (D,).
        k: How many.
        without: Numbers of words that are no answer.
    """
    length = float(np.linalg.norm(query))
    cosines = vectors @ query / np.float32(length if length >= 1e-8 else 1)  # fastText's bound
    banned = [number for number in without if 0 <= number < len(cosines)]
    cosines[banned] = -np.inf
    count = max(0, min(k, len(cosines) - len(banned)))
    found = np.argpartition(-cosines, count - 1)[:count] if 0 < count < len(cosines) else np.arange(len(cosines))
    found = found[np.lexsort((found, -cosines[found]))][:count]
    return cosines[found], found
