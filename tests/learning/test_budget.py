"""How long a training is, and that one of a given time can be repeated without a clock."""

import time

import click
import numpy as np
import pytest

import rubrica
from interrupts import interrupt
from made_models import learn
from rubrica.cli.units import parse_seconds
from rubrica.config.groups import AdamTraining
from rubrica.errors import ConfigError
from rubrica.learning import loop, members, training
from rubrica.learning.budget import choose_length, fits_beside
from rubrica.learning.budget import limit_steps as limit_job
from rubrica.learning.deadline import Deadline
from rubrica.learning.job import Job
from rubrica.learning.members import train_member
from rubrica.learning.train import train
from rubrica.models.config import load_recipe, make_config
from settings import changed

ROWS = np.arange(64_000)
CONFIG = changed(make_config(), ["training.epochs=5", "training.batch_size=32"])  # 10,000 updates
ALONE = changed(CONFIG, ["model.with_linear=false"])


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("60s", 60), ("2m", 120), ("1.5h", 5400), ("0.5", 0.5)])
def test_lengths_of_time(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0", "-3s", "9" * 400, "inf", "nan", "2d", "1m30s"])
def test_what_is_no_length_of_time(text):
    with pytest.raises(click.BadParameter, match="give seconds, 90s, 2m or 1h"):
        parse_seconds(text)


def test_few_texts_take_small_batches_and_many_epochs():
    def found(num_texts, *settings, recipe=None):
        training = choose_length(changed(recipe or make_config(), settings), num_texts, 4).training
        return training.batch_size, training.epochs

    assert found(900) == (32, 10)
    assert found(7000) == (32, 9)
    assert found(20_000) == (64, 6)
    assert found(68_000) == (64, 3)
    assert found(900, "training.batch_size=5", "training.epochs=2") == (5, 2)
    bag = load_recipe("bag")
    assert [found(texts, recipe=bag) for texts in (900, 5000, 68_000)] == [(64, 50), (64, 40), (64, 5)]
    assert found(900, recipe=load_recipe("linear"))[1] == load_recipe("linear").training.epochs


def test_many_classes_of_few_texts_take_long_steps():
    def found(num_texts, num_classes, *settings):
        training = choose_length(changed(load_recipe("bag"), settings), num_texts, num_classes).training
        return training.epochs, training.lr

    assert found(200, 2) == found(200, 100) == (50, 0.5)
    assert found(10_000, 150) == (20, 0.5)
    assert found(1_000_000, 1000) == (5, 0.5)
    assert found(3000, 300) == (50, 1.0)
    assert found(18_000, 3000) == (8, 4.0)
    assert found(25_000, 3000) == (6, 4.0)
    assert found(60_000, 3000) == (5, 4.0)
    assert found(15_000, 3000, "training.epochs=20", "training.lr=0.1") == (20, 0.1)
    assert choose_length(load_recipe("gru"), 15_000, 3000).training.lr == load_recipe("gru").training.lr


def machine(*, step, start=0.0, linear=0.0):
    """On it an update takes so many seconds, an epoch's start so many, the linear model so many for all the texts."""

    def run(settings, rows):
        if settings.model.name == "linear":
            return linear * len(rows) / len(ROWS)
        assert settings.beside is None
        assert 1 <= settings.training.max_steps <= 35
        return start + step * settings.training.max_steps

    return run


def job(config, seconds):
    return Job(None, config, ROWS, title="gru", deadline=Deadline.after(seconds))


def limit_steps(config, _, seconds, run, title):
    return limit_job(job(config, seconds), run)


def test_as_many_updates_as_fit_and_no_more_than_all():
    def steps(config, seconds, run):
        return limit_steps(config, ROWS, seconds, run, "gru").training.max_steps

    assert steps(ALONE, 10, machine(step=0.01)) == pytest.approx(800, rel=0.01)
    assert steps(ALONE, 200, machine(step=0.01)) == 0  # all, and then anew on all of train
    bag = changed(load_recipe("bag"), ["training.epochs=5", "training.batch_size=32"])
    assert steps(bag, 0.001, machine(step=0.01)) == 2000  # an epoch
    assert steps(bag, -1, machine(step=0.01)) == 2000
    assert limit_steps(ALONE, ROWS, 2.4, machine(step=0.01), "gru") is None
    assert limit_steps(ALONE, ROWS, -1, None, "gru") is None
    assert limit_steps(ALONE, ROWS, 10, machine(step=0.5), "gru") is None  # forty of them on trial were the time
    assert steps(ALONE, 2.6, machine(step=0.01)) == pytest.approx(208, rel=0.01)
    assert steps(ALONE, 10, machine(step=0.01, start=4)) == pytest.approx(8 / (0.01 + 4 / 2000), rel=0.01)
    assert limit_steps(ALONE, ROWS, 10, machine(step=0.01, start=6), "gru") is None
    assert steps(changed(ALONE, ["training.max_steps=3"]), 10, machine(step=0.01)) == 3
    assert steps(changed(ALONE, ["training.max_steps=70"]), 10, machine(step=0.01)) == 70


def test_a_linear_model_fits_or_not(caplog):
    caplog.set_level("INFO", "rubrica")
    assert fits_beside(job(CONFIG, 10), machine(step=0, linear=7))
    assert not caplog.text
    assert not fits_beside(job(CONFIG, 10), machine(step=0, linear=9))
    assert "the linear model beside it would take 9.0 s of the 10.0 s left, and is left out" in caplog.text
    assert fits_beside(job(CONFIG, -1), machine(step=0, linear=0.4))  # it knows more than what would take its place
    assert not fits_beside(job(CONFIG, -1), machine(step=0, linear=0.6))


def test_a_linear_model_alone_says_what_it_takes(caplog):
    assert not fits_beside(job(choose_length(load_recipe("linear"), len(ROWS), 4), 10), machine(step=0, linear=12))
    assert "takes about 12.0 s" in caplog.text


def test_a_linear_model_that_does_not_fit_is_left_out(tiny_news, monkeypatch):
    monkeypatch.setattr(members, "fits_beside", lambda job, trial: False)
    config = changed(make_config(), ["model.hidden_size=8", "training.epochs=2"])
    model = train(tiny_news, config=config, time_budget=60)
    assert model.config.title == "gru"
    assert model.config.beside is None
    # Alone it is what was asked for, however long it takes.
    config = load_recipe("linear")
    alone = train(tiny_news, config=config, time_budget=60)
    assert alone.config.model == config.model
    assert alone.artifact.metrics["weights"].keys() == {"linear"}


def test_a_network_alone_has_no_linear_model_to_try(tiny_news, monkeypatch):
    monkeypatch.setattr(members, "fits_beside", None)
    config = changed(make_config(), ["model.with_linear=false", "model.hidden_size=8", "training.epochs=2"])
    assert train(tiny_news, config=config, time_budget=60).config.title == "gru"


@pytest.mark.parametrize("name", ["bag", "gru"])
def test_a_training_in_a_given_time_ends_in_it_and_its_settings_repeat_it(tiny_news, tmp_path, name, monkeypatch):
    # On a busy machine, and in numpy, too, the run goes on to the update that it planned, of whatever number.
    monkeypatch.setattr(members, "_STOPPED", 100)
    monkeypatch.setattr(AdamTraining, "least_steps", 1)
    config = load_recipe("bag") if name == "bag" else changed(make_config(), ["model.hidden_size=16"])
    config = changed(config, ["training.epochs=100000", "training.batch_size=16"])
    if name == "gru":  # the trial of a machine on which each update takes a second: some 50 updates are planned
        monkeypatch.setattr(members, "_try", lambda job, config, rows: float(config.training.max_steps))
    began, seconds = time.perf_counter(), 1.0 if name == "bag" else 60.0
    first = train(tiny_news, config=config, time_budget=seconds, out=tmp_path / "model")
    assert time.perf_counter() - began < 30  # not the hours of all epochs
    assert 0 < first.config.training.max_steps < (50 if name == "gru" else 900_000)
    assert first.artifact.metrics["steps"] == first.config.training.max_steps
    assert "refitted" not in first.artifact.metrics
    assert "bag" not in first.artifact.metrics
    again = learn(tiny_news, load_recipe(str(tmp_path / "model" / "config.json")))
    for tensor, expected in first.artifact.tensors.items():
        np.testing.assert_array_equal(again.artifact.tensors[tensor], expected)


@pytest.mark.parametrize("name", ["bag", "gru"])
def test_two_epochs_of_updates_are_two_epochs(tiny_news, name):
    config = load_recipe("bag") if name == "bag" else changed(ALONE, ["model.hidden_size=8"])
    two = learn(tiny_news, changed(config, ["training.epochs=2", "data.validation_fraction=0.0"]))
    cut = changed(two.config, ["training.epochs=5", f"training.max_steps={two.artifact.metrics['steps']}"])
    again = learn(tiny_news, cut)
    for tensor, expected in two.artifact.tensors.items():
        np.testing.assert_array_equal(again.artifact.tensors[tensor], expected)
    assert again.artifact.metrics["steps"] == two.artifact.metrics["steps"]


def test_time_for_all_of_it_trains_as_without_a_limit(tiny_news):
    config = changed(ALONE, ["training.epochs=2", "model.hidden_size=8"])
    free, limited = learn(tiny_news, config), train(tiny_news, config=config, time_budget=600)
    assert limited.config == free.config
    assert limited.artifact.metrics["refitted"]
    for tensor, expected in free.artifact.tensors.items():
        np.testing.assert_array_equal(limited.artifact.tensors[tensor], expected)


@pytest.mark.parametrize("name", ["bag", "gru"])
def test_a_machine_that_becomes_slower_is_stopped(tiny_news, name, monkeypatch, caplog):
    """All epochs seem to fit, and would take minutes."""
    monkeypatch.setattr(members, "limit_steps", lambda job, trial: job.config)
    config = load_recipe("bag") if name == "bag" else changed(make_config(), ["model.hidden_size=16"])
    began = time.perf_counter()
    model = train(tiny_news, config=changed(config, ["training.epochs=100000"]), time_budget=1.0)
    assert time.perf_counter() - began < 30
    assert "stopped after" in caplog.text
    assert model.artifact.metrics["interrupted"]
    assert model.artifact.metrics["weights"].keys() == ({"bag"} if name == "bag" else {"gru", "linear"})
    assert model.artifact.metrics["test"]["accuracy"] > 0.5


def test_a_network_that_the_time_leaves_alone_answers_from_its_folder(tiny_news, tmp_path, monkeypatch):
    monkeypatch.setattr(members, "fits_beside", lambda job, trial: False)
    monkeypatch.setattr(members, "limit_steps", lambda job, trial: job.config)
    monkeypatch.setattr(training, "_SPARE", 0.0)  # no time to train once more either: the settings say so
    config = changed(make_config(), ["model.hidden_size=16", "training.epochs=1"])
    model = train(tiny_news, config=config, time_budget=600, out=tmp_path / "model")
    assert model.artifact.metrics["weights"].keys() == {"gru"}
    loaded = rubrica.load(tmp_path / "model")
    assert loaded.config == model.config
    assert loaded.config.title == "gru"
    np.testing.assert_array_equal(loaded.predict_proba(["a goal"]), model.predict_proba(["a goal"]))
    again = learn(tiny_news, model.config)
    for name, tensor in model.artifact.tensors.items():
        np.testing.assert_array_equal(again.artifact.tensors[name], tensor)


@pytest.mark.parametrize(("with_linear", "expected"), [(True, "linear"), (False, "bag")])
@pytest.mark.parametrize("with_vectors", [False, True])
def test_without_time_for_a_network_there_is_a_smaller_model(
    tiny_news, tiny_vectors, tmp_path, with_linear, expected, with_vectors, monkeypatch
):
    original = members.limit_steps

    def only_a_bag(job, trial):
        return original(job, trial) if job.config.model.name == "bag" else None

    def watched(job):
        assert job.config.model.name != "bag" or job.vectors is None  # a bag has numbers of its own, on trial, too
        return train_member(job)

    monkeypatch.setattr(members, "limit_steps", only_a_bag)
    monkeypatch.setattr(members, "train_member", watched)
    config = changed(make_config(), [f"model.with_linear={str(with_linear).lower()}"])
    vectors = tiny_vectors if with_vectors else None
    first = train(tiny_news, config=config, vectors=vectors, time_budget=30, out=tmp_path / "model")
    assert first.config.title == expected
    assert first.artifact.metrics["test"]["accuracy"] > 0.8
    texts = tiny_news.splits["test"].texts
    assert rubrica.load(tmp_path / "model").predict(texts) == first.predict(texts)
    if with_vectors:
        return
    again = train(tiny_news, config=load_recipe(str(tmp_path / "model" / "config.json")))
    for tensor, value in first.artifact.tensors.items():
        np.testing.assert_array_equal(again.artifact.tensors[tensor], value)


@pytest.mark.parametrize(("with_linear", "expected"), [(True, "linear"), (False, None)])
def test_ctrl_c_on_trial_is_meant_for_all_of_it(tiny_news, with_linear, expected, monkeypatch):
    interrupt(monkeypatch, loop, "update")
    config = changed(make_config(), [f"model.with_linear={str(with_linear).lower()}"])
    if expected is None:
        with pytest.raises(KeyboardInterrupt):
            train(tiny_news, config=config, time_budget=30)
        return
    model = train(tiny_news, config=config, time_budget=30)
    assert model.config.title == expected
    assert model.artifact.metrics["interrupted"]


def test_with_no_time_at_all_a_small_linear_model_is_trained(tiny_news, monkeypatch):
    """Python and torch may take all of a short budget to begin."""
    monkeypatch.setattr(members, "_try", lambda job, config, rows: 0.1)
    model = train(tiny_news, time_budget=1e-3)
    assert model.config.title == "linear"
    assert not model.artifact.metrics["interrupted"]
    assert model.artifact.metrics["test"]["accuracy"] > 0.9


@pytest.mark.parametrize("given", [0, -3, float("nan"), float("inf"), "60s"])
def test_a_time_that_is_none_is_refused(tiny_news, given):
    with pytest.raises(ConfigError, match=r"time_budget is .*, expected a number of seconds above 0"):
        train(tiny_news, time_budget=given)
