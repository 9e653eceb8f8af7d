"""Vectors made ready for a training: which words they get, and what these are made of."""

import numpy as np
import pytest

from rubrica.config.groups import DataSettings
from rubrica.vectors.own_words import extend_vectors
from rubrica.vectors.word_vectors import Vectors

PIECES = Vectors(
    ["play", "##ing", "##in", "##g", "p", "##lays", "the"],
    np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32),
    "pieces",
)
TEXTS = ["Playing the plays xylophone", "playing the xylophone", "once plays"]


def test_words_that_are_not_there_are_made_of_pieces_or_drawn():
    config = DataSettings(min_count=2)
    made = extend_vectors(PIECES, TEXTS, config, std=0.5, seed=3)
    assert made.words == [*PIECES.words, "playing", "plays", "xylophone"]  # "once" is too rare, "the" is there
    scaled = PIECES.matrix * (0.5 / PIECES.matrix.std())
    np.testing.assert_allclose(made.matrix[:7], scaled, rtol=1e-6)
    np.testing.assert_allclose(made.matrix[7], (scaled[0] + scaled[1]) / 2, rtol=1e-5)  # play ##ing, not p ...
    assert not (made.matrix[9] == scaled).any()
    again = extend_vectors(PIECES, TEXTS, config, std=0.5, seed=3)
    np.testing.assert_array_equal(made.matrix, again.matrix)


def test_the_longest_first_piece_wins_even_where_a_word_then_fails():
    # WordPiece is greedy: "plays" is "play" and then "##s", which is not there; "p ##lays" is not tried.
    made = extend_vectors(PIECES, TEXTS, DataSettings(min_count=2), std=0.5, seed=3)
    other = extend_vectors(PIECES, TEXTS, DataSettings(min_count=2), std=0.5, seed=4)
    assert (made.matrix[8] != other.matrix[8]).all()  # drawn
    np.testing.assert_array_equal(made.matrix[7], other.matrix[7])


def test_files_without_pieces_have_drawn_words():
    words = Vectors(["play", "ing", "##"], np.ones((3, 20), np.float32) * [[1], [-1], [3]], "words")
    made = extend_vectors(words, ["playing " * 5, "##"], DataSettings(min_count=1), std=0.1, seed=0)
    assert made.words == ["play", "ing", "##", "playing"]
    assert made.matrix[3].std() == pytest.approx(0.1, rel=0.5)


def test_case_is_what_the_config_says():
    kept = extend_vectors(PIECES, TEXTS, DataSettings(lowercase=False, min_count=1), std=1, seed=0)
    assert "Playing" in kept.words


def test_a_word_that_the_file_writes_apart_is_not_lacked():
    words = Vectors(["u\u0308ber", "the"], np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32), "apart")
    made = extend_vectors(words, ["\u00fcber the \u00fcber"], DataSettings(min_count=1), std=1, seed=0)
    assert made.words == words.words


def test_vectors_that_are_all_alike_stay_finite():
    same = Vectors(["a", "b"], np.ones((2, 3), np.float32), "same")
    assert np.isfinite(extend_vectors(same, ["a c c"], DataSettings(), std=0.1, seed=0).matrix).all()
