"""The features of a text for a linear model: n-grams of words and of characters, as TF-IDF.

A feature is a key of 32 bits, the hash of a run of 1 .. word_ngrams tokens, or of a run of 2 .. char_ngrams characters
inside a token with a mark at both of its ends (scikit-learn's `char_wb`, but on the tokens of `tokenizer.py`). The two
blocks of a text, words and characters, have an L2 norm of 1 each. TF-IDF is scikit-learn's with `sublinear_tf`: the
number of a feature is (1 + ln tf) (1 + ln((1 + N) / (1 + df))), over the norm.

Letters: N texts, F features.
"""

import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import bind, call
from rubrica.kernels.linear import TEXTS_PER_THREAD, Entries
from rubrica.text.tokenizer import tokenize
from rubrica.text.tokens import PackedTexts, prepare, unicode_tables

MAX_TOKENS = 1 << 16  # the rest of a text is not read; these are the first half of a long book
MAX_CHARACTERS = 1 << 20  # a second limit, since one token may be as long as the file; 16 characters for each token
_MOST_KEYS = 3 << 23  # of some million texts; twice as many slots of 8 bytes, and one table once more while it shrinks
_TOLD = 1 << 10  # counts that are told apart where the rarest keys are dropped
_MARK = 0x110000  # stands before and behind a token; no character has this code point
_MIX, _LAST = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD)
_WORD_SEED, _RUN_SEED = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)
_CHAR_SEED, _HALF = np.uint64(0xE7037ED1A0B428DB), np.uint64(32)

CHARACTERS = 1 << 32
"""Is added to the key of a run of characters where both blocks of a text stand in one row, see `Counts`."""

_Block = tuple[NDArray[np.uint32], NDArray[np.int64]]  # the different keys of a block, and how often each occurs


class Runs(NamedTuple):
    """Every run of a text by its place.

    Args:
        words: For each length in words, from 1 on, the keys of the runs by their first token.
        inside: For each length in characters, from 2 on, the keys of the runs and the token of each.
    """

    words: list[NDArray[np.uint32]]
    inside: list[tuple[NDArray[np.uint32], NDArray[np.int64]]]


class Ngrams(NamedTuple):
    """Which features a text has.

    Args:
        lowercase: Whether a text is lower-cased before it is split.
        word_ngrams: The longest run of words, at least 1.
        char_ngrams: The longest run of characters inside a word; below 2 there are none.
    """

    lowercase: bool
    word_ngrams: int
    char_ngrams: int


class Index(NamedTuple):
    """Where to look a key up.

    Args:
        keys: Sorted, (F,).
        starts: The keys whose first bits are b stand at `keys[starts[b] : starts[b + 1]]`.
        shift: How many bits of a key follow its first ones.
        numbers: The number of the feature at each place, (F,); None where it is the place itself.
    """

    keys: NDArray[np.uint32]
    starts: NDArray[np.int32]
    shift: int
    numbers: NDArray[np.int32] | None


class Counts(NamedTuple):
    """The n-grams of N texts before any of them is looked up: what an ONNX graph is given.

    Args:
        keys: The different n-grams of each text in any order, (N, K): the key of a run of words, or the key of a run of
            characters plus `CHARACTERS`.
        counts: How often each occurs, (N, K); 0 fills a row up.
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.int64]


class DocumentCounter:
    """Counts in how many texts each feature is; the counts do not depend on how many threads share the work.

    Where there are more than `most` keys, the rarest are dropped until half as many are left. A key that was dropped
    and comes again has lost what it had, so of many millions of texts the counts of rare keys are too small.
    """

    def __init__(self, ngrams: Ngrams, threads: int, *, most: int = _MOST_KEYS) -> None:
        self.ngrams, self.threads, self.most = ngrams, threads, most
        self.has_dropped = False
        self._counter: Counter[int] = Counter()
        if native.library() is not None:
            self._handle = call("documents_start", threads, most)
            weakref.finalize(self, bind("documents_end"), (self._handle,))

    def add(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Count some more texts; returns how many different features each has, (N,)."""
        sizes = np.empty(len(texts), np.int64)
        if native.library() is None:
            for i, text in enumerate(texts):
                blocks = [keys for keys, _ in _blocks(text, self.ngrams)]
                sizes[i] = sum(map(len, blocks))
                for found in blocks:
                    self._counter.update(found.tolist())
            if len(self._counter) > self.most:
                self._drop()
            return sizes
        data, starts, ends, _ = prepare(beginnings(texts), self.ngrams.lowercase)
        self.has_dropped = bool(call("documents_add",
            self._handle, *self.ngrams, MAX_TOKENS, len(texts), data, starts, ends,
            *unicode_tables(data), sizes,
        ))  # fmt: skip
        return sizes

    def _drop(self) -> None:
        self.has_dropped = True
        of_count = np.bincount(np.minimum(list(self._counter.values()), _TOLD))
        least, left = 1, len(self._counter)
        while least < _TOLD and 2 * left > self.most:
            left -= int(of_count[least]) if least < len(of_count) else 0
            least += 1
        self._counter = Counter({key: count for key, count in self._counter.items() if count >= least})

    def take(self, min_df: int, max_features: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Keys, sorted, and in how many texts each is.

        A key must be in `min_df` texts, or in more where that leaves more than `max_features` keys. If no key is in
        `min_df` texts, all keys are taken.
        """
        least = min_df
        while (count := self._write(least)) > max_features:
            least += 1
        if count == 0:
            least, count = 1, self._write(1)
        keys, counts = np.empty(count, np.uint32), np.empty(count, np.uint32)
        self._write(least, keys, counts)
        order = np.argsort(keys)
        return keys[order], counts[order]

    def _write(
        self, least: int, keys: NDArray[np.uint32] | None = None, counts: NDArray[np.uint32] | None = None
    ) -> int:
        """How many keys are in at least `least` texts; they and their counts are written where there is room."""
        if native.library() is not None:
            return call("documents_take", self._handle, least, keys, counts)
        found = [(key, number) for key, number in self._counter.items() if number >= least]
        if keys is not None and counts is not None:
            keys[:], counts[:] = np.array(found, np.uint32).reshape(-1, 2).T
        return len(found)


def index_keys(keys: NDArray[np.uint32], numbers: NDArray[np.int32] | None = None) -> Index:
    """Make sorted keys ready to be looked up, a bucket for each on the average."""
    bits = max(1, (len(keys) - 1).bit_length())
    starts = np.zeros((1 << bits) + 1, np.int32)
    np.cumsum(np.bincount(keys >> np.uint32(32 - bits), minlength=1 << bits), out=starts[1:])
    return Index(keys, starts, 32 - bits, numbers)


def features(
    texts: Sequence[str],
    ngrams: Ngrams,
    index: Index,
    idf: NDArray[np.float32],
    threads: int,
    into: Entries | None = None,
) -> Entries:
    """TF-IDF of the features of N texts that the index knows; the result does not depend on the number of threads.

    `idf` goes by feature, (F,). The result is written `into` entries if there are any: their `places` are set and leave
    room for all features of each text.
    """
    if native.library() is None:
        return _weigh_blocks([_blocks(text, ngrams) for text in texts], index, idf, into)
    return _look_up_all(texts, ngrams, index, threads, into, idf=idf)


def count_features(
    texts: Sequence[str], ngrams: Ngrams, index: Index, threads: int, into: Entries, words: NDArray[np.int32]
) -> None:
    """As `features`, without weights: the values are 1 + ln(how often), for `weigh_features`.

    Of the features of each text the first `words` (N,) are found to be runs of words.
    """
    if native.library() is None:
        for i, (text, place) in enumerate(zip(texts, into.places.tolist(), strict=True)):
            parts = [_look_up(*block, index.keys, index.numbers)[1:] for block in _blocks(text, ngrams)]
            words[i] = len(parts[0][0])
            found, damped = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            into.sizes[i] = len(found)
            into.indices[place : place + len(found)], into.values[place : place + len(found)] = found, damped
        return
    _look_up_all(texts, ngrams, index, threads, into, words=words)


def _look_up_all(
    texts: Sequence[str],
    ngrams: Ngrams,
    index: Index,
    threads: int,
    into: Entries | None,
    *,
    idf: NDArray[np.float32] | None = None,
    words: NDArray[np.int32] | None = None,
) -> Entries:
    """The native core's `features`, or without `idf` its `count_features`."""
    data, starts, ends, _ = prepare(beginnings(texts), ngrams.lowercase)
    if into is None:  # a token of L characters has at most char_ngrams * L runs inside it
        into = _room((ends - starts) * (ngrams.word_ngrams + (ngrams.char_ngrams if ngrams.char_ngrams > 1 else 0)))
    call("linear_features",
        max(1, min(threads, len(texts) // TEXTS_PER_THREAD)), *ngrams, MAX_TOKENS, len(texts),
        data, starts, ends, *unicode_tables(data), index.shift,
        index.keys, index.starts, index.numbers, idf, into.places, into.sizes, words, into.indices, into.values,
    )  # fmt: skip
    return into


def weigh_features(entries: Entries, words: NDArray[np.int32], idf: NDArray[np.float32], threads: int) -> None:
    """Make TF-IDF, in place, of what `count_features` found; `idf` goes by feature, (F,)."""
    if native.library() is not None:
        threads = max(1, min(threads, len(words) // TEXTS_PER_THREAD))
        call("linear_weigh", threads, len(words), len(idf), idf, *entries[:2], words, *entries[2:])
        return
    for place, size, first in zip(entries.places.tolist(), entries.sizes.tolist(), words.tolist(), strict=True):
        for here in (slice(place, place + first), slice(place + first, place + size)):
            entries.values[here] = _norm(idf[entries.indices[here]] * entries.values[here])


def count_ngrams(texts: Sequence[str], ngrams: Ngrams) -> Counts:
    """Count the n-grams of N texts; K is at least 1."""
    rows = []
    for text in texts:
        (words, times), (characters, more) = _blocks(text, ngrams)
        rows.append((np.concatenate([words, characters + np.int64(CHARACTERS)]), np.concatenate([times, more])))
    counts = Counts(*np.zeros((2, len(rows), max([1, *(len(keys) for keys, _ in rows)])), np.int64))
    for i, row in enumerate(rows):
        for padded, values in zip(counts, row, strict=True):
            padded[i, : len(values)] = values
    return counts


def weigh_counts(counts: Counts, index: Index, idf: NDArray[np.floating[Any]]) -> Entries:
    """TF-IDF of n-grams that are counted already, as `features` makes it of texts, in the precision of `idf`."""
    rows = []
    for keys, times in zip(*counts, strict=True):
        blocks = [(times > 0) & here for here in (keys < CHARACTERS, keys >= CHARACTERS)]
        rows.append([((keys[here] % CHARACTERS).astype(np.uint32), times[here]) for here in blocks])
    return _weigh_blocks(rows, index, idf)


def beginnings(texts: Sequence[str]) -> Sequence[str]:
    """The texts; of a very long one, what is read of it."""
    sizes = texts.sizes if isinstance(texts, PackedTexts) else map(len, texts)
    return [text[:MAX_CHARACTERS] for text in texts] if max(sizes, default=0) > MAX_CHARACTERS else texts


def _room(sizes: NDArray[np.int64], dtype: Any = np.float32) -> Entries:
    """Room for `sizes` features of each text."""
    total = int(sizes.sum())
    return Entries(np.cumsum(sizes) - sizes, sizes.astype(np.int32), np.empty(total, np.uint32), np.empty(total, dtype))


def _step(hashes: Any, following: Any) -> Any:
    return (hashes ^ following) * _MIX


def _fold(hashes: Any) -> Any:
    return hashes ^ hashes >> _HALF


def _keys_of(hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    return ((_fold(hashes) * _LAST) >> _HALF).astype(np.uint32)


def find_runs(text: str, ngrams: Ngrams) -> Runs:
    """The runs of a text that are features, known or not."""
    tokens = tokenize(text[:MAX_CHARACTERS], lowercase=ngrams.lowercase)[:MAX_TOKENS]
    lengths = np.array([len(token) for token in tokens], np.int64)
    ends = np.cumsum(lengths + 2)
    starts = ends - lengths - 2
    written = "".join(f" {token} " for token in tokens).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(written, "<u4").astype(np.uint64)
    codes[starts] = codes[ends - 1] = _MARK
    words = np.full(len(tokens), _WORD_SEED)
    for place in range(int(lengths.max(initial=0))):
        longer = lengths > place
        words[longer] = _step(words[longer], codes[starts[longer] + 1 + place])
    words = _fold(words)
    runs = Runs([], [])
    hashes = np.full(len(tokens), _RUN_SEED)
    for n in range(min(ngrams.word_ngrams, len(tokens))):
        hashes = _step(hashes[: len(words) - n], words[n:])
        runs.words.append(_keys_of(hashes))
    owners = np.repeat(np.arange(len(tokens)), lengths + 2)
    hashes = _step(np.full(len(codes), _CHAR_SEED), codes)
    for n in range(1, min(ngrams.char_ngrams, len(codes))):
        hashes = _step(hashes[: len(codes) - n], codes[n:])
        whole = owners[n:] == owners[: len(codes) - n]  # not over the end of a token
        runs.inside.append((_keys_of(hashes)[whole], owners[n:][whole]))
    return runs


def _blocks(text: str, ngrams: Ngrams) -> list[_Block]:
    """The block of a text's words, and of its characters."""
    runs, none = find_runs(text, ngrams), np.zeros(0, np.uint32)
    found = runs.words, [keys for keys, _ in runs.inside]
    return [np.unique(np.concatenate([none, *keys]), return_counts=True) for keys in found]


def weigh_block(
    keys: NDArray[np.uint32],
    counts: NDArray[np.int64],
    known_keys: NDArray[np.uint32],
    idf: NDArray[np.floating[Any]],
    numbers: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.integer[Any]], NDArray[np.floating[Any]]]:
    """Which of the different keys of a block are features; of these, their numbers and their TF-IDF.

    The features are `known_keys` and `numbers` of an `Index`.
    """
    known, found, damped = _look_up(keys, counts, known_keys, numbers)
    return known, found, _norm(idf[found] * damped.astype(idf.dtype))


def _look_up(
    keys: NDArray[np.uint32],
    counts: NDArray[np.int64],
    known_keys: NDArray[np.uint32],
    numbers: NDArray[np.int32] | None,
) -> tuple[NDArray[np.bool_], NDArray[np.integer[Any]], NDArray[np.float64]]:
    """Which keys of a block are features; of these, their numbers, and 1 + ln(how often each occurs)."""
    places = np.searchsorted(known_keys, keys)
    known = np.searchsorted(known_keys, keys, "right") > places
    found = places[known] if numbers is None else numbers[places[known]]
    return known, found, 1 + np.log(counts[known])


def _norm(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The values with an L2 norm of 1, or as they are where all are 0."""
    norm = np.sqrt(np.sum(np.square(values, dtype=np.float64)))
    return values / values.dtype.type(norm) if norm > 0 else values


def _weigh_blocks(
    texts: Sequence[Sequence[_Block]], index: Index, idf: NDArray[np.floating[Any]], into: Entries | None = None
) -> Entries:
    rows: list[list[NDArray[Any]]] = []
    for blocks in texts:
        parts = []
        for keys, counts in blocks:
            parts.append(weigh_block(keys, counts, index.keys, idf, index.numbers)[1:])
        rows.append([np.concatenate(arrays) for arrays in zip(*parts, strict=True)])
    sizes = np.array([len(found) for found, _ in rows], np.int64)
    into = into or _room(sizes, idf.dtype)
    into.sizes[:] = sizes
    for place, (found, values) in zip(into.places.tolist(), rows, strict=True):
        into.indices[place : place + len(found)] = found
        into.values[place : place + len(found)] = values
    return into
