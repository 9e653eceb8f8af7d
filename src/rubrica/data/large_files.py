r"""The content of files that need not fit into memory: a large file is mapped, and read in stretches.

A mapped file must not become shorter; the system ends a process that reads behind the end.
"""

import codecs
import mmap
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rubrica.errors import DataError
from rubrica.files import user_path
from rubrica.progress import Show, silent

if TYPE_CHECKING:
    from rubrica.data.addresses import Place  # not for an answer to standard input


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
    line_bytes: int = 64 << 20
    """How long a line of a large file may be: a line is in memory as a whole."""
    unpacked_times: int = 200
    """How many times its packed size a file may hold, where it holds more than `large_bytes`. Texts pack to a tenth of
    their size; a file that is made to fill a disk packs to a thousandth."""

    def most_unpacked(self, size: int) -> int:
        """How many bytes a file of this size may hold once it is unpacked."""
        return max(self.large_bytes, self.unpacked_times * size)


USUAL = Limits()
_LOOKED_AT = 1 << 16  # bytes that tell how lines end


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file, unpacked; the map of a large one. The path is for messages."""

    path: "Place"
    data: bytes | mmap.mmap
    limits: Limits
    show: Show = silent  # told how far the reading is

    @property
    def is_large(self) -> bool:
        """Whether the file is mapped and must be read in parts."""
        return not isinstance(self.data, bytes)

    def reached(self, place: int) -> None:
        """Show that the bytes up to a place are read."""
        self.show(f"reading {self.path}", place, len(self.data))

    def stretches(self) -> Iterator[bytes]:
        r"""The bytes of a large file in stretches that end in `\n`; the bytes of a small one together.

        Raises:
            DataError: If a line is too long to be in memory.
        """
        start, size = 0, len(self.data)
        step = self.limits.stretch_bytes if self.is_large else size
        while start < size:
            soonest = min(start + step, size) - 1
            end = self.data.find(b"\n", soonest) + 1 or size
            if self.is_large and end - soonest > self.limits.line_bytes:
                problem = f"a line of more than {self.limits.line_bytes >> 20} MB after byte {soonest}"
                raise DataError(self.path, f"{problem}; is it a file of texts, a row a line?")
            yield self.data[start:end]
            self.reached(end)
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


def read_content(path: "Place", limits: Limits = USUAL, show: Show = silent) -> Content:
    """The content of a file, unpacked if its suffix is in `packed.OPENERS`.

    Args:
        path: A path or an address.
        limits: How much may be in memory.
        show: Told how much of it is fetched, unpacked and read.

    Raises:
        DataError: If the file cannot be read or unpacked.
        FileError: If a large packed file cannot be unpacked into the cache folder.
    """
    from rubrica.data.packed import OPENERS, packing_faults  # not for an answer

    data: bytes | mmap.mmap
    suffix = path.suffix.lower()
    try:
        with open_binary(path, show) as file:
            size = os.fstat(file.fileno()).st_size
            if suffix in OPENERS:
                with OPENERS[suffix](file) as packed:
                    pieces = _pieces(path, packed, size, limits)
                    data = _gather(_shown(pieces, show, f"unpacking {path}", file.tell, size), limits)
            elif size <= limits.large_bytes:
                data = file.read()
            else:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except DataError:
        raise
    except packing_faults() as error:
        if suffix in OPENERS and getattr(error, "strerror", None) is None:
            problem = f"broken {suffix} file ({str(error).partition(chr(10))[0]}); compress or download it again"
            raise DataError(path, problem) from None
        raise DataError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return Content(path, data, limits, show)


def open_binary(path: "Place", show: Show = silent) -> IO[bytes]:
    """A file on the disk, or one that is fetched from its address.

    Raises:
        DataError, FileError: As `Address.open` does.
        OSError: As `Path.open` does.
    """
    return path.open("rb") if isinstance(path, Path) else path.open(show)


def _shown(pieces: Iterable[bytes], show: Show, title: str, tell: Callable[[], int], size: int) -> Iterator[bytes]:
    """Yield the pieces that are made of a file; `tell` says up to which of its bytes they were made."""
    for piece in pieces:
        show(title, tell(), size)
        yield piece


def read_text(path: "Place", limits: Limits = USUAL, encoding: str | None = None, show: Show = silent) -> Content:
    r"""The content of a text file in UTF-8 with lines that end in `\n`, whatever its encoding and its ends of lines.

    Raises:
        DataError: As in `read_content`; or if the bytes are not in this encoding, with the line.
    """
    from rubrica.data.encodings import encoding_of, iter_utf8, parts_of, unmarked

    content = read_content(path, limits, show)
    data = content.data
    found = encoding_of(data[:4], encoding)
    if encoding is None and found is None and (wide := unmarked(data[:256])):
        raise DataError(path, f"looks like UTF-16 without its mark; pass --encoding {wide}", line=1)
    if found is not None:
        data = _gather(iter_utf8(path, parts_of(data), found), limits)
    if _ends_in_returns(data):  # of a Macintosh before 2001, and some programs of today
        data = _gather((part.replace(b"\r\n", b"\n").replace(b"\r", b"\n") for part in parts_of(data)), limits)
    return replace(content, data=data)


def _ends_in_returns(data: bytes | mmap.mmap) -> bool:
    r"""Whether more of the first lines end in `\r` alone than in `\n`."""
    start = data[:_LOOKED_AT]
    return start.count(b"\r") - start.count(b"\r\n") > start.count(b"\n")


def _pieces(path: "Place", packed: IO[bytes], size: int, limits: Limits) -> Iterator[bytes]:
    """All that a packed file holds, first as much as is read at once.

    Raises:
        DataError: If it holds far more than its size lets expect.
    """
    most = limits.most_unpacked(size)
    data = packed.read(limits.large_bytes + 1)
    while data:
        if (most := most - len(data)) < 0:
            problem = (
                f"holds more than {limits.unpacked_times} times its size, as files do that are made to fill a disk"
            )
            raise DataError(path, f"{problem}; if it is right, unpack it and pass the file")
        yield data
        data = packed.read(1 << 20)


def _gather(pieces: Iterable[bytes], limits: Limits) -> bytes | mmap.mmap:
    """All pieces in one; if they are large, as the map of a file in the cache folder."""
    from rubrica.files import cache_faults, unnamed_file

    pieces, first, size = iter(pieces), list[bytes](), 0
    for piece in pieces:
        first.append(piece)
        if (size := size + len(piece)) > limits.large_bytes:
            break
    else:
        return b"".join(first)
    with unnamed_file() as file:
        for piece in chain(first, pieces):
            with cache_faults():
                file.write(piece)
        with cache_faults():
            file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def decode(path: "Place | str", data: bytes, first_line: int = 1, *, lenient: bool = False) -> str:
    """Bytes of a file as text, without the byte order mark that some programs put at its start.

    A lenient reading puts a mark in the place of a byte that is not UTF-8.

    Raises:
        DataError: If the bytes are not UTF-8, with the line.
    """
    if first_line == 1:
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(errors="replace" if lenient else "strict")
    except UnicodeDecodeError as error:
        from rubrica.data.encodings import propose, what_else

        if first_line == 1 and (found := what_else(data)):
            raise DataError(path, found) from None
        line = first_line + data.count(b"\n", 0, error.start)
        advice = f"pass --encoding {propose(data, error.start)}, or save the file as UTF-8"
        problem = f"not UTF-8 (byte 0x{data[error.start]:02x}); {advice}"
        raise DataError(path, problem, line=line) from None


def iter_lines(source: Path | str, encoding: str | None = None) -> Iterator[str]:
    r"""Yield one text a line from a file or, for `-`, from stdin as it comes.

    Only `\n` and `\r\n` end a line, and an empty line is a text: n lines in, n answers out.

    Raises:
        DataError: If there is no such file or a line is not in its encoding.
    """
    from rubrica.data.encodings import encoding_of, iter_utf8, unmarked

    standard = str(source) == "-"
    path = "<stdin>" if standard else user_path(source)
    try:
        with nullcontext(sys.stdin.buffer) if standard else Path(path).open("rb") as stream:
            start = stream.readline()
            lines: Iterator[bytes] = chain([start] if start else [], stream)
            found = encoding_of(start, encoding)
            if found is None and encoding is None and (wide := unmarked(start[:256])):
                raise DataError(path, f"looks like UTF-16 without its mark; pass --encoding {wide}", line=1)
            if found is not None:
                lines = _whole_lines(iter_utf8(path, lines, found))
            for number, line in enumerate(lines, 1):
                yield decode(path, line, number).removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror or error})") from None


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Pieces of UTF-8 as lines with their `\n`; a piece may end anywhere."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest
