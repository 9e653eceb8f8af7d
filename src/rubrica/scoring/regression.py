"""The task in which a text has a score from 0 to 1: how good it is, how hard to read, how far something holds.

A score is learned as the probability of the upper end of the scale, with the cross-entropy as loss (L. Papke and J.
Wooldridge, "Econometric methods for fractional response variables", Journal of Applied Econometrics 11, 1996). Its
minimum is the mean of the scores that such texts have, and no answer is below 0 or above 1. So every family that gives
one label of two gives scores.

Letters: N texts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rubrica.scoring import metrics
from rubrica.scoring.report import RegressionReport
from rubrica.scoring.shares import Share, shares_of_one
from rubrica.scoring.task import Floats, Targets, Task

_UNITS = 1_000_000  # of a hit: hits are whole numbers
_EQUAL = 1e-12  # a variance below it is of rounding


@dataclass(frozen=True)
class Regression(Task):
    """A text has a score; the labels are the two ends of the scale."""

    labels: tuple[str, ...] = ("0", "1")

    problem_type: ClassVar[str] = "regression"
    remark: ClassVar[str] = " (a score from 0 to 1)"
    fits_tree: ClassVar[bool] = False
    gives_labels: ClassVar[bool] = False
    measure: ClassVar[str] = RegressionReport.measure
    layout: ClassVar[dict[str, Any]] = {"regression": True}

    @staticmethod
    def shares(labels: Sequence[str], probabilities: Floats, possible: float = 0.0) -> Iterator[Share]:
        """As `shares_of_one`, of each end of the scale as much as was said, however little."""
        return shares_of_one(labels, probabilities, possible=0.0)

    def joined(self, other: Task) -> "Regression":
        if not isinstance(other, Regression):
            raise ValueError("its texts have labels, and the model gives a score; read scores with --regression")
        return self

    def encode_all(self, labels: Sequence[Any]) -> tuple[Targets, tuple[str, ...]]:
        targets, unknown = super().encode_all(labels)
        if unknown:
            advice = "read the data with --regression, in Python with regression=True"
            raise ValueError(f"found the label {unknown[0]!r:.40}, expected a score; {advice}")
        return targets, unknown

    def decide(self, logits: Floats, abstain_below: float | None = None) -> list[Any]:
        """The upper end of the scale for each text, in a list: its probability is the score, whatever it is."""
        return [[self.labels[1]] for _ in logits]

    def answers(self, logits: Floats, abstain_below: float | None = None) -> list[Any]:
        """The score of each text."""
        return self.probabilities(logits)[:, 1].astype(float).tolist()

    def answer_lines(self, logits: Floats, *, all_classes: bool, abstain_below: float | None) -> list[str]:
        """`{"score": 0.73}`; there are no classes whose scores could be shown beside it."""
        return [f'{{"score": {score!r}}}' for score in self.probabilities(logits)[:, 1].astype(float).round(6).tolist()]

    def check_abstaining(self, below: float | None) -> None:
        if below is not None:
            raise ValueError("this model gives each text a score; leave abstain_below out")

    def count(
        self,
        logits: Floats,
        targets: Targets,
        abstain_below: float | None,
        unknown: Sequence[str] = (),
        probabilities: Floats | None = None,
    ) -> list[Any]:
        """The sums of errors, squared errors, scores, squared scores, answers, squared answers and products, (7,)."""
        found, true = self.probabilities(logits)[:, 1].astype(float), _scores(targets, probabilities)
        error = found - true
        columns = (np.abs(error), error**2, true, true**2, found, found**2, found * true)
        return [np.array([column.sum() for column in columns])]

    def hits(self, logits: Floats, targets: Targets, probabilities: Floats | None = None) -> metrics.Ints:
        """How near each answer is, in millionths of the whole way from 0 to 1, and twice the whole way, (N, 2)."""
        error = np.abs(self.probabilities(logits)[:, 1].astype(float) - _scores(targets, probabilities))
        near = np.rint((1 - error) * _UNITS)
        return np.stack([near, np.full(len(near), 2 * _UNITS)], axis=1).astype(np.int64)

    def report(
        self, counts: list[Any], texts: int, abstain_below: float | None, unknown: Sequence[str] = (), **losses: Any
    ) -> RegressionReport:
        error, squared, true, true2, found, found2, both = (counts[0] / texts).tolist()
        spread, spread_found = true2 - true**2, found2 - found**2
        known, both_known = spread > _EQUAL, min(spread, spread_found) > _EQUAL
        return RegressionReport(
            texts=texts,
            mean_absolute_error=error,
            root_mean_squared_error=math.sqrt(squared),
            r2=1 - squared / spread if known else None,
            correlation=(both - true * found) / math.sqrt(spread * spread_found) if both_known else None,
            **losses,
        )


def _scores(targets: Targets, probabilities: Floats | None) -> Floats:
    """The true score of each text, (N,)."""
    return np.asarray(targets if probabilities is None else probabilities[:, 1], np.float64)
