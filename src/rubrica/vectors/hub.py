"""The word vectors that gensim publishes: what there is, what is already here, and fetching one by name.

Source: https://github.com/piskvorky/gensim-data, its `list.json` of 2018-03-16, the newest there is. gensim keeps
a download in `$GENSIM_DATA_DIR/NAME/NAME.gz` (`~/gensim-data` unless set) and so do we: what either has fetched,
both can read.
"""

import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from rubrica.errors import VectorsError, nearest, require

# Long enough for a slow server to answer, short enough for a person to wait for the news that none will.
_TIMEOUT_SECONDS = 5.0


class _Published(NamedTuple):
    """A row of the list: how many words, of how many numbers, in a download of how many MB (10^6 bytes)."""

    words: int | None
    dim: int
    megabytes: int | None


# The last one is gensim's own test file; the list does not say how large it is.
_LIST = {
    "fasttext-wiki-news-subwords-300": _Published(999_999, 300, 1005),
    "conceptnet-numberbatch-17-06-300": _Published(1_917_247, 300, 1225),
    "word2vec-ruscorpora-300": _Published(184_973, 300, 208),
    "word2vec-google-news-300": _Published(3_000_000, 300, 1744),
    "glove-wiki-gigaword-50": _Published(400_000, 50, 69),
    "glove-wiki-gigaword-100": _Published(400_000, 100, 134),
    "glove-wiki-gigaword-200": _Published(400_000, 200, 264),
    "glove-wiki-gigaword-300": _Published(400_000, 300, 394),
    "glove-twitter-25": _Published(1_193_514, 25, 110),
    "glove-twitter-50": _Published(1_193_514, 50, 209),
    "glove-twitter-100": _Published(1_193_514, 100, 406),
    "glove-twitter-200": _Published(1_193_514, 200, 795),
    "__testing_word2vec-matrix-synopsis": _Published(None, 50, None),
}


@dataclass(frozen=True, slots=True)
class KnownVectors:
    """Word vectors of the gensim list.

    Args:
        name: What `load_vectors` and `download_vectors` call them.
        words: How many words, or None where the list does not say.
        dim: Numbers of each word.
        megabytes: Size of the download, 10^6 bytes, or None where the list does not say.
        path: The file, or None while it is not downloaded.
    """

    name: str
    words: int | None
    dim: int
    megabytes: int | None
    path: Path | None


def list_known() -> list[KnownVectors]:
    """The whole list, in gensim's order; asks no network."""
    return [
        KnownVectors(name, *published, path if (path := _place(name)).is_file() else None)
        for name, published in _LIST.items()
    ]


def find_known(name: str) -> Path:
    """The file of a name on the list.

    Raises:
        VectorsError: If nobody publishes the name, or it is not downloaded yet.
    """
    if name not in _LIST:
        raise VectorsError(name, f"neither a file nor a folder nor a name of the gensim list; {nearest(name, _LIST)}")
    path = _place(name)
    if not path.is_file():
        raise VectorsError(name, f"not downloaded yet, expected at {path}; run: rubrica vectors get {name}")
    return path


def download_vectors(name: str) -> Path:
    """Fetch word vectors by name with gensim's downloader, unless they are here already.

    A download is moved into its place only when it is whole and its checksum is right. Progress goes to stderr.
    While it runs, the process-wide socket timeout and temporary folder are changed (see `_manners`).

    Returns:
        The file, gzip of word2vec's text or binary format.

    Raises:
        VectorsError: If nobody publishes the name, or it could not be fetched, for instance without a network.
        MissingExtraError: If gensim is not installed.
    """
    if name not in _LIST:
        raise VectorsError(name, f"not a name of the gensim list; {nearest(name, _LIST)}")
    path = _place(name)
    if path.is_file():
        return path
    if path.parent.exists():
        # gensim takes the folder itself for a finished download and would fetch nothing.
        raise VectorsError(path.parent, f"the folder has no {path.name}; delete it and download again")
    api = require("gensim.downloader", "vectors")
    try:
        with _manners(path.parent.parent):
            api.load(name, return_path=True)
    except Exception as error:
        # gensim reports a wrong checksum as a bare Exception, so there is nothing narrower to catch.
        # Whatever is neither that nor the network, the disk or a garbled index is not ours to explain.
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError, HTTPException)):
            raise
        raise VectorsError(
            name,
            f"could not be downloaded ({error}); without a network, fetch {api.DOWNLOAD_BASE_URL}/{name}/{name}.gz "
            f"on another machine and give its path, or put it at {path}",
        ) from error
    if not path.is_file():
        raise VectorsError(name, f"gensim reports success, yet there is no {path}; try again")
    return path


def _place(name: str) -> Path:
    # gensim reads the variable once, when it is imported; importing it only to list names would take a second.
    base = os.environ.get("GENSIM_DATA_DIR", "~/gensim-data")
    return Path(base).expanduser() / name / f"{name}.gz"


@contextmanager
def _manners(base: Path) -> Iterator[None]:
    """Teach manners to gensim's downloader, which prints on stdout, waits for ever and leaves its partial files.

    Its temporary files go into a folder beside their goal: removed at the end, and on the goal's own disk, so
    that the last step is a rename and no copy that could stop half-way. Its log is shut, for it writes a traceback
    of what our error says in a sentence.
    """
    base.mkdir(parents=True, exist_ok=True)
    gensim_log = logging.getLogger("gensim.downloader")
    timeout, folder, disabled = socket.getdefaulttimeout(), tempfile.tempdir, gensim_log.disabled
    unfinished = Path(tempfile.mkdtemp(dir=base, prefix="unfinished-"))
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    tempfile.tempdir = str(unfinished)
    gensim_log.disabled = True
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        gensim_log.disabled = disabled
        tempfile.tempdir = folder
        socket.setdefaulttimeout(timeout)
        shutil.rmtree(unfinished, ignore_errors=True)
