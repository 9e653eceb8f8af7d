"""A few more updates on a copy of a trained network: what its steps do, measured after the training.

A training ends where its steps left it. Whether they were too large, too small or too few shows when it goes on: with
a tenth of the step size, with the same, and with ten times as much. The averages of Adam are not saved with a model,
so the first updates only fill them, with steps of size 0.

Letters: N held-out texts, C classes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.corpus.corpus import Split
from rubrica.learning.backend import Backend, choose_backend, compute_logits
from rubrica.learning.loop import update
from rubrica.learning.schedule import batches_of, drop_words
from rubrica.learning.seeds import seeded
from rubrica.models.config import Config
from rubrica.networks.network import TextNetwork, torch_threads
from rubrica.scoring.task import Floats, Rows, Task
from rubrica.text.vocab import PAD_ID

_FILLING = 10  # updates after which Adam's average of gradients has 65 % of its weight


class Replay(NamedTuple):
    """What more updates did."""

    logits: Floats
    """Of the held-out texts behind them, (N, C)."""
    norms: NDArray[np.float64]
    """The length of each update's gradient, before it is clipped."""
    absent: float
    """How far an update moves the word vectors that it did not read, over how far it moves all; the mean."""


def replay(
    network: TextNetwork, config: Config, task: Task, train: Split, held: Split, *, lr: float, steps: int, unknown: int
) -> Replay:
    """Train a network in place for some more updates.

    Args:
        network: Of float32; it changes.
        config: As it was trained with.
        task: Its loss is made small.
        train: Texts to learn from.
        held: Texts that are scored.
        lr: The step size.
        steps: How many updates.
        unknown: The id of the unknown word, which dropped words become.
    """
    norms, absent = [], []
    with seeded(config.training.seed), torch_threads(1):
        network.train()
        backend = choose_backend(network, config, task)
        table = network.embedding.weight
        for number, (split, batch) in enumerate(_batches(train, backend, _FILLING + steps, unknown)):
            backend.table.table.requires_grad_(True)
            backend.set_lr(lr if number >= _FILLING else 0.0)
            before = table.detach().clone() if number == _FILLING else None
            update(backend, split, batch)
            norms.append(float(backend.norm))
            if before is not None:
                read = np.append(train.tokens.take(batch).ids, [PAD_ID, unknown])
                absent.append(_moved_elsewhere(before.numpy(), table.detach().numpy(), read))
        logits = compute_logits(network, held, np.arange(len(held.tokens)), config)
    return Replay(logits, np.array(norms), float(np.mean(absent)) if absent else 0.0)


def _batches(train: Split, backend: Backend, count: int, unknown: int) -> Iterator[tuple[Split, Rows]]:
    """Yield batches of as many epochs as are needed, with some words dropped in each as in the training."""
    epoch, rows = 0, np.arange(len(train.tokens))
    while count > 0:
        split = drop_words(train, unknown, backend.settings, epoch)
        for batch in list(batches_of(split, rows, backend.settings, epoch))[:count]:
            yield split, batch
            count -= 1
        epoch += 1


def _moved_elsewhere(before: Floats, after: Floats, read: NDArray[np.int32]) -> float:
    moves = np.square(after - before).sum(axis=1, dtype=np.float64)
    total = float(moves.sum())
    moves[read] = 0.0
    return float(np.sqrt(moves.sum() / total)) if total else 0.0
