"""How likely a label is wrong; cleanlab is the oracle where the idea is the same, planted noise elsewhere."""

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint

from rubrica.scoring import label_noise
from rubrica.scoring.label_noise import Confusion, Omissions, as_matrix, confident_joint, fit_noise, judge_labels
from rubrica.scoring.metrics import softmax
from rubrica.scoring.tasks import task_of


def task(classes, *, lists=False):
    return task_of([f"c{i}" for i in range(classes)], lists=lists)


def planted(shares, count=6000, seed=0, sharpness=4.0):
    """Logits that know the true class about as well as a model does, the truth, and labels that went wrong."""
    draw, classes = np.random.default_rng(seed), len(shares)
    logits = draw.normal(size=(count, classes))
    logits[np.arange(count), draw.integers(0, classes, count)] += 2
    truth = np.array([draw.choice(classes, p=row) for row in softmax(sharpness * logits)])
    given = np.array([draw.choice(classes, p=shares[true]) for true in truth])
    return logits, truth, given


def recall(score, bad):
    return bad[np.argsort(-score, kind="stable")[: bad.sum()]].mean()


@pytest.mark.parametrize("seed", range(20))
def test_the_confident_joint_is_cleanlabs(seed):
    draw = np.random.default_rng(seed)
    classes = int(draw.integers(2, 7))
    targets = np.concatenate([np.arange(classes), draw.integers(0, classes, 200)])
    probabilities = draw.dirichlet(np.full(classes, 0.5), len(targets))
    peer = compute_confident_joint(targets, probabilities, calibrate=True)  # labels by true classes, whole numbers
    np.testing.assert_allclose(confident_joint(probabilities, targets).T * len(targets), peer, atol=1.01)


def test_the_confident_joint_of_what_says_nothing_trusts_the_labels():
    targets = np.array([0, 0, 1, 2, 2, 2])
    joint = confident_joint(np.full((6, 3), 1 / 3), targets)
    np.testing.assert_allclose(joint.sum(axis=0), [2 / 6, 1 / 6, 3 / 6])
    assert np.isfinite(joint).all()
    absent = confident_joint(np.array([[0.2, 0.3, 0.5], [0.3, 0.3, 0.4]]), np.array([0, 0]))
    assert absent.sum() == pytest.approx(1)


UNIFORM = np.full((4, 4), 0.05) + 0.8 * np.eye(4)
SWAPPED = np.array([[0.75, 0.25, 0, 0], [0.2, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
SMALL = np.array([[0.97, 0, 0.03, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0.02, 0.98]])


@pytest.mark.parametrize("shares", [UNIFORM, SWAPPED, SMALL], ids=["uniform", "swapped", "small"])
def test_planted_noise_is_estimated(shares):
    logits, _, given = planted(shares)
    _, noise = fit_noise(task(4), [logits], given)
    np.testing.assert_allclose(noise.shares, shares, atol=0.04)
    assert noise.is_uniform == (shares is not SWAPPED)


@pytest.mark.parametrize("shares", [UNIFORM, SWAPPED], ids=["uniform", "swapped"])
def test_wrong_labels_are_found_as_by_who_knows_all(shares):
    """The oracle has the true probabilities and the true noise, so nothing can rank better but by chance."""
    logits, truth, given = planted(shares)
    judged = judge_labels(task(4), [logits], given)
    wrong, bad = judged.wrong.max(axis=1), truth != given
    best = softmax(4 * logits) * shares[:, given].T
    best = 1 - best[np.arange(len(given)), given] / best.sum(axis=1)
    assert recall(wrong, bad) > recall(best, bad) - 0.02
    own = softmax(4 * logits)[np.arange(len(given)), given]
    assert recall(wrong, bad) > recall(-own, bad) - 0.01
    assert np.abs(wrong - best).mean() < 0.02
    certain = wrong > 0.9
    corrected = judged.corrected.argmax(axis=1)
    assert np.mean(corrected[certain & bad] == truth[certain & bad]) > 0.95
    assert (judged.corrected.sum(axis=1) == 1).all()
    assert (corrected != given).all()


def test_what_it_calls_likely_is_as_likely():
    logits, truth, given = planted(UNIFORM, 20_000)
    wrong, bad = judge_labels(task(4), [logits], given).wrong.max(axis=1), truth != given
    for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01)):
        here = (wrong >= low) & (wrong < high)
        assert wrong[here].mean() == pytest.approx(bad[here].mean(), abs=0.07)
    assert wrong.sum() == pytest.approx(bad.sum(), rel=0.08)


def test_a_second_score_helps():
    logits, truth, given = planted(UNIFORM, sharpness=2.0)
    draw = np.random.default_rng(5)
    clear = np.eye(4)[truth] + draw.normal(scale=0.7, size=logits.shape)
    bad = truth != given
    one, both = (judge_labels(task(4), scores, given).wrong.max(axis=1) for scores in ([logits], [logits, clear]))
    assert recall(both, bad) > recall(one, bad) + 0.1


def test_more_classes_than_have_weights_of_their_own(monkeypatch):
    logits, truth, given = planted(UNIFORM)
    monkeypatch.setattr(label_noise, "_OWN", 3)
    wrong, bad = judge_labels(task(4), [logits], given).wrong.max(axis=1), truth != given
    assert recall(wrong, bad) > 0.7


def test_few_texts_tell_how_labels_go_wrong_and_all_are_judged(monkeypatch):
    logits, truth, given = planted(UNIFORM)
    expected = judge_labels(task(4), [logits], given).wrong
    monkeypatch.setattr(label_noise, "_STRETCH", 4 * 700)
    np.testing.assert_array_equal(judge_labels(task(4), [logits], given).wrong, expected)
    monkeypatch.setattr(label_noise, "_FITTED", 1500)
    wrong, bad = judge_labels(task(4), [logits], given).wrong.max(axis=1), truth != given
    assert recall(wrong, bad) > recall(expected.max(axis=1), bad) - 0.03


def test_omissions_and_additions_of_several_labels():
    """The oracle has the true probabilities and the true rates."""
    draw = np.random.default_rng(0)
    logits = draw.normal(-2, 2, size=(3000, 5))
    chance = 1 / (1 + np.exp(-6 * logits))
    truth = draw.random(logits.shape) < chance
    given = np.where(truth, draw.random(logits.shape) > 0.2, draw.random(logits.shape) < 0.05).astype(np.uint8)
    _, noise = fit_noise(task(5, lists=True), [logits], given)
    assert noise.missing == pytest.approx(0.2, abs=0.03)
    assert noise.added == pytest.approx(0.05, abs=0.02)
    judged, bad = judge_labels(task(5, lists=True), [logits], given), truth != given
    best = Omissions(0.2, 0.05)
    best = best.wrong(best.truth(chance, given), given)
    assert recall(judged.wrong.ravel(), bad.ravel()) > recall(best.ravel(), bad.ravel()) - 0.02
    assert np.abs(judged.wrong - best).mean() < 0.03
    rather = judged.wrong.max(axis=1) > 0.5
    np.testing.assert_array_equal((judged.corrected != given)[rather], (judged.wrong > 0.5)[rather])
    assert ((judged.corrected != given)[~rather].sum(axis=1) == 1).all()


@pytest.mark.parametrize("lists", [False, True])
def test_the_posterior_is_bayes_rule(lists):
    """Brute force over the truths of each text."""
    draw = np.random.default_rng(1)
    if lists:
        noise, chance, given = Omissions(0.3, 0.1), draw.random((20, 3)), draw.integers(0, 2, (20, 3))
        found = noise.truth(chance, given)
        for i in range(20):
            for c in range(3):
                likely = {0: (1 - chance[i, c]) * (0.1 if given[i, c] else 0.9)}
                likely[1] = chance[i, c] * (0.7 if given[i, c] else 0.3)
                assert found[i, c] == pytest.approx(likely[1] / (likely[0] + likely[1]))
        return
    noise, chance, targets = Confusion(UNIFORM), draw.dirichlet(np.ones(4), 20), draw.integers(0, 4, 20)
    found = noise.truth(chance, np.eye(4)[targets])
    for i, target in enumerate(targets.tolist()):
        likely = np.array([chance[i, true] * UNIFORM[true, target] for true in range(4)])
        np.testing.assert_allclose(found[i], likely / likely.sum())


def test_a_class_that_cannot_be_judged_is_not_doubted():
    logits, _, given = planted(UNIFORM)
    known = np.array([True, True, False, True])
    judged = judge_labels(task(4), [logits], given, known)
    assert not judged.wrong[:, 2].any()
    assert judged.wrong[:, [0, 1, 3]].any(axis=0).all()


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
def test_whatever_the_scores_the_chances_are_chances(lists, count, size):
    draw = np.random.default_rng(2)
    logits = (size * draw.normal(size=(count, 3))).astype(np.float32)
    targets = draw.integers(0, 2, (count, 3)).astype(np.uint8) if lists else np.zeros(count, np.int64)
    with np.errstate(all="raise", under="ignore"):
        judged = judge_labels(task(3, lists=lists), [logits, logits], targets)
    assert np.isfinite(judged.wrong).all()
    assert judged.wrong.min() >= 0
    assert judged.wrong.max() <= 1


def test_as_matrix():
    np.testing.assert_array_equal(as_matrix(task(3), np.array([2, 0])), [[0, 0, 1], [1, 0, 0]])
    given = np.array([[0, 1, 1], [0, 0, 0]], np.uint8)
    np.testing.assert_array_equal(as_matrix(task(3, lists=True), given), given)
