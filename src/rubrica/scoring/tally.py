"""Scores of texts that are answered some at a time.

Letters: N texts, B texts of a batch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rubrica.files import make_array
from rubrica.scoring import metrics
from rubrica.scoring.report import Report
from rubrica.scoring.task import Floats, Targets, Task


def score_all(
    task: Task,
    logits: Floats,
    targets: Targets,
    abstain_below: float | None = None,
    unknown: Sequence[str] = (),
    probabilities: Floats | None = None,
) -> Report:
    """The scores of N texts; the targets and the unknown labels are what `Task.encode_all` found. See `Tally.add`."""
    tally = Tally(task, len(logits), abstain_below, unknown)
    tally.add(logits, targets, probabilities)
    return tally.report()


class Tally:
    """Scores of texts that are answered some at a time.

    Args:
        task: What the texts are scored by.
        num_texts: N, at least 1.
        abstain_below: See `Classifier.evaluate`.
        unknown: The labels of the texts that are not among the task's, see `Task.encode_all`.
    """

    def __init__(
        self, task: Task, num_texts: int, abstain_below: float | None = None, unknown: Sequence[str] = ()
    ) -> None:
        task.check_abstaining(abstain_below)
        self.task, self.abstain_below, self.unknown = task, abstain_below, unknown
        self.losses, self.done = make_array(num_texts, np.float64), 0
        self.counts: list[Any] = []

    def add(self, logits: Floats, targets: Targets, probabilities: Floats | None = None) -> None:
        """Score some more texts; `probabilities` (B, C) says how probable their labels are where they are not certain.

        A label that is answered is right or wrong by the targets, the most probable labels.
        """
        counts = self.task.count(logits, targets, self.abstain_below, self.unknown, probabilities)
        self._add(self.task.known_losses(logits, targets, probabilities), counts)

    def add_answers(self, answers: metrics.Ints, probabilities: Floats, losses: Floats, targets: Targets) -> None:
        """Score some more texts, each of one label: its answer, how probable that is, and the loss of its label.

        The loss of a text whose label is unknown is not looked at.
        """
        sure = None if self.abstain_below is None else probabilities >= self.abstain_below
        counts = self.task.count_answers(answers, sure, targets, self.unknown)
        self._add(np.where(self.task.has_unknown(targets), metrics.NO_LOSS, losses), counts)

    def _add(self, losses: Floats, counts: list[Any]) -> None:
        self.losses[self.done : self.done + len(losses)] = losses
        self.done += len(losses)
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)] if self.counts else counts

    def report(self, batch_size: int | None = None) -> Report:
        """The scores of all texts; with `batch_size`, `Report.mean_batch_loss` is among them."""
        mean_batch_loss = None
        if batch_size is not None:  # a short last batch weighs as much as a full one
            starts = range(0, len(self.losses), batch_size)
            means = [metrics.mean_loss(self.losses[first : first + batch_size]) for first in starts]
            mean_batch_loss = metrics.mean_loss(np.array([metrics.NO_LOSS if mean is None else mean for mean in means]))
        return self.task.report(
            self.counts, len(self.losses), self.abstain_below, self.unknown,
            loss=metrics.mean_loss(self.losses), mean_batch_loss=mean_batch_loss,
        )  # fmt: skip
