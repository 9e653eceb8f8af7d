"""The words whose vectors are nearest to a vector, by cosine.

Sources: fastText 0.9.3, `getNN` and `getAnalogies`; T. Mikolov et al., NAACL 2013, https://aclanthology.org/N13-1090.
The vectors come in stretches and are read in blocks, one after the other, so they may be larger than memory. Equal
similarities are in the order of the file; fastText's own order of them depends on its heap.

Letters: V words, E numbers of a word, S words of a stretch, B words of a block.
"""

from collections.abc import Iterable, Sequence
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


def nearest_rows(stretches: Iterable[Floats], query: Floats, most: int) -> tuple[NDArray[np.int64], Floats]:
    """The places of the words nearest to a vector, nearest first, and their cosines; fewer where there are no more.

    Args:
        stretches: The vectors of all words, some words at a time, each (S, E).
        query: The vector that is asked for, (E,).
        most: How many words, at least 1.
    """
    norm = float(np.linalg.norm(query))
    unit = (query / np.float32(1 if norm < _TINY else norm)).astype(np.float32)
    block = max(1, _BLOCK_BYTES // (4 * max(1, len(query))))
    rows, similar, first = np.zeros(0, np.int64), np.zeros(0, np.float32), 0
    with ThreadPoolExecutor(num_threads()) as pool:  # numpy lets go of the interpreter while it computes
        for stretch in stretches:
            starts = range(0, len(stretch), block)
            parts = pool.map(lambda start: _best_of(stretch[start : start + block], unit, most), starts)  # noqa: B023
            found = [(first + start + places, cosines) for start, (cosines, places) in zip(starts, parts, strict=True)]
            rows = np.concatenate([rows, *(places for places, _ in found)])
            similar = np.concatenate([similar, *(cosines for _, cosines in found)])
            best = np.lexsort((rows, -similar))[:most]
            rows, similar, first = rows[best], similar[best], first + len(stretch)
    return rows, similar


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
