"""What a linear model says of texts, natively and without a list of their features.

`native/linear_answers.cpp` keeps the words that it has met, each with the sum of what its runs of characters say.

Letters: N texts, F features, C columns (one machine each).
"""

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import bind, call
from rubrica.kernels.linear import TEXTS_PER_THREAD
from rubrica.kernels.runs import Floats
from rubrica.models.storage import Tensors, take_rows
from rubrica.text.ngrams import MAX_TOKENS, Index, Ngrams, beginnings
from rubrica.text.tokens import prepare, unicode_tables

_MOST = 1 << 26  # bytes of the rows, which are float32 here whatever the table is stored as
_GROUP = 4  # columns


def fits(features: int, columns: int) -> bool:
    """Whether the native core is there, and a model's rows are not too large for it to keep them all."""
    return native.library() is not None and 4 * features * _padded(columns) <= _MOST


def _padded(columns: int) -> int:
    return -(-columns // _GROUP) * _GROUP


def _most_frequent_first(idf: Floats) -> NDArray[np.int64]:
    """The features in the order of their idf, roughly: in 16 bits it is sorted in a tenth of the time."""
    low, high = float(idf.min(initial=np.inf)), float(idf.max(initial=-np.inf))
    return np.argsort(((idf - low) * (65535 / max(high - low, 1e-9))).astype(np.uint16), kind="stable")


def arrange(keys: NDArray[np.uint32], numbers: NDArray[np.int32]) -> tuple[NDArray[np.uint32], int]:
    """Sorted keys beside their numbers, each where its first bits say or close behind, and how many bits follow these.

    The places between them and the last one have a key of all ones and no number, (places, 2).
    """
    bits = max(1, (3 * len(keys) // 2).bit_length())
    order = np.arange(len(keys))
    places = np.maximum.accumulate((keys >> np.uint32(32 - bits)).astype(np.int64) - order) + order
    entries = np.full((max(1 << bits, places.max(initial=-1) + 1) + 1, 2), 0xFFFFFFFF, np.uint32)
    entries[places, 0], entries[places, 1] = keys, numbers
    return entries, 32 - bits


class LinearAnswers:
    """A linear model that is ready to answer; where `fits`. It holds memory of the native core, so it is not copied.

    Args:
        ngrams: Which features a text has.
        index: Where they are looked up; the number of a feature is its place.
        tensors: The `linear.idf` (F,), `linear.weight` (F, C), as stored, and `linear.bias` (C,).
    """

    def __init__(self, ngrams: Ngrams, index: Index, tensors: Tensors) -> None:
        self._ngrams, self._bias = ngrams, tensors["linear.bias"]
        idf, columns = tensors["linear.idf"], len(self._bias)
        frequent = _most_frequent_first(idf)  # what most texts need lies close together then
        numbers = np.empty(len(idf), np.int32)
        numbers[frequent] = np.arange(len(idf), dtype=np.int32)
        self._entries, self._shift = arrange(index.keys, numbers)
        self._rows = np.zeros((len(idf), 1 + _padded(columns)), np.float32)
        self._rows[:, 0] = idf[frequent]
        np.multiply(
            take_rows(tensors, "linear.weight", frequent), self._rows[:, :1], out=self._rows[:, 1 : 1 + columns]
        )
        self._handle = call("linear_words_start")
        weakref.finalize(self, bind("linear_words_end"), (self._handle,))

    def __reduce__(self) -> Any:
        raise TypeError("copy the LinearPart that made these answers")

    def __call__(self, texts: Sequence[str]) -> Floats:
        """What each machine says of each text, (N, C): the distance from its plane, with its sign."""
        found = np.empty((len(texts), len(self._bias)), np.float32)
        if not len(texts):
            return found
        data, starts, ends, _ = prepare(beginnings(texts), self._ngrams.lowercase)
        threads = max(1, min(native.num_threads(), len(texts) // TEXTS_PER_THREAD))
        call("linear_answers",
            self._handle, threads, *self._ngrams, MAX_TOKENS, len(texts), data, starts, ends, *unicode_tables(data),
            len(self._rows), self._rows.shape[1] // _GROUP, len(self._bias), self._shift,
            self._entries, self._rows, self._bias, found,
        )  # fmt: skip
        return found
