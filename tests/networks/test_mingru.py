"""The minimal GRU: its formula, and all steps at once."""

import math

import pytest
import torch

from ragged import needs_native
from rubrica.networks.masking import flip_texts
from rubrica.networks.mingru import MinGRU, scan
from rubrica.networks.pooling import POOLINGS


def test_the_states_are_those_of_the_formula():
    torch.manual_seed(0)
    layer = MinGRU(3, 2).double()
    x = torch.randn(6, 1, 3, dtype=torch.double)
    states = layer(x)
    weight, bias = layer.weight_ih_l0.tolist(), layer.bias_ih_l0.tolist()
    h = [0.0, 0.0]
    for t in range(6):
        inputs = x[t, 0].tolist()
        gates = [sum(w * e for w, e in zip(weight[i], inputs, strict=True)) + bias[i] for i in range(4)]
        for unit in range(2):
            z = 1 / (1 + math.exp(-gates[unit]))
            h[unit] = (1 - z) * h[unit] + z * gates[2 + unit]
        assert states[t, 0].tolist() == pytest.approx(h, abs=1e-14)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 33, 128])
def test_all_steps_at_once_are_the_steps_one_by_one(steps):
    torch.manual_seed(steps)
    a = torch.rand(steps, 4, 5, dtype=torch.double)
    b = torch.randn(steps, 4, 5, dtype=torch.double)
    a[a < 0.1], a[a > 0.9] = 0, 1
    h = torch.zeros(4, 5, dtype=torch.double)
    for t, states in enumerate(scan(a, b)):
        h = a[t] * h + b[t]
        torch.testing.assert_close(states, h, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    ("kind", "close"),
    [
        pytest.param(torch.double, 1e-12, id="float64"),
        pytest.param(torch.float, 1e-5, id="float32", marks=needs_native),  # else it goes the way of float64
    ],
)
def test_what_is_read_is_the_pooled_walk_in_value_and_gradient(kind, close, pooling):
    """In float32 by the kernel, in float64 by the scan."""
    torch.manual_seed(2)
    layer = MinGRU(5, 19, bidirectional=True).to(kind)
    lengths, index = torch.tensor([5, 0, 3, 9]), torch.randint(11, (4, 9))
    results = []
    for fast in (True, False):
        layer.zero_grad()
        torch.manual_seed(3)
        vectors = torch.randn(11, 5, dtype=kind, requires_grad=True)
        if fast:
            features = layer.read(vectors, index, lengths, pooling)
        else:
            x = vectors[index.t()]
            ways = (layer.walk(x, "l0"), layer.walk(flip_texts(x, lengths), "l0_reverse"))
            features = torch.cat([POOLINGS[pooling](states, lengths) for states in ways], dim=1)
        (features * torch.linspace(-1, 1, features.numel(), dtype=kind).view_as(features)).sum().backward()
        results.append([features.detach(), *(tensor.grad for tensor in (vectors, *layer.parameters()))])
    for got, formulas in zip(*results, strict=True):
        torch.testing.assert_close(got, formulas, rtol=0, atol=close * max(1.0, float(formulas.abs().max())))
