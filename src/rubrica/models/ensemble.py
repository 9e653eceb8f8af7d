"""A model: its members with their weights, and the sum of their logits.

How much each member counts is in the weights of its last layer, so the sum is a plain one.

Letters: N texts, C classes.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.models.config import Config
from rubrica.models.family import Floats, Inputs
from rubrica.models.search import as_finite
from rubrica.models.storage import Tensors
from rubrica.scoring.calibration import Weights
from rubrica.text.vocab import TokenIds, Vocab


class Ensemble:
    """The members of a model, ready to answer; their tables are as they are stored."""

    def __init__(self, config: Config, tensors: Tensors) -> None:
        self.reads_words = any(member.reads_words for member in config.members)
        self.reads_texts = not all(member.reads_words for member in config.members)
        self.search = config.model.search(tensors) if config.beside is None else None
        self._scorers = [member.open(tensors, config.data) for member in config.members]
        self._config, self._tensors = config, tensors

    def logits(self, texts: Sequence[str], tokens: TokenIds | None) -> Floats:
        """Unnormalised log-probabilities (N, C) of N texts.

        A model that masks its padding scores each text by itself. One that reads padding as words, as the seminar's
        do, gets batches of its training size in the order of the texts, which is how it was evaluated.

        Args:
            texts: Their characters; none where `reads_texts` is false.
            tokens: Their ids; None where `reads_words` is false.
        """
        return self.sum(self.inputs(texts, tokens))

    def inputs(self, texts: Sequence[str], tokens: TokenIds | None) -> Inputs:
        """The texts as the members take them."""
        return Inputs(tokens, texts, self._config.training.batch_size)

    def sum(self, inputs: Inputs) -> Floats:
        """The logits (N, C) of all members together.

        Raises:
            RubricaError: If one is not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # the error says what it means for the model
            return as_finite(reduce(np.add, [scorer(inputs) for scorer in self._scorers]))

    def features(self, texts: Sequence[str], vocab: Vocab) -> Floats:
        """What the last layer of the first member sees of texts that are not numbered yet, (N, F).

        Raises:
            RubricaError: If that member has no features.
        """
        model = self._config.model
        tokens = self.read(texts, vocab) if model.reads_words else None
        return model.features(self._tensors, Inputs(tokens, texts, self._config.training.batch_size))

    def quick(self, texts: Sequence[str]) -> Floats:
        """The logits (N, C) by the linear model that stands beside a network."""
        return self._scorers[1](self.inputs(texts, None))

    def slow(self, texts: Sequence[str], vocab: Vocab) -> Floats:
        """The logits (N, C) by the network that a linear model stands beside."""
        return self._scorers[0](self.inputs(texts, self.read(texts, vocab)))

    def answer(self, texts: Sequence[str], vocab: Vocab) -> Floats:
        """`logits` of texts that are not numbered yet."""
        return self.logits(texts, self.read(texts, vocab))

    def read(self, texts: Sequence[str], vocab: Vocab) -> TokenIds | None:
        """The ids of the texts; None where no member looks words up."""
        if not self.reads_words:
            return None
        read = vocab.spell if any(member.spells_words for member in self._config.members) else vocab.encode
        return read(texts, self._config.data.max_length)


def weigh(config: Config, trained: Sequence[Tensors], weights: Weights) -> dict[str, NDArray[Any]]:
    """The tensors of all members, each member's last layer times its weight."""
    found = {
        name: np.asarray(weight, np.float32) * tensor if name in member.last_layer else tensor
        for member, tensors, weight in zip(config.members, trained, weights.members, strict=True)
        for name, tensor in tensors.items()
    }
    if weights.offset is not None:
        bias = found["linear.bias"]
        found["linear.bias"] = bias + weights.offset[-len(bias) :]  # two classes share a machine, which is the second's
    return found
