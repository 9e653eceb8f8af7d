"""Runs of characters: natively and by the rule in Python, against fastText itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragged import needs_native
from rubrica.kernels import native
from rubrica.text import subwords
from rubrica.text.subwords import Runs, hash_runs

WORDS = ["where", "a", "", "Nacht", "ночь", "北京", "ทีม", "é😀", "don't", "\ud800x", "<", "a\0b", "abcdefghijklmnopqrs"]
ANY_WORD = st.text(st.characters(codec=None, exclude_categories=()), max_size=9)
RUNS = [Runs(3, 6, 2_000_000), Runs(1, 3, 17), Runs(1, 1, 1), Runs(16, 16, 5), Runs(2, 16, 1 << 26)]


def by_hand(word, runs):
    """The marked word's runs as strings; fastText leaves out a mark that stands alone."""
    marked = f"<{word.lower()}>"
    places = [(a, a + n) for a in range(len(marked)) for n in range(runs.min_n, runs.max_n + 1) if a + n <= len(marked)]
    return [marked[a:b] for a, b in places if (a, b) not in ((0, 1), (len(marked) - 1, len(marked)))]


@pytest.mark.parametrize("runs", RUNS)
def test_they_are_those_of_fasttext(runs, tmp_path, instruction_sets):
    fasttext = pytest.importorskip("fasttext")
    (tmp_path / "texts").write_text("x y x y\n")
    model = fasttext.train_unsupervised(
        str(tmp_path / "texts"), minCount=1, dim=1, epoch=0, minn=runs.min_n, maxn=runs.max_n,
        bucket=min(runs.num_buckets, 10_000), thread=12, verbose=0,
    )  # fmt: skip
    runs = runs._replace(num_buckets=min(runs.num_buckets, 10_000))
    words = [word for word in WORDS if "\ud800" not in word and "\0" not in word and word == word.lower()]
    for library in instruction_sets:
        with library:
            starts, buckets = hash_runs(words, runs)
        for i, word in enumerate(words):
            named, ids = model.f.getSubwords(word, "strict") if word else ([], [])
            theirs = [id_ - len(model.words) for id_ in ids]
            assert not word or named == by_hand(word, runs)
            assert not word or buckets[starts[i] : starts[i + 1]].tolist() == theirs


@needs_native
@given(words=st.lists(ANY_WORD), runs=st.sampled_from(RUNS))
def test_native_is_the_rule(words, runs):
    words += WORDS
    starts, buckets = hash_runs(words, runs)
    expected = [[hash_ % runs.num_buckets for hash_ in subwords._hashes(f"<{word.lower()}>", runs)] for word in words]
    assert [len(by_hand(word, runs)) for word in words] == list(map(len, expected))
    np.testing.assert_array_equal(np.diff(starts), list(map(len, expected)))
    assert buckets.tolist() == [bucket for found in expected for bucket in found]
    assert native.library() is not None


def test_no_words_have_no_runs(instruction_sets):
    for library in instruction_sets:
        with library:
            starts, buckets = hash_runs([], RUNS[0])
        assert starts.tolist() == [0]
        assert buckets.size == 0
        assert buckets.dtype == np.int32
