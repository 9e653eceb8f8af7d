"""How long a training is, and that one of a given time can be repeated without a clock."""

import time

import numpy as np
import pytest

from rubrica.budget import fit_in_time, parse_seconds
from rubrica.config import Config, load_recipe
from rubrica.training import train

ROWS = np.arange(64_000)
CONFIG = Config().changed(["training.epochs=5", "training.batch_size=32"])  # 10,000 updates
ALONE = CONFIG.changed(["model.with_linear=false"])


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("60s", 60), ("2m", 120), ("1.5h", 5400), ("0.5", 0.5)])
def test_lengths_of_time(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0", "-3s", "inf", "nan", "2d", "1m30s"])
def test_what_is_no_length_of_time(text):
    with pytest.raises(ValueError, match="give seconds, 90s, 2m or 1h"):
        parse_seconds(text)


def machine(*, step, linear=0.0):
    """A machine on which an update takes so many seconds, and the linear model so many for all of the texts."""

    def run(settings, rows):
        if settings.model.name == "linear":
            return linear * len(rows) / len(ROWS)
        assert 1 <= settings.training.max_steps <= 30
        return step * settings.training.max_steps

    return run


def test_as_many_updates_as_fit_and_no_more_than_all():
    def steps(config, seconds, run):
        return fit_in_time(config, ROWS, seconds, run, "gru").training.max_steps

    assert steps(ALONE, 10, machine(step=0.01)) == pytest.approx(800, rel=0.01)
    assert steps(ALONE, 200, machine(step=0.01)) == 0  # all, and then anew on all of train
    assert steps(ALONE, 0.001, machine(step=0.01)) == 1
    assert steps(ALONE, -1, machine(step=0.01)) == 1
    assert steps(CONFIG, 10, machine(step=0.01, linear=3)) == pytest.approx(500, rel=0.01)
    assert steps(ALONE.changed(["training.max_steps=70"]), 10, machine(step=0.01)) == 70


def test_a_linear_model_that_would_take_most_of_the_time_is_left_out():
    assert fit_in_time(CONFIG, ROWS, 10, machine(step=0.01, linear=3), "gru").model.with_linear
    found = fit_in_time(CONFIG, ROWS, 10, machine(step=0.01, linear=5), "gru")
    assert not found.model.with_linear
    assert found.training.max_steps == pytest.approx(800, rel=0.01)


def test_a_linear_model_alone_says_what_it_takes(caplog):
    config = load_recipe("linear")
    assert fit_in_time(config, ROWS, 10, machine(step=0, linear=12), "linear") == config
    assert "takes about 12 s" in caplog.text


@pytest.mark.parametrize("name", ["bag", "gru"])
def test_a_training_in_a_given_time_ends_in_it_and_its_settings_repeat_it(tiny_news, tmp_path, name):
    config = load_recipe("bag") if name == "bag" else Config().changed(["model.hidden_size=16"])
    config = config.changed(["training.epochs=100000", "training.batch_size=16"])
    began = time.perf_counter()
    first = train(tiny_news, config=config, time_budget=1.0, out=tmp_path / "model")
    assert time.perf_counter() - began < 30  # not the hours of all epochs
    assert first.config.training.max_steps > 0
    assert first.artifact.metrics["steps"] == first.config.training.max_steps
    assert "refitted" not in first.artifact.metrics
    assert "bag" not in first.artifact.metrics
    again = train(tiny_news, config=load_recipe(str(tmp_path / "model" / "config.json")))
    for tensor, expected in first.artifact.tensors.items():
        np.testing.assert_array_equal(again.artifact.tensors[tensor], expected)


@pytest.mark.parametrize("name", ["bag", "gru"])
def test_two_epochs_of_updates_are_two_epochs(tiny_news, name):
    config = load_recipe("bag") if name == "bag" else ALONE
    two = train(tiny_news, config=config.changed(["training.epochs=2", "data.validation_fraction=0.0"]))
    cut = two.config.changed(["training.epochs=5", f"training.max_steps={two.artifact.metrics['steps']}"])
    again = train(tiny_news, config=cut)
    for tensor, expected in two.artifact.tensors.items():
        np.testing.assert_array_equal(again.artifact.tensors[tensor], expected)
    assert again.artifact.metrics["steps"] == two.artifact.metrics["steps"]


def test_time_for_all_of_it_trains_as_without_a_limit(tiny_news):
    config = ALONE.changed(["training.epochs=2"])
    free, limited = train(tiny_news, config=config), train(tiny_news, config=config, time_budget=600)
    assert limited.config == free.config
    assert limited.artifact.metrics["refitted"]
    for tensor, expected in free.artifact.tensors.items():
        np.testing.assert_array_equal(limited.artifact.tensors[tensor], expected)
