"""How probable a label must be to be an answer, where a text may have several: found on the validation part.

A label's own best threshold is a guess where few texts have it: of reuters21578's labels two thirds have less than five
in a tenth of train. So each label's counts are mixed with the counts of all labels together, scaled to `SHARED` texts,
and the threshold is the one with the best F1 on the mixture. A common label follows its own texts, a rare label all
texts. Rules that were tried, and their scores, are in docs/decisions.md.

Letters: N texts, C classes.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARED = 20.0  # with bags, 10 to 50 are within 0.8 points on a third part of train; 2 costs up to 6 of micro-F1
GRID = np.arange(1, 50) / 50


def tune_thresholds(
    parts: Iterable[tuple[NDArray[np.floating[Any]], NDArray[np.uint8]]], num_classes: int
) -> list[float]:
    """A threshold for each label, C, from 0.02 to 0.98; 0.5 where nothing tells.

    `parts` are probabilities and targets (N, C), some texts at a time.
    """
    steps = len(GRID) + 1
    tally = np.zeros((2, num_classes * steps))  # histograms of probabilities: of all texts, of the texts with the label
    for probabilities, targets in parts:
        places = np.searchsorted(GRID, probabilities, side="right") + steps * np.arange(num_classes)
        for counts, chosen in zip(tally, (places.ravel(), places[targets.astype(bool)]), strict=True):
            counts += np.bincount(chosen, minlength=len(counts))
    # (2, C, 49): how many are at least as probable as each threshold.
    answered, hits = np.cumsum(tally.reshape(2, num_classes, steps)[..., ::-1], axis=2)[..., -2::-1]
    there = tally[1].reshape(num_classes, steps).sum(axis=1)
    share = SHARED / max(1.0, there.sum())
    hits, answered = (counts + share * counts.sum(axis=0) for counts in (hits, answered))
    f1 = 2 * hits / np.maximum(answered + (there + share * there.sum())[:, None], 1e-9)
    best = [np.flatnonzero(row >= row.max() - 1e-12) for row in f1]
    return [round(float(GRID[places[len(places) // 2]]), 2) for places in best]
