r"""The bytes of files, which need not fit into memory: a large file is mapped, and taken in stretches.

A file must not become shorter while it is mapped; the system ends a process that reads behind the end.
"""

import codecs
import mmap
from collections.abc import Iterator
from pathlib import Path

from rubrica.errors import DataError

LARGE_BYTES = 64 << 20  # a file of more is mapped and read in stretches, texts of more characters are kept on disk
_STRETCH_BYTES = 16 << 20  # as Python's objects, rows of JSON take some ten times as much

Data = bytes | mmap.mmap


def read_data(path: Path) -> Data:
    """The content of a file, unpacked if it ends in `.gz`; of a large file it is mapped, not read.

    Raises:
        OSError: If it cannot be read or, being large and packed, not be unpacked into the cache folder.
        EOFError: If the packed data ends too early.
        zlib.error: If it is broken.
    """
    import gzip
    import shutil

    from rubrica.files import unnamed_file  # these are not for an answer

    packed = path.suffix.lower() == ".gz"
    if path.stat().st_size <= LARGE_BYTES:
        data = path.read_bytes()
        return gzip.decompress(data) if packed else data
    if not packed:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with gzip.open(path) as source, unnamed_file() as file:
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if file.tell() else b""


def iter_stretches(data: Data) -> Iterator[bytes]:
    r"""Cut data behind a `\n` every 16 MiB or so; what is not mapped stays whole."""
    if isinstance(data, bytes):
        yield data
        return
    start, whole = 0, len(data)
    while start < whole:
        end = data.find(b"\n", min(start + _STRETCH_BYTES, whole) - 1) + 1 or whole
        yield data[start:end]
        start = end


def iter_pages(path: Path, data: Data) -> Iterator[tuple[int, str]]:
    """Each stretch of a file as text, with the number of its first line."""
    line = 1
    for stretch in iter_stretches(data):
        yield line, decode(path, stretch, line)
        line += stretch.count(b"\n")


def decode(path: Path | str, data: bytes, first_line: int = 1) -> str:
    """Bytes of a file as text, without the mark that some programs put at its start.

    Raises:
        DataError: If they are not UTF-8, with the line.
    """
    if first_line == 1:
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        problem = f"not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        raise DataError(path, problem, line=line) from None
