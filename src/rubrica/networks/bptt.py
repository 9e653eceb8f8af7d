"""The recurrent layers' fast path: all steps, the pooling and both passes in one call of a kernel.

Autograd records every small operation of every time step, and for networks of this size the recording costs
several times the arithmetic. On the CPU the kernel of `kernels/recurrent.py` does the whole walk over time and its
hand-written derivative, on texts of any length without padding. On an accelerator torch's own fused layer does it.
The tests hold both to `cells.py`, value and gradient.

Letters: B texts, T steps, E numbers in a word vector, H hidden units.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rubrica.kernels import native
from rubrica.kernels import recurrent as kernel
from rubrica.kernels.runs import Floats, Reading
from rubrica.kernels.signatures import MAX_THREADS
from rubrica.networks.by_kernel import WayBack

_OF_A_DIRECTION = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def pooled_states(
    reading: Reading, keep: bool, x: Floats, w_ih: Floats, w_hh: Floats, b_ih: Floats, b_hh: Floats, *u: Floats,
    most_threads: int = MAX_THREADS,
) -> tuple[Floats, WayBack]:  # fmt: skip
    """Features of one direction and the way back, as `by_kernel` calls it; arguments as in `kernels/recurrent.py`."""
    threads = min(most_threads, useful_threads(reading, w_hh.size))
    projected = kernel.project(reading.cell, x, w_ih, b_ih, threads=threads)
    features, kept = kernel.forward(reading, projected, w_hh, b_hh, *u, keep=keep, threads=threads)
    return features, lambda d_features, trains: kernel.backward(
        reading, x, w_ih, w_hh, kept, d_features, *u, trains=trains
    )


def useful_threads(reading: Reading, products_per_token: int) -> int:
    """How many threads are worth starting for a batch."""
    return native.useful_threads(int(reading.lengths.sum()) * products_per_token)


def fused_states(cell: str, x: Float[Tensor, "T B E"], weights: Sequence[Tensor]) -> Float[Tensor, "T B H"]:
    """The state after each step by torch's own layer of one direction; `weights` as in `cells.Recurrent.weights_of`."""
    start = x.new_zeros(1, x.shape[1], weights[1].shape[1])
    settings = {"has_biases": True, "num_layers": 1, "dropout": 0.0, "train": True, "bidirectional": False}
    if cell == "lstm":
        return torch.lstm(x, (start, start), list(weights), **settings, batch_first=False)[0]  # type: ignore[call-overload]
    layer = torch.gru if cell == "gru" else torch.rnn_tanh
    return layer(x, start, list(weights), **settings, batch_first=False)[0]  # type: ignore[call-overload]


def join_weights(layer: nn.Module) -> None:
    """Lay a layer's parameters in one piece of memory, as cuDNN reads them; it would copy them there at every call.

    They are laid where a layer of torch has its own, which does this when it is made on a GPU. Elsewhere they stay
    four pieces. Each direction is called by itself, and so it is a piece of its own.

    Args:
        layer: An RNN, GRU or LSTM of `cells.py`, on its device.
    """
    theirs = getattr(nn, type(layer).__name__)  # with parameters of the same names
    parameters = list(layer.parameters())
    for first in range(0, len(parameters), 4):
        own = dict(zip(_OF_A_DIRECTION, parameters[first : first + 4], strict=True))
        weight, hidden_size = own["weight_ih_l0"], own["weight_hh_l0"].shape[1]
        joined = theirs(weight.shape[1], hidden_size, device="meta", dtype=weight.dtype)  # there, nothing is drawn
        joined.to_empty(device=weight.device)
        joined.load_state_dict(own)
        for name, parameter in own.items():
            parameter.data = joined.get_parameter(name).data
