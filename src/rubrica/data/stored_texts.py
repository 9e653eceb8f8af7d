"""Texts that lie on disk instead of in memory, and their labels in a byte each."""

import mmap
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import overload

from rubrica.files import cache_faults, unnamed_file
from rubrica.scoring.task import Label

STRETCH = 1 << 16  # texts that are strings at a time


def stretches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the texts, so many at a time that all may be strings at once."""
    for first in range(0, len(texts), STRETCH):
        yield texts[first : first + STRETCH]


class StoredTexts(Sequence[str]):
    """Texts in a file that is mapped into memory; a slice is a list, so take many at a time.

    Args:
        texts: The first ones.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._file, self._starts_file = unnamed_file(), unnamed_file()
        for file in (self._file, self._starts_file):
            weakref.finalize(self, file.close)
        self._map: mmap.mmap | None = None
        self._starts: memoryview | None = None  # of each text in the file, and where the last one ends
        self._count = self._size = 0
        self._starts_file.write(array("q", [0]))
        self.extend(texts)

    def extend(self, texts: Iterable[str]) -> None:
        """Put some more behind them."""
        starts = array("q")
        with cache_faults():
            for text in texts:
                data = text.encode("utf-8", "surrogatepass")
                self._file.write(data)
                self._size += len(data)
                self._count += 1
                starts.append(self._size)
            self._starts_file.write(starts)
            self._file.flush()
            self._starts_file.flush()
        self._map = self._starts = None

    def __len__(self) -> int:
        return self._count

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
        if self._starts is None:
            self._starts = memoryview(_map(self._starts_file.fileno())).cast("q")
        starts = self._starts[first : max(first, last) + 1].tolist()
        data = self._bytes(starts[0], starts[-1])
        return [data[a - starts[0] : b - starts[0]].decode("utf-8", "surrogatepass") for a, b in pairwise(starts)]

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), 4096):
            yield from self[first : first + 4096]

    def _bytes(self, start: int, end: int) -> bytes:
        if start == end:
            return b""  # and nothing at all cannot be mapped
        if self._map is None:
            self._map = _map(self._file.fileno())
        return self._map[start:end]


class CodedLabels(Sequence[Label]):
    """Labels as numbers, a byte each while there are no more than 256 different ones.

    Args:
        labels: The first ones.
    """

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self._codes: dict[Label, int] = {}
        self.names: list[Label] = []  # every label once
        self._numbers = array("B")
        self.extend(labels)

    def extend(self, labels: Iterable[Label]) -> None:
        """Put some more behind them."""
        for label in labels:
            code = self._codes.setdefault(label, len(self._codes))
            if code == len(self.names):
                self.names.append(label)
            if code == 256 and self._numbers.typecode == "B":
                self._numbers = array("i", self._numbers)
            self._numbers.append(code)

    def rename(self, change: Callable[[Label], Label]) -> None:
        """Put `change(label)` where a label was; nothing can be put behind them any more."""
        self.names = [change(name) for name in self.names]

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Label: ...
    @overload
    def __getitem__(self, index: slice) -> list[Label]: ...
    def __getitem__(self, index: int | slice) -> Label | list[Label]:
        """One label, or a list of those of a slice."""
        found = self._numbers[index]
        return self.names[found] if isinstance(found, int) else [self.names[code] for code in found]


def _map(file: int) -> mmap.mmap:
    return mmap.mmap(file, 0, access=mmap.ACCESS_READ)
