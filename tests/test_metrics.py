"""Figures against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from rubrica import metrics

LABELS = ["a", "b", "c", "d"]


@given(st.data(), st.integers(1, 40))
def test_scores_equal_scikit_learn(data, count):
    targets = data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, 3)))
    logits = data.draw(hnp.arrays(np.float32, (count, 4), elements=st.floats(-9, 9, width=32)))
    got = metrics.score(logits, targets, LABELS)
    predictions = logits.argmax(axis=1)
    assert got["accuracy"] == pytest.approx(accuracy_score(targets, predictions))
    present = sorted({*targets, *predictions})
    macro = f1_score(targets, predictions, labels=present, average="macro", zero_division=0)
    assert got["macro_f1"] == pytest.approx(macro)
    assert got["confusion"] == confusion_matrix(targets, predictions, labels=range(4)).tolist()
    expected = precision_recall_fscore_support(targets, predictions, labels=range(4), zero_division=0)
    for i, row in enumerate(got["per_class"]):
        assert row["label"] == LABELS[i]
        assert [row["precision"], row["recall"], row["f1"], row["texts"]] == pytest.approx([e[i] for e in expected])
    probabilities = metrics.softmax(logits.astype(np.float64))
    assert got["loss"] == pytest.approx(log_loss(targets, probabilities, labels=range(4)), abs=1e-9)


def test_softmax_and_loss_do_not_overflow():
    logits = np.array([[1000.0, 0.0], [-1000.0, 0.0]])
    assert metrics.softmax(logits).tolist() == [[1, 0], [0, 1]]
    assert metrics.cross_entropy(logits, np.array([1, 1])).tolist() == [1000, 0]


def test_a_short_last_batch_weighs_as_much_as_a_full_one():
    assert metrics.mean_batch_loss(np.array([1.0, 3.0, 8.0]), batch_size=2) == 5.0
