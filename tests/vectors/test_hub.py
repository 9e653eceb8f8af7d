"""The gensim list, and downloads from a stand-in on this machine."""

import gzip
import hashlib
import socket
import time
from dataclasses import replace
from functools import partial

import gensim.downloader
import pytest

from rubrica.errors import VectorsError
from rubrica.vectors.hub import KNOWN, download_vectors, find_known
from rubrica.vectors.stored import load_vectors
from stand_in import stand_in

NAME = "__testing_word2vec-matrix-synopsis"
CONTENT = gzip.compress(b"2 3\nneo 1 2 3\ntrinity 4 5 6\n", mtime=0)
INIT = b"""
import os
from gensim.downloader import base_dir
from gensim.models import KeyedVectors

def load_data():
    return KeyedVectors.load_word2vec_format(os.path.join(base_dir, NAME, NAME + ".gz"))
""".replace(b"NAME", repr(NAME).encode())


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    """An empty gensim-data folder, an empty cache, and a list with the checksum of the stand-in's file."""
    folder = tmp_path / "gensim-data"
    monkeypatch.setenv("GENSIM_DATA_DIR", str(folder))
    monkeypatch.setenv("RUBRICA_CACHE", str(tmp_path / "cache"))
    known = replace(KNOWN[NAME], md5=hashlib.md5(CONTENT).hexdigest())
    monkeypatch.setitem(KNOWN, NAME, known)
    return folder


@pytest.fixture
def pages():
    """The pages of the stand-in, address to bytes, or to a list of one for each time; a missing one is a 404."""
    return {f"/files/{NAME}/__init__.py": INIT, f"/files/{NAME}/{NAME}.gz": CONTENT}


@pytest.fixture
def download(pages):
    """Download from a stand-in on this machine."""

    def page_at(path):
        page = pages.get(path)
        page = page.pop(0) if isinstance(page, list) else page
        return None if page is None else (page, len(CONTENT if path.endswith(".gz") else page))

    with stand_in(page_at) as address:
        yield partial(download_vectors, base_url=f"{address}/files", retries=0)


def test_the_list_is_gensims():
    assert len(KNOWN) == 13
    assert all(entry.dim == int(name.rpartition("-")[2]) for name, entry in KNOWN.items() if name != NAME)
    assert KNOWN["glove-twitter-50"].words == 1_193_514
    assert KNOWN["glove-wiki-gigaword-50"].megabytes == 69
    assert not any(entry.path.is_file() for entry in KNOWN.values())


def test_a_download_is_whole_and_can_be_loaded(base, download, capsys):
    path = download(NAME)
    assert path == base / NAME / f"{NAME}.gz"
    assert path.read_bytes() == CONTENT
    assert capsys.readouterr().out == ""
    assert [entry.name for entry in base.iterdir()] == [NAME]
    assert {entry.name for entry in path.parent.iterdir()} == {"__init__.py", path.name}
    usual = base / "usual"
    usual.touch()
    assert path.stat().st_mode == usual.stat().st_mode
    assert find_known(NAME) == path
    assert KNOWN[NAME].path == path
    assert load_vectors(NAME).words == ["neo", "trinity"]


def test_gensim_reads_what_was_downloaded(base, download, monkeypatch):
    download(NAME)
    monkeypatch.setattr(gensim.downloader, "BASE_DIR", str(base))
    monkeypatch.setattr(gensim.downloader, "base_dir", str(base))
    monkeypatch.setattr(gensim.downloader, "_get_filename", "{}.gz".format)  # its list is on the network
    assert gensim.downloader.load(NAME, return_path=True) == str(find_known(NAME))
    monkeypatch.syspath_prepend(base)
    assert gensim.downloader.load(NAME).index_to_key == ["neo", "trinity"]


def test_what_is_here_is_not_fetched_again(download, pages):
    path = download(NAME)
    pages.clear()
    assert download(NAME) == path == find_known(NAME)


def test_without_a_network_the_way_around_is_told_at_once(base):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/files"
    start = time.monotonic()
    with pytest.raises(VectorsError) as caught:
        download_vectors(NAME, base_url=url)
    assert time.monotonic() - start < 3
    message = str(caught.value)
    assert f"{url}/{NAME}/{NAME}.gz on another machine and give its path" in message
    assert f"put it at {base / NAME / NAME}.gz" in message
    assert "\n" not in message
    assert list(base.iterdir()) == []


def test_a_server_that_never_answers_is_given_up(base):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/files"
        start = time.monotonic()
        with pytest.raises(VectorsError, match="could not be downloaded"):
            download_vectors(NAME, base_url=url, timeout_seconds=0.2, retries=0)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("file", "page", "reason"),
    [
        ("__init__.py", None, "404"),
        (f"{NAME}.gz", None, "404"),
        (f"{NAME}.gz", CONTENT[:20], "IncompleteRead"),
        (f"{NAME}.gz", CONTENT[:-1] + b"?", "MD5 hash of downloaded file .* does not match"),
    ],
)
def test_a_failed_download_leaves_nothing_and_can_be_repeated(base, download, pages, file, page, reason):
    good = pages.pop(f"/files/{NAME}/{file}")
    if page is not None:
        pages[f"/files/{NAME}/{file}"] = page
    with pytest.raises(VectorsError, match=reason):
        download(NAME)
    assert list(base.iterdir()) == []
    pages[f"/files/{NAME}/{file}"] = good
    assert download(NAME).read_bytes() == CONTENT


def test_a_broken_download_starts_again(download, pages):
    pages[f"/files/{NAME}/{NAME}.gz"] = [CONTENT[:20], CONTENT]
    assert download(NAME, retries=1).read_bytes() == CONTENT


def test_a_folder_without_its_file_is_named(base):
    (base / NAME).mkdir(parents=True)
    with pytest.raises(VectorsError, match=f"{NAME}: the folder has no {NAME}.gz; delete it"):
        download_vectors(NAME)


def test_a_name_that_nobody_publishes():
    with pytest.raises(VectorsError, match=r"not a name of the gensim list; did you mean 'glove-twitter-25'\?"):
        download_vectors("glove-twitter-26")


def test_home_folder_is_the_default(monkeypatch):
    monkeypatch.delenv("GENSIM_DATA_DIR")
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(VectorsError, match=r"expected at /nowhere/gensim-data/glove-twitter-25/glove-twitter-25\.gz"):
        find_known("glove-twitter-25")
