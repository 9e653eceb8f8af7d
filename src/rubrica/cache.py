"""Where derived files lie between runs: token ids and memory-mapped vectors.

The folder is `$RUBRICA_CACHE`, else `$XDG_CACHE_HOME/rubrica`, else `~/.cache/rubrica`. Every entry is keyed
by what it was made from, so nothing in it can go stale and all of it may be deleted at any time.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


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
