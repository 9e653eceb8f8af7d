"""Packed files: gzip, bzip2, xz, Zstandard, and zip archives with one file inside."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from rubrica.errors import DataError, require


def _open_gzip(path: Path) -> Any:
    import gzip

    return gzip.open(path)


def _open_bzip2(path: Path) -> Any:
    import bz2

    return bz2.open(path)


def _open_xz(path: Path) -> Any:
    import lzma

    return lzma.open(path)


def _open_zstandard(path: Path) -> Any:
    pa = require("pyarrow", "data")  # Python reads it itself from 3.14 on
    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")


def _open_zip(path: Path) -> Any:
    from zipfile import ZipFile

    return ZipFile(path).open(zip_member(path))


OPENERS: dict[str, Callable[[Path], AbstractContextManager[IO[bytes]]]] = {
    ".gz": _open_gzip,
    ".bz2": _open_bzip2,
    ".xz": _open_xz,
    ".zst": _open_zstandard,
    ".zip": _open_zip,
}
"""How to read a packed file, by its last suffix."""


def packing_faults() -> tuple[type[Exception], ...]:
    """What the openers and their streams raise for a file that is broken, and OSError."""
    import lzma
    import zipfile
    import zlib

    # RuntimeError: a zip archive with a password; NotImplementedError: one packed in a way that Python lacks.
    # ValueError comes from pyarrow, for Zstandard.
    return (
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
        ValueError,
    )


_ADDED = re.compile(r"\._|\.DS_Store$|desktop\.ini$|Thumbs\.db$", re.IGNORECASE)  # by macOS and Windows


def zip_member(path: Path) -> str:
    """The name of the only file inside a zip archive; what macOS and Windows add does not count.

    Raises:
        DataError: If there is none, or several.
        OSError, BadZipFile: If the archive cannot be read.
    """
    from zipfile import ZipFile

    with ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    names = [name for name in names if not name.startswith("__MACOSX/") and not _ADDED.match(Path(name).name)]
    if len(names) != 1:
        raise DataError(path, f"holds {len(names)} files, expected one; unpack it and pass a file or the folder")
    return names[0]
