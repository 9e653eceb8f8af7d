"""The minimal GRU's kernel on texts of all lengths: features (native and numpy) and gradients = those by autograd."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from cases import examples
from ragged import (
    assert_nan_stays_nan,
    assert_near,
    assert_no_bit_depends_on_threads,
    needs_native,
    random_texts,
    with_gradients,
)
from rubrica.kernels import mingru as kernel
from rubrica.kernels.runs import Reading
from rubrica.networks.mingru import MinGRU
from rubrica.networks.pooling import POOLINGS as BY_TORCH

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
        self.d_features = draw.normal(size=(len(lengths), self.reading.num_features(hidden)))

    def arrays(self, dtype):
        parameters = (parameter.detach().numpy() for parameter in self.layer.parameters())
        return [array.astype(dtype) for array in (self.vectors, *parameters)]

    def features(self, dtype, *, threads=1):
        gates = kernel.make_gates(*self.arrays(dtype), threads=threads)
        return kernel.forward(self.reading, gates, self.layer.hidden_size, threads=threads)[0]

    def by_kernel(self, *, threads=1, trains=True):
        vectors, weight, bias = self.arrays(np.float32)
        gates = kernel.make_gates(vectors, weight, bias, threads=threads)
        features, kept = kernel.forward(self.reading, gates, len(bias) // 2, keep=True, threads=threads)
        # Whether they are kept changes no number.
        np.testing.assert_array_equal(features, self.features(np.float32, threads=threads))
        d_features = self.d_features.astype(np.float32)
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
@examples(80)
@example(pooling="max", lengths=[0], hidden=3, reverse=False)
@example(pooling="last", lengths=[0, 1], hidden=3, reverse=False)
@example(pooling="average", lengths=[12] * 33, hidden=33, reverse=True)
def test_features_and_gradients_equal_autograd(instruction_sets, pooling, lengths, hidden, reverse):
    assert_near(instruction_sets, Case(pooling, lengths, hidden, reverse, gap=2), 2e-5)


@needs_native
@CASES
@examples(40)
@example(pooling="max", lengths=[0], hidden=3, reverse=False)
@example(pooling="average", lengths=[12] * 33, hidden=33, reverse=True)
def test_no_bit_depends_on_the_number_of_threads(instruction_sets, pooling, lengths, hidden, reverse):
    assert_no_bit_depends_on_threads(instruction_sets, Case(pooling, lengths, hidden, reverse, gap=2))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_sizes_of_use(instruction_sets, pooling):
    long = 1500 if pooling == "average" else 400  # the most numbers that one sum is rounded over
    case = Case(pooling, [40 - i % 7 for i in range(33)] + [0, long], 100, num_words=150, dim=50)
    assert_near(instruction_sets, case, 1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_is_nan_stays_nan(instruction_sets, pooling):
    assert_nan_stays_nan(instruction_sets, Case(pooling, [3, 2, 9], 7))
