"""Files that Rubrica writes: whole or not at all, and the folder of derived ones."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rubrica import files as cache
from rubrica.errors import FileError, VectorsError
from rubrica.files import cache_folder, check_place, content_key, make_array, written_whole


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("RUBRICA_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("RUBRICA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/rubrica")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "rubrica"


def test_keys_tell_contents_apart_wherever_they_are_cut():
    keys = {content_key(b"ab", b"c"), content_key(b"a", b"bc"), content_key(b"abc"), content_key(b"abc", b"")}
    assert len(keys) == 4
    assert content_key(b"ab", b"c") == content_key(b"ab", b"c")


@pytest.fixture(params=["file", "folder"])
def put(request):
    """Write a text as a file, or as a file in a folder."""

    def write(path, text):
        if request.param == "folder":
            path.mkdir()
            path /= "inside"
        path.write_text(text)

    return write


def contents(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_file_or_a_folder_appears_when_it_is_complete(tmp_path, put):
    path = tmp_path / "new" / "entry.txt"
    with written_whole(path) as part:
        assert (part.name, part.parent.parent) == (path.name, path.parent)
        put(part, "whole")
        assert not path.exists()
    assert list(contents(tmp_path).values()) == ["whole"]
    assert list(path.parent.iterdir()) == [path]
    usual = tmp_path / "usual"
    put(usual, "x")
    assert path.stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (OSError(28, "No space left on device"), r"entry: cannot be written \(No space left on device\); nothing was"),
        (OSError("odd"), r"entry: cannot be written \(odd\); nothing was left behind, give another place"),
        (KeyboardInterrupt("stop"), "stop"),
        (ValueError("mine"), "mine"),
    ],
)
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path, put, fault, expected):
    path = tmp_path / "entry"
    path.write_text("old")

    def fail():
        with written_whole(path, VectorsError) as part:
            put(part, "half")
            raise fault

    with pytest.raises(VectorsError if isinstance(fault, OSError) else type(fault), match=expected):
        fail()
    assert contents(tmp_path) == {"entry": "old"}


def test_an_old_file_and_an_empty_folder_are_replaced(tmp_path):
    for text in ("old", "new"):
        with written_whole(tmp_path / "file") as part:
            part.write_text(text)
    (tmp_path / "folder").mkdir()
    with written_whole(tmp_path / "folder") as part:
        part.mkdir()
        (part / "inside").write_text("x")
    assert contents(tmp_path) == {"file": "new", "folder/inside": "x"}


def test_a_full_folder_or_a_file_above_is_in_the_way(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    with pytest.raises(FileError, match=r"folder: cannot be written \(Directory not empty\)"):  # noqa: SIM117
        with written_whole(tmp_path / "folder") as part:
            part.mkdir()
    with (
        pytest.raises(FileError, match=r"entry: cannot be written \(.*\)"),
        written_whole(tmp_path / "folder" / "mine" / "entry"),
    ):
        pass
    assert contents(tmp_path) == {"folder/mine": "mine"}


def test_an_array_of_many_numbers_lies_in_a_file_without_a_name(monkeypatch):
    small = make_array(100, np.int64)
    monkeypatch.setattr(cache, "IN_MEMORY_BYTES", 799)
    large = make_array(100, np.int64)
    assert isinstance(large.base, np.memmap)
    assert not isinstance(small.base, np.memmap)
    assert not list(cache_folder().iterdir())
    large[:] = np.arange(100)
    np.random.default_rng(3).shuffle(large)
    assert large.tolist() == np.random.default_rng(3).permutation(100).tolist()


def test_an_array_that_has_no_room_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cache, "IN_MEMORY_BYTES", 0)
    monkeypatch.setenv("RUBRICA_CACHE", str(tmp_path / "file"))
    with pytest.raises(FileError, match="make room, or set RUBRICA_CACHE to another folder"):
        make_array(100, np.int64)


KILLED = """
import os, signal, sys
from pathlib import Path
from rubrica.files import written_whole
with written_whole(Path(sys.argv[1])) as part:
    part.mkdir()
    (part / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a system without locks of folders")
def test_what_a_killed_process_leaves_is_swept_by_the_next(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "model"])
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with written_whole(tmp_path / "young") as part:
        part.write_text("whole")
    assert left.exists()  # perhaps its process has only begun
    os.utime(left, (0, 0))
    with written_whole(tmp_path / "old") as part:
        assert not left.exists()
        part.write_text("whole")
    assert contents(tmp_path) == {"young": "whole", "old": "whole"}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a system without locks of folders")
def test_what_another_process_still_writes_is_never_swept(tmp_path):
    with written_whole(tmp_path / "slow") as part:
        part.write_text("slow")
        os.utime(part.parent, (0, 0))
        with written_whole(tmp_path / "quick") as other:
            other.write_text("quick")
        check_place(tmp_path / "another", FileError)
        assert part.read_text() == "slow"
    assert contents(tmp_path) == {"slow": "slow", "quick": "quick"}


def test_a_link_in_the_place_of_a_left_folder_is_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".unfinished-x").symlink_to(tmp_path / "mine")
    os.utime(tmp_path / "mine", (0, 0))
    with written_whole(tmp_path / "out" / "file") as part:
        part.write_text("whole")
    assert (tmp_path / "mine" / "precious").read_text() == "precious"
