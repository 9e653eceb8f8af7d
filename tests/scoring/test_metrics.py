"""Figures against scikit-learn."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    hamming_loss,
    log_loss,
    precision_recall_fscore_support,
)

from cases import examples
from rubrica.scoring import metrics
from rubrica.scoring.report import headline, main_score
from rubrica.scoring.several_labels import SeveralLabels
from rubrica.scoring.tally import Tally, score_all
from rubrica.scoring.task import Task

LABELS = ("a", "b", "c", "d")
UNKNOWN = ("y", "z")  # labels of texts that the model does not know


@examples(50)
@given(st.data(), st.integers(1, 40))
def test_scores_equal_scikit_learn(data, count):
    unknown = data.draw(st.sampled_from([(), UNKNOWN[:1], UNKNOWN]))
    every = [*LABELS, *unknown]
    targets = data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, len(every) - 1)))
    logits = data.draw(hnp.arrays(np.float32, (count, 4), elements=st.floats(-9, 9, width=32)))
    got = score_all(Task(LABELS), logits, targets, unknown=unknown).to_json()
    predictions = logits.argmax(axis=1)
    assert got["accuracy"] == pytest.approx(accuracy_score(targets, predictions))
    assert got["macro_f1"] == pytest.approx(f1_score(targets, predictions, average="macro", zero_division=0))
    assert got["confusion"] == confusion_matrix(targets, predictions, labels=range(len(every))).tolist()
    expected = precision_recall_fscore_support(targets, predictions, labels=range(len(every)), zero_division=0)
    assert [row["label"] for row in got["per_class"]] == every
    for i, row in enumerate(got["per_class"]):
        assert [row["precision"], row["recall"], row["f1"], row["texts"]] == pytest.approx([e[i] for e in expected])
    known = targets < 4
    if known.any():
        probabilities = metrics.softmax(logits[known].astype(np.float64))
        assert got["loss"] == pytest.approx(log_loss(targets[known], probabilities, labels=range(4)), abs=1e-9)
    else:
        assert got["loss"] is None
    json.dumps(got, allow_nan=False)


def test_softmax_and_loss_do_not_overflow():
    logits = np.array([[1000.0, 0.0], [-1000.0, 0.0]])
    assert metrics.softmax(logits).tolist() == [[1, 0], [0, 1]]
    assert metrics.cross_entropy(logits, np.array([1, 1])).tolist() == [1000, 0]


def test_a_short_last_batch_weighs_as_much_as_a_full_one():
    tally = Tally(Task(LABELS), 3)
    logits = np.float64([[0, 1, 2, 3], [1, 0, 0, 0], [5, 0, 0, 1]])
    for first in range(3):  # some at a time
        tally.add(logits[[first]], np.array([first]))
    losses = metrics.cross_entropy(logits, np.arange(3))
    report = tally.report(batch_size=2).to_json()
    assert report["mean_batch_loss"] == pytest.approx((losses[:2].mean() + losses[2]) / 2)
    assert "mean_batch_loss" not in tally.report().to_json()


def test_a_text_of_an_unknown_label_has_no_loss():
    logits, targets = np.float64([[0, 1], [1, 0], [3, 0], [0, 0]]), np.array([0, 2, 2, 2])
    tally = Tally(Task(("a", "b")), 4, unknown=("c",))
    tally.add(logits[:1], targets[:1])
    tally.add(logits[1:], targets[1:])
    loss = pytest.approx(metrics.cross_entropy(logits[:1], targets[:1])[0])
    report = tally.report(batch_size=2)  # the second batch has no loss
    assert (report.loss, report.mean_batch_loss, report.main) == (loss, loss, 0)
    nothing = score_all(Task(("a", "b")), logits[1:], targets[1:], 0.9, ["c"])
    assert (nothing.loss, nothing.main, nothing.macro_f1, nothing.abstaining) == (None, 0, 0, (0.9, 1 / 3, 0))


def test_a_loss_that_is_no_number_is_not_passed_over():
    tally = Tally(Task(("a", "b")), 2)
    tally.add(np.float64([[np.nan, 1], [1, 0]]), np.array([0, 1]))
    assert np.isnan(tally.report().loss)


def test_abstaining_leaves_out_the_least_sure():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    targets = np.array([0, 0, 1, 0])

    def abstaining(below):
        report = score_all(Task(("a", "b")), np.log(probabilities), targets, below).to_json()
        return {key: report[key] for key in ("abstain_below", "coverage", "answered_accuracy")}

    assert abstaining(0.699) == {"abstain_below": 0.699, "coverage": 0.75, "answered_accuracy": 1.0}
    assert abstaining(0.0) == {"abstain_below": 0.0, "coverage": 1.0, "answered_accuracy": 0.75}
    assert abstaining(0.95)["answered_accuracy"] is None


def test_a_text_that_is_as_sure_as_asked_for_is_answered():
    task, logits = Task(("a", "b")), np.zeros((1, 2))  # of equal logits both are 1/2, without rounding
    assert score_all(task, logits, np.array([0]), 0.5).abstaining == (0.5, 1.0, 1.0)
    assert score_all(task, logits, np.array([0]), 0.5 + 1e-9).abstaining == (0.5 + 1e-9, 0.0, None)


def test_a_line_of_json_has_the_label_that_is_predicted():
    task, logits = Task(("a", "b")), np.float32([[0, 4e-8]])  # as probabilities both are 1/2
    assert task.decide(logits) == ["b"]
    assert json.loads(task.answer_lines(logits, all_classes=False, abstain_below=None)[0]) == {
        "label": "b",
        "score": 0.5,
    }


@examples(50)
@given(st.data(), st.integers(1, 40))
def test_scores_of_sets_equal_scikit_learn(data, count):
    unknown = data.draw(st.sampled_from([(), UNKNOWN[:1], UNKNOWN]))
    every = [*LABELS, *unknown]
    targets = data.draw(hnp.arrays(np.uint8, (count, len(every)), elements=st.integers(0, 1)))
    logits = data.draw(hnp.arrays(np.float32, (count, 4), elements=st.floats(-9, 9, width=32)))
    thresholds = [0.5, 0.3, 0.9, 0.02]
    got = score_all(SeveralLabels(LABELS, tuple(thresholds)), logits, targets, unknown=unknown).to_json()
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    answers = metrics.chosen(logits, thresholds)
    far = np.abs(probabilities - thresholds) > 1e-6
    np.testing.assert_array_equal(answers[far], (probabilities >= thresholds)[far])
    answers = np.hstack([answers, np.zeros((count, len(unknown)), bool)])
    assert got["subset_accuracy"] == pytest.approx(accuracy_score(targets, answers))
    assert got["hamming_loss"] == pytest.approx(hamming_loss(targets, answers))
    assert got["micro_f1"] == pytest.approx(f1_score(targets, answers, average="micro", zero_division=0))
    seen = np.flatnonzero(targets.any(axis=0) | answers.any(axis=0))
    macro = f1_score(targets, answers, labels=seen, average="macro", zero_division=0) if len(seen) else 0
    assert got["macro_f1"] == pytest.approx(macro)
    expected = precision_recall_fscore_support(targets, answers, zero_division=0)
    assert [row["label"] for row in got["per_class"]] == every
    for i, row in enumerate(got["per_class"]):
        assert [row["precision"], row["recall"], row["f1"], row["texts"]] == pytest.approx([e[i] for e in expected])
    losses = [log_loss(targets[:, i], probabilities[:, i], labels=[0, 1]) for i in range(4)]
    assert got["loss"] == pytest.approx(sum(losses), abs=1e-9)


def test_sigmoid_does_not_overflow():
    logits = np.float32([[1000, -1000, 0]])
    assert metrics.sigmoid(logits).tolist() == [[1, 0, 0.5]]
    assert metrics.sigmoid(logits).dtype == np.float32
    assert metrics.binary_cross_entropy(logits, np.array([[0, 0, 0]], np.uint8))[0] == pytest.approx(1000 + np.log(2))


def test_a_headline_names_what_there_is():
    assert headline({"accuracy": 0.5, "macro_f1": 0.25}) == "accuracy 0.5000, macro-F1 0.2500"
    sets = {"micro_f1": 0.5, "macro_f1": 0.25, "subset_accuracy": 0.125}
    assert headline(sets) == "micro-F1 0.5000, macro-F1 0.2500, subset accuracy 0.1250"
    assert main_score(sets) == 0.5
