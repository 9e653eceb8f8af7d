"""Which texts an epoch of a network reads, where a linear model beside it is sure of most."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rubrica.config.groups import MANY
from rubrica.data.dataset import Dataset, Examples
from rubrica.learning import linear, loop
from rubrica.learning.budget import choose_length
from rubrica.learning.job import TURNS, Job, Reading
from rubrica.learning.members import _reading
from rubrica.learning.train import train, train_dataset
from rubrica.models.config import load_recipe, make_config
from rubrica.models.older import upgrade
from rubrica.scoring.tasks import task_of
from settings import changed

SELDOM = changed(
    make_config(),
    [
        "training.epochs=4",
        "training.batch_size=16",
        "model.hidden_size=16",
        "training.read_seldom=0.6",
        "training.adversarial_every=2",
    ],
)


def rows(*numbers):
    return np.array(numbers, np.int64)


def test_each_text_is_read_in_each_epoch_or_in_one_of_three():
    reading = Reading(rows(1, 4, 7), rows(0, 2, 3, 5, 6, 8))
    epochs = [Counter(reading.rows_of(epoch).tolist()) for epoch in range(2 * TURNS)]
    assert {epoch.total() for epoch in epochs} == {5}
    for first in (0, TURNS):
        read = sum(epochs[first : first + TURNS], Counter())
        assert read == Counter({1: TURNS, 4: TURNS, 7: TURNS} | dict.fromkeys([0, 2, 3, 5, 6, 8], 1))


def job_of(doubts, share):
    config = make_config(training={"read_seldom": share, "batch_size": 4, "epochs": 3})
    return Job(None, config, np.arange(100, 100 + len(doubts))), np.array(doubts, np.float32)


def test_the_texts_that_the_linear_model_is_surest_of_are_read_seldom():
    doubts = np.random.default_rng(0).permutation(20) / 10
    reading = _reading(*job_of(doubts, 0.6))
    assert sorted(np.concatenate(reading).tolist()) == list(range(100, 120))
    assert reading.seldom.tolist() == [100 + row for row in range(20) if doubts[row] < 1.2]
    assert np.all(np.diff(reading.always) > 0)


def test_of_texts_that_it_is_equally_sure_of_some_from_everywhere_are():
    reading = _reading(*job_of([0.0] * 100, 0.6))
    assert len(reading.seldom) == 60
    halves = np.count_nonzero(reading.seldom < 150), np.count_nonzero(reading.seldom >= 150)
    assert halves == (30, 30)


@pytest.mark.parametrize(
    ("doubts", "share", "seldom"),
    [([0.5] * 10, 0.0, 0), ([0.5] * 10, 0.1, 0), ([0.5] * 10, 0.3, 3), ([np.inf] * 6 + [0.0] * 4, 0.9, 3)],
)
def test_their_number_is_a_multiple_of_three(doubts, share, seldom):
    reading = _reading(*job_of(doubts, share))
    assert (0 if reading is None else len(reading.seldom)) == seldom
    if seldom:
        assert np.all(np.isfinite(np.array(doubts)[reading.seldom - 100]))


def test_without_doubts_all_are_read_in_each_epoch():
    job, _ = job_of([0.0], 0.6)
    assert _reading(job, None) is None


@pytest.mark.parametrize(("num_texts", "chosen"), [(MANY - 1, (1, 0.0)), (MANY, (3, 0.75))])
def test_many_texts_are_read_less_often(num_texts, chosen):
    training = choose_length(make_config(), num_texts, 4).training
    assert (training.adversarial_every, training.read_seldom) == chosen
    alone = choose_length(make_config(model={"with_linear": False}), num_texts, 4).training
    assert (alone.adversarial_every, alone.read_seldom) == (1, 0.0)
    given = make_config(training={"adversarial_every": 2, "read_seldom": 0.5})
    training = choose_length(given, num_texts, 4).training
    assert (training.adversarial_every, training.read_seldom) == (2, 0.5)


def test_older_settings_keep_what_their_code_did():
    old = SELDOM.to_dict()
    for key in ("adversarial_every", "read_seldom"):
        del old["training"][key]
    training = make_config(**upgrade(old)).training
    assert (training.adversarial_every, training.read_seldom) == (1, 0.0)
    assert make_config(**upgrade(SELDOM.to_dict())) == SELDOM
    bag = load_recipe("bag").to_dict()
    assert upgrade(bag) == bag


def test_doubts_are_what_is_missing_to_the_margins(monkeypatch):
    """Oracle: the hinge of what the trained model says of its texts."""
    draw = np.random.default_rng(1)
    texts = [" ".join(draw.choice(list("abcdefgh"), 5)) for _ in range(200)]
    labels = [str(label) for label in draw.integers(0, 3, 200)]
    data = Dataset("x", {"train": Examples(texts, labels)}, (), "", task_of(["0", "1", "2"], lists=False))
    found = []
    original = linear.train_linear

    def exact(job):
        found.append((job, original(job, tolerance=1e-4, keep=1.0)))
        return found[-1][1]

    monkeypatch.setattr("rubrica.learning.members._TRAINERS", {type(load_recipe("linear").training): exact})
    config = load_recipe("linear").replace(training={"epochs": 1000}, data={"validation_fraction": 0.0})
    train_dataset(data, None, config)
    ((job, trained),) = found
    logits = trained.logits(job.split, job.rows)
    signs = np.where(np.arange(3) == job.split.targets[job.rows][:, None], 1, -1)
    np.testing.assert_allclose(trained.doubts, np.maximum(0, 1 - signs * logits).sum(axis=1), atol=2e-3)
    assert trained.doubts.std() > 0.1


def test_the_loop_reads_them_so(tiny_news, monkeypatch):
    seen, twice, original = list[int](), list[bool](), loop.update

    def update(backend, split, batch, **more):
        seen.append(batch if isinstance(batch, np.ndarray) else batch.rows.numpy())  # torch alone sends more
        twice.append(more["twice"])
        return original(backend, split, batch, **more)

    monkeypatch.setattr(loop, "update", update)
    data = replace(tiny_news, splits={"train": tiny_news.splits["train"]})
    config = SELDOM.replace(training={"epochs": TURNS}, data={"validation_fraction": 0.0})
    model = train(data, config=config).artifact
    counts = Counter(np.bincount(np.concatenate(seen), minlength=len(data.splits["train"].texts)).tolist())
    total = len(data.splits["train"].texts)
    assert set(counts) == {1, TURNS}
    assert counts[1] == round(0.6 * total) // TURNS * TURNS
    assert len(twice) == model.metrics["steps"]
    assert twice == [step % 2 == 0 for step in range(len(twice))]
    again = train(data, config=config).artifact
    assert all(again.tensors[name].tobytes() == tensor.tobytes() for name, tensor in model.tensors.items())
    assert model.config.training.read_seldom == 0.6
