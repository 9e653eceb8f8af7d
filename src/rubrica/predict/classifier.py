"""Answers from a model folder, without torch.

>>> model = load("reviews-model")                       # doctest: +SKIP
>>> model.predict(["a fine film", "two hours lost"])    # doctest: +SKIP
['positive', 'negative']

Letters: N texts, C classes.
"""

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact, load_artifact
from rubrica.config.settings import Config
from rubrica.errors import nearest
from rubrica.models import forward, linear
from rubrica.scoring import metrics

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

    @property
    def several(self) -> bool:
        """Whether a text may have several labels."""
        return self.artifact.thresholds is not None

    def predict(self, texts: Sequence[str], *, abstain_below: float | None = None) -> list[Any]:
        """The most probable label of each text, in order; where a text may have several, a list, best first.

        Args:
            texts: May be none.
            abstain_below: The answer is None where no label is so probable, from 0 to 1.

        Raises:
            ValueError: See `check_abstaining`.
        """
        self.check_abstaining(abstain_below)
        logits = self.logits(texts)
        if self.artifact.thresholds is None:
            answers: list[Any] = [self.labels[i] for i in logits.argmax(axis=1)]
            if abstain_below is not None:
                for row in np.flatnonzero(metrics.softmax(logits).max(axis=1) < abstain_below):
                    answers[row] = None
            return answers
        return [[self.labels[i] for i in row] for row in ranked(logits, self.artifact.thresholds)]

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities (N, C), one row per text, in order; where a text may have several labels, of each by itself."""
        logits = self.logits(texts)
        return metrics.sigmoid(logits) if self.several else metrics.softmax(logits)

    def check_abstaining(self, below: float | None) -> None:
        """Make sure that the model can leave a text without an answer where its label is less probable than this.

        Raises:
            ValueError: If it is no probability, or a text may have several labels: each has a threshold of its own.
        """
        if below is not None and not 0 <= below <= 1:
            raise ValueError(f"{below} is no probability; give 0 to 1")
        if below is not None and self.several:
            raise ValueError("this model gives a text several labels or none, each by its own threshold; leave it out")

    def evaluate(
        self, texts: Sequence[str], labels: Sequence[Any], *, abstain_below: float | None = None
    ) -> dict[str, Any]:
        """Scores of the answers, see `metrics.score`; where a text may have several labels, `metrics.score_sets`.

        All texts count in them; with `abstain_below` those of `metrics.abstaining` are added.

        Args:
            texts: At least one.
            labels: The label of each; where a text may have several, a list of them, or one.
            abstain_below: See `predict`.

        Raises:
            ValueError: If there are no texts, not one label per text, or a label that the model does not know;
                see `check_abstaining`.
        """
        self.check_abstaining(abstain_below)
        if not len(texts) or len(texts) != len(labels):  # a column of numpy's is neither true nor false
            raise ValueError(f"{len(texts)} texts and {len(labels)} labels; give as many labels as texts, at least one")
        target = {label: i for i, label in enumerate(self.labels)}
        sets = [(label,) if isinstance(label, str) or not isinstance(label, Collection) else label for label in labels]
        if unknown := [label for found in sets for label in found if label not in target]:
            raise ValueError(f"the model does not know the label {unknown[0]!r}; {nearest(str(unknown[0]), target)}")
        if not self.several and (wrong := [found for found in sets if len(found) != 1]):
            raise ValueError(f"a text has {len(wrong[0])} labels, and the model gives one; give one label a text")
        if self.artifact.thresholds is None:
            logits, wanted = self.logits(texts), np.array([target[label] for (label,) in sets])
            scores = metrics.score(logits, wanted, self.labels)
            if abstain_below is not None:
                scores |= metrics.abstaining(metrics.softmax(logits), wanted, abstain_below)
            return scores
        targets = np.zeros((len(texts), len(self.labels)), np.uint8)
        for row, found in zip(targets, sets, strict=True):
            row[[target[label] for label in found]] = 1
        return metrics.score_sets(self.logits(texts), targets, self.artifact.thresholds, self.labels)

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


def ranked(logits: NDArray[np.float32], thresholds: Sequence[float]) -> list[list[int]]:
    """The places of each text's labels, the most probable first; of a text that has none, an empty list."""
    answers = metrics.chosen(logits, thresholds)
    order = np.argsort(-logits, axis=1, kind="stable")
    kept = np.take_along_axis(answers, order, axis=1)
    return [row[mask].tolist() for row, mask in zip(order, kept, strict=True)]


def load(folder: str | Path) -> Classifier:
    """Open a model folder.

    Raises:
        ArtifactError: If a file is missing, changed or not one of ours.
    """
    return Classifier(load_artifact(folder))
