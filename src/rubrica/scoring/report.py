"""Scores as values; they become JSON at the edge.

Letters: N texts, C classes, U labels of the texts that the model does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

_TITLES = {
    "accuracy": "accuracy",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "subset_accuracy": "subset accuracy",
    "mean_absolute_error": "mean absolute error",
    "root_mean_squared_error": "root mean squared error",
    "r2": "R²",
    "correlation": "correlation",
}


class ClassScore(NamedTuple):
    """The figures of one class; a figure is 0 where nothing was answered or nothing was there to find."""

    label: str
    precision: float
    recall: float
    f1: float
    texts: int


class Abstaining(NamedTuple):
    """What is gained where the model leaves texts without an answer, and at what price.

    Args:
        abstain_below: A text is answered where its most probable class is at least this probable.
        coverage: The share of texts that are answered.
        answered_accuracy: The accuracy on these texts; None where there are none.
    """

    abstain_below: float
    coverage: float
    answered_accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The scores of a model on some texts.

    Args:
        texts: How many; at least 1.
        loss: Mean loss of a text in nats. A text whose only label the model does not know has none; where a text may
            have several labels, its loss is the sum over the labels that the model knows. None where no text has one.
        mean_batch_loss: The loss as the seminar reports it: the mean over batches of each batch's mean.
        abstaining: What abstaining gains, where it was asked for.
    """

    texts: int
    loss: float | None
    mean_batch_loss: float | None = None
    abstaining: Abstaining | None = None

    measure: ClassVar[str]
    """The score that models are compared by, as a person calls it."""

    @property
    def main(self) -> float:
        """The value of `measure`."""
        return main_score(vars(self))

    def __getitem__(self, name: str) -> Any:
        """A score by its name in the JSON, as in `report["accuracy"]`."""
        return self.to_json()[name]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The scores of the kind of task, which a type checker does not know."""

    def to_json(self) -> dict[str, Any]:
        """What `rubrica evaluate --json` prints."""
        values = dict(vars(self))
        abstaining = values.pop("abstaining")
        if self.mean_batch_loss is None:
            values.pop("mean_batch_loss")
        return values if abstaining is None else values | abstaining._asdict()

    def _repr_html_(self) -> str:
        """What a notebook shows: the scores, and the figures of each class."""
        from rubrica.scoring.notebook import show_scores  # late: few are shown

        scores = self.to_json()
        return show_scores(headline(scores), scores)


@dataclass(frozen=True, kw_only=True)
class LabelsReport(Report):
    """Scores of a model that gives labels.

    Args:
        macro_f1: Mean F1 of the classes that occur or are answered, as in scikit-learn.
        per_class: The figures of each class, C; then of each label that the model does not know, U.
    """

    macro_f1: float
    per_class: list[ClassScore]

    def to_json(self) -> dict[str, Any]:
        """As `Report.to_json`, with the figures of each class."""
        return super().to_json() | {"per_class": [row._asdict() for row in self.per_class]}


@dataclass(frozen=True, kw_only=True)
class OneLabelReport(LabelsReport):
    """Scores where a text has one label.

    Args:
        accuracy: Share of texts that are answered rightly.
        confusion: Counts (C + U, C + U): a row is the truth, a column the answer. None of more
            than 1,000 classes.
    """

    accuracy: float
    confusion: list[list[int]] | None

    measure: ClassVar[str] = "accuracy"


@dataclass(frozen=True, kw_only=True)
class SeveralLabelsReport(LabelsReport):
    """Scores where a text may have several labels.

    Args:
        micro_f1: F1 over all labels of all texts.
        subset_accuracy: Share of texts whose labels are all right.
        hamming_loss: Share of the N * (C + U) answers, yes or no, that are wrong.
    """

    micro_f1: float
    subset_accuracy: float
    hamming_loss: float

    measure: ClassVar[str] = "micro-F1"


@dataclass(frozen=True, kw_only=True)
class RegressionReport(Report):
    """How near the scores of a model are to the true ones.

    Args:
        mean_absolute_error: The mean distance from the true score.
        root_mean_squared_error: The root of the mean squared distance.
        r2: The share of the spread of the true scores that the model explains; below 0 it is worse than the mean score.
            None where all true scores are the same.
        correlation: Pearson's, of the true scores and the model's; None where one of them is always the same.
    """

    mean_absolute_error: float
    root_mean_squared_error: float
    r2: float | None
    correlation: float | None

    measure: ClassVar[str] = "1 - mean absolute error"


def headline(scores: Mapping[str, Any]) -> str:
    """The main figures of a report's JSON in a line."""
    return ", ".join(f"{title} {scores[name]:.4f}" for name, title in _TITLES.items() if scores.get(name) is not None)


def main_score(scores: Mapping[str, Any]) -> float:
    """The score of a report's JSON that models are compared by: accuracy, micro-F1, or 1 - mean absolute error."""
    if (error := scores.get("mean_absolute_error")) is not None:
        return 1 - float(error)
    return float(next(scores[name] for name in _TITLES if name in scores))
