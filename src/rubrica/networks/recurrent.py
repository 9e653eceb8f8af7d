"""Read a text word by word, from one end or both, pool the states, one linear layer: RNN, GRU, LSTM and minimal GRU."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.kernels import recurrent as kernel
from rubrica.kernels.learn import Lesson, learn
from rubrica.kernels.runs import Reading
from rubrica.models.recurrent import Recurrent as Settings
from rubrica.networks.bptt import useful_threads
from rubrica.networks.cells import GRU, LSTM, RNN, Recurrent
from rubrica.networks.embedding import WordTable, uses_kernels
from rubrica.networks.masking import Features, Ids, Lengths, Vectors
from rubrica.networks.mingru import MinGRU
from rubrica.networks.network import TextNetwork, make_network
from rubrica.networks.team import dropped
from rubrica.text.vocab import TokenIds

CELLS: dict[str, type[Recurrent]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM, "mingru": MinGRU}


@make_network.register(Settings)
class RecurrentClassifier(TextNetwork):
    """Classify a text by the states of a recurrent layer. See `make_network` for the arguments.

    The head sees the features of both directions side by side. With attention each direction has a vector of its own.
    """

    def __init__(self, settings: Settings, embedding: WordTable, num_classes: int) -> None:
        super().__init__(embedding)
        self.pooling, hidden_size, dim = settings.pooling, settings.hidden_size, embedding.weight.shape[1]
        self.cell = CELLS[settings.name](dim, hidden_size, bidirectional=settings.bidirectional, init=settings.init)
        directions = len(self.cell.directions)
        # Only its weight, (D, H), is used.
        self.attention = nn.Linear(hidden_size, directions, bias=False) if self.pooling == "attention" else None
        self.head = nn.Linear(directions * settings.num_features, num_classes)

    @property
    def learns(self) -> bool:
        """See `TextNetwork`; the minimal GRU has no such kernel."""
        return self.cell.name in kernel.CELLS and uses_kernels(self.embedding.weight)

    def features(self, vectors: Vectors, index: Ids, lengths: Lengths) -> Features:
        attention = None if self.attention is None else self.attention.weight
        return self.cell.read(vectors, index, lengths, self.pooling, attention)

    def learn(
        self, texts: TokenIds, rows: NDArray[Any], lesson: Lesson, *, masked: bool, dropout: float = 0.0
    ) -> Float[Tensor, "2"]:
        """See `TextNetwork.learn`.

        Autograd records nothing: where an update takes two milliseconds, it and what is between its calls take a third.
        """
        least = 1 if self.part is None else self.part.steps
        vectors, index, lengths = self.embedding.take(texts, rows, masked=masked, least=least)
        reading = Reading(self.cell.name, self.pooling, index, np.cumsum(lengths) - lengths, lengths)
        mask = None
        if dropout:
            ones = torch.ones(len(rows), self.head.in_features, dtype=self.head.weight.dtype)
            mask = dropped(ones, dropout, self.part).numpy()
        threads = useful_threads(reading, len(self.cell.directions) * lesson.weights[1].size)
        trains = self.embedding.weight.requires_grad
        scores, d_vectors = learn(reading, vectors, lesson, mask=mask, trains=trains, threads=threads)
        if self.embedding.vectors is not None:
            self.embedding.vectors.grad = None if d_vectors is None else torch.from_numpy(d_vectors)
        return torch.from_numpy(scores)
