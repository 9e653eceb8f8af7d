"""Convolutions of several widths side by side, the strongest window of each filter, one linear layer.

Source: Y. Kim, "Convolutional neural networks for sentence classification", EMNLP 2014, section 2
(https://arxiv.org/abs/1408.5882). Departures: a text shorter than a window is padded up to one window, whatever its
batch; the average can take the maximum's place; there is no limit on the norm of a class's weights.

On the CPU the kernel of `kernels/windows.py` does convolution, relu and pooling in one call a width; on an accelerator
they are one matrix product over the windows.

Letters: B texts, T tokens of the longest text, U distinct words, E numbers in a word vector, F filters of a width,
K places of a window.
"""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from rubrica.kernels import native
from rubrica.kernels import windows as kernel
from rubrica.kernels.runs import Floats, Reading
from rubrica.models.conv import Convolutional
from rubrica.networks.by_kernel import WayBack, as_reading, by_kernel
from rubrica.networks.embedding import WordTable, uses_kernels
from rubrica.networks.masking import Features, Ids, Lengths, Vectors, drop_padding
from rubrica.networks.network import TextNetwork
from rubrica.networks.pooling import POOLINGS


class KimClassifier(TextNetwork):
    """Classify a text by what its windows of some widths hold. See `make_network` for the arguments."""

    def __init__(self, settings: Convolutional, embedding: WordTable, num_classes: int) -> None:
        super().__init__(embedding)
        dim, sizes = embedding.weight.shape[1], settings.kernel_sizes
        self.convs = nn.ModuleList(nn.Conv1d(dim, settings.hidden_size, size) for size in sizes)
        self.pooling = settings.pooling
        self.head = nn.Linear(settings.num_features * len(sizes), num_classes)

    def features(self, vectors: Vectors, index: Ids, lengths: Lengths) -> Features:
        if lengths is None:
            lengths = torch.full((len(index),), index.shape[1], device=index.device)
        weights = [(conv.get_parameter("weight"), conv.get_parameter("bias")) for conv in self.convs]
        return torch.cat([read_windows(vectors, index, lengths, *own, self.pooling) for own in weights], dim=1)


def read_windows(
    vectors: Vectors,
    index: Ids,
    lengths: Int[Tensor, " B"],
    weight: Float[Tensor, "F E K"],
    bias: Float[Tensor, " F"],
    pooling: str,
) -> Float[Tensor, "B F2"]:
    """Convolution, relu and pooling over each text's own windows; zeros where it has no tokens."""
    if uses_kernels(vectors):
        reading = as_reading("cnn", pooling, index, lengths)
        return by_kernel(partial(_pooled_windows, reading), vectors, weight, bias)
    places = weight.shape[2]
    x = F.pad(drop_padding(F.embedding(index, vectors), lengths), (0, 0, 0, places - 1))  # (B, T + K - 1, E)
    windows = torch.cat([x[:, k : k + index.shape[1]] for k in range(places)], dim=2)  # (B, T, K * E)
    states = F.relu(F.linear(windows, weight.transpose(1, 2).flatten(1), bias))
    counts = (lengths - places + 1).clamp(min=1) * (lengths > 0)
    return POOLINGS[pooling](states.transpose(0, 1), counts)


def _pooled_windows(reading: Reading, keep: bool, x: Floats, weight: Floats, bias: Floats) -> tuple[Floats, WayBack]:
    threads = native.useful_threads(len(x) * weight.size)
    projected = kernel.project(x, weight, threads=threads)
    features, kept = kernel.forward(reading, projected, bias, weight.shape[2], keep=keep, threads=threads)
    return features, lambda d_features, trains: kernel.backward(
        reading, x, weight, bias, projected, kept, d_features, trains=trains, threads=threads
    )
