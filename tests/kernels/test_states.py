"""The states of each token, in place of a pooling: what a language model reads."""

import numpy as np
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from cases import examples
from ragged import assert_two_runs_are_equal, needs_native, random_texts, with_gradients
from rubrica.kernels import recurrent as kernel
from rubrica.kernels.runs import Reading
from rubrica.networks.cells import GRU, LSTM, RNN

LAYERS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class Case:
    """Texts of given lengths with random words and parameters, and a random gradient of each token's state."""

    def __init__(self, cell, lengths, hidden, gap, *, reverse):
        draw = np.random.default_rng(len(lengths) + hidden)
        self.layer = LAYERS[cell](5, hidden).double()
        for parameter in self.layer.parameters():
            parameter.data = torch.from_numpy(draw.uniform(-0.6, 0.6, parameter.shape))
        self.vectors = draw.normal(size=(9, 5))
        self.reading = Reading(cell, kernel.STATES, *random_texts(draw, lengths, 9, gap), reverse)
        self.d_states = draw.normal(size=(len(self.reading.rows), hidden))

    def by_kernel(self, *, threads=1, trains=True):
        parameters = [parameter.detach().numpy() for parameter in self.layer.parameters()]
        vectors, w_ih, w_hh, b_ih, b_hh = (a.astype(np.float32) for a in (self.vectors, *parameters))
        projected = kernel.project(self.reading.cell, vectors, w_ih, b_ih, threads=threads)
        states, kept = kernel.forward(self.reading, projected, w_hh, b_hh, keep=True, threads=threads)
        np.testing.assert_array_equal(states, kernel.forward(self.reading, projected, w_hh, b_hh, threads=threads)[0])
        d_states = self.d_states.astype(np.float32)
        return states, *kernel.backward(self.reading, vectors, w_ih, w_hh, kept, d_states, trains=trains)

    def by_autograd(self):
        """Text by text."""
        vectors, reading = torch.from_numpy(self.vectors).requires_grad_(), self.reading
        states = torch.zeros(self.d_states.shape, dtype=torch.double)
        for start, length in zip(reading.starts.tolist(), reading.lengths.tolist(), strict=True):
            if length:
                read = vectors[torch.from_numpy(reading.rows[start : start + length].astype(np.int64))]
                along = self.layer(read.flip(0)[:, None]).flip(0) if reading.reverse else self.layer(read[:, None])
                states[start : start + length] = along[:, 0]
        return with_gradients(states, [vectors, *self.layer.parameters()], self.d_states)


@needs_native
@given(
    cell=st.sampled_from(kernel.CELLS),
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=70),
    hidden=st.integers(1, 20),
    gap=st.integers(0, 2),
    reverse=st.booleans(),
)
@examples(60)
@example(cell="gru", lengths=[0], hidden=3, gap=0, reverse=False)
@example(cell="lstm", lengths=[12, 0, 1] * 30, hidden=33, gap=1, reverse=True)
def test_states_and_gradients_equal_autograd(instruction_sets, cell, lengths, hidden, gap, reverse):
    assert_two_runs_are_equal(instruction_sets, Case(cell, lengths, hidden, gap, reverse=reverse), 2e-5)
