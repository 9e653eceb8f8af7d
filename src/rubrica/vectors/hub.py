"""The word vectors that gensim publishes: their list, the files that are here already, and downloads by name.

Source: `list.json` of https://github.com/piskvorky/gensim-data, its last version (2018-03-16), with its checksums. A
download lies where gensim keeps it, `$GENSIM_DATA_DIR/NAME/NAME.gz` (`~/gensim-data` unless set), so each program reads
what the other has fetched.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from rubrica.data.reachable import is_reachable
from rubrica.errors import VectorsError, nearest, require
from rubrica.files import user_path, written_whole

BASE_URL = "https://github.com/piskvorky/gensim-data/releases/download"


@dataclass(frozen=True, slots=True)
class KnownVectors:
    """Word vectors of the gensim list.

    Args:
        name: What `load_vectors` and `download_vectors` call them.
        words: How many; None where the list does not say.
        dim: Numbers of each word.
        megabytes: Size of the download, 10^6 bytes; None where the list does not say.
        md5: Checksum of the download.
    """

    name: str
    words: int | None
    dim: int
    megabytes: int | None
    md5: str

    @property
    def path(self) -> Path:
        """Where the file is, or will be when it is downloaded."""
        # gensim reads the variable once, when it is imported; importing it only to list names would take a second.
        base = os.environ.get("GENSIM_DATA_DIR", "~/gensim-data")
        return user_path(base) / self.name / f"{self.name}.gz"


KNOWN = {
    vectors.name: vectors
    for vectors in (
        KnownVectors("fasttext-wiki-news-subwords-300", 999_999, 300, 1005, "de2bb3a20c46ce65c9c131e1ad9a77af"),
        KnownVectors("conceptnet-numberbatch-17-06-300", 1_917_247, 300, 1225, "fd642d457adcd0ea94da0cd21b150847"),
        KnownVectors("word2vec-ruscorpora-300", 184_973, 300, 208, "9bdebdc8ae6d17d20839dd9b5af10bc4"),
        KnownVectors("word2vec-google-news-300", 3_000_000, 300, 1744, "a5e5354d40acb95f9ec66d5977d140ef"),
        KnownVectors("glove-wiki-gigaword-50", 400_000, 50, 69, "c289bc5d7f2f02c6dc9f2f9b67641813"),
        KnownVectors("glove-wiki-gigaword-100", 400_000, 100, 134, "40ec481866001177b8cd4cb0df92924f"),
        KnownVectors("glove-wiki-gigaword-200", 400_000, 200, 264, "59652db361b7a87ee73834a6c391dfc1"),
        KnownVectors("glove-wiki-gigaword-300", 400_000, 300, 394, "29e9329ac2241937d55b852e8284e89b"),
        KnownVectors("glove-twitter-25", 1_193_514, 25, 110, "50db0211d7e7a2dcd362c6b774762793"),
        KnownVectors("glove-twitter-50", 1_193_514, 50, 209, "c168f18641f8c8a00fe30984c4799b2b"),
        KnownVectors("glove-twitter-100", 1_193_514, 100, 406, "b04f7bed38756d64cf55b58ce7e97b15"),
        KnownVectors("glove-twitter-200", 1_193_514, 200, 795, "e52e8392d1860b95d5308a525817d8f9"),
        # gensim's own test file
        KnownVectors("__testing_word2vec-matrix-synopsis", None, 50, None, "534dcb8b56a360977a269b7bfc62d124"),
    )
}


def find_known(name: str) -> Path:
    """The file of a name on the list.

    Raises:
        VectorsError: If nobody publishes the name, or it is not downloaded yet.
    """
    if name not in KNOWN:
        raise VectorsError(name, f"neither a file nor a folder nor a name of the gensim list; {nearest(name, KNOWN)}")
    known = KNOWN[name]
    if not known.path.is_file():
        raise VectorsError(name, f"not downloaded yet, expected at {known.path}; run: rubrica vectors get {name}")
    return known.path


def download_vectors(name: str, *, base_url: str = BASE_URL, timeout_seconds: float = 5.0, retries: int = 1) -> Path:
    """Fetch word vectors by name, unless they are here already; returns the file.

    A download gets its place only when it is complete and its checksum is right. gensim's `__init__.py`, which gensim
    needs to load the file, comes with it. Progress goes to stderr.

    Args:
        name: A name of the list.
        base_url: The address of the folder that has a folder `NAME` with both files.
        timeout_seconds: How long the server may be silent.
        retries: How often a broken download starts again.

    Raises:
        VectorsError: If nobody publishes the name, or it could not be fetched, for instance without a network.
        MissingExtraError: If pooch is not installed.
    """
    if name not in KNOWN:
        raise VectorsError(name, f"not a name of the gensim list; {nearest(name, KNOWN)}")
    place = KNOWN[name].path
    if place.is_file():
        return place
    if place.parent.exists():
        raise VectorsError(place.parent, f"the folder has no {place.name}; delete it and download again")
    pooch = require("pooch", "vectors")
    # A bar needs a terminal; pooch names the file and its address in any case.
    fetch = pooch.HTTPDownloader(timeout=timeout_seconds, progressbar=sys.stderr.isatty(), chunk_size=1 << 18)
    with written_whole(place.parent, VectorsError) as part:
        part.mkdir()
        files = {"__init__.py": None, place.name: f"md5:{KNOWN[name].md5}"}
        source = pooch.create(part, f"{base_url}/{name}/", registry=files, retry_if_failed=retries)
        try:
            if not is_reachable(base_url):
                raise ConnectionError("the server does not answer")
            for file in files:
                source.fetch(file, downloader=fetch)
                (part / file).chmod(part.stat().st_mode & 0o666)  # pooch makes private files
        except (OSError, ValueError) as error:  # ValueError: a wrong checksum
            advice = f"without a network, fetch {source.get_url(place.name)} on another machine and give its path"
            problem = f"could not be downloaded ({error}); {advice}, or put it at {place}"
            raise VectorsError(name, problem) from error
    return place
