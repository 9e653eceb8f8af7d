"""A trained network on the way from zero vectors to the vectors of a text: its logits, and how steeply they rise.

Integrated gradients need no more of a network (`insight/explanations/gradients.py`). All of it is in float64.

Letters: S points of the way, T tokens, E numbers in a word vector, C classes, K classes whose rise is asked for.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from rubrica.models.family import NetworkFamily
from rubrica.models.storage import Tensors
from rubrica.networks.network import torch_threads
from rubrica.networks.networks import build_network

Numbers = NDArray[np.float64]
_TOKENS = 1 << 14  # that autograd keeps the states of together, some 20 MB for each 64 units


class Way:
    """A network, and the text whose vectors grow.

    Args:
        settings: The network's family.
        tensors: The weights by name; others may lie beside them.
        vectors: Of the T tokens, (T, E).
    """

    def __init__(self, settings: NetworkFamily, tensors: Tensors, vectors: Numbers) -> None:
        self.vectors = torch.from_numpy(vectors)
        start = torch.zeros(1, vectors.shape[1], dtype=torch.float64)  # in place of the table, which is not used
        self.network = build_network(settings, start, len(tensors["head.bias"]))
        own = self.network.state_dict().keys() & tensors.keys() - {"embedding.weight"}
        weights = {name: torch.from_numpy(np.asarray(tensors[name], np.float64)) for name in own}
        self.network.load_state_dict(weights, strict=False)
        self.network.eval().requires_grad_(requires_grad=False)

    def logits(self, points: Numbers) -> NDArray[Any]:
        """The logits at points from 0 (no vectors) to 1 (the text), (S, C)."""
        with torch.no_grad(), torch_threads(1):
            return np.concatenate([self._read(self._grown(some)).numpy() for some in self._stretches(points)])

    def slopes(self, points: Numbers, classes: Sequence[int]) -> NDArray[Any]:
        """How fast the logits of some classes rise with each token's vector, (S, T, K): gradient times vector."""
        with torch_threads(1):
            return np.concatenate([self._slopes(some, classes) for some in self._stretches(points)])

    def _slopes(self, points: Numbers, classes: Sequence[int]) -> NDArray[Any]:
        grown = self._grown(points).requires_grad_()
        logits = self._read(grown)
        rises = [
            torch.autograd.grad(logits[:, k].sum(), grown, retain_graph=True)[0].mul(self.vectors).sum(2)
            for k in classes
        ]
        return torch.stack(rises, 2).numpy()

    def _stretches(self, points: Numbers) -> list[Numbers]:
        most = max(1, _TOKENS // max(1, len(self.vectors)))
        return [points[first : first + most] for first in range(0, len(points), most)]

    def _grown(self, points: Numbers) -> Float[Tensor, "S T E"]:
        return torch.from_numpy(points)[:, None, None] * self.vectors

    def _read(self, grown: Float[Tensor, "S T E"]) -> Float[Tensor, "S C"]:
        rows, steps = grown.shape[:2]
        lengths = torch.full((rows,), steps)  # no text is padded, so it does not matter who reads padding
        index = torch.arange(rows * steps).view(rows, steps)
        network = self.network
        return network.head(network.features(grown.flatten(0, 1), index, lengths))
