"""The parts of a model, a network or a bag and a linear model beside it: each is trained alone, then they are added.

Letters: N texts, C classes.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rubrica.config.settings import Config
from rubrica.corpus.corpus import Corpus, Split
from rubrica.errors import require
from rubrica.learning.budget import LEAST_SECONDS, STOPPED, bag_instead, drop_slow_linear, limit_steps, linear_alone
from rubrica.learning.history import Trained
from rubrica.learning.linear import train_linear
from rubrica.models import forward, linear
from rubrica.models.linear import LinearPart, ngrams_of, take_texts
from rubrica.models.storage import store_tensors
from rubrica.vectors.word_vectors import Vectors

_LAST_LAYERS = {"head.weight", "head.bias", "linear.weight", "linear.bias"}


def train_parts(
    corpus: Corpus,
    vectors: Vectors | None,
    config: Config,
    rows: NDArray[np.int64],
    validate: Callable[[Trained], tuple[float, float]] | None,
    title: str,
    deadline: float | None = None,
    planned: bool = False,
) -> tuple[list[Trained], Config]:
    """Train each of `config.model.parts`; the config is as it turned out.

    The linear model is made first: it is good after seconds, and stays where Ctrl-C or the deadline ends the network.
    Interrupted itself, it is alone. With a deadline what fits is found out first, unless that has been planned.
    """

    def left() -> float:
        return math.inf if deadline is None else deadline - time.perf_counter()

    def run(settings: Config, wanted: NDArray[np.int64]) -> float:
        trial = choose_trainer(settings)(corpus, vectors, settings, wanted, validate=None, title=f"{title}, on trial")
        if trial.history.interrupted:
            raise KeyboardInterrupt  # it was meant for all of it
        return trial.history.train_seconds

    try_first = deadline is not None and not planned
    if try_first:
        config = drop_slow_linear(config, rows, left(), run, title)
    if config.model.name == "linear":
        return [train_linear(corpus, None, config, rows, validate=None, title=title)], config
    beside = []
    if config.model.with_linear and config.model.name != "bag":
        settings = linear_alone(config)
        beside.append(train_linear(corpus, None, settings, rows, validate=None, title=f"linear, beside {title}"))
        alone = settings.changed(["model.embedding=random"])
        if beside[0].history.interrupted:
            return beside, alone
    try:
        if try_first:
            limited = limit_steps(config, rows, left(), run, title)
            if limited is None and beside:
                return beside, alone
            if limited is None:
                config, title = bag_instead(config, len(rows)), "bag"
                limited = limit_steps(config, rows, left(), run, title)
            assert limited is not None  # of a bag always
            config = limited
        stop_at = time.perf_counter() + max(LEAST_SECONDS, STOPPED * left())
        network = choose_trainer(config)(corpus, vectors, config, rows, validate=validate, title=title, stop_at=stop_at)
    except KeyboardInterrupt:  # before its first update
        if not beside:
            raise
        beside[0].history.interrupted = True
        return beside, alone
    return [network, *beside], config


def join_parts(parts: Sequence[Trained], weights: Sequence[float], corpus: Corpus, config: Config) -> Trained:
    """One model whose logits are the weighted sum of the parts'; the weights are in the last layers.

    Its tensors are float32, its logits those of the tables as they will be stored.
    """
    tensors = {
        name: np.float32(weight) * tensor if name in _LAST_LAYERS else tensor
        for part, weight in zip(parts, weights, strict=True)
        for name, tensor in part.tensors.items()
    }

    stored = store_tensors(tensors, config.training.storage)
    features = LinearPart(ngrams_of(config), stored)

    def logits(split: Split, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        found = np.zeros((len(rows), len(corpus.labels)), np.float32)
        if config.model.name != "linear":
            found += forward.logits(stored, config, split.tokens.take(rows))
        if "linear" in config.model.parts:
            found += linear.logits(features, take_texts(split.texts, rows))
        return found

    history = replace(
        parts[0].history,
        train_seconds=sum(part.history.train_seconds for part in parts),
        interrupted=any(part.history.interrupted for part in parts),
    )
    return Trained(tensors, logits, history)


def choose_trainer(config: Config) -> Callable[..., Trained]:
    """The function that trains such a model; a bag and a linear model need no torch."""
    if config.model.name == "bag":
        from rubrica.learning.bag import train_bag

        return train_bag
    if config.model.name == "linear":
        return train_linear
    require("torch", "train")
    from rubrica.learning.network import train_network

    return train_network
