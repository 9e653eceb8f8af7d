"""The models that a server answers with: opened from the paths of the command line, and from nowhere else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import RubricaError
from rubrica.predict.classifier import Classifier, load


@dataclass(frozen=True, eq=False)
class Model:
    """A model that answers under a name.

    Args:
        name: What requests call it.
        path: The folder or file that it is opened from, again on SIGHUP.
        classifier: What answers.
        shares: The share of each label among the labels of the training, (C,); None where the model does not say.
        size: Bytes of its files.
    """

    name: str
    path: Path
    classifier: Classifier
    shares: NDArray[np.float64] | None
    size: int

    @property
    def labels(self) -> list[str]:
        """The C class names."""
        return self.classifier.labels

    @property
    def scores_alone(self) -> bool:
        """Whether a text's answer is independent of the texts beside it, so that requests may share a batch."""
        return self.classifier.config.model.masks_padding

    def info(self) -> dict[str, str]:
        """What /metrics says of it."""
        config, task = self.classifier.config, self.classifier.task
        return {"kind": config.title, "problem_type": task.problem_type, "labels": str(task.num_classes)}


Models = dict[str, Model]
"""The models by name, in the order of the command line. A reload puts another model in a place."""


def open_one(name: str, path: Path, abstain_below: float | None) -> Model:
    """Open a model and let it answer once, so that the first request need not wait for what is loaded late.

    Raises:
        RubricaError: If it cannot be read, does not answer, or cannot abstain.
    """
    classifier = load(path)
    try:
        classifier.scored([""], abstain_below=abstain_below)
    except ValueError as error:
        raise RubricaError(f"{path}: --abstain-below: {error}") from None
    size = sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))
    return Model(name, path, classifier, training_shares(classifier.artifact.metrics, classifier.labels), size)


def open_models(paths: Mapping[str, Path], abstain_below: float | None) -> Models:
    """Open all models.

    Raises:
        RubricaError: As in `open_one`.
    """
    return {name: open_one(name, path, abstain_below) for name, path in paths.items()}


def reload_models(models: Models, abstain_below: float | None) -> Iterator[tuple[str, str | None]]:
    """Open each model anew; yields its name, and what is wrong with a new one that does not replace the old."""
    for name, old in list(models.items()):
        try:
            models[name] = open_one(name, old.path, abstain_below)
            yield name, None
        except (RubricaError, MemoryError) as error:
            yield name, str(error) or "not enough memory"


def training_shares(metrics: dict[str, Any], labels: Sequence[str]) -> NDArray[np.float64] | None:
    """The share of each label in the texts held out of train, which were drawn label by label."""
    rows = (metrics.get("validation") or {}).get("per_class", ())
    counts = {row["label"]: row["texts"] for row in rows}
    found = np.array([counts.get(label, 0) for label in labels], np.float64)
    return found / found.sum() if found.any() else None
