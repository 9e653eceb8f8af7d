"""Which texts say almost the same: pairs found by MinHash, and judged by the weight of the words that they share.

A text is a set of pieces: its words, and its pairs of neighbouring words. Source of the search: A. Broder, "On the
resemblance and containment of documents", 1997, https://doi.org/10.1109/SEQUEN.1997.666900. A hash keeps the smallest
number that it gives to a piece of the text; two texts agree in a hash with the probability that is their resemblance,
the pieces they share over all their pieces. Hashes are read in bands, and texts that agree in a whole band are a pair
to look at. Departure: a pair is judged by idf, so that what counts is rare words. "What is the capital of Peru?" and
"What is the capital of Chad?" share most words, and ask two things.

With bands of 4 hashes, 25 of them, a pair of resemblance 0.7 is looked at with probability 0.999, of 0.5 with 0.80, of
0.05 with 0.0002; so of 80,000 unlike texts few are looked at.

Letters: N texts, P pieces of all texts, Q pairs.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.scoring.task import Rows

BANDS, WIDTH = 25, 4
ALIKE = 0.55  # of the weight: one word in ten may differ; below, short questions of one form are pairs
_LOOKED_AT = 0.3  # of the hashes agree: below, a pair of weight 0.55 is rare
_TOGETHER = 12  # texts of a band of which each pair is looked at; of more, each with the next and with the first
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits without a pattern: 2**64 over the golden ratio
_HALF, _NONE = np.uint64(32), np.uint32(0xFFFFFFFF)
_AT_ONCE = 1 << 12  # pairs whose pieces are compared at a time


class Pairs(NamedTuple):
    """Pairs of similar texts, each once, the smaller number first.

    Args:
        first: Numbers of texts, (Q,).
        second: Numbers of texts, (Q,).
        alike: The share of their weight that they share, from `ALIKE` to 1, (Q,).
    """

    first: Rows
    second: Rows
    alike: NDArray[np.float32]


class Pieces(NamedTuple):
    """The pieces of N texts, each once in a text: `pieces[offsets[i] : offsets[i + 1]]`, sorted; and their weights."""

    pieces: NDArray[np.uint32]
    offsets: Rows
    weights: NDArray[np.float32]


def similar_pairs(ids: NDArray[np.int32], offsets: Rows, alike: float = ALIKE) -> Pairs:
    """The pairs of similar texts, given the words of each in numbers."""
    pieces = _pieces(ids, offsets)
    marks = _marks(pieces)
    candidates = _candidates(marks)
    first, second = candidates // len(marks), candidates % len(marks)
    agreed = np.concatenate([
        (marks[first[at : at + _AT_ONCE]] == marks[second[at : at + _AT_ONCE]]).mean(axis=1)
        for at in range(0, max(1, len(first)), _AT_ONCE)
    ])  # fmt: skip
    first, second = first[agreed >= _LOOKED_AT], second[agreed >= _LOOKED_AT]
    shared = np.concatenate([np.zeros(0, np.float32), *_alike(pieces, first, second)])
    kept = shared >= alike
    return Pairs(first[kept], second[kept], shared[kept])


def _pieces(ids: NDArray[np.int32], offsets: Rows) -> Pieces:
    """The words and pairs of neighbouring words of each text, each once, with their idf."""
    owners = np.repeat(np.arange(len(offsets) - 1, dtype=np.uint64), np.diff(offsets)) << _HALF
    words = ids.astype(np.uint64) + np.uint64(1)  # every hash of 0 is 0
    inside = owners[1:] == owners[:-1]
    pairs = (words[:-1] << _HALF | words[1:])[inside]
    every = np.concatenate([owners | _hashed(words), owners[1:][inside] | _hashed(pairs)])
    every.sort()  # texts in the upper half, pieces in the lower: one sort of whole numbers
    every = every[np.append(True, every[1:] != every[:-1])] if len(every) else every
    pieces = every.astype(np.uint32)
    _, numbers, counts = np.unique(pieces, return_inverse=True, return_counts=True)
    weights = np.log((1 + len(offsets)) / counts).astype(np.float32)[numbers]
    return Pieces(pieces, np.searchsorted(every, np.arange(len(offsets), dtype=np.uint64) << _HALF), weights)


def _hashed(pieces: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A number below 2**32 for each piece; of 10 million pieces some 10,000 share theirs, which no text notices."""
    return (pieces ^ pieces >> np.uint64(29)) * _MIX >> _HALF


def _marks(pieces: Pieces) -> NDArray[np.uint32]:
    """The smallest number that each hash gives to a piece of each text, (N, BANDS * WIDTH)."""
    count = len(pieces.offsets) - 1
    marks = np.full((BANDS * WIDTH, count), _NONE)
    filled = np.flatnonzero(np.diff(pieces.offsets))
    starts = pieces.offsets[:-1][filled]
    # An odd multiple, mod 2**32, puts all numbers in another order.
    factors = np.random.default_rng(0).integers(0, 1 << 31, BANDS * WIDTH, np.uint32) * np.uint32(2) + np.uint32(1)
    for mark, factor in zip(marks, factors, strict=True):
        if len(filled):
            mark[filled] = np.minimum.reduceat(pieces.pieces * factor, starts)
    return np.ascontiguousarray(marks.T)


def _candidates(marks: NDArray[np.uint32]) -> Rows:
    """Pairs that agree in a band, as first * N + second, each once, sorted."""
    count, found = len(marks), [np.zeros(0, np.int64)]
    filled = np.flatnonzero(~(marks == _NONE).all(axis=1))  # texts without a word are like nothing
    for band in range(BANDS):
        keys = np.zeros(len(filled), np.uint64)
        for mark in marks[filled, band * WIDTH : (band + 1) * WIDTH].T:
            keys = (keys ^ mark) * _MIX
        order = np.argsort(keys, kind="stable")
        members, keys = filled[order], keys[order]
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        sizes = np.diff(np.append(starts, len(keys)))
        for step in range(1, _TOGETHER):
            places = _places(starts, sizes, step)
            found.append(members[places] * count + members[places + step])
        large = sizes > _TOGETHER
        leaders = np.repeat(starts[large], sizes[large] - 1)
        followers = np.concatenate([np.zeros(0, np.int64), *map(np.arange, starts[large] + 1, (starts + sizes)[large])])
        found.append(members[leaders] * count + members[followers])
        found = [np.unique(np.concatenate(found))]
    return found[0]


def _places(starts: Rows, sizes: Rows, step: int) -> Rows:
    """The places in runs of equal keys that have another `step` places further in the same run."""
    sizes = np.maximum(sizes - step, 0)
    ends = np.cumsum(sizes)
    return np.repeat(starts - ends + sizes, sizes) + np.arange(int(sizes.sum()))


def _alike(pieces: Pieces, first: Rows, second: Rows) -> Iterator[NDArray[np.float32]]:
    """The weight of the pieces that two texts share, over the weight of all their pieces, some pairs at a time."""
    totals = np.add.reduceat(np.append(pieces.weights, np.float32(0)), pieces.offsets[:-1])
    for at in range(0, len(first), _AT_ONCE):
        ours, theirs = first[at : at + _AT_ONCE], second[at : at + _AT_ONCE]
        pairs, places = zip(*(_taken(pieces.offsets, rows) for rows in (ours, theirs)), strict=True)
        pair, place = np.concatenate(pairs), np.concatenate(places)
        order = np.lexsort((pieces.pieces[place], pair))
        pair, place = pair[order], place[order]
        twice = np.flatnonzero((pair[1:] == pair[:-1]) & (pieces.pieces[place[1:]] == pieces.pieces[place[:-1]]))
        shared = np.bincount(pair[twice], pieces.weights[place[twice]], minlength=len(ours))
        yield (shared / (totals[ours] + totals[theirs] - shared)).astype(np.float32)


def _taken(offsets: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """The number of the pair of each piece of some texts, and the place of the piece."""
    sizes = offsets[rows + 1] - offsets[rows]
    ends = np.cumsum(sizes)
    return np.repeat(np.arange(len(rows)), sizes), np.repeat(offsets[rows] - ends + sizes, sizes) + np.arange(ends[-1])
