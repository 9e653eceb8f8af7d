"""Texts that lie on disk instead of in memory."""

import mmap
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import overload

from rubrica.cache import cache_faults, unnamed_file


class StoredTexts(Sequence[str]):
    """Texts in a file that is mapped into memory; a slice is a list, so take many at a time.

    Args:
        texts: The first ones.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._file = unnamed_file()
        weakref.finalize(self, self._file.close)
        self._map: mmap.mmap | None = None
        self._starts = array("q", [0])  # of each text in the file, and where the last one ends
        self.extend(texts)

    def extend(self, texts: Iterable[str]) -> None:
        """Put some more behind them."""
        with cache_faults():
            for text in texts:
                data = text.encode("utf-8", "surrogatepass")
                self._file.write(data)
                self._starts.append(self._starts[-1] + len(data))
            self._file.flush()
        self._map = None

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """One text, or a list of those of a slice."""
        if not isinstance(index, slice):
            place = range(len(self))[index]
            return self[place : place + 1][0]
        first, last, step = index.indices(len(self))
        if step != 1:
            return [self[place] for place in range(first, last, step)]
        starts = self._starts[first : max(first, last) + 1]
        data = self._bytes(starts[0], starts[-1])
        return [data[a - starts[0] : b - starts[0]].decode("utf-8", "surrogatepass") for a, b in pairwise(starts)]

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), 4096):
            yield from self[first : first + 4096]

    def _bytes(self, start: int, end: int) -> bytes:
        if start == end:
            return b""  # and nothing at all cannot be mapped
        if self._map is None:
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map[start:end]
