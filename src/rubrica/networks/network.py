"""What every network has: a table of word vectors, and a way from padded ids to logits.

Letters: B texts, T tokens of the longest text, U distinct words, E numbers in a word vector, F features, C classes.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.kernels.learn import Lesson
from rubrica.models.family import NetworkFamily
from rubrica.networks.bptt import join_weights
from rubrica.networks.cells import GRU, LSTM, RNN
from rubrica.networks.embedding import WordTable, uses_kernels
from rubrica.networks.masking import Features, Ids, Lengths, Vectors
from rubrica.networks.team import Part, dropped
from rubrica.text.vocab import TokenIds


class TextNetwork(nn.Module):
    """A network that reads texts.

    A subclass makes the linear layer `head` and says in `features` what it sees.

    Args:
        embedding: Table of word vectors. Whether it trains is decided by `learning/loop.py`, never here.
    """

    head: nn.Linear
    part: Part | None = None
    """Which texts of a batch it is given, while processes share the batch."""
    sums_in_torch = False
    """Whether torch does most of the arithmetic on the CPU, so that its threads are worth waking."""

    def __init__(self, embedding: WordTable) -> None:
        super().__init__()
        self.embedding = embedding

    @property
    def learns(self) -> bool:
        """Whether `learn` can do a whole update in one kernel."""
        return False

    def forward(self, ids: Ids, lengths: Lengths, dropout: float = 0.0) -> Float[Tensor, "B C"]:
        """Return the logits. Without lengths padding is read as words; `dropout` zeroes that share of the features."""
        vectors, index = self.embedding(ids)
        return self.head(dropped(self.features(vectors, index, lengths), dropout, self.part))

    def features(self, vectors: Vectors, index: Ids, lengths: Lengths) -> Features:
        """What the head sees of each text; `index` says which of the word vectors each token has."""
        raise NotImplementedError

    def learn(
        self, texts: TokenIds, rows: NDArray[Any], lesson: Lesson, *, masked: bool, dropout: float = 0.0
    ) -> Float[Tensor, "2"]:
        """Loss and accuracy of a batch on the CPU; its gradients are written by one kernel, where `learns` says so.

        Equal to `forward`, the cross-entropy and `backward`.

        Args:
            texts: Ids of many texts.
            rows: Which of them to learn from, (B,).
            lesson: Their targets, and all parameters but the table with their gradients.
            masked: Whether texts have lengths; else padding is read as words.
            dropout: Share of the features that is zeroed, as in `forward` and by the same draws.
        """
        raise NotImplementedError

    def join_weights(self) -> None:
        """Lay the parameters of recurrent layers as the accelerator's own layers read them."""
        for layer in self.modules():
            if isinstance(layer, RNN | GRU | LSTM):
                join_weights(layer)

    def threads_of_torch(self) -> AbstractContextManager[None]:
        """One thread of torch while the block runs, where the kernels do the arithmetic.

        What is left to torch is tiny, and each time its threads meet, the kernels' threads wait for a core.
        """
        by_kernels = uses_kernels(self.embedding.weight) and not self.sums_in_torch
        return torch_threads(1) if by_kernels else nullcontext()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """This many threads of torch while the block runs: on small networks its threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@singledispatch
def make_network(settings: NetworkFamily, embedding: WordTable, num_classes: int) -> TextNetwork:
    """Make the network of a family. The network's file registers how, by the class of the family's settings."""
    raise TypeError(f"no network is registered for {type(settings).__name__}; see networks/network.py")


def build_network(settings: NetworkFamily, table: Tensor, num_classes: int) -> TextNetwork:
    """Build the network of a family.

    Args:
        settings: Which network, and its sizes.
        table: The embedding's start, (V, E), float32 or float64; every other parameter takes its type.
        num_classes: C, at least 2.
    """
    return make_network(settings, WordTable(table), num_classes).to(table.dtype)
