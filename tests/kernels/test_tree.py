"""The tree of decisions: against the sum of its own answers, torch's gradients, and a search through all classes."""

import heapq

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ragged import needs_native
from rubrica.kernels import bag
from rubrica.kernels.tree import best_classes, build_tree, log_probabilities, margins, way_losses

COUNTS = st.lists(st.sampled_from([0, 1, 1, 2, 3, 50, 2**32 - 1]), min_size=1, max_size=40)


def random_head(num_classes, dim, dtype=np.float32, seed=0):
    draw = np.random.default_rng(seed)
    weight = draw.normal(size=(num_classes - 1, dim)).astype(dtype)
    return bag.Head(weight, draw.normal(size=num_classes - 1).astype(dtype))


def by_hand(tree, head, h, target):
    """The probability of one class, decision by decision."""
    probability = 1.0
    for step in tree.path[tree.starts[target] : tree.starts[target + 1]].tolist():
        x = float(head.weight[step >> 1].astype(np.float64) @ h.astype(np.float64)) + float(head.bias[step >> 1])
        probability *= 1 / (1 + np.exp(-x if step & 1 else x))
    return probability


@given(counts=COUNTS)
def test_it_is_huffmans(counts):
    tree = build_tree(np.array(counts, np.uint32))
    lengths = np.diff(tree.starts)
    heap, cost = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        cost += both
        heapq.heappush(heap, both)
    assert int(lengths @ np.array(counts)) == cost  # no other tree has shorter ways
    assert len(tree.children) == len(counts) - 1
    assert sorted(tree.children.ravel().tolist()) == sorted({*range(2 * len(counts) - 1)} - {2 * len(counts) - 2})
    assert all(child < len(counts) + n for n, pair in enumerate(tree.children.tolist()) for child in pair)
    for target in range(len(counts)):  # each way leads from the root to its class
        node = 2 * len(counts) - 2
        for step in tree.path[tree.starts[target] : tree.starts[target + 1]].tolist():
            assert step >> 1 == node - len(counts)
            node = int(tree.children[step >> 1, step & 1])
        assert node == target


@given(counts=COUNTS, dim=st.sampled_from([1, 5, 16, 19]), k=st.sampled_from([1, 2, 7, 100]))
def test_all_classes_have_probability_one_and_the_best_are_found(counts, dim, k):
    tree, head = build_tree(np.array(counts, np.uint32)), random_head(len(counts), dim)
    features = np.random.default_rng(1).normal(size=(3, dim)).astype(np.float32)
    expected = [[by_hand(tree, head, h, target) for target in range(len(counts))] for h in features]
    found = np.exp(log_probabilities(tree, head, features).astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    best = best_classes(tree, head, features, k)
    assert best.classes.shape == (3, min(k, len(counts)))
    for row, classes, scores in zip(found, best.classes, best.log_probabilities, strict=True):
        assert len(set(classes.tolist())) == len(classes)
        np.testing.assert_allclose(np.exp(scores), np.sort(row)[::-1][: len(classes)], rtol=1e-4)
        np.testing.assert_allclose(row[classes], np.exp(scores), rtol=1e-4)


def test_equal_classes_stand_in_their_order(instruction_sets):
    for count in (1, 2, 8, 16):
        tree = build_tree(np.ones(count, np.uint32))
        head = bag.Head(np.zeros((count - 1, 4), np.float32), np.zeros(count - 1, np.float32))
        for library in instruction_sets:
            with library:
                best = best_classes(tree, head, np.ones((70, 4), np.float32), 5)
            assert best.classes.tolist() == [list(range(min(5, count)))] * 70


@given(counts=COUNTS)
def test_margins_are_the_loss_of_the_way(counts):
    tree, head = build_tree(np.array(counts, np.uint32)), random_head(len(counts), 5, np.float64)
    draw = np.random.default_rng(1)
    features, targets = draw.normal(size=(4, 5)), draw.integers(0, len(counts), 4)
    found = margins(tree, head, features, targets)
    expected = [-np.log(by_hand(tree, head, h, target)) for h, target in zip(features, targets, strict=True)]
    np.testing.assert_allclose(way_losses(tree, found, targets), expected, atol=1e-10)


def lesson(counts, dtype, dim=5):
    draw = np.random.default_rng(3)
    tables = bag.Tables(draw.normal(size=(7, dim)).astype(dtype), draw.normal(size=(11, dim)).astype(dtype), 2)
    tree = build_tree(np.array(counts, np.uint32))
    ids, offsets = draw.integers(0, 7, 20).astype(np.int32), np.array([0, 3, 3, 9, 20])
    targets = draw.integers(0, len(counts), 4)
    return tables, random_head(len(counts), dim, dtype), ids, offsets, targets, bag.Ways(tree.starts, tree.path)


@given(counts=COUNTS.filter(lambda counts: len(counts) > 1))
def test_training_follows_torchs_gradients(counts):
    tables, head, ids, offsets, targets, ways = lesson(counts, np.float64)
    words, ngrams = (torch.tensor(table, requires_grad=True) for table in tables[:2])
    weight, bias = (torch.tensor(array, requires_grad=True) for array in head)
    rows, owners = bag.rows_of(tables, ids, offsets)
    h = torch.cat([words, ngrams])[torch.tensor(rows[owners == 2])].mean(0)
    way = torch.tensor(ways.path[ways.starts[targets[2]] : ways.starts[targets[2] + 1]].astype(np.int64))
    logits = weight[way >> 1] @ h + bias[way >> 1]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, (way & 1).double(), reduction="sum")
    loss.backward()
    found, right = bag.train(
        tables, head, ids, offsets, targets, np.array([2]), ways=ways, batch_size=1, lr=0.1, lr_end=0.1, smoothing=0.3
    )
    assert found == pytest.approx(loss.item())
    assert right == ((logits >= 0) == (way & 1)).all().item()
    for leaf, moved in zip((words, ngrams, weight, bias), (*tables[:2], *head), strict=True):
        np.testing.assert_allclose(moved, (leaf - 0.1 * leaf.grad).detach().numpy(), atol=1e-12)


@needs_native
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dim", [5, 16])
def test_native_training_is_numpys(threads, dim):
    counts = [5, 1, 1, 9, 0, 3, 3, 7, 7, 1]
    settings = {"batch_size": 3, "lr": 0.5, "lr_end": 0.1, "threads": threads}
    order = np.array([3, 1, 0, 2, 2, 3])
    results = []
    for dtype in (np.float32, np.float64):
        tables, head, ids, offsets, targets, ways = lesson(counts, dtype, dim)
        results.append((*bag.train(tables, head, ids, offsets, targets, order, ways=ways, **settings), tables, head))
    (loss, right, tables, head), (wanted, wanted_right, doubles, double_head) = results
    assert loss == pytest.approx(wanted, abs=1e-5)
    assert right == wanted_right
    for array, expected in zip((*tables[:2], *head), (*doubles[:2], *double_head), strict=True):
        np.testing.assert_allclose(array, expected, atol=2e-5)


def test_an_untrained_head_has_a_finite_loss():
    tree = build_tree(np.array([3, 2, 1], np.uint32))
    head = bag.Head(np.full((2, 1), 1e30, np.float32), np.zeros(2, np.float32))
    found = margins(tree, head, np.ones((3, 1), np.float32), np.arange(3))
    assert np.isfinite(way_losses(tree, found, np.arange(3))).all()
    scores = log_probabilities(tree, head, np.ones((1, 1), np.float32))
    assert np.isfinite(scores).all()
