"""Where derived files lie: memory-mapped vectors between runs, texts and token ids that are too many for memory.

The folder is `$RUBRICA_CACHE`, else `$XDG_CACHE_HOME/rubrica`, else `~/.cache/rubrica`. Every entry is keyed
by what it was made from, so nothing in it can go stale and all of it may be deleted at any time. Texts and ids have
no name there: they go with the process, however it ends.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

from rubrica.errors import FileError

IN_MEMORY_BYTES = 16 << 20  # of an array that grows with the texts; a larger one is mapped from a file


def cache_folder() -> Path:
    """The folder of derived files; it need not exist yet."""
    if path := os.environ.get("RUBRICA_CACHE"):
        return Path(path)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rubrica"


def content_key(*parts: bytes) -> str:
    """A name for content: sha256 over the parts and their lengths, 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:32]


def write_whole(path: Path, write: Callable[[Path], object]) -> bool:
    """Write a file under another name and move it into place, so that no reader ever sees half of it.

    A cache that cannot be written is no reason to stop: the caller still holds what it wanted to keep.

    Returns:
        Whether the file was written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.replace(path)
        temporary = None
        return True
    except OSError:
        return False
    finally:
        if temporary is not None:  # what failed, or was interrupted, half-way
            temporary.unlink(missing_ok=True)


def unnamed_file() -> IO[bytes]:
    """An empty file that nothing else can find and that is gone when the last who reads it is.

    Raises:
        FileError: If the folder cannot be written.
    """
    with cache_faults():
        cache_folder().mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=cache_folder())


def make_array(length: int, dtype: "DTypeLike") -> "NDArray[Any]":
    """An array for something that every text has: in memory while it is small, else in a file that is mapped.

    Args:
        length: How many numbers; what they are is undefined.
        dtype: Their type.

    Raises:
        FileError: If the folder cannot be written.
    """
    import numpy as np

    size = length * np.dtype(dtype).itemsize
    if size <= IN_MEMORY_BYTES:
        return np.empty(length, dtype)
    with unnamed_file() as file, cache_faults():
        # The room is taken now: where it is missing, a write into a map would end the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.asarray(np.memmap(file, dtype, "r+"))


@contextmanager
def cache_faults() -> Iterator[None]:
    """Say what can be done where there is no room, or no permission, to write what must be written.

    Raises:
        FileError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); make room, or set RUBRICA_CACHE to another folder"
        raise FileError(cache_folder(), problem) from None
