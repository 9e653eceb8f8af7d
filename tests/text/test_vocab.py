"""Words to ids."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubrica.text.tokenizer import tokenize
from rubrica.text.tokens import WordCounter
from rubrica.text.vocab import PAD_ID, Vocab

TEXTS = ["The cup, the cup!", "", "a Cup of oil"]


def vocab_of(texts, *, lowercase, min_count=1):
    counter = WordCounter(lowercase=lowercase, max_length=1)
    for text in texts:
        counter.add([text])
    return Vocab.from_counts(*counter.words(), lowercase=lowercase, min_count=min_count)[0]


def test_words_of_vectors_keep_their_place_and_unk_is_found_among_them():
    vocab = Vocab.from_vectors(["<user>", "the", "unk", "cup"], lowercase=False)
    assert (vocab.words, vocab.unknown_id) == (["<user>", "the", "unk", "cup"], 2)
    assert vocab.encode(["the cup The <user> unk"], 128).ids.tolist() == [1, 3, 2, 2, 2, 2, 2]


def test_vectors_without_unk_get_one_more_word_at_the_end():
    vocab = Vocab.from_vectors(["the", "cup"], lowercase=True)
    assert vocab.words == ["the", "cup", "unk"]
    assert vocab.encode(["The unknown"], 128).ids.tolist() == [0, 2]


COMPOSED, APART = "\u00f1and\u00fa", "n\u0303andu\u0301"  # ñandú in NFC and in NFD
HALF_APART = "n\u0303and\u00fa"


def test_words_of_vectors_that_are_written_apart_are_found_by_composed_texts():
    vocab = Vocab.from_vectors(["the", APART, "unk", "e\u0301"], lowercase=True)
    assert vocab.words == ["the", COMPOSED, "unk", "\u00e9"]
    assert vocab.encode([f"{COMPOSED.upper()} the \u00e9"], 128).ids.tolist() == [1, 0, 3]


@pytest.mark.parametrize("words", list(permutations([COMPOSED, APART, HALF_APART])))
def test_the_first_of_words_that_become_equal_is_found_and_all_keep_their_place(words):
    given = ["the", *words, "unk"]
    vocab = Vocab.from_vectors(given, lowercase=False)
    assert vocab.encode([COMPOSED], 128).ids.tolist() == [1]
    assert vocab.index[COMPOSED] == 1
    assert sorted(vocab.words) == sorted(given)
    assert given == ["the", *words, "unk"]  # the caller's list stays


def test_words_of_texts_come_by_frequency_after_padding_and_unknown():
    vocab = vocab_of(TEXTS, lowercase=True)
    assert vocab.words == ["<pad>", "<unk>", "cup", "the", ",", "!", "a", "of", "oil"]
    assert vocab_of(TEXTS, lowercase=True, min_count=2).words == ["<pad>", "<unk>", "cup", "the"]
    assert "Cup" in vocab_of(TEXTS, lowercase=False).words


def test_no_text_can_hold_the_padding_or_the_unknown_word():
    vocab = vocab_of(TEXTS, lowercase=False)
    ids = vocab.encode(["<pad> <unk>"], 128).ids
    assert PAD_ID not in ids
    assert set(ids) == {vocab.unknown_id}


@pytest.mark.parametrize("max_length", [1, 3, 128])
def test_only_the_first_tokens_are_kept(max_length):
    tokens = vocab_of(TEXTS, lowercase=True).encode(TEXTS, max_length)
    assert tokens.lengths.tolist() == [min(6, max_length), 0, min(4, max_length)]
    assert tokens.offsets.tolist() == [0, *np.cumsum(tokens.lengths)]


@given(st.lists(st.text(), max_size=5), st.booleans())
def test_ids_name_the_tokens_of_each_text(texts, lowercase):
    vocab = vocab_of(texts, lowercase=lowercase)
    tokens = vocab.encode(texts, 1000)
    assert len(tokens) == len(texts)
    for i, text in enumerate(texts):
        ids = tokens.ids[tokens.offsets[i] : tokens.offsets[i + 1]]
        assert [vocab.words[j] for j in ids] == tokenize(text.lower() if lowercase else text)


def test_unknown_words_are_counted_within_the_kept_tokens():
    vocab = Vocab.from_vectors(["<user>", "the", "unk"], lowercase=False)
    counts = vocab.unknown_words(["the Cup Cup oil", "Cup the"], max_length=3)
    assert counts == {"Cup": 3}


def test_a_part_of_a_vocabulary_keeps_order_and_unknown_word():
    vocab = Vocab.from_vectors(["<user>", "the", "unk", "cup"], lowercase=False)
    part = vocab.take(np.array([0, 2, 3]))
    assert (part.words, part.unknown_id) == (["<user>", "unk", "cup"], 1)
