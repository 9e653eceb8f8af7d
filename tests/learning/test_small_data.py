"""Small data sets of every kind, drawn at random: each family learns from them, or says in a sentence why it cannot."""

import math

import numpy as np
import pytest

from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import RubricaError
from rubrica.learning.train import train
from rubrica.models.config import make_config
from rubrica.scoring.tasks import task_of

FAMILIES = ["bag", "linear", "cnn", "rnn", "gru", "lstm", "mingru", "drnn"]
SMALL = {"hidden_size": 8, "embedding_dim": 8}


def draw(seed):
    """A data set: 1 to 400 texts of 0 to 60 words, common and rare ones, labels of a word's choice or of none."""
    rng = np.random.default_rng(seed)
    count, classes = round(400 ** rng.random()), int(rng.integers(2, 51))
    lists, longest = rng.random() < 0.2, int(rng.choice([1, 3, 12, 60]))
    rare, key, random_labels = rng.random(), rng.random() < 0.7, rng.random() < 0.4
    texts, labels = [], []
    for i in range(count):
        label = int(rng.integers(classes))
        words = [
            f"r{i}x{j}" if rng.random() < rare else f"w{min(int(rng.zipf(1.5)), 500)}"
            for j in range(rng.integers(0, longest + 1))
        ]
        if key and words:
            words[rng.integers(len(words))] = f"key{label}"
        if random_labels:
            label = int(rng.integers(classes))
        texts.append(" ".join(words))
        others = {f"c{other:02}" for other in rng.integers(classes, size=rng.integers(0, 3))}
        labels.append(tuple(sorted({f"c{label:02}"} | others)) if lists else f"c{label:02}")
    names = sorted({name for label in labels for name in (label if lists else [label])})
    return Dataset("drawn", {"train": Examples(texts, labels)}, ("text",), "label", task_of(names, lists=lists))


def learn(seed, name=None):
    """Train a family, by default the one of this number, on the data set of this number."""
    data, name = draw(seed), name or FAMILIES[seed % len(FAMILIES)]
    training = {"seed": seed} | ({} if name in ("bag", "linear") else {"epochs": 2})
    config = make_config(
        model={"name": name} | {"bag": {"num_buckets": 1000}, "linear": {}}.get(name, SMALL), training=training
    )
    if data.task.num_classes == 1:
        with pytest.raises(RubricaError, match=r"one class only .* expected at least 2 classes"):
            train(data, config=config)
        return
    artifact = train(data, config=config).artifact
    assert all(math.isfinite(value) for record in artifact.history for value in record.values())
    assert all(np.isfinite(tensor).all() for tensor in artifact.tensors.values())
    if scores := artifact.metrics.get("validation"):
        classes = data.task.num_classes
        chance = classes * math.log(2) if isinstance(data.splits["train"].labels[0], tuple) else math.log(classes)
        assert scores["loss"] <= chance + 0.5


@pytest.mark.parametrize("seed", range(24))
def test_small_data_is_learned_or_refused_in_a_sentence(seed):
    learn(seed)


@pytest.mark.parametrize("seed", [41, 106, 153, 634])
def test_a_bag_keeps_its_bounds_where_nearly_all_texts_share_a_row(seed):
    """On these data sets it diverged."""
    learn(seed, "bag")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(24, 1024, 50))
def test_a_thousand_small_data_sets(first):
    for seed in range(first, first + 50):
        learn(seed)
