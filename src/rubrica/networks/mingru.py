"""The minimal GRU: a recurrent layer whose gates do not look at the state.

    z_t = sigmoid(W_z x_t + b_z)    n_t = W_n x_t + b_n    h_t = (1 - z_t) h_(t-1) + z_t n_t

Source: L. Feng et al., "Were RNNs all we needed?", 2024 (https://arxiv.org/abs/2410.01201), as first written there: n
is any real number, not made positive for logarithms as in its appendix B. With no product by the state to wait
for, all steps can be computed at once (`scan`), and on the CPU the gates are a table with a row a word.

Letters: T steps, B texts, E inputs per step, H hidden units. Time comes first, as in torch.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rubrica.kernels import mingru as kernel
from rubrica.kernels import native
from rubrica.kernels.runs import Floats, Reading
from rubrica.networks.by_kernel import WayBack
from rubrica.networks.cells import Recurrent
from rubrica.networks.pooling import POOLINGS


def _pooled_states(reading: Reading, keep: bool, x: Floats, weight: Floats, bias: Floats) -> tuple[Floats, WayBack]:
    """As `bptt.pooled_states`."""
    threads = native.useful_threads(len(x) * weight.size)
    gates = kernel.make_gates(x, weight, bias, threads=threads)
    features, kept = kernel.forward(reading, gates, len(bias) // 2, keep=keep, threads=threads)
    return features, lambda d_features, trains: kernel.backward(
        reading, x, weight, gates, kept, d_features, trains=trains, threads=threads
    )


class MinGRU(Recurrent):
    """Its gates, stacked as z (update) and n (new), are the input's alone; else as the layers of `cells.py`."""

    name = "mingru"
    num_gates = 2
    poolings = POOLINGS.keys()
    pooled_states = staticmethod(_pooled_states)
    parameter_names = ("weight_ih", "bias_ih")

    def walk(self, x: Float[Tensor, "T B E"], direction: str) -> Float[Tensor, "T B H"]:
        z, n = F.linear(x, *self.weights_of(direction)).chunk(2, dim=2)
        z = torch.sigmoid(z)
        h, states = torch.zeros_like(n[0]), []
        for t in range(x.shape[0]):
            h = (1 - z[t]) * h + z[t] * n[t]
            states.append(h)
        return torch.stack(states)

    def fused_states(self, x: Float[Tensor, "T B E"], weights: list[Tensor]) -> Float[Tensor, "T B H"]:
        z, n = F.linear(x, *weights).chunk(2, dim=2)
        return scan(torch.sigmoid(-z), torch.sigmoid(z) * n)


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
