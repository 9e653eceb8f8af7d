"""The recurrent layers: formulas against `torch.nn`, the fast path against the formulas; values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ragged import needs_native
from rubrica.networks.cells import GRU, LSTM, RNN, Recurrent
from rubrica.networks.masking import flip_texts
from rubrica.networks.pooling import POOLINGS, pool_attention, pool_last

PAIRS = {"rnn": (RNN, nn.RNN), "gru": (GRU, nn.GRU), "lstm": (LSTM, nn.LSTM)}
LENGTHS = [[1], [5], [5, 1, 3], [4, 4], [2, 9, 7, 1]]
CLOSE = {"rtol": 0, "atol": 1e-12}


def make_pair(name, bidirectional):
    torch.manual_seed(0)
    ours, theirs = (kind(6, 4, bidirectional=bidirectional).double() for kind in PAIRS[name])
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_formulas_equal_torch_in_value_and_gradient(name, lengths, bidirectional):
    ours, theirs = make_pair(name, bidirectional)
    n = torch.tensor(lengths)
    x = torch.randn(max(lengths), len(lengths), 6, dtype=torch.double)
    x_ours, x_theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    states = ours(x_ours, n)
    packed = pack_padded_sequence(x_theirs, n, enforce_sorted=False)
    expected, last = theirs(packed)
    expected, _ = pad_packed_sequence(expected)
    last = torch.cat(tuple(last[0] if name == "lstm" else last), dim=1)
    ends = pool_last(ours.walk(x_ours, "l0"), n)
    if bidirectional:
        ends = torch.cat([ends, pool_last(ours.walk(flip_texts(x_ours, n), "l0_reverse"), n)], dim=1)
    real = torch.arange(max(lengths))[:, None] < n
    torch.testing.assert_close(states[real], expected[real], **CLOSE)
    torch.testing.assert_close(ends, last, **CLOSE)
    # A loss that looks at every real state, and once more at the last ones.
    weights = torch.randn_like(states)
    ((states * weights)[real].sum() + ends.square().sum()).backward()
    ((expected * weights)[real].sum() + last.square().sum()).backward()
    torch.testing.assert_close(x_ours.grad, x_theirs.grad, **CLOSE)
    for parameter_name, parameter in theirs.named_parameters():
        torch.testing.assert_close(ours.get_parameter(parameter_name).grad, parameter.grad, **CLOSE)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_state_dict_moves_to_torch_as_well(name, bidirectional):
    torch.manual_seed(1)
    ours, theirs = (kind(3, 5, bidirectional=bidirectional).double() for kind in PAIRS[name])
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 2, 3, dtype=torch.double)
    torch.testing.assert_close(ours(x), theirs(x)[0], **CLOSE)


def expected_features(layer, x, n, pooling, attention):
    """Each direction's walk, pooled."""
    parts = []
    for i, direction in enumerate(layer.directions):
        states = layer.walk(flip_texts(x, n) if i else x, direction)
        parts.append(POOLINGS[pooling](states, n) if attention is None else pool_attention(states, n, attention[i]))
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize(("bidirectional", "init"), [(False, "torch"), (False, "uniform01"), (True, "torch")])
@pytest.mark.parametrize("lengths", [None, [1], [0], [5, 0, 3, 9], [12] * 40, list(range(40))], ids=str)
@pytest.mark.parametrize("pooling", [*POOLINGS, "attention"])
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    ("kind", "close"),
    [
        pytest.param(torch.double, 1e-12, id="float64"),
        pytest.param(torch.float, 1e-4, id="float32", marks=needs_native),  # else it goes the way of float64
    ],
)
def test_fast_path_equals_the_formulas(kind, close, name, pooling, lengths, init, bidirectional):
    torch.manual_seed(2)
    layer = PAIRS[name][0](5, 19, bidirectional=bidirectional, init=init).to(kind)  # 19 fills no vector of 4, 8 or 16
    u = torch.randn(1 + bidirectional, 19, dtype=kind, requires_grad=True) if pooling == "attention" else None
    n = None if lengths is None else torch.tensor(lengths)
    index = torch.randint(11, (3, 7) if n is None else (len(n), max(1, *lengths)))
    vectors = torch.randn(11, 5, dtype=kind)
    results = []
    for read in (
        lambda x: layer.read(x, index, n, pooling, u),
        lambda x: expected_features(layer, F.embedding(index.t(), x), n, pooling, u),
    ):
        layer.zero_grad()
        if u is not None:
            u.grad = None
        x = vectors.clone().requires_grad_()
        features = read(x)
        (features * torch.linspace(-1, 1, features.numel(), dtype=kind).view_as(features)).sum().backward()
        trained = [x, *layer.parameters(), *([] if u is None else [u])]
        results.append([features.detach(), *(tensor.grad for tensor in trained)])
    for fast, formulas in zip(*results, strict=True):
        scale = max(1.0, float(formulas.abs().max()))
        torch.testing.assert_close(fast, formulas, rtol=0, atol=close * scale)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("kind", "close"), [(torch.double, 1e-12), (torch.float, 1e-5)], ids=["float64", "float32"])
def test_frozen_vectors_get_no_gradient_and_change_no_other(kind, close, name):
    layer = PAIRS[name][0](5, 4).to(kind)
    vectors, index = torch.randn(8, 5, dtype=kind), torch.randint(8, (3, 6))
    layer.read(vectors, index, None, "last").sum().backward()
    assert vectors.grad is None
    without = [parameter.grad.clone() for parameter in layer.parameters()]
    layer.zero_grad()
    layer.read(vectors.requires_grad_(), index, None, "last").sum().backward()
    for a, parameter in zip(without, layer.parameters(), strict=True):
        torch.testing.assert_close(a, parameter.grad, rtol=0, atol=close)


def test_the_shared_part_alone_has_no_formulas():
    class Empty(Recurrent):
        num_gates = 1

    with pytest.raises(TypeError, match="use RNN, GRU or LSTM"):
        Empty(2, 2)(torch.zeros(1, 1, 2))
