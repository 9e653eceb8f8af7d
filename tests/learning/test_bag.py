"""Training of the bag: the order of the texts. What is learned is tested by its kernel and by the whole road."""

import numpy as np
import pytest

from rubrica.learning import bag


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
