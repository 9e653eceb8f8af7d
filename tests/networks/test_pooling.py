"""Pooling against a loop over texts, and its freedom from padding."""

import pytest
import torch

from rubrica.networks.masking import flip_texts, length_mask
from rubrica.networks.pooling import POOLINGS, pool_attention

BY_HAND = {
    "last": lambda s: s[-1],
    "max": lambda s: s.amax(0),
    "average": lambda s: s.mean(0),
    "average_max": lambda s: torch.cat([s.mean(0), s.amax(0)], dim=-1),
}


@pytest.mark.parametrize("name", POOLINGS)
def test_pooling_equals_a_loop_over_the_texts(name):
    torch.manual_seed(0)
    states, lengths = torch.randn(6, 4, 3), torch.tensor([6, 1, 0, 4])
    got = POOLINGS[name](states, lengths)
    for i, length in enumerate(lengths):
        expected = BY_HAND[name](states[:length, i]) if length else torch.zeros_like(got[i])
        torch.testing.assert_close(got[i], expected)


@pytest.mark.parametrize("name", POOLINGS)
def test_without_lengths_every_step_counts(name):
    states = torch.randn(5, 2, 3)
    torch.testing.assert_close(POOLINGS[name](states, None), BY_HAND[name](states))


@pytest.mark.parametrize("masked", [True, False])
def test_attention_is_a_softmax_over_a_texts_own_steps(masked):
    torch.manual_seed(0)
    states, u = torch.randn(6, 4, 3, dtype=torch.double), torch.randn(3, dtype=torch.double)
    lengths = torch.tensor([6, 1, 0, 4])
    states[0, 2], states[5, 1] = torch.nan, torch.inf  # behind a text's end anything may lie
    got = pool_attention(states, lengths, u) if masked else pool_attention(states[:, :1], None, u)
    for i, length in enumerate(lengths.tolist() if masked else [6]):
        weights = [float(torch.exp(states[t, i] @ u)) for t in range(length)]
        expected = sum((w * states[t, i] for t, w in enumerate(weights)), torch.zeros(3)) / max(1e-9, sum(weights))
        torch.testing.assert_close(got[i], expected.double())


def test_flip_turns_each_text_round_and_leaves_its_padding():
    x = torch.tensor([[1, 4, 7], [2, 5, 8], [3, 6, 9]])  # texts are columns
    assert flip_texts(x, torch.tensor([3, 2, 0])).t().tolist() == [[3, 2, 1], [5, 4, 6], [7, 8, 9]]
    assert flip_texts(x, None).t().tolist() == [[3, 2, 1], [6, 5, 4], [9, 8, 7]]


def test_length_mask_is_true_at_real_tokens():
    assert length_mask(torch.tensor([2, 0]), 3).tolist() == [[True, True, False], [False, False, False]]
