"""The tasks, and which of them labels or a config.json ask for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rubrica.errors import RubricaError
from rubrica.scoring.task import Floats, Task

# `SeveralLabels` and `Regression` are imported where they are needed: most models start without them.


def regression() -> Task:
    """The task of a data set whose texts have scores."""
    from rubrica.scoring.regression import Regression

    return Regression()


def task_of(classes: Sequence[str], *, lists: bool) -> Task:
    """The task of a data set, whose texts have one label each, or lists of them."""
    from rubrica.scoring.several_labels import SeveralLabels

    return SeveralLabels(tuple(classes)) if lists else Task(tuple(classes))


def check_labels(task: Task, what: str) -> None:
    """Make sure that texts have labels.

    Raises:
        RubricaError: If they have a score; `what` says who looks at labels.
    """
    if not task.gives_labels:
        raise RubricaError(f"{what} looks at labels, and here a text has a score; rubrica evaluate says how near it is")


@dataclass(frozen=True)
class ScoredLabels(Task):
    """A text has one label, and its logits are logarithms of scores that need not add up to 1, as fastText's do not."""

    @staticmethod
    def probabilities(logits: Floats) -> Floats:
        """From logits to the score of each class, (N, C)."""
        return np.asarray(np.exp(logits))


def scored_task(classes: Sequence[str], *, alone: bool) -> Task:
    """The task of a model whose logits are logarithms of scores; `alone` says that it asks about each label alone."""
    return task_of(classes, lists=True) if alone else ScoredLabels(tuple(classes))


def read_task(problem_type: object, classes: Sequence[str], thresholds: object, *, scored: bool = False) -> Task:
    """The task that a model folder names; `scored` says that a logit is the logarithm of a score.

    Raises:
        ValueError: If the problem type is unknown, or the thresholds do not fit it.
    """
    if problem_type == Task.problem_type and thresholds is None:
        return (ScoredLabels if scored else Task)(tuple(classes))
    from rubrica.scoring.several_labels import SeveralLabels

    if problem_type == "regression" and thresholds is None and tuple(classes) == regression().labels:
        return regression()
    if problem_type != SeveralLabels.problem_type or not isinstance(thresholds, list):
        raise ValueError(f"problem_type is {problem_type!r:.40} and thresholds {thresholds!r:.40}, which do not fit")
    if len(thresholds) != len(classes) or not all(isinstance(cut, float) and 0 < cut < 1 for cut in thresholds):
        raise ValueError(f"thresholds are not {len(classes)} numbers between 0 and 1")
    return SeveralLabels(tuple(classes), tuple(thresholds))
