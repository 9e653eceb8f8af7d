"""The minimal GRU: a recurrent layer whose gates do not look at the state.

    z_t = sigmoid(W_z x_t + b_z)    n_t = W_n x_t + b_n    h_t = (1 - z_t) h_(t-1) + z_t n_t

Source: L. Feng et al., "Were RNNs all we needed?", 2024, section 3.1 (https://arxiv.org/abs/2410.01201), as written
there: n is any real number, not made positive for logarithms as in its appendix B. With no product by the state to wait
for, all steps can be computed at once (`scan`), and on the CPU the gates are a table with a row a word.

Letters: T steps, B texts, U distinct words, E inputs per step, H hidden units. Time comes first, as in torch.
"""

import math
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rubrica.embedding import on_cpu
from rubrica.kernels import mingru as kernel
from rubrica.kernels import native
from rubrica.kernels.recurrent import Reading
from rubrica.masking import flip_texts
from rubrica.pooling import POOLINGS, pool_attention


class MinGRU(nn.Module):
    """Used as the layers of `cells.py` are: `forward` is the one to read, `read` the one that is used.

    Args:
        input_size: E.
        hidden_size: H.
        init: See `cells.Recurrent`.
    """

    name = "mingru"

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
        for direction in self.directions:  # z before n
            weight, bias = torch.empty(2 * hidden_size, input_size), torch.empty(2 * hidden_size)
            self.register_parameter(f"weight_ih_{direction}", nn.Parameter(weight))
            self.register_parameter(f"bias_ih_{direction}", nn.Parameter(bias))
        bound = 1 / math.sqrt(hidden_size)
        low, high = (-bound, bound) if init == "torch" else (0.0, 1.0)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, low, high)

    def weights_of(self, direction: str) -> tuple[Tensor, Tensor]:
        """W (2 H, E) and b (2 H,) of "l0" or "l0_reverse"."""
        return self.get_parameter(f"weight_ih_{direction}"), self.get_parameter(f"bias_ih_{direction}")

    def forward(self, x: Float[Tensor, "T B E"], lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "T B DH"]:
        """Return the state at each step, starting from zeros; see `cells.Recurrent.forward`."""
        states = [self.walk(x, "l0")]
        if len(self.directions) == 2:
            states.append(flip_texts(self.walk(flip_texts(x, lengths), "l0_reverse"), lengths))
        return torch.cat(states, dim=2)

    def walk(self, x: Float[Tensor, "T B E"], direction: str) -> Float[Tensor, "T B H"]:
        """Return the state after each step of one direction; x is in the order of its reading."""
        z, n = F.linear(x, *self.weights_of(direction)).chunk(2, dim=2)
        z = torch.sigmoid(z)
        h, states = torch.zeros_like(n[0]), []
        for t in range(x.shape[0]):
            h = (1 - z[t]) * h + z[t] * n[t]
            states.append(h)
        return torch.stack(states)

    def read(
        self,
        vectors: Float[Tensor, "U E"],
        index: Int[Tensor, "B T"],
        lengths: Int[Tensor, " B"] | None,
        pooling: str,
        attention: Float[Tensor, "D H"] | None = None,
    ) -> Float[Tensor, "B F"]:
        """See `cells.Recurrent.read`."""
        features: list[Tensor] = []
        for i, direction in enumerate(self.directions):
            weight, bias = self.weights_of(direction)
            if on_cpu(index) and attention is None:
                rows, steps = index.shape
                known = np.full(rows, steps) if lengths is None else lengths.numpy()
                words, starts = index.to(torch.int32).flatten().numpy(), np.arange(rows) * steps
                reading = Reading(self.name, pooling, words, starts, known, reverse=i == 1)
                features.append(_Read.apply(vectors, weight, bias, reading))  # type: ignore[no-untyped-call]
                continue
            tokens = flip_texts(index.t(), lengths) if i else index.t()
            z, n = F.linear(F.embedding(tokens, vectors), weight, bias).chunk(2, dim=2)
            states = scan(torch.sigmoid(-z), torch.sigmoid(z) * n)
            if attention is None:
                features.append(POOLINGS[pooling](states, lengths))
            else:
                features.append(pool_attention(states, lengths, attention[i]))
        return torch.cat(features, dim=1)


def scan(a: Float[Tensor, "T B H"], b: Float[Tensor, "T B H"]) -> Float[Tensor, "T B H"]:
    """h_t = a_t h_(t-1) + b_t for all t at once, in log2(T) rounds, each of which joins runs of twice the length.

    Source: W. Hillis and G. Steele, "Data parallel algorithms", Communications of the ACM 29 (1986). The a lie in
    [0, 1], so that products of them can vanish but not overflow: no logarithms are needed.
    """
    reach = 1
    while reach < len(a):
        b = torch.cat([b[:reach], torch.addcmul(b[reach:], a[reach:], b[:-reach])])
        a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return b


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weight: Tensor, bias: Tensor, reading: Reading) -> Tensor:
        x, w, b = (tensor.detach().numpy() for tensor in (vectors, weight, bias))
        threads = native.useful_threads(len(x) * w.size)
        gates = kernel.make_gates(x, w, b, threads=threads)
        features, kept = kernel.forward(reading, gates, len(b) // 2, keep=any(ctx.needs_input_grad), threads=threads)
        ctx.saved = (reading, x, w, gates, kept, threads)
        return torch.from_numpy(features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outputs: Tensor) -> Any:
        reading, x, w, gates, kept, threads = ctx.saved
        ctx.saved = None  # the graph may live on
        trains = ctx.needs_input_grad[0]  # frozen vectors want no gradient
        d_features = d_outputs[0].contiguous().numpy()
        gradients = kernel.backward(reading, x, w, gates, kept, d_features, trains=trains, threads=threads)
        return *(None if g is None else torch.from_numpy(g) for g in gradients), None
