"""How well their words tell two groups of texts apart: naive Bayes, learned on one half and judged on the other.

Letters: N texts, P pairs of a text and a word of it, L words.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.scoring.task import Floats, Rows


class Apart(NamedTuple):
    """How far two groups are apart.

    Args:
        area: The area under the ROC curve on texts that were not learned from: 0.5 for groups that are alike.
        error: Its standard error.
        log_odds: By word, how much it speaks for the second group, from all texts, (L,).
    """

    area: float
    error: float
    log_odds: NDArray[np.float64]


def told_apart(
    owners: NDArray[np.int32],
    words: NDArray[np.int32],
    own: Rows,
    second: NDArray[np.bool_],
    without: int | None = None,
) -> Apart:
    """Tell two groups of texts apart by their words.

    Args:
        owners: The text of each pair, (P,).
        words: The word of each pair, (P,).
        own: The texts of both groups.
        second: Whether each text is in the second group, (N,).
        without: A word that does not count.
    """
    half = np.random.default_rng(0).permutation(len(own)) % 2 == 0
    sizes = np.maximum(1, np.bincount(owners, minlength=len(second)))
    areas = []
    for learned, judged in ((own[half], own[~half]), (own[~half], own[half])):
        weights = _log_odds(owners, words, learned, second, without)
        scores = np.bincount(owners, weights[words], minlength=len(second)) / sizes
        areas.append(area(scores[judged], second[judged]))
    counts = np.bincount(second[own], minlength=2)
    # The error of an area of groups that are alike (H. Mann and D. Whitney, 1947); else it is smaller.
    error = float(np.sqrt((len(own) + 1) / (12 * max(1, counts[0] * counts[1]))))
    return Apart(float(np.mean(areas)), error, _log_odds(owners, words, own, second, without))


def _log_odds(
    owners: NDArray[np.int32], words: NDArray[np.int32], learned: Rows, second: NDArray[np.bool_], without: int | None
) -> NDArray[np.float64]:
    size = int(words.max(initial=0)) + 1
    shares = []
    for group in (False, True):
        chosen = np.zeros(len(second), bool)
        chosen[learned[second[learned] == group]] = True
        counts = np.bincount(words[chosen[owners]], minlength=size) + 1.0
        shares.append(counts / counts.sum())
    odds = np.log(shares[1] / shares[0])
    if without is not None:
        odds[without] = 0
    return odds


def area(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """The area under the ROC curve: how often a positive has the higher score; equal scores count a half."""
    total = int(positive.sum())
    if total in (0, len(positive)):
        return 0.5
    _, ranks, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return float((middle[ranks[positive]].sum() - total * (total + 1) / 2) / (total * (len(positive) - total)))
