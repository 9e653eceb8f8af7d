"""Files that Rubrica writes: whole or not at all, and the folder of files that it derives from others.

The cache folder is `$RUBRICA_CACHE`, else `$XDG_CACHE_HOME/rubrica`, else `~/.cache/rubrica`. The key of an entry is
made from the content that the entry comes from, so no entry goes stale, and a user may delete any of them at any time.
Texts and ids that do not fit into memory are files without a name there: they vanish with the process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

from rubrica.errors import FileError

UNFINISHED = ".unfinished-"
"""How the private folder of a writer begins, which is gone when it is done."""
_YOUNG = 60  # seconds
IN_MEMORY_BYTES = 16 << 20  # of an array that grows with the texts; a larger one is mapped from a file


@contextmanager
def written_whole(path: Path, error: type[FileError] = FileError) -> Iterator[Path]:
    """Write a file or a folder beside its place and move it there when it is complete.

    The block gets a path that does not exist yet, with the name of the target, on the same disk. It writes a file
    there, or makes a folder and fills it. No reader ever sees half of either, and a power cut leaves the old or the
    new one. A block that fails or is interrupted leaves nothing, and what stood at `path` before stays.

        with written_whole(folder, ArtifactError) as part:
            part.mkdir()
            (part / "config.json").write_text(text)

    Args:
        path: The target. Missing folders above it are made. An old file and an empty folder are replaced.
        error: The class of the error to raise.

    Raises:
        FileError: Of the class `error`, in place of an OSError of the block or of the move: the disk is full, the
            folder is read-only, or a folder with files in it stands at `path`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In a private folder the block's files get the usual permissions, and keep the ending of their name.
        with _private_folder(path.parent) as folder:
            part = folder / path.name
            yield part
            for written in (*part.rglob("*"), part):
                _sync(written)
            if part.is_dir() and path.is_dir():  # Windows moves no folder onto another
                path.rmdir()
            part.replace(path)
            with suppress(OSError):  # it is whole for every reader; a power cut leaves the old or the new one
                _sync(path.parent)
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise error(path, f"cannot be written ({reason}); nothing was left behind, give another place") from fault


def check_place(path: Path, error: type[FileError] = FileError) -> None:
    """Make the folders above a file or folder, and sure that it can be written, before any work is done for it.

    Raises:
        FileError: Of the class `error`, if it cannot.
    """
    _check_home(path, error)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _private_folder(path.parent):
            pass
    except OSError as fault:
        raise error(path, f"cannot be written ({fault.strerror or fault}); give another place") from None


def check_html(path: Path) -> None:
    """Make sure that a page takes the place of a page at most, and not of data.

    Raises:
        FileError: If the name says that it is something else.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise FileError(path, "is no name of a page; give one that ends in .html")


@contextmanager
def _private_folder(parent: Path) -> Iterator[Path]:
    """A folder that is gone after the block; it also sweeps out what killed processes left in `parent`."""
    from tempfile import TemporaryDirectory  # only those who write need it; it takes 3 ms of a prediction's start

    _sweep(parent)
    made = TemporaryDirectory(dir=parent, prefix=UNFINISHED, ignore_cleanup_errors=True)  # what stays is swept later
    with made as name, locked(Path(name)):
        yield Path(name)


@contextmanager
def locked(folder: Path) -> Iterator[bool | None]:
    """Hold the lock of a folder, which the system gives back when its process ends, killed or not.

    Yields True, or False where another process holds it, or None where the system or the disk has no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError:
            yield None
        else:
            yield True
    finally:
        os.close(handle)


def _sweep(parent: Path) -> None:
    """Remove the private folders whose processes were killed: nobody holds their lock.

    A folder gets its lock just after it is made, so a young one is left alone.
    """
    import shutil
    import time

    with suppress(OSError):  # the folder cannot be listed, or another process sweeps too
        for entry in list(os.scandir(parent)):
            ours = entry.name.startswith(UNFINISHED) and entry.is_dir(follow_symlinks=False)
            if ours and time.time() - entry.stat().st_mtime > _YOUNG:
                with locked(Path(entry.path)) as alone:
                    if alone:
                        shutil.rmtree(entry.path, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal digits."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):  # Windows can sync files alone
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def user_path(path: str | Path) -> Path:
    """A path with `~` as the user's folder; another name that begins with `~` stays as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no user of that name
        return Path(path)


def _check_home(path: Path, error: type[FileError] = FileError) -> None:
    """Make sure that no folder is made for a `~name` that `user_path` knows no folder for, or for an `s3:`."""
    first, *rest = path.parts or ("",)
    if rest and len(first) > 2 and first.endswith(":"):  # c: is a disk
        advice = "give a path on this machine, and copy it from there"
        raise error(f"{first}//{'/'.join(rest)}", f"addresses are read, but nothing is written to them; {advice}")
    if rest and first.startswith("~") and not Path(first).exists():
        raise error(path, f"there is no home folder {first}; give the full path")


def cache_folder() -> Path:
    """The folder of derived files; it need not exist yet.

    Raises:
        FileError: If it would lie in the home folder of nobody.
    """
    if path := os.environ.get("RUBRICA_CACHE"):
        folder = user_path(path)
    else:
        folder = user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "rubrica"
    _check_home(folder)
    return folder


def content_key(*parts: bytes) -> str:
    """A name for content: sha256 over the parts and their lengths, 32 hexadecimal digits."""
    import hashlib  # not for an answer

    return hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).hexdigest()[:32]


def unnamed_file() -> IO[bytes]:
    """An empty file in the cache folder that no other process can find; it vanishes when its last reader closes it.

    Raises:
        FileError: If the folder cannot be written.
    """
    from tempfile import TemporaryFile  # not for an answer

    with cache_faults():
        cache_folder().mkdir(parents=True, exist_ok=True)
        return TemporaryFile(dir=cache_folder())


def make_array(length: int, dtype: "DTypeLike") -> "NDArray[Any]":
    """An array of numbers for every text, with undefined values: in memory while small, else mapped from a file.

    Raises:
        FileError: If the cache folder cannot be written.
    """
    import numpy as np

    size = length * np.dtype(dtype).itemsize
    if size <= IN_MEMORY_BYTES:
        return np.empty(length, dtype)
    with unnamed_file() as file, cache_faults():
        # The room is taken now: on a full disk, a later write into the map would end the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.asarray(np.memmap(file, dtype, "r+"))


@contextmanager
def cache_faults() -> Iterator[None]:
    """Turn an OSError into a sentence that says how to give the cache room.

    Raises:
        FileError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error}); make room, or set RUBRICA_CACHE to another folder"
        raise FileError(cache_folder(), problem) from None
