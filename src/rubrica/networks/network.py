"""What every network has: a table of word vectors, and a way from padded ids to logits.

Letters: B texts, T tokens of the longest text, C classes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.models.family import NetworkFamily
from rubrica.networks.embedding import WordTable, uses_kernels
from rubrica.text.vocab import TokenIds


class TextNetwork(nn.Module):
    """A network that reads texts.

    Args:
        embedding: Table of word vectors. Whether it trains is decided by `learning/loop.py`, never here.
    """

    sums_in_torch = False
    """Whether torch does most of the arithmetic on the CPU, so that its threads are worth waking."""

    def __init__(self, embedding: WordTable) -> None:
        super().__init__()
        self.embedding = embedding

    @property
    def learns(self) -> bool:
        """Whether `learn` can do a whole update in one kernel."""
        return False

    def forward(
        self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None, dropout: float = 0.0
    ) -> Float[Tensor, "B C"]:
        """Return the logits. Without lengths padding is read as words; `dropout` zeroes that share of the features."""
        raise NotImplementedError

    def learn(
        self,
        texts: TokenIds,
        rows: NDArray[Any],
        targets: NDArray[Any],
        weights: Sequence[NDArray[Any]],
        gradients: Sequence[NDArray[Any]],
        *,
        masked: bool,
        smoothing: float = 0.0,
        text_weights: NDArray[Any] | None = None,
        dropout: float = 0.0,
    ) -> Float[Tensor, "2"]:
        """Loss, accuracy and all gradients of a batch in one kernel, where `learns` says so."""
        raise NotImplementedError

    def join_weights(self) -> None:
        """Lay parameters as the accelerator's own layers read them."""

    @contextmanager
    def torch_threads(self) -> Iterator[None]:
        """One thread of torch while the block runs, where the kernels do the arithmetic.

        What is left to torch is tiny, and each time its threads meet, the kernels' threads wait for a core.
        """
        before = torch.get_num_threads()
        try:
            if uses_kernels(self.embedding.weight) and not self.sums_in_torch:
                torch.set_num_threads(1)
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
