"""What a linear model that has not seen a text says of it.

Letters: N texts of train, C classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.data_checks.sample import Sample
from rubrica.learning.crossval import Features
from rubrica.scoring.calibration import fit_weights
from rubrica.scoring.task import Floats, Rows


class Judged(NamedTuple):
    """The answers of cross-validation.

    Args:
        scores: A logit of each class, (N, C).
        top: The class with the highest, (N,).
        sureness: The highest probability, (N,).
        right: Whether the text has that label, (N,).
    """

    scores: Floats
    top: Rows
    sureness: Floats
    right: NDArray[np.bool_]


def judge(sample: Sample) -> Judged:
    """Ask about each text of train a model that learned other texts."""
    features, task = sample.features, sample.task
    scores = features.out_of_sample()
    (weight,) = fit_weights(task, [scores], features.targets, None)
    top = scores.argmax(axis=1)
    return Judged(scores, top, task.probabilities(scores * weight).max(axis=1), have(features, top))


def have(features: Features, answers: Rows, rows: Rows | None = None) -> NDArray[np.bool_]:
    """Whether each of some texts has the label that was answered, (R,); of all texts without `rows`."""
    targets = features.targets if rows is None else features.targets[rows]
    found = np.zeros(len(answers), bool)
    owners, classes = features.task.pairs(targets)
    found[owners[classes == answers[owners]]] = True
    return found
