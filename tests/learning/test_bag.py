"""Training of the bag: the order of the texts, and many classes. More: the kernel and the whole road."""

import numpy as np
import pytest

from rubrica.data.dataset import Dataset, Examples
from rubrica.learning import bag
from rubrica.learning.train import train
from rubrica.models.config import load_recipe
from rubrica.scoring.tasks import task_of


@pytest.mark.parametrize("count", [1, 15, 16, 1000])
@pytest.mark.parametrize("near_from", [0, 10_000])
def test_every_text_once_in_a_random_order(monkeypatch, count, near_from):
    monkeypatch.setattr(bag, "_NEAR_FROM", near_from)
    rows = 7 * np.arange(count)
    stretches = list(bag._iter_random(rows, 128, np.random.default_rng(0)))
    assert all(len(texts) <= 128 for texts in stretches)
    order = np.concatenate(stretches)
    np.testing.assert_array_equal(np.sort(order), rows)
    assert count < 1000 or abs(np.corrcoef(order, rows)[0, 1]) < 0.3


def test_neighbours_of_many_texts_share_a_stretch(monkeypatch):
    monkeypatch.setattr(bag, "_NEAR_FROM", 0)
    for texts in bag._iter_random(np.arange(4096), 128, np.random.default_rng(0)):
        counts = np.unique(texts // 16, return_counts=True)[1]
        assert counts.tolist() == [16] * 8
        assert (np.abs(np.diff(texts)) > 1).mean() > 0.5  # but not one behind the other


@pytest.mark.slow
def test_thousands_of_classes_of_few_texts_are_learned():
    classes = [f"class {i:04}" for i in range(3000)]

    def examples(numbers):
        texts = [f"word{i} thing{i % 7} x{j}" for i in range(len(classes)) for j in numbers]
        return Examples(texts, [name for name in classes for _ in numbers])

    splits = {"train": examples(range(4)), "test": examples(range(4, 6))}
    model = train(Dataset("many", splits, (), "", task_of(classes, lists=False)), config=load_recipe("bag"))
    assert model.artifact.metrics["test"]["accuracy"] > 0.97
    assert (model.artifact.config.training.epochs, model.artifact.config.training.lr) == (8, 4.0)
