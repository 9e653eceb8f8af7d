"""Files of vectors that a program has made smaller: gzip, bzip2, xz, zstd, and a zip with one file inside.

The first bytes tell the format, never the name.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from rubrica.data.packed import OPENERS
from rubrica.errors import VectorsError, require

if TYPE_CHECKING:
    from zipfile import ZipFile


class Packer(NamedTuple):
    """A program that packs files: its name, how its files start, how they are opened."""

    name: str
    magic: re.Pattern[bytes]
    open: Callable[[Path], Any]


def _open_zstd(path: Path) -> IO[bytes]:
    return io.BufferedReader(require("pyarrow", "data").input_stream(str(path), compression="zstd"))


def _open_zip(path: Path) -> IO[bytes]:
    import struct
    import zipfile

    try:
        archive = zipfile.ZipFile(path)
    except (ValueError, struct.error, NotImplementedError) as error:  # from a broken list of files
        raise zipfile.BadZipFile(f"no list of files: {error}") from error
    try:
        return _open_member(archive, path)
    except BaseException:
        archive.close()
        raise


def _open_member(archive: "ZipFile", path: Path) -> IO[bytes]:
    """The only file in an archive."""
    # A Mac adds a folder of its own to each archive. `is_dir` fails where a broken archive has an empty name.
    named = [(file.filename, file) for file in archive.infolist()]
    inside = [file for name, file in named if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(inside) != 1:
        names = ", ".join(file.filename for file in inside[:5]) + ", ..." * (len(inside) > 5)
        raise VectorsError(
            path, f"a zip archive of {names or 'no files'}, expected one file; unpack it and give a file"
        )
    if inside[0].flag_bits & 1:
        raise VectorsError(path, "a zip archive with a password; unpack it and give the file inside")
    try:
        return archive.open(inside[0])
    except NotImplementedError as error:
        raise VectorsError(path, f"a zip archive of an uncommon kind ({error}); unpack it yourself") from error


# Only the start of bzip2 is made of letters, which a word may have too; so its rule is longer.
_PACKERS = (
    Packer("gzip", re.compile(rb"\x1f\x8b"), OPENERS[".gz"]),
    Packer("bzip2", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), OPENERS[".bz2"]),
    Packer("xz", re.compile(rb"\xfd7zXZ\x00|\x5d\x00\x00"), OPENERS[".xz"]),
    Packer("zstd", re.compile(rb"\x28\xb5\x2f\xfd"), _open_zstd),
    Packer("zip", re.compile(rb"PK(\x03\x04|\x05\x06)"), _open_zip),
)


def packer_of(start: bytes) -> Packer | None:
    """Which program has packed a file, by its first ten bytes; None where none has."""
    return next((packer for packer in _PACKERS if packer.magic.match(start)), None)


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open the content of a file, packed or not.

    Raises:
        VectorsError: If an archive is cut off or damaged, or a zip archive has not exactly one file. Faults that show
            only while the block reads are turned into this error, too.
        MissingExtraError: If pyarrow is needed and not installed.
        OSError: If the disk fails.
    """
    with path.open("rb") as file:
        packer = packer_of(file.read(10))
    if packer is None:
        with path.open("rb") as file:
            yield file
        return
    import lzma  # late, as in the openers: most vectors are not packed
    import zipfile
    import zlib

    try:
        with packer.open(path) as file:
            yield file
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the archive's
            raise
        reason = str(error) or type(error).__name__
        problem = f"the {packer.name} file is cut off or damaged ({reason}); download it again"
        raise VectorsError(path, problem) from error
