"""Pooling against a loop over texts, and its freedom from padding."""

import pytest
import torch

from rubrica.masking import length_mask
from rubrica.pooling import POOLINGS

BY_HAND = {"last": lambda s: s[-1], "max": lambda s: s.amax(0), "average": lambda s: s.mean(0)}


@pytest.mark.parametrize("name", POOLINGS)
def test_pooling_equals_a_loop_over_the_texts(name):
    torch.manual_seed(0)
    states, lengths = torch.randn(6, 4, 3), torch.tensor([6, 1, 0, 4])
    got = POOLINGS[name](states, lengths)
    for i, length in enumerate(lengths):
        expected = BY_HAND[name](states[:length, i]) if length else torch.zeros(3)
        torch.testing.assert_close(got[i], expected)


@pytest.mark.parametrize("name", POOLINGS)
def test_without_lengths_every_step_counts(name):
    states = torch.randn(5, 2, 3)
    torch.testing.assert_close(POOLINGS[name](states, None), BY_HAND[name](states))


def test_length_mask_is_true_at_real_tokens():
    assert length_mask(torch.tensor([2, 0]), 3).tolist() == [[True, True, False], [False, False, False]]
