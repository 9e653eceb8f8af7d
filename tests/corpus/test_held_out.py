"""The held-out part: a share of each class or label, and near-duplicates on one side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubrica.corpus import held_out
from rubrica.corpus.held_out import text_keys
from rubrica.scoring.tasks import task_of


def task_for(targets):
    """The task that such targets are of."""
    classes = targets.shape[1] if targets.ndim == 2 else int(targets.max()) + 1
    return task_of([str(i) for i in range(classes)], lists=targets.ndim == 2)


def hold_out(targets, fraction, seed, keys=None):
    return held_out.hold_out(task_for(targets), targets, fraction, seed, keys)


def class_counts(targets, rows=None):
    return task_for(targets).class_counts(targets, rows)


def test_the_held_out_part_is_a_share_of_each_class_and_follows_the_seed():
    targets = np.repeat([0, 1, 2], [100, 50, 1])
    stay, held = hold_out(targets, 0.1, seed=3)
    assert np.bincount(targets[held], minlength=3).tolist() == [10, 5, 0]
    assert sorted([*stay, *held]) == list(range(151))
    np.testing.assert_array_equal(hold_out(targets, 0.1, seed=3)[1], held)
    assert hold_out(targets, 0.1, seed=4)[1].tolist() != held.tolist()
    assert len(hold_out(targets, 0.0, seed=3)[1]) == 0


def test_the_rows_are_those_that_they_have_always_been():
    """Models that were trained before must come out the same, with and without a look for duplicates."""
    targets = np.repeat([0, 1], [40, 25])
    expected = [6, 18, 24, 30, 44, 45]
    assert hold_out(targets, 0.1, seed=5)[1].tolist() == expected
    assert hold_out(targets, 0.1, seed=5, keys=np.arange(65) * 7)[1].tolist() == expected


def test_of_few_texts_none_is_held_out():
    stay, held = hold_out(np.array([0, 0, 1, 1]), 0.1, seed=0)
    assert stay.tolist() == [0, 1, 2, 3]
    assert len(held) == 0


@pytest.mark.parametrize("keys", [None, np.arange(7 * 120)])
def test_of_many_small_classes_some_give_one_text(keys):
    targets = np.tile(np.arange(120), 7)
    targets[targets < 20] = np.arange(140)[:140] + 120  # 140 classes of one text, which they keep
    stay, held = hold_out(targets, 0.05, seed=2, keys=keys)
    assert len(held) == 42
    assert np.bincount(targets[held]).max() == 1
    assert targets[held].max() < 120
    assert len(np.unique(targets[stay])) == 240
    np.testing.assert_array_equal(hold_out(targets, 0.05, seed=2, keys=keys)[1], held)
    assert hold_out(targets, 0.05, seed=3, keys=keys)[1].tolist() != held.tolist()


def test_of_many_rare_labels_some_give_one_text():
    targets = np.zeros((120, 31), np.uint8)
    targets[np.arange(120), np.arange(120) % 30] = 1
    targets[:60, 30] = 1  # with them a label that gives its share
    held = hold_out(targets, 0.1, seed=2)[1]
    assert len(held) == 12
    assert targets[held][:, :30].sum(axis=0).max() == 1


@pytest.mark.parametrize(
    "other", ["OIL prices climb", "oil, prices climb!", " Oil — prices\tclimb…", "Oil_prices-climb"]
)
def test_case_spaces_and_punctuation_make_no_difference(other):
    keys = text_keys(5, [["Oil prices climb", other], ["Oil prices climb 2", "Нефть: дорожает", "нефть дорожает"]])
    assert keys[0] == keys[1]
    assert keys[3] == keys[4]
    assert len(set(keys.tolist())) == 3


def test_where_all_are_duplicates_some_are_held_out_all_the_same():
    targets = np.repeat([0, 1], 10)
    for seed in range(5):
        assert len(hold_out(targets, 0.1, seed, keys=targets)[1]) == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=30, max_size=80), st.integers(0, 5))
def test_duplicates_are_on_one_side_and_every_class_trains(rows, seed):
    targets, keys = np.array(rows).T
    stay, held = hold_out(targets, 0.3, seed, keys)
    assert sorted([*stay, *held]) == list(range(len(rows)))
    together = not set(keys[stay]) & set(keys[held])
    assert together or set(held) == set(hold_out(targets, 0.3, seed, None)[1])
    assert set(targets[stay]) == set(targets)


@given(
    st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=30, max_size=80), st.integers(0, 5), st.data()
)
def test_so_it_is_with_several_labels(rows, seed, data):
    targets = np.array(rows).astype(np.uint8)
    keys = data.draw(st.none() | st.just(np.arange(len(rows)) // 2))
    stay, held = hold_out(targets, 0.3, seed, keys)
    assert sorted([*stay, *held]) == list(range(len(rows)))
    assert (targets[stay].any(axis=0) == targets.any(axis=0)).all()
    if keys is not None:
        together = not set(keys[stay]) & set(keys[held])
        assert together or set(held) == set(hold_out(targets, 0.3, seed, None)[1])
    np.testing.assert_array_equal(held, hold_out(targets, 0.3, seed, keys)[1])


def test_each_label_gets_its_share_the_rare_ones_too():
    draw = np.random.default_rng(0)
    targets = (draw.random((4000, 12)) < 0.3 ** np.arange(1, 13) * 3).astype(np.uint8)
    targets[:40, 7] = 1  # every one of which has a common label, too
    targets[:40, 0] = 1
    counts = targets.sum(axis=0)
    for seed in range(5):
        _, held = hold_out(targets, 0.1, seed)
        got = targets[held].sum(axis=0)
        assert (np.abs(got - 0.1 * counts) <= 1 + 0.03 * counts).all(), (counts, got)
        assert 350 < len(held) < 450
        assert got[7] == round(0.1 * counts[7])
    assert len(set(hold_out(targets, 0.1, 8)[1]) & set(held)) < 100


def test_counts_of_classes():
    assert class_counts(np.array([2, 0, 2])).tolist() == [1, 0, 2]
    assert class_counts(np.array([2, 0, 2]), np.array([1])).tolist() == [1, 0, 0]
    sets = np.full((300, 2), 1, np.uint8)  # more than a byte counts
    assert class_counts(sets).tolist() == [300, 300]
    assert class_counts(sets, np.arange(5)).tolist() == [5, 5]
