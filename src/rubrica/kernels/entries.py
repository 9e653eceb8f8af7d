"""The words and labels of a fastText file: their names, counts and types, taken apart and put together.

An entry is its name, a zero byte, its count (int64), and its type (int8): 0 of a word, 1 of a label.

Letters: N entries, S bytes of all names.
"""

import mmap
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import call

_REST = struct.Struct("<qB")  # what follows the zero byte
_TAIL = 1 + _REST.size
_STRETCH = 1 << 16  # entries at a time; more only cost memory


class Entries(NamedTuple):
    """N entries: names in one piece (S,), where each ends, counts, types (N,), and their bytes in the file."""

    names: NDArray[np.uint8]
    ends: NDArray[np.int64]
    counts: NDArray[np.int64]
    types: NDArray[np.uint8]
    size: int


def read_entries(mapped: mmap.mmap, data: NDArray[np.uint8], first: int, count: int) -> Entries | None:
    """Take entries apart; None where the file ends before the last one does.

    Args:
        mapped: The file.
        data: Its bytes.
        first: Where the entries start.
        count: N; the file must have room for as many without a name.
    """
    tail = data[first:]
    if native.library() is None:
        return _read_slowly(mapped, tail, first, count)
    size = call("fasttext_entries", len(tail), tail, count, None, None, None, None)
    if size < 0:
        return None
    names = np.empty(size - _TAIL * count, np.uint8)
    ends, counts, types = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.uint8)
    call("fasttext_entries", len(tail), tail, count, names, ends, counts, types)
    return Entries(names, ends, counts, types, size)


def _read_slowly(mapped: mmap.mmap, tail: NDArray[np.uint8], first: int, count: int) -> Entries | None:
    ends, counts, types = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.uint8)
    place, total, pieces = first, 0, []
    for i in range(count):
        zero = mapped.find(b"\0", place)
        if zero < 0 or zero + _TAIL > len(mapped):
            return None
        pieces.append(mapped[place:zero])
        total += zero - place
        ends[i], (counts[i], types[i]) = total, _REST.unpack_from(mapped, zero + 1)
        place = zero + _TAIL
    return Entries(np.frombuffer(b"".join(pieces), np.uint8), ends, counts, types, place - first)


def pack_entries(
    names: NDArray[np.uint8], ends: NDArray[Any], counts: NDArray[Any], num_words: int
) -> Iterator[NDArray[np.uint8]]:
    """Put entries together, some thousands at a time; the first `num_words` are words."""
    for first in range(0, len(ends), _STRETCH):
        mine = slice(first, first + _STRETCH)
        start = int(ends[first - 1]) if first else 0
        tails = (ends[mine] - start)[:, None] + _TAIL * np.arange(len(ends[mine]))[:, None] + np.arange(_TAIL)
        out = np.zeros(int(tails[-1, -1]) + 1, np.uint8)
        is_name = np.ones(len(out), bool)
        is_name[tails] = False
        out[is_name] = names[start : int(ends[mine][-1])]
        out[tails[:, 1:9]] = counts[mine].astype("<i8")[:, None].view(np.uint8)
        out[tails[:, 9]] = np.arange(first, first + len(tails)) >= num_words
        yield out
