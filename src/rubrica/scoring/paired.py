"""Two models on the same texts: how far one leads, how sure that is, and what the luckiest of many would lead by.

A model's answers are `Task.hits`: for each text the labels that it answers rightly, and the labels that it answers or
that are there. The score is 2 * sum(hits) / sum(sizes). For accuracy a text's part in the difference of two scores is
the difference of right and wrong; for micro-F1 it is the first term of the score's Taylor series (the delta method).

The best of many trials leads by luck alone. H. White, "A reality check for data snooping", Econometrica 68, 2000, asks
how far the best of them would lead if none were better. Here the leads are divided by their standard errors first, and
they are drawn from the normal distribution with their own correlations, not from texts drawn with replacement.

Letters: N texts, M trials.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[Any]
"""The answers of a model to N texts, (N, 2), see `Task.hits`; means where it was trained and asked several times."""

LEVEL = 0.1
"""A lead counts if luck alone would bring the best of the trials as far in less than this share of searches. Where luck
deceives, the two models are about equally good. So a mistake costs little, and a stricter level would leave gains
behind."""

_DRAWS = 10_000


class Lead(NamedTuple):
    """How far a model is ahead of another on the same texts.

    Args:
        points: The difference of their scores; below 0 where the model is behind.
        error: Its standard error.
    """

    points: float
    error: float

    @property
    def clearly_behind(self) -> bool:
        """Whether it is behind by more than a standard error: of equal models 1 in 6 is."""
        return self.points < 0 and -self.points > self.error


class Answers(NamedTuple):
    """What a model answered to N texts.

    Args:
        rows: Which texts, in ascending order, (N,).
        hits: The answers, (N, 2).
    """

    rows: NDArray[np.int64]
    hits: Hits


def average(parts: Sequence[tuple[NDArray[np.int64], Hits]]) -> Answers:
    """The answers of all parts, rows and hits each; of a text that several parts have, the mean."""
    rows, places = np.unique(np.concatenate([rows for rows, _ in parts]), return_inverse=True)
    hits = np.concatenate([hits for _, hits in parts])
    sums = np.stack([np.bincount(places, column, len(rows)) for column in hits.T], axis=1)
    return Answers(rows, sums / np.bincount(places, minlength=len(rows))[:, None])


def score(hits: Hits) -> float:
    """Accuracy, or micro-F1."""
    right, sizes = hits.sum(axis=0)
    return float(2 * right / sizes) if sizes else 0.0


def lead(ours: Hits, theirs: Hits) -> Lead:
    """The lead of our model, on the texts that both have answered, in the same order."""
    parts = _parts(ours, theirs)
    error = float(np.sqrt((parts**2).sum() / max(1, len(parts) - 1) / len(parts)))
    return Lead(score(ours) - score(theirs), error)


def mean_lead(leads: NDArray[np.floating[Any]]) -> Lead:
    """The mean of how far a model is ahead on each text, (N,)."""
    return Lead(float(leads.mean()), float(leads.std() / np.sqrt(max(1, len(leads) - 1))))


def _parts(ours: Hits, theirs: Hits) -> NDArray[np.float64]:
    """What each text adds to the lead, less the mean, (N,)."""
    return _influence(ours) - _influence(theirs)


def _influence(hits: Hits) -> NDArray[np.float64]:
    right, sizes = hits.T
    whole = float(sizes.sum())
    return np.asarray((2 * right - score(hits) * sizes) / (whole or 1.0) * len(hits))


def chances(trials: Sequence[tuple[Answers, Answers]], seed: int) -> list[float]:
    """For each trial how likely the luckiest of all trials leads the default as far, if none is better than it, (M,).

    Args:
        trials: The answers of each and of the default, to the same texts; one that was given up has met fewer.
        seed: Of the draws.
    """
    if not trials:
        return []
    signs = np.zeros((len(trials), 1 + max(int(ours.rows.max()) for ours, _ in trials)))
    leads = np.zeros(len(trials))
    for place, (ours, theirs) in enumerate(trials):
        points, error = lead(ours.hits, theirs.hits)
        if error:
            parts = _parts(ours.hits, theirs.hits)
            signs[place, ours.rows] = parts / np.sqrt((parts**2).sum())
            leads[place] = points / error
        else:  # the two answer every text alike, or every text differently
            leads[place] = np.inf if points > 0 else -np.inf if points < 0 else 0
    drawn = np.random.default_rng(seed).multivariate_normal(
        np.zeros(len(trials)), signs @ signs.T, _DRAWS, check_valid="ignore", method="eigh"
    )
    luckiest = drawn.max(axis=1)
    return [float((luckiest >= value).sum() + 1) / (_DRAWS + 1) for value in leads]
