"""Recurrent layers written out from their formulas, with the parameters of `torch.nn`.

Parameter names, shapes and gate order are those of `torch.nn.RNN`, `GRU` and `LSTM` (one layer, left to right),
so a `state_dict` moves between the two unchanged and the tests compare them directly. Each layer can be run in two
equal ways. `forward` runs `step` once per time step and leaves the gradient to autograd: this is the one to read.
`read` goes from words to one row a text, in one call of a kernel (`bptt.py`): this is the one that is used.

There is no mask: texts are padded at their end and a recurrent state depends on earlier steps alone, so the state
at a text's last token is untouched by what follows it. `pooling.py` looks at the right states.

Letters: T steps, B texts, U distinct words, E inputs per step, H hidden units, G gates. Time comes first, as in torch.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from rubrica.bptt import read_texts


class Recurrent(nn.Module):
    """What the three layers share: parameters, their start, and the walk over time.

    Args:
        input_size: E.
        hidden_size: H.
        init: "torch" draws every parameter from U(-1/sqrt(H), 1/sqrt(H)); "uniform01" from U[0, 1), as the
            seminar's `torch.rand` does: positive weights add up, and the tanh saturates.
    """

    name: str
    num_gates: int

    def __init__(self, input_size: int, hidden_size: int, *, init: Literal["torch", "uniform01"] = "torch") -> None:
        super().__init__()
        self.hidden_size = hidden_size
        gates = self.num_gates * hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.empty(gates, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(gates, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(gates))
        self.bias_hh_l0 = nn.Parameter(torch.empty(gates))
        bound = 1 / math.sqrt(hidden_size)
        low, high = (-bound, bound) if init == "torch" else (0.0, 1.0)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, low, high)

    def forward(self, x: Float[Tensor, "T B E"]) -> Float[Tensor, "T B H"]:
        """Return the state after each step, starting from zeros."""
        # The input's part needs no recurrence: one matrix product for all steps.
        x_gates = F.linear(x, self.weight_ih_l0, self.bias_ih_l0)  # (T, B, G * H)
        h = carry = x.new_zeros(x.shape[1], self.hidden_size)
        states = []
        for t in range(x.shape[0]):
            h, carry = self.step(x_gates[t], h, carry)
            states.append(h)
        return torch.stack(states)

    def read(
        self,
        vectors: Float[Tensor, "U E"],
        index: Int[Tensor, "B T"],
        lengths: Int[Tensor, " B"] | None,
        pooling: str,
    ) -> Float[Tensor, "B H"]:
        """Return `POOLINGS[pooling](self(vectors[index.t()]), lengths)`, fast.

        Args:
            vectors: Of the words, each once.
            index: Which of them each token is.
            lengths: Tokens of each text; None reads padding as words.
            pooling: A key of `pooling.POOLINGS`.
        """
        weights = [self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0]
        return read_texts(self.name, pooling, vectors, index, lengths, weights)

    def step(
        self, x_gates: Float[Tensor, "B GH"], h: Float[Tensor, "B H"], carry: Float[Tensor, "B H"]
    ) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
        """One time step: the input's part of the gates and the last state in, the next state out.

        Only the LSTM has a second state to carry; the others pass it on as it is.
        """
        raise TypeError(f"{type(self).__name__} has no formulas; use RNN, GRU or LSTM")


class RNN(Recurrent):
    """Elman's network: h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh).

    Source: J. Elman, "Finding structure in time", Cognitive Science 14 (1990).
    """

    name = "rnn"
    num_gates = 1

    def step(
        self, x_gates: Float[Tensor, "B GH"], h: Float[Tensor, "B H"], carry: Float[Tensor, "B H"]
    ) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
        """See `Recurrent.step`."""
        return torch.tanh(x_gates + F.linear(h, self.weight_hh_l0, self.bias_hh_l0)), carry


class GRU(Recurrent):
    """Gated recurrent unit; gates stacked as r (reset), z (update), n (new).

    Source: K. Cho et al., EMNLP 2014, https://arxiv.org/abs/1406.1078, in the variant that cuDNN and torch
    compute: the reset gate multiplies *after* the recurrent product.
    """

    name = "gru"
    num_gates = 3

    def step(
        self, x_gates: Float[Tensor, "B GH"], h: Float[Tensor, "B H"], carry: Float[Tensor, "B H"]
    ) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
        """See `Recurrent.step`."""
        x_r, x_z, x_n = x_gates.chunk(3, dim=1)
        h_r, h_z, h_n = F.linear(h, self.weight_hh_l0, self.bias_hh_l0).chunk(3, dim=1)
        r = torch.sigmoid(x_r + h_r)
        z = torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        return (1 - z) * n + z * h, carry


class LSTM(Recurrent):
    """Long short-term memory; gates stacked as i (input), f (forget), g (cell), o (output).

    Source: S. Hochreiter and J. Schmidhuber, Neural Computation 9 (1997), with the forget gate of F. Gers et al.
    (2000), which is what torch computes.
    """

    name = "lstm"
    num_gates = 4

    def step(
        self, x_gates: Float[Tensor, "B GH"], h: Float[Tensor, "B H"], carry: Float[Tensor, "B H"]
    ) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
        """See `Recurrent.step`; the carry is the cell state c."""
        i, f, g, o = (x_gates + F.linear(h, self.weight_hh_l0, self.bias_hh_l0)).chunk(4, dim=1)
        c = torch.sigmoid(f) * carry + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
