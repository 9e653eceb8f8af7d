"""Convolutions of several widths side by side, the strongest window of each filter, one linear layer.

Source: Y. Kim, "Convolutional neural networks for sentence classification", EMNLP 2014, section 2
(https://arxiv.org/abs/1408.5882). Departures: a text shorter than a window is padded up to one window, whatever its
batch; the average can take the maximum's place; there is no limit on the norm of a class's weights.

On the CPU the kernel of `kernels/windows.py` does convolution, relu and pooling in one call a width; on an accelerator
they are one matrix product over the windows.

Letters: B texts, T tokens of the longest text, U distinct words, E numbers in a word vector, F filters of a width,
K places of a window, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rubrica.kernels import native
from rubrica.kernels import windows as kernel
from rubrica.networks.cnn import drop_padding
from rubrica.networks.embedding import WordTable, uses_kernels
from rubrica.networks.network import TextNetwork
from rubrica.networks.pooling import POOLINGS, num_features


class KimClassifier(TextNetwork):
    """Classify a text by what its windows of some widths hold.

    Args:
        embedding: Table of word vectors. Whether it trains is for the training to say, never here.
        num_classes: C, at least 2.
        kernel_sizes: The widths in tokens, at least one.
        num_filters: F, filters of each width.
        pooling: "max", "average" or "average_max" over a text's own windows.
    """

    def __init__(
        self,
        embedding: WordTable,
        num_classes: int,
        *,
        kernel_sizes: Sequence[int],
        num_filters: int = 64,
        pooling: str = "max",
    ) -> None:
        super().__init__(embedding)
        dim = embedding.weight.shape[1]
        self.convs = nn.ModuleList(nn.Conv1d(dim, num_filters, size) for size in kernel_sizes)
        self.pooling = pooling
        self.head = nn.Linear(num_features(pooling, num_filters) * len(self.convs), num_classes)

    def forward(
        self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None, dropout: float = 0.0
    ) -> Float[Tensor, "B C"]:
        """Return the logits. Without lengths padding is read as words; `dropout` zeroes that share of the features."""
        vectors, index = self.embedding(ids)
        if lengths is None:
            lengths = torch.full((len(ids),), ids.shape[1], device=ids.device)
        features = [
            read_windows(
                vectors, index, lengths, conv.get_parameter("weight"), conv.get_parameter("bias"), self.pooling
            )
            for conv in self.convs
        ]
        return self.head(F.dropout(torch.cat(features, dim=1), dropout))


def read_windows(
    vectors: Float[Tensor, "U E"],
    index: Int[Tensor, "B T"],
    lengths: Int[Tensor, " B"],
    weight: Float[Tensor, "F E K"],
    bias: Float[Tensor, " F"],
    pooling: str,
) -> Float[Tensor, "B F2"]:
    """Convolution, relu and pooling over each text's own windows; zeros where it has no tokens."""
    places = weight.shape[2]
    if not uses_kernels(vectors):
        x = F.pad(drop_padding(F.embedding(index, vectors), lengths), (0, 0, 0, places - 1))  # (B, T + K - 1, E)
        windows = torch.cat([x[:, k : k + index.shape[1]] for k in range(places)], dim=2)  # (B, T, K * E)
        states = F.relu(F.linear(windows, weight.transpose(1, 2).flatten(1), bias))
        counts = (lengths - places + 1).clamp(min=1) * (lengths > 0)
        return POOLINGS[pooling](states.transpose(0, 1), counts)
    rows, steps = index.shape
    texts = kernel.Texts(pooling, index.to(torch.int32).flatten().numpy(), np.arange(rows) * steps, lengths.numpy())
    return _Read.apply(vectors, weight, bias, texts)  # type: ignore[no-untyped-call]


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weight: Tensor, bias: Tensor, texts: kernel.Texts) -> Tensor:
        x, w, b = (tensor.detach().numpy() for tensor in (vectors, weight, bias))
        threads = native.useful_threads(len(x) * w.size)
        projected = kernel.project(x, w, threads=threads)
        features, kept = kernel.forward(
            texts, projected, b, w.shape[2], keep=any(ctx.needs_input_grad), threads=threads
        )
        ctx.saved = (texts, x, w, b, projected, kept, threads)
        return torch.from_numpy(features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outputs: Tensor) -> Any:
        texts, x, w, b, projected, kept, threads = ctx.saved
        ctx.saved = None  # millions of numbers; the graph may live on
        trains = ctx.needs_input_grad[0]  # frozen vectors want no gradient
        d_features = d_outputs[0].contiguous().numpy()
        gradients = kernel.backward(texts, x, w, b, projected, kept, d_features, trains=trains, threads=threads)
        return *(None if g is None else torch.from_numpy(g) for g in gradients), None
