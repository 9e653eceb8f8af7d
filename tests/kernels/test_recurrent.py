"""The recurrent kernel on texts of all lengths: features (native and numpy) and gradients = formulas by autograd."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from cases import examples
from ragged import (
    assert_nan_stays_nan,
    assert_near,
    assert_two_runs_are_equal,
    attend,
    needs_native,
    random_texts,
    with_gradients,
)
from rubrica.kernels import recurrent as kernel
from rubrica.kernels.runs import Reading
from rubrica.networks.cells import GRU, LSTM, RNN
from rubrica.networks.pooling import POOLINGS

LAYERS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=70)


class Case:
    """Texts of given lengths with random words, parameters and a random gradient of the features."""

    def __init__(self, cell, pooling, lengths, hidden, *, num_words=9, dim=5, gap=0, bound=0.6, reverse=False):
        draw = np.random.default_rng(len(lengths) + hidden)
        self.layer = LAYERS[cell](dim, hidden).double()
        for parameter in self.layer.parameters():
            parameter.data = torch.from_numpy(draw.uniform(-bound, bound, parameter.shape))
        self.vectors = draw.normal(size=(num_words, dim))
        self.reading = Reading(cell, pooling, *random_texts(draw, lengths, num_words, gap), reverse)
        self.d_features = draw.normal(size=(len(lengths), self.reading.num_features(hidden)))
        self.u = draw.normal(size=hidden) if pooling == "attention" else None

    def arrays(self, dtype):
        """The word vectors, w_ih, w_hh, b_ih, b_hh and u."""
        parameters = [parameter.detach().numpy() for parameter in self.layer.parameters()]
        return [None if a is None else a.astype(dtype) for a in (self.vectors, *parameters, self.u)]

    def features(self, dtype, *, threads=1):
        vectors, w_ih, w_hh, b_ih, b_hh, u = self.arrays(dtype)
        projected = kernel.project(self.reading.cell, vectors, w_ih, b_ih, threads=threads)
        return kernel.forward(self.reading, projected, w_hh, b_hh, u, threads=threads)[0]

    def by_kernel(self, *, threads=1, trains=True):
        vectors, w_ih, w_hh, b_ih, b_hh, u = self.arrays(np.float32)
        projected = kernel.project(self.reading.cell, vectors, w_ih, b_ih, threads=threads)
        features, kept = kernel.forward(self.reading, projected, w_hh, b_hh, u, keep=True, threads=threads)
        # Whether they are kept changes no number.
        np.testing.assert_array_equal(features, self.features(np.float32, threads=threads))
        d_features = self.d_features.astype(np.float32)
        return features, *kernel.backward(self.reading, vectors, w_ih, w_hh, kept, d_features, u, trains=trains)

    def by_autograd(self):
        """Text by text, so that nothing of a batch is shared with the kernel."""
        vectors = torch.from_numpy(self.vectors).requires_grad_()
        u = None if self.u is None else torch.from_numpy(self.u).requires_grad_()
        features = torch.zeros(self.d_features.shape, dtype=torch.double)
        for i, (start, length) in enumerate(zip(self.reading.starts, self.reading.lengths, strict=True)):
            if length:
                words = torch.from_numpy(self.reading.rows[start : start + length].astype(np.int64))
                states = self.layer(vectors[words.flip(0) if self.reading.reverse else words][:, None])
                features[i] = POOLINGS[self.reading.pooling](states, None)[0] if u is None else attend(states, u)
        wanted = [vectors, *self.layer.parameters(), *([] if u is None else [u])]
        return with_gradients(features, wanted, self.d_features)


CASES = given(
    cell=st.sampled_from(kernel.CELLS),
    pooling=st.sampled_from(kernel.POOLINGS),
    lengths=LENGTHS,
    hidden=st.integers(1, 20),
    reverse=st.booleans(),
)


@CASES
@examples(40)
@example(cell="gru", pooling="max", lengths=[0], hidden=3, reverse=False)
@example(cell="lstm", pooling="average", lengths=[0, 0], hidden=17, reverse=True)
def test_features_and_gradients_equal_autograd(instruction_sets, cell, pooling, lengths, hidden, reverse):
    case = Case(cell, pooling, lengths, hidden, gap=1, reverse=reverse)
    assert_near(instruction_sets, case, 2e-5)


@needs_native
@CASES
@examples(60)
@example(cell="gru", pooling="max", lengths=[0], hidden=3, reverse=False)
@example(cell="gru", pooling="last", lengths=[1], hidden=64, reverse=True)
@example(cell="lstm", pooling="average", lengths=[12] * 65, hidden=33, reverse=False)
@example(cell="gru", pooling="attention", lengths=[12, 0] * 65, hidden=33, reverse=True)
def test_every_number_of_threads_equals_autograd_and_two_runs_are_equal(
    instruction_sets, cell, pooling, lengths, hidden, reverse
):
    assert_two_runs_are_equal(instruction_sets, Case(cell, pooling, lengths, hidden, gap=2, reverse=reverse), 2e-5)


# To numpy, which has no vectors to fill, one size is as good as another.
@pytest.mark.parametrize("hidden", [*(pytest.param(size, marks=needs_native) for size in (48, 50, 64, 100)), 130])
@pytest.mark.parametrize("cell", kernel.CELLS)
def test_sizes_of_use(instruction_sets, cell, hidden):
    lengths = [40 - i % 7 for i in range(33)] + [0]
    case = Case(cell, "max", lengths, hidden, num_words=150, dim=50, bound=1 / np.sqrt(hidden))
    assert_near(instruction_sets, case, 1e-4)


@pytest.mark.parametrize("pooling", kernel.POOLINGS)
@pytest.mark.parametrize("cell", kernel.CELLS)
def test_one_word_all_along_a_very_long_text(instruction_sets, cell, pooling):
    steps = 1500 if pooling == "average" else 400  # the most numbers that one sum is rounded over
    case = Case(cell, pooling, [steps, 1, 0], 5, num_words=1, bound=0.3)
    assert_near(instruction_sets, case, 1e-4)


@pytest.mark.parametrize("cell", kernel.CELLS)
def test_what_saturates_keeps_to_the_ends_and_what_is_nan_stays_nan(instruction_sets, cell):
    case = Case(cell, "last", [3, 2], 7, bound=300.0)
    expected = case.by_autograd()[0]
    for library in instruction_sets:
        with library:
            features = case.features(np.float32)
            np.testing.assert_allclose(features, expected, atol=1e-6)
            assert np.abs(features).max() <= 1
    assert_nan_stays_nan(instruction_sets, case)


def test_scores_of_attention_beyond_the_range_of_exp(instruction_sets):
    case = Case("gru", "attention", [9, 3, 0], 7)
    case.u *= 500  # e^x overflows from 88 on
    assert np.isfinite(case.by_autograd()[0]).all()
    assert_near(instruction_sets, case, 1e-3)


@pytest.mark.parametrize(("cell", "gate", "side"), [("gru", 1, 1), ("lstm", 3, -1)])
def test_a_saturated_gate_is_as_near_to_its_end_as_a_float_can_say(instruction_sets, cell, gate, side):
    """A gradient through many nearly closed gates is made of what is missing to the end, and Adam scales it up."""
    hidden, case = 130, Case(cell, "last", [1], 130)
    state = dict(case.layer.named_parameters())
    for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
        state[name].data[gate * hidden : (gate + 1) * hidden] = 0
    state["bias_ih_l0"].data[gate * hidden : (gate + 1) * hidden] = side * torch.linspace(10, 16, hidden)
    expected = case.by_autograd()[0]  # the gru's 1 - z, the lstm's o, each times a number of ordinary size
    for library in instruction_sets:
        with library:
            error = np.abs(case.features(np.float32) - expected)
            # Below 1 a float has steps of 6e-8, which are a quarter wrong on average; near 0 it has all of its digits.
            assert error.mean() < 1.2e-8 if side > 0 else (error < 1e-5 * np.abs(expected)).all()


@needs_native
def test_callers_on_several_threads_do_not_disturb_each_other():
    case = Case("gru", "max", [9, 4, 12, 7] * 20, 17)
    expected = case.by_kernel(threads=3)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: case.by_kernel(threads=3), range(40)):
            for a, b in zip(got, expected, strict=True):
                assert a.tobytes() == b.tobytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_has_threads_of_its_own():
    script = """
import os

import numpy as np
from rubrica.kernels import recurrent as kernel

def project():
    draw = np.random.default_rng(0)
    arrays = [draw.normal(size=size).astype(np.float32) for size in ((70, 5), (9, 5), 9)]
    return kernel.project("gru", *arrays, threads=3).tobytes()

before = project()
child = os.fork()
if child == 0:
    os._exit(0 if project() == before else 1)
assert os.waitpid(child, 0)[1] == 0
assert project() == before
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)
