"""Vectors of fastText files, against fastText itself."""

import numpy as np
import pytest

from rubrica.config.groups import DataSettings
from rubrica.errors import VectorsError
from rubrica.vectors.stored import load_vectors
from rubrica.vectors.subwords import vectors_for

fasttext = pytest.importorskip("fasttext")

WORDS = ["the", "cup", "of", "tea", "goal", "team", "oil", "bank", "price", "robot", "planet", "code", "наука", "спорт"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a small skip-gram model with runs of characters, and fastText's own view of it."""
    folder, draw = tmp_path_factory.mktemp("subwords"), np.random.default_rng(0)
    lines = (" ".join(draw.choice(WORDS, 12)) + "\n" for _ in range(300))
    (folder / "texts.txt").write_text("".join(lines), "utf-8")
    # With fewer than ten threads fastText leaves a part of its matrix as memory happened to be.
    made = fasttext.train_unsupervised(
        str(folder / "texts.txt"), minn=2, maxn=4, bucket=500, dim=9, epoch=2, thread=10, minCount=1, verbose=0
    )
    made.save_model(str(folder / "m.bin"))
    return folder / "m.bin", made


def test_every_word_has_fasttexts_vector_whether_the_file_has_it_or_not(model):
    path, theirs = model
    ours = load_vectors(path)
    assert ours.words == theirs.words
    asked = [*theirs.words, "teas", "банка", "x", "goalkeeper"]
    expected = np.array([theirs.get_word_vector(word) for word in asked])
    np.testing.assert_allclose(ours.of(asked), expected, atol=1e-6)
    np.testing.assert_allclose(ours.matrix, expected[: len(ours.words)], atol=1e-6)


@pytest.mark.parametrize("word", ["tea", "goalkeeper"])
def test_neighbours_and_analogies_are_fasttexts(model, word):
    path, theirs = model
    ours = load_vectors(path)
    for found, expected in (
        (ours.neighbours(word, 5), theirs.f.getNN(word, 5, "strict")),
        (ours.analogy(word, "cup", "oil", 4), theirs.f.getAnalogies(word, "cup", "oil", 4, "strict")),
    ):
        assert [near.word for near in found] == [other for _, other in expected]
        np.testing.assert_allclose([near.similarity for near in found], [score for score, _ in expected], atol=1e-6)


def test_a_training_takes_words_of_the_file_and_further_words_of_train(model):
    path, theirs = model
    made = vectors_for(load_vectors(path), ["the teapots", "Teapots of tea", "once"], DataSettings(min_count=2))
    assert "teapots" in made.words
    assert "once" not in made.words
    row = made.matrix[made.words.index("teapots")]
    np.testing.assert_allclose(row, theirs.get_word_vector("teapots"), atol=1e-6)
    assert {"the", "tea", "robot"} <= set(made.words)


def test_a_broken_file_is_named(model, tmp_path):
    (tmp_path / "cut.bin").write_bytes(model[0].read_bytes()[:-5])
    with pytest.raises(VectorsError, match=r"cut\.bin"):
        load_vectors(tmp_path / "cut.bin")
