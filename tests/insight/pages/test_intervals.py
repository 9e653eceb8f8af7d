"""Intervals hold the truth as often as they say: asked of scipy, of scikit-learn on drawn texts, and of chance."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from made_pages import many_labels, one_label
from rubrica.insight.pages.intervals import f1_of_label, interval, reliability, resample, share
from rubrica.insight.pages.measure import BINS, measure


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 40), (3, 7), (912, 1000), (1000, 1000)])
def test_a_share_has_the_interval_of_scipy(hits, count):
    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert share(hits, count) == pytest.approx((hits / count, expected.low, expected.high), abs=1e-6)


def test_a_share_of_no_texts_may_be_anything():
    assert share(0, 0) == (0, 0, 1)


def test_f1_of_a_label_is_sklearns():
    truth, answer = np.array([1, 1, 1, 0, 0, 1]), np.array([1, 0, 1, 1, 0, 1])
    assert f1_of_label(3, 4, 4).value == pytest.approx(f1_score(truth, answer))
    assert f1_of_label(0, 0, 0) == (0, 0, 1)


def test_the_interval_of_f1_holds_the_truth_19_times_in_20():
    draw = np.random.default_rng(3)
    chances = np.array([0.25, 0.06, 0.04, 0.65])  # right, missed, added, neither
    truth = 2 * chances[0] / (2 * chances[0] + chances[1] + chances[2])
    held = 0
    for right, missed, added, _ in draw.multinomial(300, chances, 2000).tolist():
        found = f1_of_label(right, right + added, right + missed)
        held += found.low <= truth <= found.high
    assert 0.935 < held / 2000 < 0.965


@pytest.mark.parametrize(("made", "lists"), [(one_label, False), (many_labels, True)])
def test_the_draws_are_those_of_texts(made, lists):
    """The bootstrap over texts, literally, with scikit-learn's scores."""
    model, examples = made(count=300)
    drawn = resample(measure(model, examples).kinds, len(model.labels))
    answers = model.predict(examples.texts)
    if lists:
        truths, given = (
            [[label in row for label in model.labels] for row in side] for side in (examples.labels, answers)
        )
    else:
        truths, given = ([model.labels.index(label) for label in side] for side in (examples.labels, answers))
    truths, given, draw = np.array(truths), np.array(given), np.random.default_rng(9)
    for name in ("micro", "macro"):
        scores = []
        for _ in range(300):
            rows = draw.integers(0, 300, 300)
            scores.append(f1_score(truths[rows], given[rows], average=name, zero_division=0))
        ours = getattr(drawn, f"{name}_f1")
        assert ours.mean() == pytest.approx(np.mean(scores), abs=0.005)
        assert ours.std() == pytest.approx(np.std(scores), rel=0.15)


def test_an_interval_is_moved_to_its_score_and_stays_a_score():
    draws = np.linspace(0.4, 0.6, 1001)
    assert interval(0.7, draws) == pytest.approx((0.7, 0.605, 0.795))
    assert interval(0.95, draws) == pytest.approx((0.95, 0.855, 1.0))


def binned(said, right):
    places = np.minimum((said * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(places, weights=each, minlength=BINS) for each in (None, said, right)]).astype(float)


def test_reliability_is_that_of_the_formula():
    draw = np.random.default_rng(5)
    said = draw.random(500)
    right = draw.random(500) < said**2
    found = reliability(binned(said, right))
    error = 0.0
    for place in range(BINS):
        here = (said >= place / BINS) & (said < (place + 1) / BINS)
        error += abs(right[here].mean() - said[here].mean()) * here.sum() / 500
    assert found.error == pytest.approx(error)
    assert found.surplus == pytest.approx((said - right).mean())
    assert found.error > found.by_chance
    assert [each.size for each in found.bins] == np.histogram(said, BINS, (0, 1))[0].tolist()


def test_a_calibrated_model_is_within_chance_19_times_in_20():
    draw, within, inside, bins = np.random.default_rng(6), 0, 0, 0
    for _ in range(300):
        said = draw.beta(5, 1, 400)
        found = reliability(binned(said, draw.random(400) < said))
        within += found.error <= found.by_chance
        inside += sum(each.low <= each.right <= each.high for each in found.bins)
        bins += len(found.bins)
    assert 0.92 < within / 300 < 0.98
    assert inside / bins > 0.94  # counts are whole numbers, so a bar holds 95 % at least
