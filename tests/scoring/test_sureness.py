"""From which margin on a fast member may answer alone."""

import numpy as np
import pytest

from rubrica.scoring.sureness import find_sure, margins


def held_out(count, seed=0, weight=0.4, classes=4):
    """Logits of a fast member, and of all members: each adds noise to the truth."""
    draw = np.random.default_rng(seed)
    truth = np.eye(classes)[draw.integers(0, classes, count)]
    fast = 3 * truth + draw.normal(size=(count, classes))
    return fast, fast + weight * (2 * truth + draw.normal(size=(count, classes)))


def test_a_margin_is_the_distance_of_the_two_best():
    assert margins(np.array([[1.0, 4.0, 2.5], [0.0, 0.0, -1.0]])).tolist() == [1.5, 0.0]
    assert margins(np.array([[-0.25, 0.25]])).tolist() == [0.5]


@pytest.mark.parametrize("seed", range(5))
def test_above_it_hardly_any_label_of_other_texts_changes(seed):
    sure = find_sure(*held_out(2000, seed))
    fast, whole = held_out(200_000, 99)
    alone = margins(fast) >= sure
    changed = fast.argmax(axis=1) != whole.argmax(axis=1)
    assert alone.mean() > 0.1
    assert changed[~alone].mean() > 0.01  # there is something to change
    assert (changed & alone).mean() < 3e-4


def test_there_is_none_where_too_little_is_known_or_nothing_gained():
    fast, whole = held_out(2000)
    assert find_sure(fast[:199], whole[:199]) is None
    assert find_sure(*held_out(2000, weight=30.0)) is None  # the others say it all


def test_members_that_count_for_nothing_are_never_asked():
    fast, _ = held_out(100)
    assert find_sure(fast, fast.copy()) == 0.0
    assert find_sure(fast[:0], fast[:0]) == 0.0


def test_where_no_label_changes_nothing_shows_how_rare_a_change_is():
    fast, _ = held_out(2000)
    assert find_sure(fast, 2 * fast) is None


def test_a_model_of_many_texts_says_the_same_as_one_of_few():
    many, few = find_sure(*held_out(50_000)), [find_sure(*held_out(500, seed)) for seed in range(1, 9)]
    assert max(few) - min(few) < 0.4 * many
    assert np.median(few) == pytest.approx(many, rel=0.1)


def test_changes_that_no_line_foresees_are_below_it():
    fast, _ = held_out(2000)
    whole, largest = 1.1 * fast, np.argsort(margins(fast))[[100, 200, 300, 400, 500, 600]]
    whole[largest] *= -1
    assert find_sure(fast, whole) > margins(fast)[largest].max()


def test_two_classes_are_as_good_as_many():
    sure = find_sure(*held_out(2000, classes=2))
    assert sure is not None
    assert sure > 1
