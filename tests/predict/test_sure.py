"""Where the linear model is sure, `predict` does not ask the network beside it; whatever says a score asks both."""

import json
from dataclasses import replace

import numpy as np
import pyarrow
import pytest

from made_models import random_artifact
from rubrica.artifact.folder import load_artifact, save_artifact
from rubrica.export.shrink import keep_features, keep_words, store
from rubrica.learning.train import train_dataset
from rubrica.models.config import make_config
from rubrica.predict.classifier import Classifier
from rubrica.scoring.sureness import margins
from settings import changed

TEXTS = ["слово a", "a a a", "", "x", "слово слово", "a x слово a"] * 5


class Counted(Classifier):
    """A model that notes how many texts its network was asked about."""

    def __init__(self, artifact):
        super().__init__(artifact)
        self.asked, slow = [], self._ensemble.slow
        self._ensemble.slow = lambda texts, vocab: self.asked.append(len(texts)) or slow(texts, vocab)


@pytest.fixture
def artifact():
    """A network of random weights with a linear model whose margins differ."""
    made = random_artifact("gru", lists=False)
    tensors = made.tensors | {"head.weight": 9 * made.tensors["head.weight"]}
    return replace(made, tensors=tensors)


def parts(artifact):
    """The logits by the linear model and by both members."""
    model = Classifier(artifact)
    fast = model._ensemble.quick(TEXTS)
    return fast, model.logits(TEXTS)


def test_the_network_answers_where_the_linear_model_is_not_sure(artifact, monkeypatch):
    fast, whole = parts(artifact)
    for sure in (0.0, float(np.median(margins(fast))), 1e9):
        model = Counted(replace(artifact, sure=sure))
        alone = margins(fast) >= sure
        best = np.where(alone, fast.argmax(axis=1), whole.argmax(axis=1))
        expected = [model.labels[place] for place in best]
        assert model.predict(TEXTS) == expected
        assert model.predict(pyarrow.array(TEXTS)) == expected
        assert [model.predict([text]) for text in TEXTS] == [[label] for label in expected]
        assert sum(model.asked) == 3 * (~alone).sum()


def test_whatever_says_a_score_and_whoever_wants_it_exact_asks_both(artifact):
    model, whole = Counted(replace(artifact, sure=0.0)), parts(artifact)[1]
    expected = [model.labels[place] for place in whole.argmax(axis=1)]
    assert model.predict(TEXTS, exact=True) == expected
    assert [label for (label,) in model.predict(TEXTS, k=1)] == expected
    assert [pair[0][0] for pair in model.scored(TEXTS)] == expected
    assert model.predict(TEXTS, abstain_below=0.0) == expected
    np.testing.assert_array_equal(model.logits(TEXTS), whole)
    lines = "\n".join(model.iter_answers(TEXTS, all_classes=False)).split("\n")
    assert [json.loads(line)["label"] for line in lines] == expected
    assert model.asked == []
    assert model.predict([]) == []


def test_the_margin_is_a_part_of_the_folder_until_the_linear_model_is_another(artifact, tmp_path):
    sure = replace(artifact, sure=0.75)
    found = load_artifact(save_artifact(sure, tmp_path / "model"))
    assert found.sure == found.facts()["sure"] == 0.75
    assert store(found, "int8").sure == 0.75
    assert keep_words(found, 4).sure is None
    assert keep_features(found, 4).sure is None
    assert "sure" not in json.loads((save_artifact(artifact, tmp_path / "other") / "config.json").read_text())


@pytest.mark.parametrize("more", [[], ["model.mask_padding=false"], ["model.with_linear=false"]])
def test_a_training_finds_it_on_held_out_texts(more, tiny_news, monkeypatch):
    held = []
    monkeypatch.setattr("rubrica.learning.training.find_sure", lambda *logits: held.append(logits) or 0.25)
    settings = ["model.hidden_size=8", "model.embedding_dim=8", "training.epochs=2"]
    artifact = train_dataset(tiny_news, None, changed(make_config(), [*settings, *more]))[1]
    assert artifact.sure == (None if more else 0.25)
    for fast, whole in held:
        assert fast.shape == whole.shape == (artifact.metrics["validation"]["texts"], 4)
    assert len(held) == (not more)
