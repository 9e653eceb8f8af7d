"""The convolution's kernel on texts of all lengths: features (native and numpy) and gradients = loops by autograd."""

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
from rubrica.kernels import windows as kernel
from rubrica.kernels.runs import Reading


class Case:
    """Texts of given lengths with random words, parameters and a random gradient of the features."""

    def __init__(self, pooling, lengths, filters, places, *, num_words=9, dim=5, gap=0):
        draw = np.random.default_rng(len(lengths) + filters)
        self.places = places
        self.vectors, self.bias = draw.normal(size=(num_words, dim)), draw.normal(size=filters)
        self.weight = draw.normal(size=(filters, dim, places))
        self.reading = Reading("cnn", pooling, *random_texts(draw, lengths, num_words, gap))
        self.d_features = draw.normal(size=(len(lengths), filters * len(pooling.split("_"))))

    def features(self, dtype, *, threads=1):
        vectors, weight, bias = (array.astype(dtype) for array in (self.vectors, self.weight, self.bias))
        projected = kernel.project(vectors, weight, threads=threads)
        return kernel.forward(self.reading, projected, bias, self.places, threads=threads)[0]

    def by_kernel(self, *, threads=1, trains=True):
        arrays = (self.vectors, self.weight, self.bias, self.d_features)
        vectors, weight, bias, d_features = (array.astype(np.float32) for array in arrays)
        projected = kernel.project(vectors, weight, threads=threads)
        features, kept = kernel.forward(self.reading, projected, bias, self.places, keep=True, threads=threads)
        # Whether they are kept changes no number.
        np.testing.assert_array_equal(features, self.features(np.float32, threads=threads))
        gradients = kernel.backward(
            self.reading, vectors, weight, bias, projected, kept, d_features, trains=trains, threads=threads
        )
        return features, *gradients

    def by_autograd(self):
        """Window by window."""
        vectors, weight, bias = (torch.from_numpy(a).requires_grad_() for a in (self.vectors, self.weight, self.bias))
        features = torch.zeros(self.d_features.shape, dtype=torch.double)
        for i, (start, length) in enumerate(zip(self.reading.starts, self.reading.lengths, strict=True)):
            if not length:
                continue
            words = self.reading.rows[start : start + length]
            states = []
            for first in range(max(1, length - self.places + 1)):
                window = words[first : first + self.places]
                states.append(torch.relu(bias + sum(weight[:, :, k] @ vectors[word] for k, word in enumerate(window))))
            pooled = torch.stack(states)
            both = {"max": pooled.amax(0), "average": pooled.mean(0)}
            features[i] = torch.cat([both[name] for name in self.reading.pooling.split("_")])
        return with_gradients(features, [vectors, weight, bias], self.d_features)


CASES = given(
    pooling=st.sampled_from(["max", "average", "average_max"]),
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    filters=st.integers(1, 40),
    places=st.integers(1, 6),
)


@CASES
@examples(80)
@example(pooling="max", lengths=[0], filters=3, places=2)
@example(pooling="average", lengths=[0, 1], filters=3, places=4)
@example(pooling="average", lengths=[12] * 33, filters=33, places=5)
def test_features_and_gradients_equal_autograd(instruction_sets, pooling, lengths, filters, places):
    assert_near(instruction_sets, Case(pooling, lengths, filters, places, gap=2), 2e-5)


@needs_native
@CASES
@examples(40)
@example(pooling="max", lengths=[0], filters=3, places=2)
@example(pooling="average", lengths=[12] * 33, filters=33, places=5)
def test_no_bit_depends_on_the_number_of_threads(instruction_sets, pooling, lengths, filters, places):
    assert_no_bit_depends_on_threads(instruction_sets, Case(pooling, lengths, filters, places, gap=2))


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_sizes_of_use(instruction_sets, pooling):
    case = Case(pooling, [40 - i % 7 for i in range(33)] + [0], 100, 5, num_words=150, dim=50)
    assert_near(instruction_sets, case, 1e-4)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_what_is_nan_stays_nan(instruction_sets, pooling):
    assert_nan_stays_nan(instruction_sets, Case(pooling, [3, 2, 9], 7, 3))
