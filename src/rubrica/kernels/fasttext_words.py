"""The words of the texts that fastText learns from: counted, sorted, numbered, and every line in numbers.

The rules are those of `native/fasttext_words.cpp`. There is no numpy twin: where the native core is not there, fastText
models are read and asked, but not trained.

Letters: N lines, V words, L labels, U tokens (words, labels, rare words, rare labels, in this order), S bytes.
"""

import weakref
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import RubricaError
from rubrica.files import make_array
from rubrica.kernels import native
from rubrica.kernels.border import bind, call

Strings = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]
"""Strings in one piece: the bytes, where each starts and where it ends."""

_BLOCK_BYTES = 4 << 20  # between two looks at Ctrl-C: some 20 ms
_BLOCK_TEXTS = 1 << 14
_LONGEST = 1025  # words of a line of unsupervised texts: fastText begins a new line behind the 1,025th


class Words(NamedTuple):
    """The tokens of some texts.

    Args:
        names: Their bytes, one after the other, (S,).
        ends: Where each ends, (U,).
        counts: How often each was met, (U,).
        hashes: Their hashes, (U,).
        num_words: V, words that were met often enough.
        num_labels: L, labels that were met often enough.
        num_rare: Words that were not.
        num_tokens: All tokens of the texts.
    """

    names: NDArray[np.uint8]
    ends: NDArray[np.int64]
    counts: NDArray[np.int64]
    hashes: NDArray[np.uint32]
    num_words: int
    num_labels: int
    num_rare: int
    num_tokens: int


class Lines(NamedTuple):
    """Lines in numbers of tokens: line i is `numbers[starts[i] : starts[i + 1]]`."""

    numbers: NDArray[np.int32]
    starts: NDArray[np.int64]


def count_words(
    source: NDArray[np.uint8] | Strings,
    *,
    prefix: bytes,
    min_count: int,
    min_count_label: int,
    supervised: bool,
    known: Strings | None = None,
    ordered: bool = True,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[Words, Lines]:
    r"""Count and number the tokens of a file or of some texts.

    Args:
        source: The bytes of a file, in which "\n" ends a line and is its token "</s>"; or texts, each a line with a
            "</s>" behind it.
        prefix: What begins a label.
        min_count: Words that are met less often are rare.
        min_count_label: The same for labels.
        supervised: Whether lines keep their rare words; otherwise they hold none, and long lines are cut.
        known: Words and labels that are never rare: of a model that learns on, or of a file of vectors.
        ordered: Whether the known ones come first, in their order; else all are sorted by their counts.
        progress: Called with the share of the source that was read.

    Raises:
        RubricaError: If there is no native core.
        ValueError: If `known` holds a word twice.
    """
    if native.library() is None:
        raise RubricaError("training of fastText models needs the native core; " + native.why_none())
    counter = _Counter(native.num_threads())
    if known is not None and counter.know(known, ordered=ordered) != len(known[1]):
        raise ValueError("known has a word twice; expected each once")
    for share in counter.read_lines(source) if isinstance(source, np.ndarray) else counter.read_texts(source):
        progress(share)
    return counter.finish(prefix, min_count, min_count_label, supervised=supervised)


class _Counter:
    """A counter of the native core."""

    def __init__(self, threads: int) -> None:
        self._handle = call("fasttext_words_start", threads)
        weakref.finalize(self, bind("fasttext_words_end"), (self._handle,))

    def know(self, known: Strings, *, ordered: bool) -> int:
        """Take up words that are never rare. Returns how many there are."""
        return call("fasttext_words_known", self._handle, ordered, len(known[1]), *known)

    def read_lines(self, data: NDArray[np.uint8]) -> Iterator[float]:
        """Read a file. Yields the share that is done."""
        place = 0
        while place < len(data):
            stop = min(place + _BLOCK_BYTES, len(data))
            place = call("fasttext_words_lines", self._handle, len(data), data, place, stop)
            yield place / len(data)

    def read_texts(self, texts: Strings) -> Iterator[float]:
        """Read texts. Yields the share that is done."""
        data, starts, ends = texts
        for first in range(0, len(starts), _BLOCK_TEXTS):
            block = slice(first, first + _BLOCK_TEXTS)
            call("fasttext_words_texts", self._handle, len(starts[block]), data, starts[block], ends[block])
            yield min(1.0, (first + _BLOCK_TEXTS) / len(starts))

    def finish(self, prefix: bytes, min_count: int, min_count_label: int, *, supervised: bool) -> tuple[Words, Lines]:
        """Sort the tokens, and take everything out."""
        sizes = np.zeros(7, np.int64)
        name = np.frombuffer(prefix, np.uint8)
        call("fasttext_words_finish", self._handle, min_count, min_count_label, len(name), name, sizes)
        *groups, num_bytes, num_tokens, num_lines = map(int, sizes)
        count = sum(groups)
        names, ends, counts = np.empty(num_bytes, np.uint8), np.empty(count, np.int64), np.empty(count, np.int64)
        hashes = np.empty(count, np.uint32)
        call("fasttext_words_tokens", self._handle, count, num_bytes, names, ends, counts, hashes)
        words = Words(names, ends, counts, hashes, groups[0], groups[1], groups[2], num_tokens)
        if supervised:
            rule, length = (count, num_tokens), num_tokens
        else:
            rule = (words.num_words + words.num_labels, _LONGEST)
            call("fasttext_words_numbers", self._handle, *rule, 0, 0, None, None, sizes[:2])
            length, num_lines = map(int, sizes[:2])
        numbers, starts = make_array(length, np.int32), np.empty(num_lines + 1, np.int64)
        call("fasttext_words_numbers", self._handle, *rule, length, num_lines, numbers, starts, sizes[:2])
        return words, Lines(numbers, starts)
