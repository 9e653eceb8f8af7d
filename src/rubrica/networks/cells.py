"""Recurrent layers written out from their formulas, with the parameters of `torch.nn`.

Parameter names, shapes and gate order are those of `torch.nn.RNN`, `GRU` and `LSTM` (one layer, one or two
directions), so a `state_dict` moves between the two unchanged and the tests compare them directly. Each layer can be
run in two equal ways. `forward` runs `step` once per time step and leaves the gradient to autograd: this is the one to
read. `read` goes from words to one row a text, in one call of a kernel (`bptt.py`): this is the one that is used.

There is no mask: texts are padded at their end and a recurrent state depends on earlier steps alone, so the state
at a text's last token is untouched by what follows it. `pooling.py` looks at the right states. A text that is read
from its end is turned round (`masking.flip_texts`) and then read in the same way.

Letters: T steps, B texts, U distinct words, E inputs per step, H hidden units, G gates, D directions, F features of a
text. Time comes first, as in torch.
"""

import math
from collections.abc import Collection
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rubrica.kernels import recurrent as kernel
from rubrica.networks import bptt
from rubrica.networks.by_kernel import Run, as_reading, by_kernel
from rubrica.networks.embedding import uses_kernels
from rubrica.networks.masking import Features, Ids, Lengths, Vectors, flip_texts
from rubrica.networks.pooling import POOLINGS, pool_attention

Gates = Float[Tensor, "B GH"]
State = Float[Tensor, "B H"]


class Recurrent(nn.Module):
    """What the layers share: parameters, their start, and the walk over time.

    Args:
        input_size: E.
        hidden_size: H, of each direction.
        bidirectional: Whether a second set of parameters reads each text from its end.
        init: "torch" draws every parameter from U(-1/sqrt(H), 1/sqrt(H)); "uniform01" from U[0, 1), as the
            seminar's `torch.rand` does: positive weights add up, and the tanh saturates.
    """

    name: str
    num_gates: int
    poolings: Collection[str] = kernel.POOLINGS  # that `pooled_states` knows
    pooled_states: Run = staticmethod(bptt.pooled_states)
    parameter_names: tuple[str, ...] = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bidirectional: bool = False,
        init: Literal["torch", "uniform01"] = "torch",
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.directions = ("l0", "l0_reverse") if bidirectional else ("l0",)
        columns = {"weight_ih": (input_size,), "weight_hh": (hidden_size,)}
        for direction in self.directions:
            for name in self.parameter_names:
                empty = torch.empty(self.num_gates * hidden_size, *columns.get(name, ()))
                self.register_parameter(f"{name}_{direction}", nn.Parameter(empty))
        bound = 1 / math.sqrt(hidden_size)
        low, high = (-bound, bound) if init == "torch" else (0.0, 1.0)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, low, high)

    def forward(self, x: Float[Tensor, "T B E"], lengths: Lengths = None) -> Float[Tensor, "T B DH"]:
        """Return the state at each step, starting from zeros; the two directions' side by side.

        Args:
            x: Inputs, padded at their end.
            lengths: Steps of each text; a reading from the end needs them to leave out the padding.
        """
        states = [self.walk(x, "l0")]
        if len(self.directions) == 2:
            states.append(flip_texts(self.walk(flip_texts(x, lengths), "l0_reverse"), lengths))
        return torch.cat(states, dim=2)

    def walk(self, x: Float[Tensor, "T B E"], direction: str) -> Float[Tensor, "T B H"]:
        """Return the state after each step of one direction; x is in the order of its reading."""
        w_ih, w_hh, b_ih, b_hh = self.weights_of(direction)
        # The input's part needs no recurrence: one matrix product for all steps.
        x_gates = F.linear(x, w_ih, b_ih)  # (T, B, G * H)
        h = carry = x.new_zeros(x.shape[1], self.hidden_size)
        states = []
        for t in range(x.shape[0]):
            h, carry = self.step(x_gates[t], F.linear(h, w_hh, b_hh), h, carry)
            states.append(h)
        return torch.stack(states)

    def weights_of(self, direction: str) -> list[Tensor]:
        """The parameters of a direction, "l0" or "l0_reverse", in the order of `parameter_names`."""
        return [self.get_parameter(f"{name}_{direction}") for name in self.parameter_names]

    def read(
        self,
        vectors: Vectors,
        index: Ids,
        lengths: Lengths,
        pooling: str,
        attention: Float[Tensor, "D H"] | None = None,
    ) -> Features:
        """Return what each direction's walk over `vectors[index.t()]` is pooled to, side by side, fast.

        Args:
            vectors: Of the words, each once.
            index: Which of them each token is.
            lengths: Tokens of each text.
            pooling: A key of `pooling.POOLINGS`, or "attention".
            attention: The attention's vector for each direction.
        """
        known = pooling in self.poolings and uses_kernels(vectors)
        reading = as_reading(self.name, pooling, index, lengths) if known else None
        features, attentions = [], [[]] * len(self.directions) if attention is None else [[u] for u in attention]
        for i, (direction, u) in enumerate(zip(self.directions, attentions, strict=True)):
            weights = self.weights_of(direction)
            if reading is not None:
                way = reading._replace(reverse=i == 1)
                features.append(by_kernel(partial(self.pooled_states, way), vectors, *weights, *u))
                continue
            tokens = flip_texts(index.t(), lengths) if i else index.t()
            states = self.fused_states(F.embedding(tokens, vectors), weights)
            features.append(pool_attention(states, lengths, *u) if u else POOLINGS[pooling](states, lengths))
        return torch.cat(features, dim=1)

    def fused_states(self, x: Float[Tensor, "T B E"], weights: list[Tensor]) -> Float[Tensor, "T B H"]:
        """Return what `walk` returns, faster."""
        return bptt.fused_states(self.name, x, weights)

    def step(self, x_gates: Gates, h_gates: Gates, h: State, carry: State) -> tuple[State, State]:
        """One time step: from the gates' parts by the input and by the last state, and this state, to the next state.

        Only the LSTM has a second state to carry; the others pass it on as it is.
        """
        raise TypeError(f"{type(self).__name__} has no formulas; use RNN, GRU or LSTM")


class RNN(Recurrent):
    """Elman's network: h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh).

    Source: J. Elman, "Finding structure in time", Cognitive Science 14 (1990).
    """

    name = "rnn"
    num_gates = 1

    def step(self, x_gates: Gates, h_gates: Gates, h: State, carry: State) -> tuple[State, State]:
        return torch.tanh(x_gates + h_gates), carry


class GRU(Recurrent):
    """Gated recurrent unit; gates stacked as r (reset), z (update), n (new).

    Source: K. Cho et al., EMNLP 2014, https://arxiv.org/abs/1406.1078, in the variant that cuDNN and torch
    compute: the reset gate multiplies *after* the recurrent product.
    """

    name = "gru"
    num_gates = 3

    def step(self, x_gates: Gates, h_gates: Gates, h: State, carry: State) -> tuple[State, State]:
        x_r, x_z, x_n = x_gates.chunk(3, dim=1)
        h_r, h_z, h_n = h_gates.chunk(3, dim=1)
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

    def step(self, x_gates: Gates, h_gates: Gates, h: State, carry: State) -> tuple[State, State]:
        """The carry is the cell state c."""
        i, f, g, o = (x_gates + h_gates).chunk(4, dim=1)
        c = torch.sigmoid(f) * carry + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
