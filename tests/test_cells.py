"""The recurrent layers, formulas and fast path alike, against `torch.nn`: values and gradients in float64."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rubrica.cells import GRU, LSTM, RNN, Recurrent
from rubrica.pooling import pool_last

PAIRS = {"rnn": (RNN, nn.RNN), "gru": (GRU, nn.GRU), "lstm": (LSTM, nn.LSTM)}
LENGTHS = [[1], [5], [5, 1, 3], [4, 4], [2, 9, 7, 1]]
CLOSE = {"rtol": 0, "atol": 1e-12}


def make_pair(name, fast, init="torch"):
    torch.manual_seed(0)
    ours, theirs = (PAIRS[name][0](6, 4, init=init, fast=fast).double(), PAIRS[name][1](6, 4).double())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("fast", [False, True], ids=["formulas", "fast"])
@pytest.mark.parametrize("name", PAIRS)
def test_layer_equals_torch_in_value_and_gradient(name, fast, lengths):
    ours, theirs = make_pair(name, fast)
    n = torch.tensor(lengths)
    x = torch.randn(max(lengths), len(lengths), 6, dtype=torch.double)
    x_ours, x_theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    states = ours(x_ours)
    packed = pack_padded_sequence(x_theirs, n, enforce_sorted=False)
    expected, last = theirs(packed)
    expected, _ = pad_packed_sequence(expected)
    last = (last[0] if name == "lstm" else last)[0]
    real = torch.arange(max(lengths))[:, None] < n
    torch.testing.assert_close(states[real], expected[real], **CLOSE)
    torch.testing.assert_close(pool_last(states, n), last, **CLOSE)
    # A loss that looks at every real state, and once more at the last ones.
    weights = torch.randn_like(states)
    ((states * weights)[real].sum() + pool_last(states, n).square().sum()).backward()
    ((expected * weights)[real].sum() + last.square().sum()).backward()
    torch.testing.assert_close(x_ours.grad, x_theirs.grad, **CLOSE)
    for parameter_name, parameter in theirs.named_parameters():
        torch.testing.assert_close(ours.get_parameter(parameter_name).grad, parameter.grad, **CLOSE)


@pytest.mark.parametrize("name", PAIRS)
def test_state_dict_moves_to_torch_as_well(name):
    torch.manual_seed(1)
    ours, theirs = PAIRS[name][0](3, 5).double(), PAIRS[name][1](3, 5).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 2, 3, dtype=torch.double)
    torch.testing.assert_close(ours(x), theirs(x)[0], **CLOSE)


@pytest.mark.parametrize("name", PAIRS)
def test_fast_path_equals_the_formulas_where_the_seminar_starts(name):
    torch.manual_seed(2)
    slow = PAIRS[name][0](5, 4, init="uniform01", fast=False).double()
    fast = PAIRS[name][0](5, 4, fast=True).double()
    fast.load_state_dict(slow.state_dict())
    assert all(parameter.min() >= 0 and parameter.max() < 1 for parameter in slow.parameters())
    x = torch.randn(30, 3, 5, dtype=torch.double)
    torch.testing.assert_close(fast(x), slow(x), **CLOSE)
    for layer in (slow, fast):
        layer(x)[-1].sum().backward()
    for a, b in zip(slow.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, **CLOSE)


@pytest.mark.parametrize("name", PAIRS)
def test_a_frozen_input_gets_no_gradient_and_changes_no_other(name):
    layer = PAIRS[name][0](5, 4).double()
    x = torch.randn(6, 3, 5, dtype=torch.double)
    layer(x)[-1].sum().backward()
    without = [parameter.grad.clone() for parameter in layer.parameters()]
    layer.zero_grad()
    layer(x.requires_grad_())[-1].sum().backward()
    for a, parameter in zip(without, layer.parameters(), strict=True):
        torch.testing.assert_close(a, parameter.grad, **CLOSE)


def test_the_shared_part_alone_has_no_formulas():
    class Empty(Recurrent):
        num_gates = 1

    with pytest.raises(TypeError, match="use RNN, GRU or LSTM"):
        Empty(2, 2, fast=False)(torch.zeros(1, 1, 2))
