"""The recurrent layers' fast path: all steps, the pooling and both passes in one call of a kernel.

Autograd records every small operation of every time step, and for networks of this size the recording costs
several times the arithmetic. On the CPU the kernel of `kernels/recurrent.py` does the whole walk over time and its
hand-written derivative, on texts of any length without padding; on an accelerator torch's own fused layer does it.
The tests hold both to `cells.py`, value and gradient.

Letters: B texts, T steps, U distinct words, E numbers in a word vector, H hidden units, G gates, D directions,
F features of a text.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rubrica.kernels import native
from rubrica.kernels import recurrent as kernel
from rubrica.kernels.learn import learn, num_directions
from rubrica.networks.embedding import uses_kernels
from rubrica.networks.masking import flip_texts
from rubrica.networks.pooling import POOLINGS, pool_attention

_OF_A_DIRECTION = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def read_texts(
    cell: str,
    pooling: str,
    vectors: Float[Tensor, "U E"],
    index: Int[Tensor, "B T"],
    lengths: Int[Tensor, " B"] | None,
    weights: Sequence[Sequence[Tensor]],
    attention: Float[Tensor, "D H"] | None = None,
) -> Float[Tensor, "B F"]:
    """Pooled states of a layer, see `cells.Recurrent.read`; `weights` are w_ih, w_hh, b_ih, b_hh of each direction."""
    of_each = [None] * len(weights) if attention is None else attention.unbind()
    features: list[Tensor] = []
    if not uses_kernels(vectors):
        for i, (given, u) in enumerate(zip(weights, of_each, strict=True)):
            tokens = flip_texts(index.t(), lengths) if i else index.t()
            states = _fused_states(cell, F.embedding(tokens, vectors), given)
            features.append(POOLINGS[pooling](states, lengths) if u is None else pool_attention(states, lengths, u))
        return torch.cat(features, dim=1)
    reading = as_reading(cell, pooling, index, lengths)
    for i, ((w_ih, w_hh, b_ih, b_hh), u) in enumerate(zip(weights, of_each, strict=True)):
        way = reading._replace(reverse=i == 1)
        features.append(_Read.apply(vectors, w_ih, b_ih, w_hh, b_hh, u, way))  # type: ignore[no-untyped-call]
    return torch.cat(features, dim=1)


def as_reading(cell: str, pooling: str, index: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None) -> kernel.Reading:
    """A padded batch as the kernels read it."""
    rows, steps = index.shape
    known = np.full(rows, steps) if lengths is None else lengths.numpy()
    return kernel.Reading(cell, pooling, index.to(torch.int32).flatten().numpy(), np.arange(rows) * steps, known)


def _fused_states(cell: str, x: Float[Tensor, "T B E"], weights: Sequence[Tensor]) -> Float[Tensor, "T B H"]:
    start = x.new_zeros(1, x.shape[1], weights[1].shape[1])
    settings = {"has_biases": True, "num_layers": 1, "dropout": 0.0, "train": True, "bidirectional": False}
    if cell == "lstm":
        return torch.lstm(x, (start, start), list(weights), **settings, batch_first=False)[0]  # type: ignore[call-overload]
    layer = torch.gru if cell == "gru" else torch.rnn_tanh
    return layer(x, start, list(weights), **settings, batch_first=False)[0]  # type: ignore[call-overload]


def join_weights(layer: nn.Module) -> None:
    """Lay a layer's parameters in one piece of memory, as cuDNN reads them; it would copy them there at every call.

    They are laid where a layer of torch has its own, which does this when it is made on a GPU. Elsewhere they stay
    four pieces. Each direction is called by itself, and so a piece of its own.

    Args:
        layer: One of `cells.py`, on its device.
    """
    theirs = getattr(nn, type(layer).__name__)  # RNN, GRU or LSTM, with parameters of the same names
    parameters = list(layer.parameters())
    for first in range(0, len(parameters), 4):
        own = dict(zip(_OF_A_DIRECTION, parameters[first : first + 4], strict=True))
        weight, hidden_size = own["weight_ih_l0"], own["weight_hh_l0"].shape[1]
        joined = theirs(weight.shape[1], hidden_size, device="meta", dtype=weight.dtype)  # there, nothing is drawn
        joined.to_empty(device=weight.device)
        joined.load_state_dict(own)
        for name, parameter in own.items():
            parameter.data = joined.get_parameter(name).data


def learn_texts(
    reading: kernel.Reading,
    targets: NDArray[np.int64],
    vectors: NDArray[np.floating[Any]],
    weights: Sequence[NDArray[np.floating[Any]]],
    gradients: Sequence[NDArray[np.floating[Any]]],
    **settings: Any,
) -> tuple[Float[Tensor, "2"], Float[Tensor, "U E"] | None]:
    """Loss and accuracy of a batch on the CPU and the gradient by the vectors, see `kernels.learn` and its settings.

    Nothing is recorded: where an update takes two milliseconds, autograd and what is between its calls take a third.
    """
    threads = _useful_threads(reading, num_directions(weights) * weights[1].size)
    scores, d_vectors = learn(reading, targets, vectors, weights, gradients, threads=threads, **settings)
    return torch.from_numpy(scores), None if d_vectors is None else torch.from_numpy(d_vectors)


def _useful_threads(reading: kernel.Reading, products_per_token: int) -> int:
    return native.useful_threads(int(reading.lengths.sum()) * products_per_token)


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        vectors: Tensor,
        w_ih: Tensor,
        b_ih: Tensor,
        w_hh: Tensor,
        b_hh: Tensor,
        u: Tensor | None,
        reading: kernel.Reading,
    ) -> Tensor:
        threads = _useful_threads(reading, w_hh.numel())
        x, w_x, b_x, w_h, b_h = (tensor.detach().numpy() for tensor in (vectors, w_ih, b_ih, w_hh, b_hh))
        own = None if u is None else u.detach().numpy()
        projected = kernel.project(reading.cell, x, w_x, b_x, threads=threads)
        keep = any(ctx.needs_input_grad)
        features, kept = kernel.forward(reading, projected, w_h, b_h, own, keep=keep, threads=threads)
        ctx.saved = (x, w_x, w_h, own, reading, kept)
        return torch.from_numpy(features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outputs: Tensor) -> Any:
        x, w_x, w_h, own, reading, kept = ctx.saved
        ctx.saved = None  # millions of numbers; the graph may live on
        trains = ctx.needs_input_grad[0]  # frozen vectors want no gradient
        d_features = d_outputs[0].contiguous().numpy()
        gradients = kernel.backward(reading, x, w_x, w_h, kept, d_features, own, trains=trains)
        return *(None if g is None else torch.from_numpy(g) for g in gradients), None
