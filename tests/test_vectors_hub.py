"""The gensim list, and downloads from a stand-in on this machine."""

import gzip
import hashlib
import json
import socket
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gensim.downloader
import pytest

from rubrica.errors import VectorsError
from rubrica.vectors.hub import download_vectors, find_known, list_known
from rubrica.vectors.word_vectors import load_vectors

NAME = "__testing_word2vec-matrix-synopsis"
CONTENT = gzip.compress(b"2 3\nneo 1 2 3\ntrinity 4 5 6\n")


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    """An empty gensim-data folder, an empty cache, and no way out of this machine."""
    folder = tmp_path / "gensim-data"
    monkeypatch.setenv("GENSIM_DATA_DIR", str(folder))
    monkeypatch.setenv("RUBRICA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gensim.downloader, "BASE_DIR", str(folder))
    point_at(monkeypatch, closed_port())
    return folder


def point_at(monkeypatch, port):
    here = f"http://127.0.0.1:{port}"
    # The address of the index is a default argument, fixed when gensim was imported.
    monkeypatch.setattr(gensim.downloader._load_info, "__defaults__", (f"{here}/list.json", "utf-8"))
    monkeypatch.setattr(gensim.downloader, "DOWNLOAD_BASE_URL", f"{here}/files")


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def pages(monkeypatch):
    """Serve these pages (address to bytes) as if they were gensim's; a missing one is a 404."""
    index = {
        "corpora": {},
        "models": {NAME: {"parts": 1, "file_name": f"{NAME}.gz", "checksum": hashlib.md5(CONTENT).hexdigest()}},
    }
    pages = {
        "/list.json": json.dumps(index).encode(),
        f"/files/{NAME}/__init__.py": b"",
        f"/files/{NAME}/{NAME}.gz": CONTENT,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.get(self.path)
            if page is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT if self.path.endswith(".gz") else page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        point_at(monkeypatch, server.server_port)
        yield pages
        server.shutdown()
        thread.join()


def test_the_list_is_gensims():
    known = {entry.name: entry for entry in list_known()}
    assert len(known) == 13
    assert all(entry.dim == int(name.rpartition("-")[2]) for name, entry in known.items() if name != NAME)
    assert known["glove-twitter-50"].words == 1_193_514
    assert known["glove-wiki-gigaword-50"].megabytes == 69
    assert all(entry.path is None for entry in known.values())


def test_download_is_whole_quiet_on_stdout_and_can_be_loaded(base, pages, capsys):
    timeout, temporary = socket.getdefaulttimeout(), tempfile.tempdir
    path = download_vectors(NAME)
    assert path == base / NAME / f"{NAME}.gz"
    assert path.read_bytes() == CONTENT
    out, err = capsys.readouterr()
    assert out == ""
    assert "downloaded" in err
    assert {entry.name for entry in base.iterdir()} == {NAME, "information.json"}
    assert {entry.name: entry.path for entry in list_known()}[NAME] == path
    assert load_vectors(NAME).words == ["neo", "trinity"]
    assert (socket.getdefaulttimeout(), tempfile.tempdir) == (timeout, temporary)
    assert not gensim.downloader.logger.disabled


def test_what_is_here_is_not_fetched_again(base, pages):
    path = download_vectors(NAME)
    pages.clear()
    assert download_vectors(NAME) == path == find_known(NAME)


def test_without_a_network_the_way_around_is_told_at_once(base, caplog):
    start = time.monotonic()
    with pytest.raises(VectorsError) as caught:
        download_vectors(NAME)
    assert time.monotonic() - start < 3
    message = str(caught.value)
    assert f"/files/{NAME}/{NAME}.gz on another machine and give its path" in message
    assert f"put it at {base / NAME / NAME}.gz" in message
    assert "\n" not in message
    assert "Traceback" not in caplog.text
    assert list(base.iterdir()) == []


def test_a_server_that_never_answers_is_given_up(monkeypatch, base):
    monkeypatch.setattr("rubrica.vectors_hub._TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_at(monkeypatch, silent.getsockname()[1])
        start = time.monotonic()
        with pytest.raises(VectorsError, match="could not be downloaded"):
            download_vectors(NAME)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("address", "page", "reason"),
    [
        ("/list.json", b"<html>log in to the hotel</html>", "Expecting value"),
        ("/list.json", b'{"corpora": {}, "models": {}}', "Incorrect model"),
        (f"/files/{NAME}/{NAME}.gz", None, "404"),
        (f"/files/{NAME}/{NAME}.gz", CONTENT[:20], "retrieval incomplete"),
        (f"/files/{NAME}/{NAME}.gz", CONTENT[:-1] + b"?", "Checksum comparison failed"),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_failed_download_leaves_nothing_and_can_be_repeated(
    base, pages, tmp_path, monkeypatch, address, page, reason
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    good = pages[address]
    if page is None:
        del pages[address]
    else:
        pages[address] = page
    with pytest.raises(VectorsError, match=reason):
        download_vectors(NAME)
    assert {entry.name for entry in base.iterdir()} <= {"information.json"}
    assert not list(temporary.iterdir())
    assert {entry.name: entry.path for entry in list_known()}[NAME] is None
    pages[address] = good
    assert download_vectors(NAME).read_bytes() == CONTENT


def test_a_folder_without_its_file_is_named(base):
    (base / NAME).mkdir(parents=True)
    with pytest.raises(VectorsError, match=f"{NAME}: the folder has no {NAME}.gz; delete it"):
        download_vectors(NAME)


def test_a_name_that_nobody_publishes():
    with pytest.raises(VectorsError, match=r"not a name of the gensim list; did you mean 'glove-twitter-25'\?"):
        download_vectors("glove-twitter-26")


def test_a_fault_of_our_own_is_not_called_a_failed_download(monkeypatch):
    def broken(name, return_path):
        raise KeyError(name)

    monkeypatch.setattr(gensim.downloader, "load", broken)
    with pytest.raises(KeyError):
        download_vectors(NAME)


def test_home_folder_is_the_default(monkeypatch):
    monkeypatch.delenv("GENSIM_DATA_DIR")
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(VectorsError, match=r"expected at /nowhere/gensim-data/glove-twitter-25/glove-twitter-25\.gz"):
        find_known("glove-twitter-25")
