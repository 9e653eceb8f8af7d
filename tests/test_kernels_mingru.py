"""The minimal GRU's kernel on texts of all lengths: native on each instruction set = numpy = formulas by autograd."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragged import (
    assert_close,
    assert_nan_stays_nan,
    assert_native_is_near,
    assert_no_bit_depends_on_threads,
    random_texts,
    with_gradients,
)
from rubrica.kernels import mingru as kernel
from rubrica.kernels.recurrent import Reading
from rubrica.networks.mingru import MinGRU
from rubrica.networks.pooling import POOLINGS as BY_TORCH
from rubrica.networks.pooling import num_features

POOLINGS = sorted(BY_TORCH)


class Case:
    """Texts of given lengths with random words, parameters and a random gradient of the features."""

    def __init__(self, pooling, lengths, hidden, reverse=False, *, num_words=9, dim=5, gap=0):
        draw = np.random.default_rng(len(lengths) + hidden)
        self.layer = MinGRU(dim, hidden).double()
        for parameter in self.layer.parameters():
            parameter.data = torch.from_numpy(draw.normal(size=parameter.shape))
        self.vectors = draw.normal(size=(num_words, dim))
        self.reading = Reading("mingru", pooling, *random_texts(draw, lengths, num_words, gap), reverse)
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
        return with_gradients(features, [vectors, *self.layer.parameters()], self.d_features)


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
    assert_native_is_near(instruction_sets, case, 2e-5)
    assert_no_bit_depends_on_threads(instruction_sets, case)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_sizes_of_use(instruction_sets, pooling):
    case = Case(pooling, [40 - i % 7 for i in range(33)] + [0, 3000], 100, num_words=150, dim=50)
    assert_native_is_near(instruction_sets, case, 1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_is_nan_stays_nan(instruction_sets, pooling):
    assert_nan_stays_nan(instruction_sets, Case(pooling, [3, 2, 9], 7))
