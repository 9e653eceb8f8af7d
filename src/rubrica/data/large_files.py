r"""The content of files that need not fit into memory: a large file is mapped, and read in stretches.

A mapped file must not become shorter; the system ends a process that reads behind the end.
"""

import codecs
import mmap
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rubrica.errors import DataError
from rubrica.files import user_path

if TYPE_CHECKING:
    from gzip import GzipFile


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a data set is in memory at a time."""

    large_bytes: int = 64 << 20
    """A larger file is mapped and read in parts. Texts of more characters are kept on disk."""
    stretch_bytes: int = 16 << 20
    """Lines of a large file that are read together. As Python's objects, rows of JSON take some ten times as much."""
    block_bytes: int = 4 << 20
    """The part of a CSV file that a thread reads. On two cores 1 to 8 MiB read AG News equally fast."""
    part_rows: int = 1 << 14
    """Rows of a large Parquet file or hub data set that are read together."""


USUAL = Limits()


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file, unpacked; the map of a large one. The path is for messages."""

    path: Path
    data: bytes | mmap.mmap
    limits: Limits

    @property
    def is_large(self) -> bool:
        """Whether the file is mapped and must be read in parts."""
        return not isinstance(self.data, bytes)

    def stretches(self) -> Iterator[bytes]:
        r"""The bytes of a large file in stretches that end in `\n`; the bytes of a small one together."""
        start, size = 0, len(self.data)
        step = self.limits.stretch_bytes if self.is_large else size
        while start < size:
            end = self.data.find(b"\n", min(start + step, size) - 1) + 1 or size
            yield self.data[start:end]
            start = end

    def pages(self) -> Iterator[tuple[int, list[str]]]:
        """The lines of each stretch without their ends, with the number of the first.

        Raises:
            DataError: If the text is not UTF-8, with the line.
        """
        first = 1
        for stretch in self.stretches():
            # str.splitlines would also split at U+2028, form feeds and other characters that texts contain.
            lines = decode(self.path, stretch, first).split("\n")
            if not lines[-1]:  # the file or stretch ends in \n, or is empty
                lines.pop()
            yield first, [line.removesuffix("\r") for line in lines]
            first += len(lines)


def read_content(path: Path, limits: Limits = USUAL) -> Content:
    """The content of a file, unpacked if its name ends in `.gz`.

    Raises:
        DataError: If the file cannot be read or unpacked.
        FileError: If a large packed file cannot be unpacked into the cache folder.
    """
    import gzip  # not for an answer
    import zlib

    data: bytes | mmap.mmap
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as packed:
                data = _unpack(packed, limits)
        elif path.stat().st_size <= limits.large_bytes:
            data = path.read_bytes()
        else:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:  # before OSError, which BadGzipFile is
        raise DataError(path, f"broken gzip file ({error}); compress or download it again") from None
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror or error})") from None
    return Content(path, data, limits)


def _unpack(packed: "GzipFile", limits: Limits) -> bytes | mmap.mmap:
    """All that a packed file holds; if it is large, as the map of a file in the cache folder."""
    from rubrica.files import cache_faults, unnamed_file

    data = packed.read(limits.large_bytes + 1)
    if len(data) <= limits.large_bytes:
        return data
    with unnamed_file() as file:
        while data:
            with cache_faults():
                file.write(data)
                file.flush()
            data = packed.read(1 << 20)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def decode(path: Path | str, data: bytes, first_line: int = 1) -> str:
    """Bytes of a file as text, without the byte order mark that some programs put at its start.

    Raises:
        DataError: If the bytes are not UTF-8, with the line.
    """
    if first_line == 1:
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        problem = f"not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        raise DataError(path, problem, line=line) from None


def iter_lines(source: Path | str) -> Iterator[str]:
    r"""Yield one text a line from a UTF-8 file or, for `-`, from stdin as it comes.

    Only `\n` and `\r\n` end a line, and an empty line is a text: n lines in, n answers out.

    Raises:
        DataError: If there is no such file or a line is not UTF-8.
    """
    standard = str(source) == "-"
    path = "<stdin>" if standard else user_path(source)
    try:
        with nullcontext(sys.stdin.buffer) if standard else Path(path).open("rb") as stream:
            for number, line in enumerate(stream, 1):
                yield decode(path, line, number).removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror or error})") from None
