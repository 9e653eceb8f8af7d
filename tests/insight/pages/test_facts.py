"""What a report says of answers is what is in the texts, counted one by one."""

from collections import Counter

import numpy as np
import pytest

from made_pages import HISTORY, Given, many_labels, one_label
from rubrica.data.dataset import Examples
from rubrica.insight.compare import was_trained_on
from rubrica.insight.pages import measure as measuring
from rubrica.insight.pages.facts import BEHIND, facts
from rubrica.insight.pages.measure import NOTHING, measure, measured_before
from rubrica.insight.pages.training import curves, making
from rubrica.scoring.tally import score_all


def found_in(model, examples):
    return facts(measure(model, examples), model, examples)


@pytest.fixture(scope="module", params=[one_label, many_labels], ids=["one", "several"])
def case(request):
    model, examples = request.param()
    return model, examples, found_in(model, examples)


def sides(model, examples):
    """The labels and the answers of each text, as sets."""
    return [
        [{label} if isinstance(label, str) else set(label) for label in side]
        for side in (examples.labels, model.predict(examples.texts))
    ]


def test_scores_are_those_of_evaluate(case):
    model, examples, found = case
    tally_scores = measure(model, examples).scores
    assert (
        tally_scores
        == score_all(model.task, model.logits(examples.texts), model.task.encode(examples.labels)).to_json()
    )
    for name, figure in found.figures.items():
        assert figure.value == pytest.approx(tally_scores[name])
        assert figure.low < figure.value < figure.high


def test_a_pass_in_many_parts_finds_the_same(case, monkeypatch):
    model, examples, found = case
    monkeypatch.setattr(measuring, "_AT_A_TIME", 64)
    assert found_in(model, examples) == found


def test_classes_are_counted_one_by_one(case):
    model, examples, found = case
    truths, answers = sides(model, examples)
    for row in found.classes:
        hits = sum(row.label in truth and row.label in answer for truth, answer in zip(truths, answers, strict=True))
        assert row.texts == sum(row.label in truth for truth in truths)
        assert row.recall.value == pytest.approx(hits / row.texts)
        assert row.precision.value == pytest.approx(hits / sum(row.label in answer for answer in answers))
        assert row.f1.low < row.f1.value < row.f1.high
        assert (row.threshold is None) == (model.task.thresholds is None)


def test_mistakes_are_counted_one_by_one_and_shown_with_their_texts(case):
    model, examples, found = case
    truths, answers = sides(model, examples)
    expected = Counter()
    for truth, answer in zip(truths, answers, strict=True):
        if model.task.has_confusion:
            expected.update([(*truth, *answer)] if truth != answer else [])
        else:
            expected.update([(label, None) for label in truth - answer])
            expected.update([(None, label) for label in answer - truth])
    names = {NOTHING: None} | dict(enumerate(found.labels))
    assert {(names[group.truth], names[group.answer]): group.size for group in found.groups} == expected
    assert [group.size for group in found.groups] == sorted(expected.values(), reverse=True)
    for group in found.groups:
        assert len(group.examples) == min(BEHIND, group.size)
        for example in group.examples:
            assert examples.texts[example.row - 1].startswith(example.text[:20])
            assert (set(example.truth), set(example.answer)) == (truths[example.row - 1], answers[example.row - 1])


def test_the_surest_mistakes_come_first():
    model, examples = one_label()
    probabilities = model.predict_proba(examples.texts).max(axis=1)
    answers = model.predict(examples.texts)
    wrong = [place for place, label in enumerate(examples.labels) if answers[place] != label]
    expected = sorted(wrong, key=lambda place: -probabilities[place])[:10]
    found = found_in(model, examples).surest["surest"]
    assert [example.row - 1 for example in found] == expected
    assert [example.sureness for example in found] == pytest.approx(probabilities[expected])


def test_behind_a_mistake_stand_its_surest_texts():
    model, examples = one_label()
    probabilities, answers = model.predict_proba(examples.texts).max(axis=1), model.predict(examples.texts)
    for group in found_in(model, examples).groups:
        pair = model.labels[group.truth], model.labels[group.answer]
        rows = [row for row, sides in enumerate(zip(examples.labels, answers, strict=True)) if sides == pair]
        expected = sorted(probabilities[rows], reverse=True)[:BEHIND]
        assert [example.sureness for example in group.examples] == pytest.approx(expected)


def test_added_and_missed_labels_are_told_apart():
    model, examples = many_labels()
    found = found_in(model, examples)
    probabilities = model.predict_proba(examples.texts)
    for name in ("surest_added", "surest_missed"):
        assert [example.sureness for example in found.surest[name]] == sorted(
            (example.sureness for example in found.surest[name]), reverse=True
        )
    first = found.surest["surest_missed"][0]
    missed = set(first.truth) - set(first.answer)
    columns = [model.labels.index(label) for label in missed]
    assert first.sureness == pytest.approx(1 - probabilities[first.row - 1][columns].min())


def test_what_abstaining_leaves_is_what_it_leaves():
    model, examples = one_label()
    found = found_in(model, examples)
    assert [kept.coverage for kept in found.kept] == pytest.approx([1, 0.95, 0.9, 0.8, 0.5], abs=0.005)
    for kept in found.kept:
        answers = model.task.decide(model.logits(examples.texts), kept.least - 1e-9)
        pairs = [(a, b) for a, b in zip(answers, examples.labels, strict=True) if a is not None]
        assert len(pairs) == round(kept.coverage * len(examples.texts))
        assert kept.right.value == pytest.approx(np.mean([a == b for a, b in pairs]))


def test_every_text_has_its_length():
    model, examples = one_label()
    found = found_in(model, examples)
    answers = model.predict(examples.texts)
    assert sum(part.size for part in found.lengths) == len(examples.texts)
    for part in found.lengths:
        here = [i for i, text in enumerate(examples.texts) if part.shortest <= len(text) <= part.longest]
        assert part.size == len(here)
        assert part.right.value == pytest.approx(np.mean([answers[i] == examples.labels[i] for i in here]))


def test_few_texts_and_texts_of_one_length_are_not_divided():
    model, examples = one_label(count=49)
    assert found_in(model, examples).lengths == []
    assert found_in(model, Examples(["1 same"] * 60, ["World"] * 60)).lengths == []


def test_of_many_labels_those_with_the_most_mistakes_come_first():
    model, examples = one_label([f"topic-{place}" for place in range(30)], 900)
    found = found_in(model, examples)
    (truths, answers) = sides(model, examples)
    wrong = [
        sum((row.label in truth) != (row.label in answer) for truth, answer in zip(truths, answers, strict=True))
        for row in found.classes
    ]
    assert wrong == sorted(wrong, reverse=True)


@pytest.mark.parametrize("made", [one_label, many_labels])
def test_a_label_that_the_model_does_not_know_is_a_mistake(made, caplog):
    model, examples = made(count=100)
    unknown = "Weather" if made is one_label else ("Weather",)
    found = found_in(model, Examples(examples.texts, [unknown, *examples.labels[1:]]))
    assert "does not know" in caplog.text
    row = next(row for row in found.classes if row.label == "Weather")
    assert (row.is_known, row.texts, row.recall.value) == (False, 1, 0)
    assert any(found.labels[group.truth] == "Weather" for group in found.groups if group.truth != NOTHING)


def test_a_model_without_mistakes_has_none():
    model, examples = one_label(sure=100.0)
    found = found_in(model, examples)
    assert (found.groups, found.surest) == ([], {})
    assert found.figures["accuracy"].value == 1


def test_scores_alone_give_what_they_can(case):
    model, _, found = case
    alone = facts(measured_before(found.scores), model, None)
    assert not alone.has_texts
    assert (alone.reliability, alone.kept, alone.lengths, alone.surest) == (None, [], [], {})
    assert [row.label for row in alone.classes] == [row.label for row in found.classes]
    assert [row.f1.value for row in alone.classes] == pytest.approx([row.f1.value for row in found.classes])
    if model.task.has_confusion:
        assert alone.figures == found.figures
        assert [group._replace(examples=[]) for group in found.groups] == alone.groups


def test_no_texts_are_an_error():
    model, _ = one_label()
    with pytest.raises(ValueError, match="no texts"):
        measure(model, Examples([], []))


def test_scores_above_one_are_probabilities_all_the_same():
    """fastText's scores may be a rounding above 1."""
    model = Given(["a", "b"], np.array([[1e-6, -20], [1e-6, -20]], np.float32))
    object.__setattr__(model.task, "probabilities", np.exp)
    measured = measure(model, Examples(["0 x", "1 y"], ["a", "b"]))
    assert measured.bins[:, -1].tolist() == [2, 2, 1]


def test_curves_are_the_lines_of_the_history():
    found = curves(HISTORY)
    assert list(found) == ["loss", "score"]
    train, held = found["loss"]
    assert (train.name, held.name) == ("train", "held")
    assert train.steps == [50 * step for step in range(1, 31)]
    assert held.values[0] == 1.3
    slope = curves([{"step": 10 * turn, "epoch": turn, "slope": 1 / turn} for turn in (1, 2, 3)])
    assert slope["slope"][0].steps == [1, 2, 3]


def test_a_history_that_anybody_wrote_gives_curves_of_what_is_finite():
    assert curves([{"loss": 1.0}, {"step": 1, "loss": 1e999}, {"step": 2, "loss": 1.0}]) == {}
    assert curves([]) == {}


def test_what_is_no_number_is_not_said_of_the_making():
    model, _ = one_label(train_texts="<b>many</b>", train_seconds=float("inf"))
    made = making(model.artifact)
    assert (made["train_texts"], made["train_seconds"]) == (None, None)


def test_a_model_knows_the_texts_that_it_was_trained_on():
    model, _ = one_label(run={"data": {"train": {"sha256": "abc"}}})
    assert was_trained_on(model.artifact, "abc")
    assert not was_trained_on(model.artifact, "abd")
    assert not was_trained_on(one_label(run="abc")[0].artifact, "abc")
