"""Thresholds of labels against a search that tries every one."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from rubrica.scoring import thresholds
from rubrica.scoring.thresholds import GRID, tune_thresholds


def problem(counts, texts=400):
    """Labels that `counts` texts have, whose probabilities are all too low: the best threshold is about 0.2."""
    draw = np.random.default_rng(4)
    targets = np.zeros((texts, len(counts)), np.uint8)
    for label, count in enumerate(counts):
        targets[draw.choice(texts, count, replace=False), label] = 1
    high, low = draw.uniform(0.15, 0.6, targets.shape), draw.uniform(0, 0.25, targets.shape)
    return np.where(targets == 1, high, low), targets


def test_without_the_others_each_label_has_its_own_best(monkeypatch):
    monkeypatch.setattr(thresholds, "SHARED", 0.0)
    probabilities, targets = problem([100, 30, 7])
    for label, found in enumerate(tune_thresholds([(probabilities, targets)], 3)):
        scores = [f1_score(targets[:, label], probabilities[:, label] >= t) for t in GRID]
        at = f1_score(targets[:, label], probabilities[:, label] >= found)
        assert at == max(scores)


def test_what_all_count_is_added_to_each():
    probabilities, targets = problem([100, 3, 0])
    found = tune_thresholds([(probabilities, targets)], 3)
    for label in range(3):
        scores = []
        for t in GRID:
            answers = probabilities >= t
            counts = np.array([(answers * targets).sum(0), answers.sum(0), targets.sum(0)], float)
            hits, answered, there = counts[:, label] + 20 / 103 * counts.sum(1)
            scores.append(2 * hits / (answered + there))
        best = [t for t, score in zip(GRID, scores, strict=True) if score >= max(scores) - 1e-12]
        assert found[label] == pytest.approx(best[len(best) // 2])


def test_texts_in_stretches_count_as_all_at_once():
    probabilities, targets = problem([100, 30, 7])
    parts = [(probabilities[i : i + 33], targets[i : i + 33]) for i in range(0, 400, 33)]
    assert tune_thresholds(parts, 3) == tune_thresholds([(probabilities, targets)], 3)


def test_where_nothing_tells_it_is_a_half():
    nothing = np.zeros((5, 2), np.float32), np.zeros((5, 2), np.uint8)
    assert tune_thresholds([nothing], 2) == [0.5, 0.5]
    assert tune_thresholds([], 2) == [0.5, 0.5]


def test_a_probability_that_is_the_threshold_is_an_answer():
    probabilities = np.array([[GRID[9]], [GRID[9] - 1e-6]] * 20)
    targets = np.array([[1], [0]] * 20, np.uint8)
    assert tune_thresholds([(probabilities, targets)], 1) == [pytest.approx(GRID[9])]
