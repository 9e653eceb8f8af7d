"""Derived files: where they lie, what they are called, and that no one sees half of one."""

from pathlib import Path

import numpy as np
import pytest

from rubrica import files as cache
from rubrica.errors import FileError
from rubrica.files import cache_folder, content_key, make_array, write_whole


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


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "entry"
    assert write_whole(path, lambda temporary: temporary.write_text("whole"))
    assert path.read_text() == "whole"

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    assert not write_whole(path, fail)
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_interruption_leaves_nothing_half_written(tmp_path):
    def interrupt(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "entry", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert not write_whole(tmp_path / "file" / "entry", lambda temporary: None)


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
