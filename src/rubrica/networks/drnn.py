"""A GRU that starts anew in a window at each word, a linear layer, the maximum over time, one linear layer.

Source: B. Wang, "Disconnected recurrent neural networks for text categorization", ACL 2018
(https://aclanthology.org/P18-1215). A state depends on the last K words alone, as in a convolution, but a GRU can use
their order. Departures: the first windows of a text are shorter, the paper fills them with zero vectors;
no batch normalization, so that a text's score never depends on others, in training either.

A window is to the recurrent kernel just another text, so it has no code for windows. The states on the way are not
kept: with the maximum over time about every second window gets a gradient, and it costs less to read these again than
to write down all of them.

Letters: B texts, T tokens of the longest text, U distinct words, E numbers in a word vector, H hidden units, K tokens
of a window.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rubrica.kernels import recurrent as kernel
from rubrica.kernels.runs import Floats, Reading
from rubrica.models.disconnected import Disconnected
from rubrica.networks.bptt import useful_threads
from rubrica.networks.by_kernel import WayBack, by_kernel
from rubrica.networks.cells import GRU
from rubrica.networks.embedding import WordTable, uses_kernels
from rubrica.networks.masking import Features, Ids, Lengths, Vectors, length_mask
from rubrica.networks.network import TextNetwork, make_network
from rubrica.networks.pooling import POOLINGS


@make_network.register(Disconnected)
class DisconnectedClassifier(TextNetwork):
    """Classify a text by what a GRU makes of each K words of it. See `make_network` for the arguments."""

    def __init__(self, settings: Disconnected, embedding: WordTable, num_classes: int) -> None:
        super().__init__(embedding)
        hidden_size = settings.hidden_size
        self.window = settings.window
        self.cell = GRU(embedding.weight.shape[1], hidden_size, init=settings.init)
        self.mlp = nn.Linear(hidden_size, hidden_size)
        self.pool = POOLINGS[settings.pooling]
        self.head = nn.Linear(settings.num_features, num_classes)

    def features(self, vectors: Vectors, index: Ids, lengths: Lengths) -> Features:
        rows, steps = index.shape
        ends = torch.arange(steps, device=index.device)
        starts = (ends - self.window + 1).clamp(min=0)
        sizes = (ends - starts + 1).repeat(rows, 1)  # (B, T)
        if lengths is not None:
            sizes = sizes * length_mask(lengths, steps)  # a window that ends in the padding is no window
        if uses_kernels(vectors):
            firsts = (starts + steps * torch.arange(rows)[:, None]).flatten()
            words = index.to(torch.int32).flatten()
            reading = Reading("gru", "last", words.numpy(), firsts.numpy(), sizes.flatten().numpy())
            states = by_kernel(partial(_last_states, reading), vectors, *self.cell.weights_of("l0"))
        else:
            longest = min(self.window, steps)
            places = (starts[:, None] + torch.arange(longest, device=index.device)).clamp(max=steps - 1)  # (T, K)
            states = self.cell.read(vectors, index[:, places].flatten(0, 1), sizes.flatten(), "last")
        x = F.relu(self.mlp(states)).view(rows, steps, -1)
        return self.pool(x.transpose(0, 1), lengths)  # the pooling wants (T, B, H)


def _last_states(
    reading: Reading, _: bool, x: Floats, w_ih: Floats, w_hh: Floats, b_ih: Floats, b_hh: Floats
) -> tuple[Floats, WayBack]:
    """As `bptt.pooled_states`, but the way back walks once more over the windows that it needs."""
    threads = useful_threads(reading, w_hh.size)
    projected = kernel.project(reading.cell, x, w_ih, b_ih, threads=threads)

    def way_back(d_states: Floats, trains: bool) -> list[Floats | None]:
        used = np.flatnonzero(d_states.any(axis=1))
        again = reading._replace(starts=reading.starts[used], lengths=reading.lengths[used])
        _, kept = kernel.forward(again, projected, w_hh, b_hh, keep=True, threads=threads)
        return kernel.backward(again, x, w_ih, w_hh, kept, d_states[used], trains=trains)

    return kernel.forward(reading, projected, w_hh, b_hh, threads=threads)[0], way_back
