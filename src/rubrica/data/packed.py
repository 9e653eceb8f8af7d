"""Packed files: gzip, bzip2, xz, Zstandard, and zip archives with one file inside."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from rubrica.errors import DataError, require

Packed = Path | IO[bytes]


def _open_gzip(file: Packed) -> Any:
    import gzip

    return gzip.open(file)


def _open_bzip2(file: Packed) -> Any:
    import bz2

    return bz2.open(file)


def _open_xz(file: Packed) -> Any:
    import lzma

    return lzma.open(file)


def _open_zstandard(file: Packed) -> Any:
    pa = require("pyarrow", "data")  # Python reads it itself from 3.14 on
    return pa.input_stream(file, compression="zstd")


def _open_zip(file: IO[bytes]) -> Any:
    from zipfile import ZipFile

    return ZipFile(file).open(zip_member(file))


OPENERS: dict[str, Callable[[Any], AbstractContextManager[IO[bytes]]]] = {
    ".gz": _open_gzip,
    ".bz2": _open_bzip2,
    ".xz": _open_xz,
    ".zst": _open_zstandard,
    ".zip": _open_zip,
}
"""How to read a packed file that is open, by its last suffix; all but zip archives also take a path."""


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


def zip_member(file: IO[bytes]) -> str:
    """The name of the only file inside a zip archive; what macOS and Windows add does not count.

    Raises:
        DataError: If there is none, or several.
        OSError, BadZipFile: If the archive cannot be read.
    """
    from zipfile import ZipFile

    with ZipFile(file) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    names = [name for name in names if not name.startswith("__MACOSX/") and not _ADDED.match(Path(name).name)]
    if len(names) != 1:
        raise DataError(file.name, f"holds {len(names)} files, expected one; unpack it and pass a file or the folder")
    return names[0]
