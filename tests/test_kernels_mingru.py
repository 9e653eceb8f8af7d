"""The minimal GRU's kernel on texts of all lengths: native on each instruction set = numpy = formulas by autograd."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rubrica.kernels import mingru as kernel
from rubrica.kernels.recurrent import Reading
from rubrica.mingru import MinGRU
from rubrica.pooling import POOLINGS as BY_TORCH
from rubrica.pooling import num_features

POOLINGS = sorted(BY_TORCH)
NAMES = ("features", "vectors", "weight", "bias")


class Case:
    """Texts of given lengths with random words, parameters and a random gradient of the features."""

    def __init__(self, pooling, lengths, hidden, reverse=False, *, num_words=9, dim=5, gap=0):
        draw = np.random.default_rng(len(lengths) + hidden)
        self.layer = MinGRU(dim, hidden).double()
        for parameter in self.layer.parameters():
            parameter.data = torch.from_numpy(draw.normal(size=parameter.shape))
        self.vectors = draw.normal(size=(num_words, dim))
        lengths = np.array(lengths, np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths + gap)[:-1]]).astype(np.int64)
        rows = draw.integers(0, num_words, int((lengths + gap).sum())).astype(np.int32)
        self.reading = Reading("mingru", pooling, rows, starts, lengths, reverse=reverse)
        self.d_features = draw.normal(size=(len(lengths), num_features(pooling, hidden)))

    def by_kernel(self, dtype, *, threads=1, trains=True):
        vectors, d_features = self.vectors.astype(dtype), self.d_features.astype(dtype)
        weight, bias = (parameter.detach().numpy().astype(dtype) for parameter in self.layer.parameters())
        gates = kernel.make_gates(vectors, weight, bias, threads=threads)
        hidden = len(bias) // 2
        features, kept = kernel.forward(self.reading, gates, hidden, keep=True, threads=threads)
        alone, _ = kernel.forward(self.reading, gates, hidden, threads=threads)
        np.testing.assert_array_equal(features, alone)  # whether they are kept changes no number
        gradients = kernel.backward(
            self.reading, vectors, weight, gates, kept, d_features, trains=trains, threads=threads
        )
        return features, *gradients

    def by_autograd(self):
        """Text by text, step by step."""
        vectors = torch.from_numpy(self.vectors).requires_grad_()
        features = torch.zeros(self.d_features.shape, dtype=torch.double)
        for i, (start, length) in enumerate(zip(self.reading.starts, self.reading.lengths, strict=True)):
            if length:
                words = torch.from_numpy(self.reading.rows[start : start + length].astype(np.int64))
                words = words.flip(0) if self.reading.reverse else words
                features[i] = BY_TORCH[self.reading.pooling](self.layer(vectors[words][:, None]), None)[0]
        wanted = [vectors, *self.layer.parameters()]
        if not features.requires_grad:
            return [features.numpy(), *(np.zeros(tensor.shape) for tensor in wanted)]
        gradients = torch.autograd.grad(features, wanted, torch.from_numpy(self.d_features))
        return [tensor.detach().numpy() for tensor in (features, *gradients)]


def assert_close(got, expected, tolerance):
    for name, a, b in zip(NAMES, got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max(initial=0)), err_msg=name)


CASES = given(
    pooling=st.sampled_from(POOLINGS),
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    hidden=st.integers(1, 40),
    reverse=st.booleans(),
)


@CASES
@settings(max_examples=40)
@example(pooling="max", lengths=[0], hidden=3, reverse=False)
@example(pooling="last", lengths=[0, 1], hidden=3, reverse=False)
def test_numpy_equals_autograd(pooling, lengths, hidden, reverse):
    case = Case(pooling, lengths, hidden, reverse, gap=1)
    assert_close(case.by_kernel(np.float64), case.by_autograd(), 1e-12)


@CASES
@settings(max_examples=80)
@example(pooling="max", lengths=[0], hidden=3, reverse=False)
@example(pooling="average", lengths=[12] * 33, hidden=33, reverse=True)
def test_native_equals_numpy_and_no_bit_depends_on_the_number_of_threads(
    instruction_sets, pooling, lengths, hidden, reverse
):
    case = Case(pooling, lengths, hidden, reverse, gap=2)
    expected = case.by_kernel(np.float64)
    for library in instruction_sets:
        with library:
            alone = case.by_kernel(np.float32)
            assert_close(alone, expected, 2e-5)
            for threads in (2, 3, 7):
                for name, a, b in zip(NAMES, case.by_kernel(np.float32, threads=threads), alone, strict=True):
                    assert a.tobytes() == b.tobytes(), name
            frozen = case.by_kernel(np.float32, trains=False)
            assert frozen[1] is None
            np.testing.assert_array_equal(frozen[2], alone[2])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_sizes_of_use(instruction_sets, pooling):
    case = Case(pooling, [40 - i % 7 for i in range(33)] + [0, 3000], 100, num_words=150, dim=50)
    expected = case.by_kernel(np.float64)
    for library in instruction_sets:
        with library:
            assert_close(case.by_kernel(np.float32, threads=2), expected, 1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_is_nan_stays_nan(instruction_sets, pooling):
    case = Case(pooling, [3, 2, 9], 7)
    case.vectors[:] = np.nan
    for library in instruction_sets:
        with library:
            assert np.isnan(case.by_kernel(np.float32)[0]).all()
