"""The minimal GRU: a recurrent layer whose gates do not look at the state.

    z_t = sigmoid(W_z x_t + b_z)    n_t = W_n x_t + b_n    h_t = (1 - z_t) h_(t-1) + z_t n_t

Source: L. Feng et al., "Were RNNs all we needed?", 2024 (https://arxiv.org/abs/2410.01201), as first written there: n
is any real number, not made positive for logarithms as in its appendix B. With no product by the state to wait
for, all steps can be computed at once (`scan`), and on the CPU the gates are a table with a row a word.

Letters: T steps, B texts, U distinct words, E inputs per step, H hidden units. Time comes first, as in torch.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from rubrica.kernels import mingru as kernel
from rubrica.kernels import native
from rubrica.kernels.recurrent import Reading
from rubrica.networks.bptt import as_reading
from rubrica.networks.cells import Recurrent
from rubrica.networks.embedding import uses_kernels
from rubrica.networks.masking import flip_texts
from rubrica.networks.pooling import POOLINGS, pool_attention


class MinGRU(Recurrent):
    """Its gates, stacked as z (update) and n (new), are the input's alone; else as the layers of `cells.py`."""

    name = "mingru"
    num_gates = 2
    parameter_names = ("weight_ih", "bias_ih")

    def walk(self, x: Float[Tensor, "T B E"], direction: str) -> Float[Tensor, "T B H"]:
        """See `cells.Recurrent.walk`."""
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
        in_kernel = uses_kernels(vectors) and attention is None
        reading = as_reading(self.name, pooling, index, lengths) if in_kernel else None
        for i, direction in enumerate(self.directions):
            weight, bias = self.weights_of(direction)
            if reading is not None:
                way = reading._replace(reverse=i == 1)
                features.append(_Read.apply(vectors, weight, bias, way))  # type: ignore[no-untyped-call]
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
