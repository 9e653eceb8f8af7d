"""The figures of benchmarks/sureness.py against plain loops."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SURENESS = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "sureness.py")))


def rows_and_targets(data, classes):
    count = data.draw(st.integers(1, 60))
    targets = data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    # Few different values: ties, and probabilities that lie on the edge of a bin.
    weights = data.draw(hnp.arrays(np.int64, (count, classes), elements=st.integers(1, 4)))
    return weights / weights.sum(axis=1, keepdims=True), targets


@given(st.data(), st.integers(2, 5), st.integers(1, 20))
def test_calibration_error_equals_a_plain_loop(data, classes, bins):
    probabilities, targets = rows_and_targets(data, classes)
    expected = 0.0
    for k in range(bins):
        sure, hits = [], []
        for row, target in zip(probabilities.tolist(), targets.tolist(), strict=True):
            if k < max(row) * bins <= k + 1:
                sure.append(max(row))
                hits.append(row.index(max(row)) == target)
        if sure:
            expected += len(sure) / len(targets) * abs(sum(hits) / len(hits) - sum(sure) / len(sure))
    assert SURENESS.expected_calibration_error(probabilities, targets, bins) == pytest.approx(expected, abs=1e-12)


def test_calibration_error_of_texts_that_are_as_sure_as_they_are_right():
    probabilities = np.array([[0.75, 0.25]] * 4 + [[0.0, 1.0]])
    assert SURENESS.expected_calibration_error(probabilities, np.array([0, 0, 1, 0, 1])) == 0
    assert SURENESS.expected_calibration_error(probabilities, np.array([0, 0, 1, 1, 1])) == pytest.approx(0.2)
    rounded = np.array([[1 + 1e-7, 0.0], [0.98, 0.02]])  # as float32 may sum to; it belongs to the last bin
    assert SURENESS.expected_calibration_error(rounded, np.array([1, 0])) == pytest.approx(0.49, abs=1e-6)


@given(st.data(), st.integers(2, 5), st.sampled_from([0, 0.1, 0.25, 0.5, 0.99]))
def test_accuracy_after_abstaining_equals_a_plain_loop(data, classes, abstain):
    probabilities, targets = rows_and_targets(data, classes)
    rows = zip(probabilities.tolist(), targets.tolist(), strict=True)
    texts = [(max(row), row.index(max(row)) == target) for row, target in rows]
    for _ in range(int(abstain * len(texts))):
        least = min(sure for sure, _ in texts)
        texts.pop(max(i for i, (sure, _) in enumerate(texts) if sure == least))
    expected = sum(hit for _, hit in texts) / len(texts)
    assert SURENESS.selective_accuracy(probabilities, targets, abstain) == pytest.approx(expected)


def test_the_least_sure_are_left_out():
    probabilities, targets = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]]), np.array([0, 0, 1, 0])
    assert SURENESS.selective_accuracy(probabilities, targets, 0) == 0.75
    assert SURENESS.selective_accuracy(probabilities, targets, 0.25) == 1
