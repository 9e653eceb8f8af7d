"""The members of a model: a deadline ends each after a unit of work, and their weighted logits are added."""

import numpy as np
import pytest

from rubrica.corpus.corpus import build_corpus
from rubrica.learning import linear as linear_training
from rubrica.learning.budget import choose_length
from rubrica.learning.deadline import NEVER, Deadline
from rubrica.learning.job import Job
from rubrica.learning.members import join, train_member, train_members
from rubrica.models.config import make_config
from rubrica.models.ensemble import weigh
from rubrica.scoring.calibration import Weights
from settings import changed

SETTINGS = ["model.hidden_size=8", "training.storage=float32"]
ROWS = np.arange(0, 160, 2)  # 80 texts


def job_of(data, name, *more, deadline=NEVER):
    config = choose_length(changed(make_config(), [f"model.name={name}", *SETTINGS, *more]), len(ROWS), 2)
    return Job(build_corpus(data, None, config.data), config, ROWS, title=name, deadline=deadline)


def check_scores(job, trained):
    """What was learned until then answers."""
    logits = trained.logits(job.split, job.rows)
    assert logits.shape == (len(ROWS), 4)
    assert np.isfinite(logits).all()
    assert np.ptp(logits) > 0


@pytest.mark.parametrize("name", ["gru", "cnn"])
def test_a_network_ends_after_the_update_in_which_the_time_is_over(tiny_news, name):
    job = job_of(tiny_news, name, "model.with_linear=false", deadline=Deadline.after(0))
    trained = train_member(job)
    assert trained.history.interrupted
    assert trained.history.steps == len(trained.history.losses) == 1
    check_scores(job, trained)


def test_a_bag_ends_after_the_stretch_in_which_the_time_is_over(tiny_news):
    job = job_of(tiny_news, "bag", "training.epochs=50", "training.batch_size=16", deadline=Deadline.after(0))
    trained = train_member(job)
    assert trained.history.interrupted
    assert trained.history.steps == 5  # all 80 texts are one stretch; of 50 epochs one was begun
    check_scores(job, trained)


def test_a_linear_model_ends_after_the_slice_in_which_the_time_is_over(tiny_news, monkeypatch):
    monkeypatch.setattr(linear_training, "_SLICE", 16)
    original, slices = linear_training.descend, []

    def watched(machines, entries, order, threads):
        slices.append(len(order))
        return original(machines, entries, order, threads)

    monkeypatch.setattr(linear_training, "descend", watched)
    job = job_of(tiny_news, "linear", deadline=Deadline.after(0))
    trained = train_member(job)
    assert slices == [16]
    assert trained.history.interrupted
    assert trained.history.steps == 0  # no pass was completed
    check_scores(job, trained)


@pytest.mark.parametrize("name", ["gru", "bag", "linear"])
def test_a_deadline_that_is_far_away_ends_nothing(tiny_news, name):
    more = ["model.with_linear=false", "training.epochs=2"]
    free, limited = (
        train_member(job_of(tiny_news, name, *more, deadline=deadline)) for deadline in (NEVER, Deadline.after(600))
    )
    assert not limited.history.interrupted
    assert limited.history.steps == free.history.steps > 1
    for tensor, values in free.tensors.items():
        np.testing.assert_array_equal(limited.tensors[tensor], values)


def test_a_model_is_the_weighted_sum_of_its_members(tiny_news):
    job = job_of(tiny_news, "gru", "training.epochs=3")
    fitted = train_members(job)
    assert [member.name for member in fitted.job.config.members] == ["gru", "linear"]
    assert len(fitted.members) == 2
    split, rows = job.split, np.arange(1, 160, 2)  # texts that no member has learned
    parts = [member.logits(split, rows) for member in fitted.members]
    assert min(np.ptp(part) for part in parts) > 0.1
    by_class = np.arange(1, 1 + parts[1].shape[1], dtype=np.float32)
    plain = [Weights(weights) for weights in [(1.0, 1.0), (0.7, 2.5), (0.0, 1.5)]]
    for weights in [*plain, Weights((0.7, by_class), -by_class)]:
        model = join(fitted, weights)
        expected = sum(weight * part for weight, part in zip(weights.members, parts, strict=True))
        if weights.offset is not None:
            expected = expected + weights.offset
        np.testing.assert_allclose(sum(weights.apply(parts)), expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(model.logits(split, rows), expected, rtol=1e-5, atol=1e-5)
        assert set(model.tensors) == {name for member in fitted.members for name in member.tensors}
        assert model.history.train_seconds == sum(member.history.train_seconds for member in fitted.members)
        assert not model.history.interrupted


@pytest.mark.parametrize("weight", [0.0, np.float32([1, 0, 2, 1])])
def test_a_linear_model_that_counts_for_nothing_is_compared_as_it_is(tiny_news, weight):
    job = job_of(tiny_news, "gru", "training.epochs=1")
    fitted, rows = train_members(job), np.arange(1, 160, 2)
    beside = join(fitted, Weights((1.0, weight))).beside
    expected = fitted.members[1].logits(job.split, rows)
    np.testing.assert_array_equal(beside.logits(job.split, rows), expected)
    assert (expected.argmax(axis=1) == job.split.targets[rows]).mean() > 0.8


def test_two_classes_share_a_machine():
    tensors = {"linear.weight": np.array([[1.0], [-2.0]], np.float32), "linear.bias": np.array([0.25], np.float32)}
    found = weigh(make_config(model={"name": "linear"}), [tensors], Weights((2.0,), np.array([-0.5, 0.5], np.float32)))
    np.testing.assert_array_equal(found["linear.weight"], [[2], [-4]])
    np.testing.assert_array_equal(found["linear.bias"], [1.0])  # of the second class; of the first it is -1
