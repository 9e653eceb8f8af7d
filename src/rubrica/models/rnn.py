"""Read a text word by word, pool the states, one linear layer: the seminar's RNN and GRU, the LSTM, the minimal GRU.

Letters: B texts, T tokens of the longest text, E numbers in a word vector, H hidden units, C classes, V words.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.bptt import learn_texts
from rubrica.cells import GRU, LSTM, RNN, Recurrent
from rubrica.embedding import WordTable
from rubrica.kernels.recurrent import Reading
from rubrica.mingru import MinGRU
from rubrica.vocab import TokenIds

CELLS: dict[str, type[Recurrent] | type[MinGRU]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM, "mingru": MinGRU}


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
        self.learns = isinstance(self.cell, Recurrent)  # whether `learn` knows this cell
        self.pooling = pooling
        self.head = nn.Linear(hidden_size, num_classes)

    def forward(self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B C"]:
        """Return the logits. Without lengths padding is read as words."""
        vectors, index = self.embedding(ids)
        return self.head(self.cell.read(vectors, index, lengths, self.pooling))

    def learn(
        self,
        texts: TokenIds,
        rows: NDArray[np.int64],
        targets: NDArray[np.int64],
        weights: Sequence[NDArray[np.floating[Any]]],
        gradients: Sequence[NDArray[np.floating[Any]]],
        *,
        masked: bool,
    ) -> Float[Tensor, "2"]:
        """Loss and accuracy on the CPU; what `backward()` would put into the gradients is there afterwards.

        Equal to `forward`, the cross-entropy and `backward`, and the training's way: all is one kernel. The minimal GRU
        has no such kernel and learns by `forward` and `backward`.

        Args:
            texts: Ids of many texts.
            rows: Which of them to learn from, (B,).
            targets: The class of each of these, (B,).
            weights: The memory of all parameters but the table, in their order.
            gradients: That of their gradients.
            masked: Whether texts have lengths; else padding is read as words.
        """
        vectors, index, lengths = self.embedding.take(texts, rows, masked=masked)
        reading = Reading(self.cell.name, self.pooling, index, np.cumsum(lengths) - lengths, lengths)
        trains = self.embedding.weight.requires_grad
        scores, d_vectors = learn_texts(reading, targets, vectors, weights, gradients, trains=trains)
        if self.embedding.vectors is not None:
            self.embedding.vectors.grad = d_vectors
        return scores
