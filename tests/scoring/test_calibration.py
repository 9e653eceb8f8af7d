"""Weights of a model's parts: held to a minimum that scipy finds, and to what is known of it."""

import numpy as np
import pytest
from scipy.optimize import minimize

from rubrica.scoring.calibration import fit_by_class, fit_weights, rarity
from rubrica.scoring.tasks import task_of

ONE = task_of("abc", lists=False)


def task_for(targets, classes):
    return task_of("abc"[:classes], lists=targets.ndim == 2)


def parts_and_targets(several, texts=400, classes=3, parts=2, seed=0):
    draw = np.random.default_rng(seed)
    truth = draw.normal(size=(texts, classes))
    targets = (draw.random(truth.shape) < 1 / (1 + np.exp(-truth))).astype(np.uint8)
    if not several:
        targets = np.array([draw.choice(classes, p=np.exp(z) / np.exp(z).sum()) for z in truth])
    scales = [3.0, 0.25, 1.0][:parts]
    return [(scale * (truth + draw.normal(size=truth.shape))).astype(np.float32) for scale in scales], targets


def loss(weights, parts, targets, counts):
    """Plain loops over texts and classes."""
    total, texts, classes = 0.0, len(targets), parts[0].shape[1]
    for i in range(texts):
        z = [sum(w * float(part[i, c]) for w, part in zip(weights, parts, strict=True)) for c in range(classes)]
        for c in range(classes):
            if targets.ndim == 2:
                unsure = 1 / (texts + 2)
                wanted = 1 - unsure if targets[i, c] else unsure
                total += counts[i] * (np.log1p(np.exp(z[c])) - wanted * z[c])
            else:
                wanted = 1 / (texts + classes) + (texts / (texts + classes)) * (c == targets[i])
                total += counts[i] * wanted * (np.log(np.sum(np.exp(z))) - z[c])
    return total / sum(counts)


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_the_weights_are_the_minimum(several, count, weighed):
    parts, targets = parts_and_targets(several, texts=60, parts=count)
    counts = np.random.default_rng(1).uniform(0.1, 9, 60) if weighed else np.ones(60)
    found = fit_weights(task_for(targets, 3), parts, targets, counts.astype(np.float32) if weighed else None)
    best = minimize(loss, np.ones(count), args=(parts, targets, counts), bounds=[(0, None)] * count)
    assert loss(found, parts, targets, counts) <= best.fun + 1e-7
    np.testing.assert_allclose(found, best.x, atol=1e-2)


def test_many_classes_are_not_all_seen_once_more():
    """Of 3,000 classes and 300 texts that are answered rightly, the weight is far from 0; of 20 each class counts."""
    for classes, unsure in ((20, 20 / 320), (3000, 20 / 320)):
        task = task_of([f"{i:04}" for i in range(classes)], lists=False)
        targets = np.arange(300) % classes
        wanted = task.wanted(targets)
        np.testing.assert_allclose(wanted.sum(axis=1), 1)
        np.testing.assert_allclose(wanted.max(axis=1), 1 - unsure + unsure / classes)
    logits = np.eye(3000, dtype=np.float32)[targets] * 10
    assert 0.9 < fit_weights(task, [logits], targets)[0] < 1.2


def test_one_part_is_temperature_scaling():
    parts, targets = parts_and_targets(several=False, texts=4000, parts=1)
    once = fit_weights(ONE, parts, targets)
    twice = fit_weights(ONE, [2 * parts[0]], targets)
    assert once == pytest.approx(2 * twice, rel=1e-4)


def test_a_part_that_knows_the_opposite_is_left_out():
    parts, targets = parts_and_targets(several=False)
    weights = fit_weights(ONE, [parts[0], -parts[1]], targets)
    assert weights[1] == 0
    assert weights[0] == pytest.approx(fit_weights(ONE, parts[:1], targets)[0], rel=1e-4)


@pytest.mark.parametrize("several", [False, True])
def test_all_right_is_not_infinitely_sure(several):
    targets = np.array([0, 1] * 10)
    logits = np.where(np.eye(2)[targets] > 0, 1.0, -1.0)
    targets = np.eye(2, dtype=np.uint8)[targets] if several else targets
    weights = fit_weights(task_for(targets, 2), [logits], targets)
    assert 0.5 < weights[0] < 10


@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0, 100.0])
@pytest.mark.parametrize("classes", [3, 400])
@pytest.mark.parametrize("count", [1, 2])
def test_where_all_is_right_and_sure_the_weights_are_still_the_minimum(scale, classes, count):
    """The loss has hardly a curve there, and a step by the curve leads far away."""
    draw, targets = np.random.default_rng(0), np.arange(2 * classes) % classes
    parts = [0.1 * draw.normal(size=(2 * classes, classes)) + np.eye(classes)[targets] - 1 for _ in range(count)]
    parts = [(scale * part).astype(np.float32) for part in parts]
    task = task_of([f"{i:03}" for i in range(classes)], lists=False)
    given = (np.stack(parts).astype(float), task.wanted(targets), np.ones(len(targets)))
    found = fit_weights(task, parts, targets)
    best = minimize(
        lambda weights: task.derivatives(weights, *given)[:2],
        np.full(count, 5 / scale),
        jac=True,
        bounds=[(0, None)] * count,
    )
    assert task.derivatives(found, *given)[0] <= best.fun + 1e-5


def test_parts_that_say_nothing():
    targets = np.array([0, 1, 2])
    assert np.isfinite(fit_weights(ONE, [np.zeros((3, 3)), np.zeros((3, 3))], targets)).all()


def test_a_shift_may_be_negative_and_the_weights_are_still_the_minimum():
    parts, targets = parts_and_targets(several=True, texts=60, parts=1)
    shifted, one = parts[0] + np.float32(2), np.ones_like(parts[0])
    found = fit_weights(task_for(targets, 3), [shifted], targets, None, [one])
    best = minimize(loss, [1, 0], args=([shifted, one], targets, np.ones(60)), bounds=[(0, None), (None, None)])
    assert found[1] < -0.1
    assert loss(found, [shifted, one], targets, np.ones(60)) <= best.fun + 1e-7


def test_classes_that_are_about_alike_count_alike():
    assert rarity(np.array([18_900, 19_100, 18_800])) is None
    assert rarity(np.array([7, 7, 8])) is None
    rare = rarity(np.array([0, 10, 90]))
    np.testing.assert_allclose(rare, [1, 0.5, 0.1])


@pytest.mark.parametrize("several", [False, True])
def test_a_linear_model_counts_more_where_a_class_is_rare(several):
    """The margins of the third class are a fifth of what they should be, and too low."""
    parts, targets = parts_and_targets(several, texts=4000, parts=2)
    truth, rare = parts[1] * 4, np.array([0, 0, 1], np.float32)
    linear = truth * (1 - 0.8 * rare) - rare
    task = task_for(targets, 3)
    network, machines = (weights := fit_by_class(task, [parts[0], linear], rare, targets)).members
    assert machines[0] == machines[1]
    assert machines[2] / machines[0] == pytest.approx(5, rel=0.05)
    assert weights.offset[2] == pytest.approx(machines[2], rel=0.05)
    np.testing.assert_array_equal(weights.offset[:2], 0)
    right = fit_weights(task, [parts[0], truth], targets)
    np.testing.assert_allclose([network, machines[0]], right, rtol=0.05)
    whole = sum(weights.apply([parts[0], linear]))
    np.testing.assert_allclose(whole, right[0] * parts[0] + right[1] * truth, atol=0.3)


def test_the_one_machine_of_two_classes_is_shifted():
    draw = np.random.default_rng(0)
    score = draw.normal(size=4000).astype(np.float32)
    targets = (draw.random(4000) < 1 / (1 + np.exp(-4 * score - 3))).astype(np.int64)  # the logits are (-d, d)
    weights = fit_by_class(task_for(targets, 2), [np.stack([-score, score], 1)], np.zeros(2, np.float32), targets)
    assert weights.members[0] == pytest.approx(2, rel=0.1)
    np.testing.assert_allclose(weights.offset, [-1.5, 1.5], rtol=0.1)
