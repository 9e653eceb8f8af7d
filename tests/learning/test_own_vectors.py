"""Words that start at vectors of the training texts: where they are made, and where not."""

import numpy as np
import pytest

import rubrica
from made_words import labelled, same
from rubrica.kernels import native
from rubrica.learning import train as place
from rubrica.learning import word_vectors
from rubrica.models.config import load_recipe, make_config
from rubrica.vectors.word_vectors import Vectors

needs_vectors = pytest.mark.skipif(native.library() is None, reason="word vectors are made by the native core")


def config_of(embedding, **training):
    model = {"name": "gru", "hidden_size": 4, "embedding_dim": 6, "with_linear": False, "embedding": embedding}
    return make_config(model=model, training={"epochs": 1, "seed": 3, **training})


@pytest.fixture
def enough(monkeypatch):
    monkeypatch.setattr(place, "_OWN_TEXTS", 100)


@needs_vectors
@pytest.mark.usefixtures("enough")
def test_words_start_at_vectors_of_the_texts():
    model, again = (rubrica.train(labelled(), config=config_of("own")) for _ in range(2))
    assert same(model.artifact, again.artifact)
    made = word_vectors.train_start_vectors(
        labelled().splits["train"].texts, config_of("own"), least=100, dim=6, epochs=10
    )
    given = rubrica.train(labelled(), config=config_of("pretrained"), vectors=made)
    assert same(model.artifact, given.artifact)
    assert not same(model.artifact, rubrica.train(labelled(), config=config_of("pretrained")).artifact)


@needs_vectors
@pytest.mark.usefixtures("enough")
def test_given_vectors_are_taken_in_their_place():
    words = ["goal", "match", "cup", "soup"]
    vectors = Vectors(words, np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32), "mine")
    models = [rubrica.train(labelled(), config=config_of(start), vectors=vectors) for start in ("own", "pretrained")]
    assert same(models[0].artifact, models[1].artifact)


def test_of_few_texts_none_are_made():
    models = [rubrica.train(labelled(), config=config_of(start)) for start in ("own", "pretrained")]
    assert same(models[0].artifact, models[1].artifact)


@pytest.mark.usefixtures("enough")
def test_texts_whose_words_are_rare_make_none(monkeypatch):
    monkeypatch.setattr(word_vectors, "_START_COUNT", 10_000)
    models = [rubrica.train(labelled(), config=config_of(start)) for start in ("own", "pretrained")]
    assert same(models[0].artifact, models[1].artifact)


@pytest.mark.usefixtures("enough")
def test_there_is_no_time_for_vectors_in_a_given_time(monkeypatch):
    def no_vectors(*_, **__):
        raise AssertionError

    monkeypatch.setattr(word_vectors, "train_start_vectors", no_vectors)
    rubrica.train(labelled(), config=config_of("own"), time_budget=60)


@needs_vectors
def test_of_many_texts_some_are_read(monkeypatch):
    monkeypatch.setattr(word_vectors, "_MOST_TEXTS", 100)
    texts = [f"goal match cup {number}" for number in range(1000)]
    found = word_vectors.train_start_vectors(texts, config_of("own"), least=100, dim=6, epochs=1)
    assert found is not None
    assert found.source == "100 own texts"


def test_the_large_recipe_makes_them():
    assert load_recipe("large").model.dim_of_own_vectors == 100
    assert make_config().model.dim_of_own_vectors is None
