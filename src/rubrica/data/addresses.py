"""Files and folders on servers: `s3://bucket/train.csv`, `https://host/train.csv` and the like.

A file is fetched whole, block by block, into a file without a name in the cache folder, and read from there as any
other: the readers go through a file several times, and say in which line a fault is. It is fetched anew by every
command, so no copy is ever stale, and none is left behind. How to reach the servers is the matter of `storage.py`.
"""

import os
import re
import weakref
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from rubrica.data.storage import Found, Store, explained, store_of
from rubrica.errors import DataError
from rubrica.files import cache_faults, unnamed_file, user_path
from rubrica.progress import Show, silent

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: c: is a disk of Windows
_PLAIN = "/:?&=%@+,;!$'()*[]~"  # what `quote` leaves as it is, beside letters and digits
_BLOCK = 8 << 20  # bytes; S3 is asked anew for each


class Address:
    """A file or folder on a server, with the calls of `Path` that the readers of data need.

    Its text shows neither a password nor what stands behind the `?`, since messages and model cards hold it.

    Args:
        address: As the user wrote it.
        store: Where it lies, if that is known already.
        found: What lies there, if that is known already.

    Raises:
        DataError: If it is no address.
    """

    def __init__(self, address: str, store: Store | None = None, found: Found | None = None) -> None:
        parts = _split(address)
        name, _, secret = parts.netloc.rpartition("@")
        host = parts.netloc if not secret or ":" not in name else secret
        self._quoted = quote(address, _PLAIN)
        self._shown = parts._replace(netloc=host, query="").geturl()
        self._path = PurePosixPath(unquote(parts.path))
        self._given = store, found
        self._file: IO[bytes] | None = None

    def __str__(self) -> str:
        return self._shown

    @property
    def name(self) -> str:
        """The last part."""
        return self._path.name

    @property
    def suffix(self) -> str:
        """What the last part ends in, such as `.csv`."""
        return self._path.suffix

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return self._path.stem

    @cached_property
    def _store(self) -> Store:
        store, _ = self._given
        with explained(self):
            return store or store_of(self._quoted)

    @cached_property
    def _found(self) -> Found:
        _, found = self._given
        with explained(self):
            return found or self._store.look()

    def is_dir(self) -> bool:
        """Whether it is a folder.

        Raises:
            DataError: If nothing is there, or the server cannot be asked.
        """
        return self._found.is_folder

    def is_file(self) -> bool:
        """Whether it is a file.

        Raises:
            DataError: As `is_dir` does.
        """
        return not self.is_dir()

    def iterdir(self) -> Iterator["Address"]:
        """What a folder holds.

        Raises:
            DataError: If the server cannot say.
        """
        with explained(self):
            inside = self._store.inside()
        folder = self._shown.rstrip("/")
        return (Address(f"{folder}/{quote(name, '')}", store, found) for name, store, found in inside)

    def stamp(self) -> list[int] | None:
        """The size and the time of the file, which tell whether it is another one; None where the server says neither.

        Raises:
            DataError: As `is_dir` does.
        """
        found = self._found
        return None if found.size is None or found.time is None else [found.size, found.time]

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process, as a worker of Ray, fetches the file by itself."""
        return Address, (self._quoted, *self._given)

    def file_system(self) -> tuple[Any, str] | None:
        """The file system of pyarrow, and the path there, by which a part of a file can be read; None of the web.

        Raises:
            DataError: If the server cannot be asked.
        """
        return self._store.file_system()

    def open(self, show: Show = silent) -> IO[bytes]:
        """The file for reading; the first call fetches it.

        Raises:
            DataError: If it cannot be fetched, or breaks off.
            FileError: If the cache folder has no room for it.
        """
        if self._file is None:
            self._file = file = unnamed_file()
            weakref.finalize(self, file.close)
            self._fetch(file, show)
        copy = os.fdopen(os.dup(self._file.fileno()), "rb")
        copy.seek(0)
        return copy

    def _fetch(self, file: IO[bytes], show: Show) -> None:
        done = 0
        with explained(self):
            stream, size = self._store.open()
        with stream as source:
            while True:
                show(f"fetching {self}", done, size or 0)
                with explained(self):
                    block = source.read(_BLOCK)
                if not block:
                    break
                with cache_faults():
                    file.write(block)
                done += len(block)
        with cache_faults():
            file.flush()
        if size is not None and done != size:
            raise DataError(self, f"broke off after {done:,} of {size:,} bytes; run the command again")


Place = Path | Address
"""Where a file or a folder of data is."""


def is_address(source: object) -> bool:
    """Whether a string is an address."""
    return isinstance(source, str) and _ADDRESS.match(source) is not None


def name_of(source: Path | str) -> str:
    """How messages and model cards name a source: an address without what is secret in it."""
    return str(place_of(source) if is_address(source) else source)


def place_of(source: Place | str) -> Place:
    """The path or the address that the user means.

    Raises:
        DataError: If it is no address.
    """
    if isinstance(source, Address):
        return source
    if not is_address(source):
        return user_path(source)
    parts = _split(str(source))
    if parts.scheme == "file":
        from urllib.request import url2pathname

        return Path(url2pathname(parts.path))
    return Address(str(source))


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address, allow_fragments=False)
    except ValueError as error:  # a bracket in the name of the server
        raise DataError(address, f"no address ({error}); check the spelling") from None
