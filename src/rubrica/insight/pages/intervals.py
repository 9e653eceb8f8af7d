"""How far a score on N texts may lie from the score on all texts of the same kind: intervals of 95 %.

A share has the interval of E. Wilson, "Probable inference", JASA 1927, https://doi.org/10.1080/01621459.1927.10502953:
it is never empty and never leaves 0 to 1, unlike the usual 1.96 standard errors. The F1 of a label follows from a
share. Of the texts that have the label or get it, J have and get it, and F1 is 2J / (1 + J).

F1 over several labels has a bootstrap's interval: texts are drawn with replacement, and the score is computed anew.
Texts of a kind are alike, so a draw says how many there are of each kind. A rare label is missing from some draws,
which moves all of them up or down. So the draws are moved until their mean is the score.

A calibrated model is right as often as it says. How often n such answers turn out right is binomial; the count of each
tenth lies within its middle 95 % by chance alone.

Letters: C labels, K kinds of texts, R draws.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import require
from rubrica.insight.pages.measure import Kinds
from rubrica.scoring.metrics import f1_score

_NORMAL = 1.959964  # standard deviations, which hold 95 % of a normal distribution
_EDGES = (0.025, 0.975)
_DRAWS = 1000  # the ends of an interval then move by a twentieth of its width from seed to seed


class Figure(NamedTuple):
    """A score with its interval."""

    value: float
    low: float
    high: float


def share(hits: int, count: int, z: float = _NORMAL) -> Figure:
    """The share of hits with Wilson's interval, z standard deviations to each side; of no texts, 0 and everything."""
    if not count:
        return Figure(0.0, 0.0, 1.0)
    value = hits / count
    middle = (value + z * z / (2 * count)) / (1 + z * z / count)
    width = z / (1 + z * z / count) * float(np.sqrt(value * (1 - value) / count + z * z / (4 * count * count)))
    return Figure(value, max(0.0, min(value, middle - width)), min(1.0, max(value, middle + width)))


def f1_of_label(hits: int, answered: int, there: int) -> Figure:
    """The F1 of a label with its interval, from how often it is rightly answered, answered, and there."""
    either = share(hits, answered + there - hits)
    return Figure(*(2 * jaccard / (1 + jaccard) for jaccard in either))


class Resampled(NamedTuple):
    """The scores of R draws of texts, (R,): F1 over all labels, and the mean of the F1 of each label."""

    micro_f1: NDArray[np.float64]
    macro_f1: NDArray[np.float64]


def resample(kinds: Kinds, num_labels: int) -> Resampled:
    """Scores of texts drawn with replacement; the same texts give the same draws."""
    draw, total = np.random.default_rng(0), kinds.sizes.sum()
    micro, macro = np.empty(_DRAWS), np.empty(_DRAWS)
    for place in range(_DRAWS):
        drawn = draw.multinomial(total, kinds.sizes / total)
        counts = [np.bincount(labels, drawn[numbers], num_labels) for numbers, labels in kinds.pairs]
        seen = counts[1] + counts[2] > 0
        micro[place] = f1_score(*(count.sum() for count in counts))
        macro[place] = f1_score(*(count[seen] for count in counts)).mean() if seen.any() else 0.0
    return Resampled(micro, macro)


def interval(value: float, drawn: NDArray[np.float64]) -> Figure:
    """A score with the middle 95 % of its draws, moved to the score."""
    low, high = np.quantile(drawn, _EDGES) + value - drawn.mean()
    return Figure(value, max(0.0, min(value, float(low))), min(1.0, max(value, float(high))))


class Bin(NamedTuple):
    """A tenth of the probabilities.

    Args:
        size: How many it holds.
        said: Their mean: the share of right answers that they promise.
        right: The share that is right.
        low: From where the share of a calibrated model lies in 95 % of all cases.
        high: To where.
    """

    size: int
    said: float
    right: float
    low: float
    high: float


class Reliability(NamedTuple):
    """Whether probabilities mean what they say.

    Args:
        bins: The tenths that hold any.
        error: The expected calibration error: the mean distance of `said` and `right` over all answers.
        by_chance: What the error of a calibrated model stays below in 95 % of all cases.
        surplus: The mean probability less the share of right answers: above 0 the model is too sure.
    """

    bins: list[Bin]
    error: float
    by_chance: float
    surplus: float


def reliability(counts: NDArray[np.float64]) -> Reliability:
    """The reliability of answers in tenths, see `Measured.bins`.

    Raises:
        MissingExtraError: If scipy is not installed.
    """
    binom = require("scipy.stats", "report").binom
    sizes, sums, right = counts[:, counts[0] > 0]
    numbers, said, shares = sizes.astype(np.int64), np.clip(sums / sizes, 0, 1), right / sizes
    edges = [binom.ppf(edge, numbers, said) / sizes for edge in _EDGES]
    drawn = np.random.default_rng(0).binomial(numbers, said, (_DRAWS, len(sizes))) / sizes
    by_chance = np.abs(drawn - said) @ sizes / sizes.sum()
    columns = (numbers, said, shares, *edges)
    return Reliability(
        bins=[Bin(*row) for row in zip(*(column.tolist() for column in columns), strict=True)],
        error=float(np.abs(shares - said) @ sizes / sizes.sum()),
        by_chance=float(np.quantile(by_chance, _EDGES[1])),
        surplus=float((said - shares) @ sizes / sizes.sum()),
    )
