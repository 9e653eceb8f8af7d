"""Texts on disk, mapped into memory as Arrow tables, and their labels in a byte each.

Measured with 10^6 texts of AG News against a mapped file of our own, in 5 runs each: Arrow writes as fast, gives random
slices of 1,024 texts 3.3 times faster and all texts in order 3.8 times faster. Memory stays flat with both.
"""

import hashlib
import mmap
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import require
from rubrica.files import cache_faults, unnamed_file
from rubrica.scoring.task import Label

STRETCH = 1 << 16  # texts that are strings at the same time
_NEAR = 64  # rows apart: rather read those between than ask once more
_BATCH = 1 << 12  # texts of an Arrow batch, which are strings at the same time


def stretches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the texts in parts that are small enough to be strings all at once."""
    for first in range(0, len(texts), STRETCH):
        yield texts[first : first + STRETCH]


def hash_of_texts(texts: Sequence[str]) -> str:
    """The first 16 digits of the sha256 of texts in their order; tells one data set from another."""
    found = hashlib.sha256()
    for some in stretches(texts):
        lengths = np.fromiter(map(len, some), np.int64, len(some))
        found.update(lengths.tobytes() + "".join(some).encode("utf-8", "surrogatepass"))
    return found.hexdigest()[:16]


def take_texts(texts: Sequence[str], rows: NDArray[np.int64]) -> list[str]:
    """The texts of some rows in ascending order. Rows near each other are read in one slice: texts may lie on disk."""
    found: list[str] = []
    for near in np.split(rows, np.flatnonzero(np.diff(rows) > _NEAR) + 1) if len(rows) else ():
        first = int(near[0])
        read = texts[first : int(near[-1]) + 1]
        found += [read[row] for row in (near - first).tolist()]
    return found


class StoredTexts(Sequence[str]):
    """Texts in a file without a name. A slice is a list: slices of many texts are fast, single texts slow.

    Args:
        texts: The first ones; strings that UTF-8 can encode.

    Raises:
        FileError: If the cache folder cannot be written.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        pa, ipc = require("pyarrow", "data"), require("pyarrow.ipc", "data")
        self._file = unnamed_file()
        weakref.finalize(self, self._file.close)
        with cache_faults():
            self._writer = ipc.new_stream(self._file, pa.schema({"text": pa.large_string()}))
        # The texts as an Arrow column: None until somebody asks for one. An empty file cannot be mapped.
        self._mapped: Any = pa.chunked_array([], pa.large_string())
        self._count = 0
        self.extend(texts)

    def extend(self, texts: Iterable[str]) -> None:
        """Append some more.

        Raises:
            FileError: If there is no room for them.
        """
        pa = require("pyarrow", "data")
        rest = iter(texts)
        with cache_faults():
            while some := list(islice(rest, _BATCH)):
                self._writer.write_batch(pa.record_batch({"text": pa.array(some, pa.large_string())}))
                self._count += len(some)
                self._mapped = None
            self._file.flush()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        """One text, or the list of a slice."""
        found = self._column()[index]
        return found.to_pylist() if isinstance(index, slice) else found.as_py()

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _BATCH):
            yield from self[first : first + _BATCH]

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process, as a worker of Ray, keeps the texts in a file of its own."""
        return _stored, (self._column(),)

    def _column(self) -> Any:
        """The texts as they lie in the file."""
        if self._mapped is None:
            pa, ipc = require("pyarrow", "data"), require("pyarrow.ipc", "data")
            data = pa.py_buffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
            self._mapped = ipc.open_stream(data).read_all().column("text")
        return self._mapped


def _stored(column: Any) -> StoredTexts:
    return StoredTexts(text for chunk in column.chunks for text in chunk.to_pylist())


class CodedLabels(Sequence[Label]):
    """Labels as numbers, a byte each while there are no more than 256 different ones."""

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self._codes: dict[Label, int] = {}
        self._names: list[Label] = []  # every label once
        self._numbers = array("B")
        self.extend(labels)

    def extend(self, labels: Iterable[Label]) -> None:
        """Append some more."""
        for label in labels:
            code = self._codes.setdefault(label, len(self._codes))
            if code == len(self._names):
                self._names.append(label)
            if code == 256 and self._numbers.typecode == "B":
                self._numbers = array("i", self._numbers)
            self._numbers.append(code)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        """One label, or the list of a slice."""
        found = self._numbers[index]
        return self._names[found] if isinstance(found, int) else [self._names[code] for code in found]

    def __iter__(self) -> Iterator[Label]:
        return map(self._names.__getitem__, self._numbers)
