"""The arithmetic of leads: beside sums in Python, the jackknife, and what luck does."""

from math import sqrt
from statistics import fmean, stdev

import numpy as np
import pytest

from rubrica.scoring import paired
from rubrica.scoring.tasks import task_of


def of_one(right):
    return np.array([(int(hit), 2) for hit in right])


def chances(default, trials, seed):
    """Each trial has met the first texts of the default's."""
    pairs = [(answers(hits), answers(default[: len(hits)])) for hits in trials]
    return paired.chances(pairs, seed)


def answers(hits):
    return paired.average([(np.arange(len(hits)), hits)])


def test_accuracy_as_a_sum_in_python():
    draw = np.random.default_rng(0)
    ours, theirs = (draw.random(200) < share for share in (0.8, 0.7))
    found = paired.lead(of_one(ours), of_one(theirs))
    differences = [int(a) - int(b) for a, b in zip(ours, theirs, strict=True)]
    assert found.points == pytest.approx(fmean(differences))
    assert found.error == pytest.approx(stdev(differences) / sqrt(200))


def test_micro_f1_as_the_jackknife_says():
    """Each text is left out once, and the score is computed anew."""
    draw = np.random.default_rng(1)
    truth = draw.random((300, 4)) < 0.3
    models = [truth ^ (draw.random(truth.shape) < share) for share in (0.1, 0.15)]
    hits = [np.stack([(m & truth).sum(1), m.sum(1) + truth.sum(1)], axis=1) for m in models]
    found = paired.lead(*hits)
    assert found.points == pytest.approx(paired.score(hits[0]) - paired.score(hits[1]))
    without = [
        paired.score(np.delete(hits[0], i, axis=0)) - paired.score(np.delete(hits[1], i, axis=0)) for i in range(300)
    ]
    assert found.error == pytest.approx(sqrt(299 / 300 * sum((w - fmean(without)) ** 2 for w in without)), rel=0.01)


@pytest.mark.parametrize("lists", [False, True])
def test_hits_give_the_main_score(lists):
    draw, task = np.random.default_rng(2), task_of(["a", "b", "c"], lists=lists)
    logits = draw.normal(size=(50, 3))
    labels = [[n for n in "abc" if draw.random() < 0.4] if lists else str(draw.choice(list("abc"))) for _ in range(50)]
    targets = task.encode(labels)
    report = task.report(task.count(logits, targets, None), 50, None, loss=0.0)
    assert paired.score(task.hits(logits, targets)) == pytest.approx(report.main)
    one = [paired.score(task.hits(logits[i : i + 1], targets[i : i + 1])) for i in range(50)]
    alone = [
        task.report(task.count(logits[i : i + 1], targets[i : i + 1], None), 1, None, loss=0.0).main for i in range(50)
    ]
    assert one == pytest.approx(alone)


def test_clearly_behind():
    assert paired.Lead(-0.02, 0.01).clearly_behind
    assert not paired.Lead(-0.01, 0.02).clearly_behind
    assert not paired.Lead(0.02, 0.01).clearly_behind
    assert not paired.Lead(0.0, 0.0).clearly_behind


def test_luck_alone_seldom_makes_a_winner_and_a_real_lead_does():
    """Of 100 searches with 20 trials as good as the default, about a tenth has one that leads by more than luck."""
    draw, lucky = np.random.default_rng(3), 0
    for seed in range(100):
        default = draw.random(400) < 0.7
        trials = [of_one(np.where(draw.random(400) < 0.2, draw.random(400) < 0.7, default)) for _ in range(20)]
        lucky += min(chances(of_one(default), trials, seed)) < paired.LEVEL
    assert 1 <= lucky <= 20
    better = of_one(default | (draw.random(400) < 0.4))
    assert chances(of_one(default), [*trials, better], 0)[-1] < 0.001


def test_a_trial_that_was_given_up_has_its_chance_of_luck():
    draw = np.random.default_rng(4)
    default = draw.random(1000) < 0.7
    better = of_one(np.where(draw.random(1000) < 0.1, draw.random(1000) < 0.85, default))
    alone = chances(of_one(default), [better], 0)[0]
    others = [of_one(draw.random(200) < 0.6) for _ in range(30)]
    assert alone < chances(of_one(default), [better, *others], 0)[0]


def test_a_text_that_is_asked_again_counts_once():
    """As a dict of lists in Python says."""
    draw = np.random.default_rng(5)
    parts = [(draw.permutation(30)[:12], draw.integers(0, 3, (12, 2))) for _ in range(5)]
    expected = {}
    for rows, hits in parts:
        for row, pair in zip(rows.tolist(), hits.tolist(), strict=True):
            expected.setdefault(row, []).append(pair)
    found = paired.average(parts)
    assert found.rows.tolist() == sorted(expected)
    for row, pair in zip(found.rows.tolist(), found.hits.tolist(), strict=True):
        assert pair == pytest.approx([fmean(values) for values in zip(*expected[row], strict=True)])
    once, twice = of_one([1, 0, 1, 1]), paired.average([(np.arange(4), of_one([1, 0, 1, 1]))] * 2)
    assert twice.hits.tolist() == once.tolist()


def test_the_same_answers_are_no_lead():
    default = of_one([1, 0, 1, 1])
    assert paired.lead(default, default) == (0.0, 0.0)
    assert chances(default, [default, default[:2]], 0) == [1.0, 1.0]
    everything = paired.lead(of_one([1, 1]), of_one([0, 0]))
    assert everything == (1.0, 0.0)
    assert chances(of_one([0, 0]), [of_one([1, 1])], 0)[0] < 0.001
    assert chances(default, [], 0) == []
