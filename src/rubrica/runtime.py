"""Answers from a model folder, without torch.

>>> model = load("reviews-model")                       # doctest: +SKIP
>>> model.predict(["a fine film", "two hours lost"])    # doctest: +SKIP
['positive', 'negative']

Letters: N texts, C classes.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica import forward, linear, metrics
from rubrica.artifact import Artifact, load_artifact
from rubrica.config import Config
from rubrica.errors import nearest

_AT_A_TIME = 1 << 16  # texts that are numbers in memory at once, about


class Classifier:
    """A trained model that answers.

    Args:
        artifact: What `load_artifact` read, or what a training made.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact

    @property
    def labels(self) -> list[str]:
        """The C class names, in the order of the columns of `predict_proba`."""
        return self.artifact.labels

    @property
    def config(self) -> Config:
        """The settings that the model was trained with."""
        return self.artifact.config

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The most probable label of each text, in order."""
        return [self.labels[i] for i in self.logits(texts).argmax(axis=1)]

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities (N, C), one row per text, in order."""
        return metrics.softmax(self.logits(texts))

    def evaluate(self, texts: Sequence[str], labels: Sequence[Any]) -> dict[str, Any]:
        """Accuracy, macro-F1, loss, per class and confusion of the answers, see `metrics.score`.

        Raises:
            ValueError: If there are no texts, not one label per text, or a label that the model does not know.
        """
        if not texts or len(texts) != len(labels):
            raise ValueError(f"{len(texts)} texts and {len(labels)} labels; give as many labels as texts, at least one")
        target = {label: i for i, label in enumerate(self.labels)}
        if unknown := [label for label in labels if label not in target]:
            raise ValueError(f"the model does not know the label {unknown[0]!r}; {nearest(unknown[0], target)}")
        return metrics.score(self.logits(texts), np.array([target[label] for label in labels]), self.labels)

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unnormalised log-probabilities (N, C).

        A model that masks its padding scores each text by itself. A model that reads padding as words, as the
        seminar's do, is given batches of its training size in the texts' order, which is how it is evaluated.

        Raises:
            TypeError: If `texts` is one string, or holds something else than strings.
        """
        if isinstance(texts, str):
            raise TypeError(f"texts is one string ({texts[:20]!r}...); pass a list: [text]")
        if wrong := [i for i, text in enumerate(texts) if not isinstance(text, str)]:
            raise TypeError(f"text {wrong[0]} is {type(texts[wrong[0]]).__name__}, expected a string")
        result = np.empty((len(texts), len(self.labels)), np.float32)
        for first in range(0, len(texts), self._at_a_time):
            part = texts[first : first + self._at_a_time]
            found = result[first : first + len(part)]
            found[:] = 0
            if self.config.model.name != "linear":
                tokens = self.artifact.vocab.encode(part, self.config.data.max_length)
                found += forward.logits(self.artifact.tensors, self.config, tokens)
            if "linear" in self.config.model.parts:
                found += linear.logits(self._linear, part)
        return result

    @cached_property
    def _linear(self) -> linear.LinearPart:
        return linear.LinearPart(linear.ngrams_of(self.config), self.artifact.tensors)

    @property
    def _at_a_time(self) -> int:
        """Texts in memory as numbers; whole training batches, since with padding read as words they matter."""
        batch_size = self.config.training.batch_size
        return batch_size * max(1, _AT_A_TIME // batch_size)


def load(folder: str | Path) -> Classifier:
    """Open a model folder.

    Raises:
        ArtifactError: If a file is missing, changed or not one of ours.
    """
    return Classifier(load_artifact(folder))
