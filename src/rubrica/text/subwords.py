"""The runs of characters of words, as fastText finds them: parts of a word that a misspelt or unseen word shares.

A word is lower-cased and gets the marks "<" and ">". Each run of `min_n` to `max_n` of its characters, marks included,
is hashed into a bucket; a mark alone is no run. Source: P. Bojanowski et al., "Enriching word vectors with subword
information", TACL 2017, https://arxiv.org/abs/1607.04606. The hash is fastText's, in `native/fasttext.h`.

Letters: S words, R runs.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import call
from rubrica.text.tokens import pack

_START, _FACTOR = 2166136261, 16777619  # of FNV-1a with 32 bits


class Runs(NamedTuple):
    """Which runs of characters are read, and into how many buckets they are hashed."""

    min_n: int
    max_n: int
    num_buckets: int


def hash_runs(words: Sequence[str], runs: Runs) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Where the runs of each word start, (S + 1,), and the buckets of all runs, one word after the other, (R,)."""
    marked = [f"<{word.lower()}>" for word in words]
    starts = np.zeros(len(words) + 1, np.int64)
    if native.library() is None:
        found = [[hash_ % runs.num_buckets for hash_ in _hashes(word, runs)] for word in marked]
        np.cumsum([len(buckets) for buckets in found], out=starts[1:])
        return starts, np.array([bucket for buckets in found for bucket in buckets], np.int32)
    arguments = runs.min_n, runs.max_n, len(words), *pack(marked), runs.num_buckets
    buckets = np.empty(call("bag_subwords", *arguments, 0, starts, None), np.int32)
    call("bag_subwords", *arguments, len(buckets), starts, buckets)
    return starts, buckets


def _hashes(word: str, runs: Runs) -> Iterator[int]:
    """The hashes of the runs of a word with its marks: by their start, then by their length."""
    characters = [character.encode("utf-8", "surrogatepass") for character in word]
    for first in range(len(characters)):
        found = _START
        for last in range(first, min(first + runs.max_n, len(characters))):
            for byte in characters[last]:
                # The first released models spread the sign of a byte over the upper bits, and so does every later one.
                found = (found ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * _FACTOR & 0xFFFFFFFF
            is_mark = first == last and first in (0, len(characters) - 1)
            if last - first + 1 >= runs.min_n and not is_mark:
                yield found
