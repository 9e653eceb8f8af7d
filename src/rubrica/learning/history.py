"""What a training leaves: how it went, and what it learned. Free of torch.

Letters: N texts, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.corpus.corpus import Split


@dataclass(slots=True)
class History:
    """What a training did.

    Args:
        losses: The loss of every update of a network.
        accuracies: Its accuracy on its own texts, before it.
        records: The lines of `metrics.jsonl`: averages over the last updates, and validation after each epoch.
        steps: How many updates there were.
        train_seconds: Seconds of the updates alone, without validation.
        interrupted: Whether Ctrl-C ended it, or a given time.
    """

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    records: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    train_seconds: float = 0.0
    interrupted: bool = False

    def record(self, epoch: int, **values: float) -> None:
        """Add a line: the updates and epochs so far, and what was measured."""
        rounded = {name: round(float(value), 6) for name, value in values.items()}
        self.records.append({"step": self.steps, "epoch": epoch + 1} | rounded)


class Trained(NamedTuple):
    """What a training learned.

    Args:
        tensors: The weights by name, float32; the embedding has the rows in use.
        logits: Scores texts: (N, C) of the given rows of a split.
        history: How it went.
    """

    tensors: dict[str, NDArray[Any]]
    logits: Callable[[Split, NDArray[np.int64]], NDArray[np.float32]]
    history: History
