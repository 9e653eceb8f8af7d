"""What a linear model says of texts, natively and without a list of their features.

`native/linear_answers.cpp` keeps the words that it has met, each with the sum of what its runs of characters say.

Letters: N texts, F features, C columns (one machine each).
"""

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from rubrica.kernels import native
from rubrica.kernels.border import bind, call
from rubrica.kernels.runs import Floats
from rubrica.text.ngrams import MAX_TOKENS, Index, Ngrams, beginnings
from rubrica.text.tokens import prepare, unicode_tables

_MOST = 1 << 26  # bytes of the rows, which are float32 here whatever the table is stored as
_GROUP = 4  # columns
_TEXTS_PER_THREAD = 64  # fewer are not worth a thread


def fits(features: int, columns: int) -> bool:
    """Whether the native core is there, and a model's rows are not too large for it to keep them all."""
    return native.library() is not None and 4 * features * _padded(columns) <= _MOST


def _padded(columns: int) -> int:
    return -(-columns // _GROUP) * _GROUP


class LinearAnswers:
    """A linear model that is ready to answer; where `fits`.

    Args:
        ngrams: Which features a text has.
        index: Where they are looked up; the number of a feature is its place.
        idf: Of each feature, (F,).
        weight: (F, C).
        bias: (C,).
    """

    def __init__(self, ngrams: Ngrams, index: Index, idf: Floats, weight: Floats, bias: Floats) -> None:
        self._given = ngrams, index, idf, weight, bias
        count, columns = weight.shape
        frequent = np.argsort(idf, kind="stable")  # first: what most texts need lies close together
        self._numbers = np.empty(count, np.int32)
        self._numbers[frequent] = np.arange(count, dtype=np.int32)
        self._idf, self._rows = idf[frequent], np.zeros((count, _padded(columns)), np.float32)
        np.multiply(weight[frequent], self._idf[:, None], out=self._rows[:, :columns])
        self._handle = call("linear_words_start")
        weakref.finalize(self, bind("linear_words_end"), (self._handle,))

    def __reduce__(self) -> tuple[Any, ...]:  # a copy keeps words of its own
        return LinearAnswers, self._given

    def __call__(self, texts: Sequence[str]) -> Floats:
        """What each machine says of each text, (N, C): the distance from its plane, with its sign."""
        ngrams, index, *_, bias = self._given
        found = np.empty((len(texts), len(bias)), np.float32)
        if not len(texts):
            return found
        data, starts, ends, _ = prepare(beginnings(texts), ngrams.lowercase)
        threads = max(1, min(native.num_threads(), len(texts) // _TEXTS_PER_THREAD))
        call("linear_answers",
            self._handle, threads, *ngrams, MAX_TOKENS, len(texts), data, starts, ends, *unicode_tables(data),
            len(self._idf), self._rows.shape[1] // _GROUP, len(bias), index.shift, index.keys, index.starts,
            self._numbers, self._idf, self._rows, bias, found,
        )  # fmt: skip
        return found
