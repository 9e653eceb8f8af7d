"""Neighbours and analogies of plain vectors, against gensim; the command; a model's own vectors."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from gensim.models import KeyedVectors

import rubrica
from rubrica.cli.main import rubrica as command
from rubrica.errors import RubricaError, VectorsError
from rubrica.vectors import neighbours
from rubrica.vectors.stored import save_vectors
from rubrica.vectors.word_vectors import Vectors

VECTORS = Vectors(
    [f"word{i}" for i in range(300)], np.random.default_rng(0).normal(size=(300, 7)).astype(np.float32), "made up"
)


@pytest.mark.parametrize("block_bytes", [28 * 7, 1 << 20])
def test_the_nearest_words_are_gensims(block_bytes, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK_BYTES", block_bytes)
    theirs = KeyedVectors(7)
    theirs.add_vectors(VECTORS.words, VECTORS.matrix)
    for found, expected in (
        (VECTORS.neighbours("word5", 20), theirs.most_similar("word5", topn=20)),
        (VECTORS.analogy("word5", "word8", "word2", 20), theirs.most_similar(["word5", "word2"], ["word8"], topn=20)),
    ):
        assert [near.word for near in found] == [word for word, _ in expected]
        np.testing.assert_allclose([near.similarity for near in found], [score for _, score in expected], atol=1e-6)


def test_equal_similarities_are_in_the_order_of_the_file_and_zeros_are_far():
    matrix = np.array([[1, 0], [2, 0], [0, 0], [3, 0], [-1, 0]], np.float32)
    found = Vectors(list("abzcd"), matrix, "").neighbours("a", 10)
    assert found == [("b", 1.0), ("c", 1.0), ("z", 0.0), ("d", -1.0)]


def test_a_word_in_another_form_of_unicode_is_found_and_an_unknown_one_gets_a_hint():
    vectors = Vectors(["u\u0308ber", "the"], np.eye(2, dtype=np.float32), "v.txt")
    assert [near.word for near in vectors.neighbours("\u00fcber")] == ["the"]
    with pytest.raises(VectorsError, match=r"v.txt: no vector of the word 'tha'; did you mean 'the'\?"):
        vectors.neighbours("tha")
    with pytest.raises(VectorsError, match=r"did you mean 'the'\?"):
        vectors.neighbours("THE")
    with pytest.raises(ValueError, match="k is 0"):
        vectors.neighbours("the", 0)


def test_the_commands(tmp_path):
    save_vectors(VECTORS, tmp_path / "v.txt")
    run = CliRunner().invoke
    done = run(command, ["vectors", "neighbours", f"{tmp_path}/v.txt", "word5", "word6", "-k", "2", "--json"])
    first, second = map(json.loads, done.stdout.splitlines())
    assert [near["word"] for near in first["neighbours"]] == [near.word for near in VECTORS.neighbours("word5", 2)]
    assert second["asked"] == "word6"
    done = run(command, ["vectors", "analogy", f"{tmp_path}/v.txt", "word5", "word8", "word2"])
    assert VECTORS.analogy("word5", "word8", "word2")[0].word in done.stdout


def test_a_model_has_vectors_of_its_words_and_of_texts(tmp_path):
    texts, labels = ["a fine film", "two hours lost"] * 30, ["good", "bad"] * 30
    settings = {"name": "bag", "word_ngrams": 1}
    model = rubrica.train(texts, labels, config=rubrica.make_config(model=settings, training={"storage": "float32"}))
    words = np.array([model.word_vector(word) for word in ("A", "fine", "film")])
    np.testing.assert_allclose(model.sentence_vector("a fine film"), words.mean(axis=0), atol=1e-6)
    assert model._vectors is model._vectors  # made once
    assert {near.word for near in model.neighbours("fine", 2)} <= {"a", "film", "two", "hours", "lost"}
    model.save(tmp_path / "model")
    assert rubrica.load_vectors(tmp_path / "model").neighbours("fine", 2) == model.neighbours("fine", 2)
    with pytest.raises(RubricaError, match="no vector of the word 'fime'; did you mean 'fine'"):
        model.word_vector("fime")
    linear = rubrica.train(texts, labels, config=rubrica.make_config(model={"name": "linear"}))
    for ask in (linear.word_vector, linear.sentence_vector, linear.neighbours):
        with pytest.raises(RubricaError, match="a linear model"):
            ask("film")
