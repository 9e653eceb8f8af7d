"""A training that ends in numbers that are not finite."""

import json

import numpy as np
import pytest

from rubrica.artifact.folder import load_artifact, save_artifact
from rubrica.errors import RubricaError
from rubrica.learning import bag, training
from rubrica.learning.train import train
from rubrica.models.config import load_recipe, make_config
from settings import changed

BAG = changed(load_recipe("bag"), ["model.num_buckets=100", "training.epochs=2"])


@pytest.fixture
def diverging(monkeypatch):
    """Bags that end in an infinite weight. No data and no step size leads there."""
    original = bag.train

    def to_infinity(tables, head, *arguments, **settings):
        outcome = original(tables, head, *arguments, **settings)
        head.bias[0] = np.inf
        return outcome

    monkeypatch.setattr(bag, "train", to_infinity)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_it_is_an_error_and_nothing_is_saved(diverging, tiny_news, tmp_path):
    with pytest.raises(RubricaError, match=r"bag: the training diverged; .* smaller step size \(training.lr\)"):
        train(tiny_news, config=BAG, out=tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_in_the_second_training_it_leaves_the_first_model(tiny_news, tmp_path, monkeypatch, caplog):
    original, calls = training.train_members, []

    def diverged(job, **settings):
        calls.append(job)
        if len(calls) == 2:
            raise RubricaError("bag: the training diverged")
        return original(job, **settings)

    monkeypatch.setattr(training, "train_members", diverged)
    model = train(tiny_news, config=BAG, out=tmp_path / "model")
    assert len(calls) == 2
    assert "the model that was trained on a part of train is kept" in caplog.text
    assert model.artifact.metrics["train_texts"] == len(calls[0].rows) < 160
    assert load_artifact(tmp_path / "model").metrics == json.loads(json.dumps(model.artifact.metrics))
    assert all(np.isfinite(tensor).all() for tensor in model.artifact.tensors.values())


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_bag_for_comparison_that_diverges_leaves_the_model(diverging, tiny_news, tmp_path, caplog):
    config = changed(make_config(), ["model.name=cnn", "model.with_linear=false", "training.epochs=1"])
    model = train(tiny_news, config=config, out=tmp_path / "model")
    assert "bag" not in model.artifact.metrics
    assert "no bag to compare with: bag, for comparison: the training diverged" in caplog.text
    assert load_artifact(tmp_path / "model").metrics["test"]["texts"] == 40


def test_a_score_that_is_not_finite_is_not_written(tiny_news, tmp_path):
    artifact = train(tiny_news, config=BAG).artifact
    artifact.metrics["test"]["loss"] = np.nan
    with pytest.raises(RubricaError, match="a score is not finite: the training diverged"):
        save_artifact(artifact, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_found_before_any_work(tiny_news, monkeypatch):
    monkeypatch.setattr(training, "train_members", None)  # is not reached
    with pytest.raises(RubricaError, match=r"training\.device is 'cdua'"):
        train(tiny_news, config=make_config(training={"device": "cdua"}))
