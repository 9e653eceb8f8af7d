"""The native tokens against the rule itself: one regular expression, a dict, a Counter."""

import sys
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragged import needs_native
from rubrica.kernels import native
from rubrica.text import tokens
from rubrica.text.tokenizer import tokenize

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
NEWS = st.lists(
    st.sampled_from(
        [
            "Oil",
            "OIL's",
            "  ",
            "3.5%",
            "U.S.",
            "Économie",
            "naïve",
            "Ночь",
            "_x_",
            "\u2003",
            "…",
            "北京A",
            "ที่2",
            "カー。",
        ]
    )
)
TEXTS = st.lists(ANY_TEXT | NEWS.map("".join), max_size=8)


def count(texts, lowercase, max_length, split_unspaced=False):
    """Words, counts and each text's numbers, counted in two turns."""
    counter = tokens.WordCounter(lowercase=lowercase, max_length=max_length, split_unspaced=split_unspaced)
    numbered = []
    for part in (texts[:2], texts[2:]):
        ids, offsets = counter.add(part)
        numbered += [ids[a:b].tolist() for a, b in pairwise(offsets)]
    words, counts = counter.words()
    return words, counts.tolist(), numbered


def rule(text, lowercase, split_unspaced=False):
    return tokenize(text.lower() if lowercase else text, split_unspaced=split_unspaced)


@pytest.fixture(params=[1, pytest.param(3, marks=needs_native)])  # numpy has one thread
def _threads(request, monkeypatch):
    monkeypatch.setattr(tokens, "_BYTES_PER_THREAD", 1)
    monkeypatch.setenv("RUBRICA_THREADS", str(request.param))


@given(texts=TEXTS, lowercase=st.booleans(), max_length=st.integers(1, 9), unspaced=st.booleans())
@example(texts=["ΑΣ", "ΑΣΑ Σ", "İSTANBUL"], lowercase=True, max_length=9, unspaced=False)
@example(texts=["a\0b", "\0", ""], lowercase=True, max_length=9, unspaced=False)
@example(texts=["\ud800a", "x\udfff"], lowercase=True, max_length=9, unspaced=False)
@example(texts=["ABCDEFGH", "ABCDEFGHI", "abcdefghÄ", "Ä" * 9], lowercase=True, max_length=9, unspaced=False)
@example(texts=["A股B", "北 京", "。北。", "x北x", "北"], lowercase=True, max_length=9, unspaced=True)
@pytest.mark.usefixtures("_threads")
def test_words_and_ids_are_those_of_the_rule(texts, lowercase, max_length, unspaced):
    split = [rule(text, lowercase, unspaced) for text in texts]
    counter = Counter(word for text in split for word in text)
    words, counts, numbered = count(texts, lowercase, max_length, unspaced)
    assert (words, counts) == (list(counter), list(counter.values()))
    assert [[words[i] for i in text] for text in numbered] == [text[:max_length] for text in split]
    known = words[::2]
    reading = {"lowercase": lowercase, "max_length": max_length, "split_unspaced": unspaced}
    ids, offsets = tokens.encode(texts, tokens.index_words(known), -7, **reading)
    place = {word: i for i, word in enumerate(known)}
    cut = [[place.get(word, -7) for word in text[:max_length]] for text in split]
    assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == cut


# The planes 4 to 13 have no characters: their first and last numbers stand for all of them.
CODES = [code for code in range(sys.maxunicode + 1) if code >> 16 not in range(4, 14) or (code + 1 & 0xFFFF) < 2]


@needs_native
@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("unspaced", [False, True])
def test_every_character_of_unicode_is_read_as_python_reads_it(lowercase, unspaced):
    texts = ["x" + chr(code) + "y" + chr(code) + "." for code in CODES]
    words = count(texts, lowercase, 1, unspaced)[0]
    assert words == list(dict.fromkeys(word for text in texts for word in rule(text, lowercase, unspaced)))


def test_a_text_of_a_megabyte_and_one_without_tokens():
    texts = ["Ab,ч" * 250_000, " \n\u2003", "end"]
    index = tokens.index_words(["ab", "end", "ч"])
    ids, offsets = tokens.encode(texts, index, 9, lowercase=True, max_length=5)
    assert ids.tolist() == [0, 9, 9, 9, 9, 1]  # "чAb" is one token
    assert offsets.tolist() == [0, 5, 5, 6]


def test_of_equal_words_the_last_one_counts():
    index = tokens.index_words(["cup", "a word of more than eight bytes", "cup", ""])
    assert tokens.encode(["cup"], index, 9, lowercase=False, max_length=1)[0].tolist() == [2]


@needs_native
def test_the_two_ways_are_one(monkeypatch):
    texts = ["Oil prices climb — Ночь", "", "İ Σ"]
    ways = []
    for choice in ("native", "numpy"):
        monkeypatch.setattr(native, "library", (lambda: None) if choice == "numpy" else native.library)
        words, counts, numbered = count(texts, True, 2)
        ids, offsets = tokens.encode(texts, tokens.index_words(words[1:]), 0, lowercase=True, max_length=9)
        ways.append((words, counts, numbered, ids.tolist(), offsets.tolist()))
    assert ways[0] == ways[1]
