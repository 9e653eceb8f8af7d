"""Texts on disk behave as a list of them does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubrica.data.stored_texts import CodedLabels, StoredTexts, take_texts
from rubrica.errors import FileError
from rubrica.files import cache_folder

TEXTS = ["a", "", "café 🎉", "a\0b", "line\nbreak", ""]


@given(
    parts=st.lists(st.lists(st.text(max_size=3), max_size=4), max_size=4),
    first=st.none() | st.integers(-9, 9),
    last=st.none() | st.integers(-9, 9),
    step=st.none() | st.integers(-3, 3).filter(bool),
)
def test_stored_texts_are_read_like_a_list(parts, first, last, step):
    stored, expected = StoredTexts(), []
    for part in parts:
        stored.extend(part)
        expected.extend(part)
        assert stored[first:last:step] == expected[first:last:step]
    assert list(stored) == expected
    assert list(reversed(stored)) == expected[::-1]
    assert len(stored) == len(expected)


def test_one_text_and_none():
    stored = StoredTexts(TEXTS)
    assert [stored[i] for i in range(-len(TEXTS), len(TEXTS))] == TEXTS * 2
    with pytest.raises(IndexError):
        stored[len(TEXTS)]
    assert "a\0b" in stored
    assert not StoredTexts()


def test_the_file_has_no_name():
    stored = StoredTexts(TEXTS)
    assert not list(cache_folder().iterdir())
    assert stored[0] == "a"


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RUBRICA_CACHE", str(tmp_path / "file"))
    with pytest.raises(FileError, match=r"file: cannot be written \(.*\); make room, or set RUBRICA_CACHE to another"):
        StoredTexts(TEXTS)


@given(
    parts=st.lists(st.lists(st.integers(0, 300).map(str), max_size=9), max_size=4),
    many=st.booleans(),
    place=st.slices(9),
)
def test_coded_labels_are_read_like_a_list(parts, many, place):
    parts = [[str(i) for i in range(300)], *parts] if many else parts
    coded, expected = CodedLabels(), []
    for part in parts:
        coded.extend(part)
        expected.extend(part)
    assert list(coded) == expected
    assert coded[place] == expected[place]
    assert len(coded) == len(expected)


class Watched(list):
    """A list that counts what is read of it."""

    read = 0

    def __getitem__(self, index):
        found = super().__getitem__(index)
        self.read += len(found)
        return found


@pytest.mark.parametrize("rows", [[], [7], [0, 1, 2], [3, 60, 200, 201, 9000, 19_999]], ids=str)
def test_rows_far_apart_are_taken_without_those_between(rows):
    texts = Watched(f"text {i}" for i in range(20_000))
    for each in (texts, StoredTexts(texts)):
        assert take_texts(each, np.array(rows, np.int64)) == [f"text {i}" for i in rows]
    assert texts.read <= 64 * len(rows)
