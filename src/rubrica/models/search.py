"""A model whose classes are found by a tree of decisions: its answers without the logits of all classes.

Letters: N texts, C classes, P decisions on the longest way to a class.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import RubricaError
from rubrica.kernels.bag import Head
from rubrica.kernels.tree import Best, Tree, best_classes, margins, way_losses
from rubrica.scoring.tally import Tally
from rubrica.scoring.task import Targets

Floats = NDArray[np.floating[Any]]


def as_finite(numbers: Floats) -> Floats:
    """The same numbers.

    Raises:
        RubricaError: If one is not finite. Weights that training makes are never so large; a foreign file may hold any.
    """
    if not np.isfinite(numbers).all():
        raise RubricaError("the model's answers are not finite: its weights are too large; train and save it anew")
    return numbers


_quiet = np.errstate(over="ignore", invalid="ignore")  # `as_finite` says what an overflow means for the model


class Search(NamedTuple):
    """What finds the classes of texts.

    Args:
        features: From the `Inputs` of texts to what the decisions see of them.
        tree: The decisions.
        head: A row of the linear layer for each decision.
    """

    features: Callable[[Any], Floats]
    tree: Tree
    head: Head

    @_quiet
    def best(self, inputs: Any, k: int) -> Best:
        """The k most probable classes of each text."""
        return self._best(self.features(inputs), k)

    @_quiet
    def margins(self, inputs: Any, targets: Targets) -> Floats:
        """How sure each decision on the way to a text's class is, (N, P), see `kernels/tree.py`."""
        return self._margins(self.features(inputs), targets)

    @_quiet
    def score(self, tally: Tally, inputs: Any, targets: Targets) -> None:
        """Add the scores of some texts to a tally."""
        features = self.features(inputs)
        best = self._best(features, 1)
        known = np.where(tally.task.has_unknown(targets), 0, targets)
        losses = way_losses(self.tree, self._margins(features, known), known)
        tally.add_answers(best.classes[:, 0], np.exp(best.log_probabilities[:, 0]), losses, targets)

    def _best(self, features: Floats, k: int) -> Best:
        best = best_classes(self.tree, self.head, features, k)
        as_finite(best.log_probabilities)
        return best

    def _margins(self, features: Floats, targets: Targets) -> Floats:
        return as_finite(margins(self.tree, self.head, features, targets))
