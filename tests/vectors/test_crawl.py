"""The vectors that fastText publishes, from a stand-in on this machine."""

import gzip
import os
import socket
import struct
from functools import partial

import pytest

import rubrica.fasttext as door
from rubrica.errors import VectorsError
from rubrica.vectors import crawl
from rubrica.vectors.crawl import LANGUAGES, download_crawl
from stand_in import stand_in

CONTENT = struct.pack("<i", 793712314) + os.urandom(3 << 20)
NAME = "cc.de.300.bin"


@pytest.fixture
def pages():
    return {f"/files/{NAME}.gz": gzip.compress(CONTENT, 1)}


@pytest.fixture
def site(pages):
    """The address of a stand-in; a page that ends with "!" breaks off."""

    def page_at(path):
        page = pages.get(path)
        return page and (page, len(page) + 1000 * (page[-1:] == b"!"))

    with stand_in(page_at) as address:
        yield f"{address}/files"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_is_unpacked_and_nothing_else_stays(site, pages, tmp_path):
    told = []
    found = download_crawl("de", tmp_path, site=site, progress=lambda *numbers: told.append(numbers))
    assert found.read_bytes() == CONTENT
    assert names_in(tmp_path) == [NAME]
    size = len(pages[f"/files/{NAME}.gz"])
    assert told[-1] == (size, size)
    assert len(told) > 10


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (gzip.compress(CONTENT, 1)[:-100] + b"!", "broke off or is damaged"),
        (gzip.compress(CONTENT, 1)[:-8] + b"12345678", "broke off or is damaged"),
        (b"<html>", "broke off or is damaged"),
        (gzip.compress(b"<html>"), "holds no fastText model"),
        (gzip.compress(b""), "is empty"),
    ],
    ids=["half", "damaged", "a page", "a packed page", "nothing"],  # what is packed holds the time
)
def test_half_a_file_or_another_one_leaves_nothing(site, pages, tmp_path, page, message):
    pages[f"/files/{NAME}.gz"] = page
    (tmp_path / NAME).write_bytes(b"old")
    with pytest.raises(VectorsError, match=message):
        download_crawl("de", tmp_path, site=site)
    assert names_in(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == b"old"


def test_a_packed_file_that_is_here_is_taken(pages, tmp_path):
    (tmp_path / f"{NAME}.gz").write_bytes(pages[f"/files/{NAME}.gz"])
    assert download_crawl("de", tmp_path, site="http://127.0.0.1:1/none").read_bytes() == CONTENT
    with pytest.raises(VectorsError, match="could not be downloaded"):
        download_crawl("de", tmp_path, anew=True, site="http://127.0.0.1:1/none")


def test_without_a_network_it_says_how_else(site, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(
        VectorsError, match=rf"without a network, fetch {nobody}/{NAME}.gz on another machine, put it at"
    ):
        download_crawl("de", tmp_path, site=nobody)
    with pytest.raises(VectorsError, match="404"):
        download_crawl("en", tmp_path, site=site)
    with pytest.raises(VectorsError, match="no language of fastText's vectors; did you mean"):
        download_crawl("dee", tmp_path, site=site)
    assert not names_in(tmp_path)


def test_the_call_of_the_module(site, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(crawl, "download_crawl", partial(download_crawl, site=site))
    assert door.util.download_model("de") == NAME
    (tmp_path / NAME).write_bytes(b"old")
    assert door.util.download_model("de") is None
    assert "is here already" in caplog.text
    assert door.util.download_model("de", if_exists="ignore") == NAME
    assert (tmp_path / NAME).read_bytes() == b"old"
    assert door.util.download_model("de", if_exists="overwrite") == NAME
    assert (tmp_path / NAME).read_bytes() == CONTENT
    with pytest.raises(ValueError, match="no language"):
        door.util.download_model("xx")
    with pytest.raises(ValueError, match="expected strict, ignore or overwrite"):
        door.util.download_model("de", if_exists="always")


def test_the_languages_are_those_of_fasttext():
    pytest.importorskip("fasttext")
    from fasttext.util.util import valid_lang_ids

    assert valid_lang_ids == LANGUAGES
