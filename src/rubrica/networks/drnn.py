"""A GRU that starts anew in a window at each word, a linear layer, the maximum over time, one linear layer.

Source: B. Wang, "Disconnected recurrent neural networks for text categorization", ACL 2018
(https://aclanthology.org/P18-1215). Its state knows the last words alone, as a convolution does, and as far back as a
recurrent network can use. Departures: the first windows of a text are shorter, the paper fills them with zero vectors;
no batch normalization, so that a text's score never depends on others, in training either.

A window is to the recurrent kernel just another text, so it has no code for windows. Nothing of the way there is kept:
with the maximum over time every second window or so gets a gradient, and to read those again costs less than to write
down all of them.

Letters: B texts, T tokens of the longest text, E numbers in a word vector, H hidden units, C classes, K tokens of a
window, N windows.
"""

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rubrica.kernels import native
from rubrica.kernels import recurrent as kernel
from rubrica.kernels.recurrent import Reading
from rubrica.models.disconnected import Disconnected
from rubrica.networks.bptt import join_weights
from rubrica.networks.cells import GRU
from rubrica.networks.embedding import WordTable, uses_kernels
from rubrica.networks.masking import length_mask
from rubrica.networks.network import TextNetwork, make_network
from rubrica.networks.pooling import POOLINGS, num_features


class DisconnectedClassifier(TextNetwork):
    """Classify a text by what a GRU makes of each K words of it.

    Args:
        embedding: Table of word vectors. Whether it trains is for the training to say, never here.
        num_classes: C, at least 2.
        window: K, at least 1.
        hidden_size: H, of the GRU and of the linear layer behind it.
        pooling: What the head sees of that layer, a key of `pooling.POOLINGS`.
        init: How the recurrent parameters start, see `cells.Recurrent`.
    """

    def __init__(
        self,
        embedding: WordTable,
        num_classes: int,
        *,
        window: int,
        hidden_size: int = 64,
        pooling: str = "max",
        init: Literal["torch", "uniform01"] = "torch",
    ) -> None:
        super().__init__(embedding)
        self.window = window
        self.cell = GRU(embedding.weight.shape[1], hidden_size, init=init)
        self.mlp = nn.Linear(hidden_size, hidden_size)
        self.pool = POOLINGS[pooling]
        self.head = nn.Linear(num_features(pooling, hidden_size), num_classes)

    def forward(
        self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None, dropout: float = 0.0
    ) -> Float[Tensor, "B C"]:
        """Return the logits. Without lengths padding is read as words; `dropout` zeroes that share of the features."""
        vectors, index = self.embedding(ids)
        rows, steps = ids.shape
        ends = torch.arange(steps, device=ids.device)
        starts = (ends - self.window + 1).clamp(min=0)
        sizes = (ends - starts + 1).repeat(rows, 1)  # (B, T)
        if lengths is not None:
            sizes = sizes * length_mask(lengths, steps)  # a window that ends in the padding is no window
        if uses_kernels(vectors):
            firsts = (starts + steps * torch.arange(rows)[:, None]).flatten()
            words = index.to(torch.int32).flatten()
            reading = Reading("gru", "last", words.numpy(), firsts.numpy(), sizes.flatten().numpy())
            cell = self.cell
            weights = (cell.weight_ih_l0, cell.bias_ih_l0, cell.weight_hh_l0, cell.bias_hh_l0)
            states = _Read.apply(vectors, *weights, reading)  # type: ignore[no-untyped-call]
        else:
            longest = min(self.window, steps)
            places = (starts[:, None] + torch.arange(longest, device=ids.device)).clamp(max=steps - 1)  # (T, K)
            states = self.cell.read(vectors, index[:, places].flatten(0, 1), sizes.flatten(), "last")
        x = F.relu(self.mlp(states)).view(rows, steps, -1)
        features = self.pool(x.transpose(0, 1), lengths)  # the pooling wants (T, B, H)
        return self.head(F.dropout(features, dropout))

    def join_weights(self) -> None:
        """See `TextNetwork`."""
        join_weights(self.cell)


@make_network.register
def _(settings: Disconnected, embedding: WordTable, num_classes: int) -> TextNetwork:
    return DisconnectedClassifier(
        embedding,
        num_classes,
        window=settings.window,
        hidden_size=settings.hidden_size,
        pooling=settings.pooling,
        init=settings.init,
    )


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, w_ih: Tensor, b_ih: Tensor, w_hh: Tensor, b_hh: Tensor, reading: Reading
    ) -> Tensor:
        x, w_x, b_x, w_h, b_h = (tensor.detach().numpy() for tensor in (vectors, w_ih, b_ih, w_hh, b_hh))
        threads = native.useful_threads(int(reading.lengths.sum()) * w_h.size)
        projected = kernel.project(reading.cell, x, w_x, b_x, threads=threads)
        ctx.saved = (x, w_x, w_h, b_h, reading, projected, threads)
        return torch.from_numpy(kernel.forward(reading, projected, w_h, b_h, threads=threads)[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outputs: Tensor) -> Any:
        x, w_x, w_h, b_h, reading, projected, threads = ctx.saved
        ctx.saved = None  # the graph may live on
        d_states = d_outputs[0].numpy()
        used = np.flatnonzero(d_states.any(axis=1))
        reading = reading._replace(starts=reading.starts[used], lengths=reading.lengths[used])
        _, kept = kernel.forward(reading, projected, w_h, b_h, keep=True, threads=threads)
        trains = ctx.needs_input_grad[0]  # frozen vectors want no gradient
        gradients = kernel.backward(reading, x, w_x, w_h, kept, d_states[used], trains=trains)
        return *(None if g is None else torch.from_numpy(g) for g in gradients[:5]), None
