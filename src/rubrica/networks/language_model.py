"""A recurrent layer that foresees the words of a text: the next word, and in the other direction the word before.

The table of word vectors is also what a state is compared with to find the word. The softmax is over the words of the
batch, and each word's score is lowered by the log of its chance to be among them, so that rare words are not favoured.

Sources: O. Press and L. Wolf, 2017, https://arxiv.org/abs/1608.05859, for one table; S. Jean et al., 2015,
https://arxiv.org/abs/1412.2007, for a softmax over some of the words.

Letters: V words, E numbers in a word vector, U distinct words of a batch, N its tokens, H hidden units.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.kernels.recurrent import STATES
from rubrica.kernels.runs import Reading
from rubrica.models.recurrent import Recurrent as Settings
from rubrica.networks.bptt import pooled_states
from rubrica.networks.by_kernel import by_kernel
from rubrica.networks.embedding import WordTable
from rubrica.networks.recurrent import CELLS
from rubrica.text.vocab import TokenIds

_NO_WORD = -100  # what torch calls a target that is not there
_NEVER = 30.0  # what the score of the unknown word is lowered by: nobody foresees it


class LanguageModel(nn.Module):
    """Reads on the CPU, by the kernels.

    Args:
        settings: Of the network that will start at what is learned here.
        embedding: Word vectors; the last row is the unknown word's.
        shares: Each word's share of all tokens, (V,) float64.
    """

    def __init__(self, settings: Settings, embedding: WordTable, shares: NDArray[np.float64]) -> None:
        super().__init__()
        self.embedding, dim = embedding, embedding.weight.shape[1]
        self.absent = np.log1p(-np.minimum(shares, 1 - 1e-9))  # log of a token's chance not to be the word
        self.cell = CELLS[settings.name](dim, settings.hidden_size, bidirectional=settings.bidirectional)
        self.heads = nn.ModuleList(nn.Linear(settings.hidden_size, dim) for _ in self.cell.directions)

    def loss(self, texts: TokenIds, rows: NDArray[np.int64], dropout: float) -> Float[Tensor, ""]:
        """The mean cross-entropy of the words of some texts, over both directions; 0 where no word is known.

        Args:
            texts: Ids of many texts; V - 1 is the unknown word.
            rows: Which of them are read.
            dropout: Share of the vectors' numbers, and of the states' numbers, that is zeroed.
        """
        _, index, lengths = self.embedding.take(texts, rows, masked=True)
        words, vectors = self.embedding.words, self.embedding.vectors
        assert words is not None
        assert vectors is not None
        unknown = words.numpy() == len(self.absent) - 1
        chances = np.log(-np.expm1(len(index) * self.absent[words.numpy()]))
        lowered = torch.from_numpy(np.where(unknown, _NEVER, chances).astype(np.float32))
        targets = np.where(unknown[index], _NO_WORD, index.astype(np.int64))
        starts, losses = np.cumsum(lengths) - lengths, []
        read = F.dropout(vectors, dropout)
        for i, (direction, head) in enumerate(zip(self.cell.directions, self.heads, strict=True)):
            reading = Reading(self.cell.name, STATES, index, starts, lengths, reverse=i == 1)
            states = by_kernel(partial(pooled_states, reading), read, *self.cell.weights_of(direction))
            scores = head(F.dropout(states, dropout)) @ vectors.T - lowered
            wanted = torch.from_numpy(_beside(targets, starts, lengths, before=i == 1))
            losses.append(F.cross_entropy(scores, wanted, reduction="sum") / max(1, int((wanted != _NO_WORD).sum())))
        return torch.stack(losses).mean()


def _beside(
    targets: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64], *, before: bool
) -> NDArray[np.int64]:
    """The target behind each token of a text, or the one before it."""
    found = np.full(len(targets), _NO_WORD, np.int64)
    full = lengths > 0
    if before:
        found[1:] = targets[:-1]
        found[starts[full]] = _NO_WORD
    else:
        found[:-1] = targets[1:]
        found[(starts + lengths)[full] - 1] = _NO_WORD
    return found
