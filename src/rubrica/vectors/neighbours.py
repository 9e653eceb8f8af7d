"""The words whose vectors are nearest to a vector, by cosine.

Sources: fastText 0.9.3, `getNN` and `getAnalogies`; T. Mikolov et al., NAACL 2013, https://aclanthology.org/N13-1090.
The matrix is read in blocks, one after the other, so it may be larger than memory. Equal similarities are in the order
of the file; fastText's own order of them depends on its heap.

Letters: V words, E numbers of a word, B words of a block.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import nearest
from rubrica.kernels.native import num_threads

_BLOCK_BYTES = 4 << 20  # of a block: what a core's cache holds, and enough for numpy's calls to cost nothing
_TINY = 1e-8  # fastText's: a shorter vector has no direction
_LOOKED_AT = 20_000  # words that a misspelt one is compared with: a fifth of a second
_LENGTHS = 2  # letters that a misspelt word may be shorter or longer

Floats = NDArray[np.float32]


class Neighbour(NamedTuple):
    """A word and the cosine of the angle between its vector and the one asked for, -1 to 1."""

    word: str
    similarity: float


def find_neighbours(words: Sequence[str], matrix: Floats, query: Floats, k: int, banned: set[str]) -> list[Neighbour]:
    """The k words nearest to a vector, nearest first; fewer where there are no more words.

    Args:
        words: The V words.
        matrix: Their vectors (V, E).
        query: The vector that is asked for, (E,).
        k: At least 1.
        banned: Words that are no answer.
    """
    most = k + len(banned)
    norm = float(np.linalg.norm(query))
    unit = (query / np.float32(1 if norm < _TINY else norm)).astype(np.float32)
    block = max(1, _BLOCK_BYTES // (4 * max(1, matrix.shape[1])))
    with ThreadPoolExecutor(num_threads()) as pool:  # numpy lets go of the interpreter while it computes
        parts = pool.map(lambda first: _best_of(matrix[first : first + block], unit, most), range(0, len(words), block))
        found = [(similar, places + number * block) for number, (similar, places) in enumerate(parts)]
    similarities, rows = (np.concatenate(parts) for parts in zip(*found, strict=True))
    best = np.lexsort([rows, -similarities])[:most]
    near = map(Neighbour, (words[row] for row in rows[best].tolist()), similarities[best].tolist())
    return [neighbour for neighbour in near if neighbour.word not in banned][:k]


def _best_of(part: Floats, unit: Floats, most: int) -> tuple[Floats, NDArray[np.int64]]:
    """How similar the most similar rows of a block (B, E) are to a vector (E,) of length 1, and their places."""
    norms = np.sqrt(np.einsum("be,be->b", part, part))
    similar = np.divide(part @ unit, norms, out=np.zeros(len(part), np.float32), where=norms > 0)
    if most >= len(similar):
        return similar, np.arange(len(similar))
    least = np.partition(similar, -most)[-most]
    places = np.flatnonzero(similar >= least)  # of equal ones all, so that the first of them stay
    places = places[np.argsort(-similar[places], kind="stable")][:most]
    return similar[places], places


def analogy_vector(a: Floats, b: Floats, c: Floats) -> Floats:
    """A - b + c of vectors (E,) that are first brought to length 1, as fastText's `get_analogies` does."""
    one, other, third = (vector / np.float32(np.linalg.norm(vector) + _TINY) for vector in (a, b, c))
    return np.asarray(one - other + third, np.float32)


def spelling_hint(word: str, words: Sequence[str]) -> str:
    """A hint for a word without a vector: the word that is spelled most like it, if one of the more frequent is."""
    for form in (word.lower(), word.capitalize(), word.upper()):
        if form != word and form in words:
            return f"did you mean {form!r}?"
    alike = (other for other in words if other[:1] == word[:1] and abs(len(other) - len(word)) <= _LENGTHS)
    candidates = [other for _, other in zip(range(_LOOKED_AT), alike, strict=False)]
    hint = nearest(word, candidates) if candidates else ""
    return hint if hint.startswith("did you mean") else "no word of the file is spelled like it"
