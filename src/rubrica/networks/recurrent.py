"""Read a text word by word, from one end or both, pool the states, one linear layer: RNN, GRU, LSTM and minimal GRU.

Letters: B texts, T tokens of the longest text, E numbers in a word vector, H hidden units, C classes, V words.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.kernels import recurrent as kernel
from rubrica.models.recurrent import Recurrent as Settings
from rubrica.networks.bptt import join_weights, learn_texts
from rubrica.networks.cells import GRU, LSTM, RNN, Recurrent
from rubrica.networks.embedding import WordTable, uses_kernels
from rubrica.networks.mingru import MinGRU
from rubrica.networks.network import TextNetwork, make_network
from rubrica.networks.pooling import num_features
from rubrica.text.vocab import TokenIds

CELLS: dict[str, type[Recurrent]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM, "mingru": MinGRU}


class RecurrentClassifier(TextNetwork):
    """Classify a text by the states of a recurrent layer.

    Args:
        embedding: Table of word vectors. Whether it trains is for the training to say, never here.
        num_classes: C, at least 2.
        cell: Which recurrent layer, a key of `CELLS`.
        hidden_size: H, of each direction.
        bidirectional: Whether texts are read from both ends; the head sees the features of both side by side.
        pooling: What the head sees of the states, a key of `pooling.POOLINGS` or "attention", whose vector each
            direction has its own.
        init: How the recurrent parameters start, see `cells.Recurrent`.
    """

    def __init__(
        self,
        embedding: WordTable,
        num_classes: int,
        *,
        cell: str,
        hidden_size: int = 64,
        bidirectional: bool = False,
        pooling: str = "max",
        init: Literal["torch", "uniform01"] = "torch",
    ) -> None:
        super().__init__(embedding)
        self.cell = CELLS[cell](embedding.weight.shape[1], hidden_size, bidirectional=bidirectional, init=init)
        self.pooling = pooling
        directions = len(self.cell.directions)
        # Its weight, (D, H), is all that is used of it.
        self.attention = nn.Linear(hidden_size, directions, bias=False) if pooling == "attention" else None
        self.head = nn.Linear(directions * num_features(pooling, hidden_size), num_classes)

    @property
    def learns(self) -> bool:
        """See `TextNetwork`; the minimal GRU has no such kernel."""
        return self.cell.name in kernel.CELLS and uses_kernels(self.embedding.weight)

    def join_weights(self) -> None:
        """See `TextNetwork`."""
        if self.cell.name in kernel.CELLS:
            join_weights(self.cell)

    def forward(
        self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None, dropout: float = 0.0
    ) -> Float[Tensor, "B C"]:
        """Return the logits. Without lengths padding is read as words; `dropout` zeroes that share of the features."""
        vectors, index = self.embedding(ids)
        attention = None if self.attention is None else self.attention.weight
        features = self.cell.read(vectors, index, lengths, self.pooling, attention)
        return self.head(F.dropout(features, dropout))

    def learn(
        self,
        texts: TokenIds,
        rows: NDArray[np.int64],
        targets: NDArray[np.int64],
        weights: Sequence[NDArray[np.floating[Any]]],
        gradients: Sequence[NDArray[np.floating[Any]]],
        *,
        masked: bool,
        smoothing: float = 0.0,
        text_weights: NDArray[np.floating[Any]] | None = None,
        dropout: float = 0.0,
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
            smoothing: Share of a target that goes to all classes alike.
            text_weights: How much each of the texts counts, (B,); None counts all alike.
            dropout: Share of the features that is zeroed, as in `forward` and by the same draws.
        """
        vectors, index, lengths = self.embedding.take(texts, rows, masked=masked)
        reading = kernel.Reading(self.cell.name, self.pooling, index, np.cumsum(lengths) - lengths, lengths)
        mask = None
        if dropout:
            shape = (len(rows), self.head.in_features)
            mask = F.dropout(torch.ones(shape, dtype=self.head.weight.dtype), dropout).numpy()
        scores, d_vectors = learn_texts(
            reading, targets, vectors, weights, gradients,
            smoothing=smoothing, text_weights=text_weights, mask=mask, trains=self.embedding.weight.requires_grad,
        )  # fmt: skip
        if self.embedding.vectors is not None:
            self.embedding.vectors.grad = d_vectors
        return scores


@make_network.register
def _(settings: Settings, embedding: WordTable, num_classes: int) -> TextNetwork:
    return RecurrentClassifier(
        embedding,
        num_classes,
        cell=settings.name,
        hidden_size=settings.hidden_size,
        bidirectional=settings.bidirectional,
        pooling=settings.pooling,
        init=settings.init,
    )
