"""A GRU that starts anew in a window at each word, a linear layer, the maximum over time, one linear layer.

Source: B. Wang, "Disconnected recurrent neural networks for text categorization", ACL 2018, section 3
(https://aclanthology.org/P18-1215). Its state knows the last words alone, as a convolution does, and as far back as a
recurrent network can use. Departures: the first windows of a text are shorter, the paper fills them with zero vectors;
no batch normalization, so that a text's score never depends on others, in training either.

A window is to the recurrent kernel just another text: there is no code for windows below `cells.Recurrent.read`.

Letters: B texts, T tokens of the longest text, E numbers in a word vector, H hidden units, C classes, K tokens of a
window.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from rubrica.cells import GRU
from rubrica.embedding import WordTable
from rubrica.masking import length_mask
from rubrica.pooling import POOLINGS


class DisconnectedClassifier(nn.Module):
    """Classify a text by what a GRU makes of each K words of it.

    Args:
        embedding: Table of word vectors. Whether it trains is decided by `freezing.py`, never here.
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
        super().__init__()
        self.embedding = embedding
        self.window = window
        self.cell = GRU(embedding.weight.shape[1], hidden_size, init=init)
        self.mlp = nn.Linear(hidden_size, hidden_size)
        self.pool = POOLINGS[pooling]
        self.head = nn.Linear(hidden_size, num_classes)

    def forward(self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B C"]:
        """Return the logits. Without lengths padding is read as words."""
        vectors, index = self.embedding(ids)
        rows, steps = ids.shape
        ends = torch.arange(steps, device=ids.device)
        starts = (ends - self.window + 1).clamp(min=0)
        longest = min(self.window, steps)
        places = (starts[:, None] + torch.arange(longest, device=ids.device)).clamp(max=steps - 1)  # (T, K)
        sizes = (ends - starts + 1).repeat(rows, 1)
        if lengths is not None:
            sizes = sizes * length_mask(lengths, steps)  # a window that ends in the padding is no window
        windows = index[:, places].flatten(0, 1)  # (B * T, K)
        states = self.cell.read(vectors, windows, sizes.flatten(), "last")  # (B * T, H)
        x = F.relu(self.mlp(states)).view(rows, steps, -1)
        return self.head(self.pool(x.transpose(0, 1), lengths))  # the pooling wants (T, B, H)
