"""Read a text word by word, pool the states, one linear layer: the seminar's RNN and GRU, and the LSTM.

Letters: B texts, T tokens of the longest text, E numbers in a word vector, H hidden units, C classes, V words.
"""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from rubrica.cells import GRU, LSTM, RNN
from rubrica.embedding import WordTable

CELLS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class RecurrentClassifier(nn.Module):
    """Classify a text by the states of a recurrent layer.

    Args:
        embedding: Table of word vectors. Whether it trains is decided by `freezing.py`, never here.
        num_classes: C, at least 2.
        cell: Which recurrent layer, a key of `CELLS`.
        hidden_size: H.
        pooling: What the head sees of the states, a key of `pooling.POOLINGS`.
        init: How the recurrent parameters start, see `cells.Recurrent`.
    """

    runs_in_kernels = True  # on the CPU next to nothing is left to torch

    def __init__(
        self,
        embedding: WordTable,
        num_classes: int,
        *,
        cell: str,
        hidden_size: int = 64,
        pooling: str = "max",
        init: Literal["torch", "uniform01"] = "torch",
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.cell = CELLS[cell](embedding.weight.shape[1], hidden_size, init=init)
        self.pooling = pooling
        self.head = nn.Linear(hidden_size, num_classes)

    def forward(self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B C"]:
        """Return the logits. Without lengths padding is read as words."""
        vectors, index = self.embedding(ids)
        return self.head(self.cell.read(vectors, index, lengths, self.pooling))
