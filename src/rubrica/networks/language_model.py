"""A recurrent layer that foresees the words of a text: the next word, and in the other direction the word before.

The table of word vectors is also what a state is compared with to find the word. The softmax is over the words of the
batch, and each word's score is lowered by the log of its chance to be among them, so that rare words are not favoured.
Frequent words are asked for less often: they take most of the time, and tell the least about a text.

Sources: O. Press and L. Wolf, 2017, https://arxiv.org/abs/1608.05859, for one table; S. Jean et al., 2015,
https://arxiv.org/abs/1412.2007, for a softmax over some of the words; T. Mikolov et al., 2013,
https://arxiv.org/abs/1310.4546, for fewer questions about frequent words.

Letters: V words, E numbers in a word vector, U distinct words of a batch, N its tokens, H hidden units.
"""

from concurrent.futures import Executor
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

_NEVER = 30.0  # what the score of the unknown word is lowered by: nobody foresees it


class LanguageModel(nn.Module):
    """Reads on the CPU, by the kernels.

    Args:
        settings: Of the network that will start at what is learned here.
        embedding: Word vectors; the last row is the unknown word's.
        shares: Each word's share of all tokens, (V,) float64.
        asked: Of the tokens of each word, the share that is to be foreseen, (V,).
    """

    def __init__(
        self, settings: Settings, embedding: WordTable, shares: NDArray[np.float64], asked: NDArray[np.float64]
    ) -> None:
        super().__init__()
        self.embedding, dim = embedding, embedding.weight.shape[1]
        self.absent = np.log1p(-np.minimum(shares, 1 - 1e-9))  # log of a token's chance not to be the word
        self.asked = np.append(asked[:-1], 0).astype(np.float32)
        self.cell = CELLS[settings.name](dim, settings.hidden_size, bidirectional=settings.bidirectional)
        self.heads = nn.ModuleList(nn.Linear(settings.hidden_size, dim) for _ in self.cell.directions)
        seeds = torch.randint(1 << 62, (len(self.heads),)).tolist()
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def learn(self, texts: TokenIds, rows: NDArray[np.int64], dropout: float, pool: Executor) -> float:
        """Add up the gradients of some texts, over both directions.

        Each direction learns by itself in a thread of the pool, since its products are too small for two cores.

        Args:
            texts: Ids of many texts; V - 1 is the unknown word.
            rows: Which of them are read.
            dropout: Share of the vectors' numbers, and of the states' numbers, that is zeroed.
            pool: Has a thread for each direction.

        Returns:
            The mean cross-entropy of the words that were asked for; 0 where there was none.
        """
        _, index, lengths = self.embedding.take(texts, rows, masked=True)
        words, vectors = self.embedding.words, self.embedding.vectors
        assert words is not None
        assert vectors is not None
        unknown = words.numpy() == len(self.absent) - 1
        chances = np.log(-np.expm1(len(index) * self.absent[words.numpy()]))
        raised = torch.from_numpy(np.where(unknown, -_NEVER, -chances).astype(np.float32))
        asked, starts = self.asked[words.numpy()][index], np.cumsum(lengths) - lengths

        def learn_direction(i: int) -> tuple[float, Tensor]:
            """The loss of a direction, and its derivative by the vectors."""
            own, generator = vectors.detach().requires_grad_(), self.generators[i]
            reading = Reading(self.cell.name, STATES, index, starts, lengths, reverse=i == 1)
            run = partial(pooled_states, reading, most_threads=torch.get_num_threads())
            weights = self.cell.weights_of(self.cell.directions[i])
            states = by_kernel(run, _dropped(own, dropout, generator), *weights)
            places, foreseen = _neighbours(starts, lengths, before=i == 1)
            drawn = torch.rand(len(places), generator=generator).numpy() < asked[foreseen]
            targets = torch.from_numpy(index[foreseen[drawn]].astype(np.int64))
            read = _dropped(states[torch.from_numpy(places[drawn])], dropout, generator)
            scores = torch.addmm(raised, self.heads[i](read), own.T)
            loss = F.cross_entropy(scores, targets, reduction="sum") / (max(1, len(targets)) * len(self.heads))
            torch.autograd.backward(loss)
            assert own.grad is not None
            return loss.item(), own.grad

        losses, gradients = zip(*pool.map(learn_direction, range(len(self.heads))), strict=True)
        vectors.grad = sum(gradients[1:], gradients[0])
        return sum(losses)


def _dropped(numbers: Float[Tensor, "N E"], share: float, generator: torch.Generator) -> Float[Tensor, "N E"]:
    """Dropout by a generator of one's own: two threads draw from the common one in any order."""
    kept = torch.empty_like(numbers).bernoulli_(1 - share, generator=generator)
    return numbers * kept.div_(1 - share)


def _neighbours(
    starts: NDArray[np.int64], lengths: NDArray[np.int64], *, before: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tokens that have another one behind them in their text, or `before` them; and the other ones."""
    alone = np.zeros(int(lengths.sum()), np.bool_)
    full = lengths > 0
    alone[(starts if before else starts + lengths - 1)[full]] = True
    places = np.flatnonzero(~alone)
    return places, places + (-1 if before else 1)
