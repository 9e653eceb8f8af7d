"""From which margin on the fast member of a model may answer alone: the others would hardly ever change its label.

The margin of a label is how far its logit is above the best other one. What the other members take from the margin of
the fast member's label is, on held-out texts, close to a straight line by this margin with noise around it. The noise
is taken as logistic, whose tails are longer than a normal one's. So each text says something of the rare case that the
others take more than the margin, and not only the few texts whose label they change. Where these lie apart from the
line, it knows nothing of them; so a margin that is safe is larger than theirs, too.

Letters: N texts, C classes.
"""

import numpy as np

from rubrica.scoring.metrics import sigmoid
from rubrica.scoring.task import Floats

_AIM = 5e-5  # of all texts have another label where the fast member is sure; where the line is crooked, up to 2e-4
_LEAST_TEXTS, _LEAST_CHANGED = 200, 5  # held-out texts, and changed labels among them; fewer do not show the noise
_LEAST_SPREAD = 1e-9  # of the margins: through one point goes any line
_WORTH = 0.1  # of the texts must be sure, else there is nothing to gain


def margins(logits: Floats) -> Floats:
    """How far the best logit of each text is above the second, (N,)."""
    best = np.partition(logits, logits.shape[1] - 2, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


def find_sure(fast: Floats, whole: Floats) -> float | None:
    """The margin of the fast member from which on it may answer alone; None where none is safe, or worth it.

    Args:
        fast: The logits of held-out texts by the fast member, as it weighs in the model, (N, C).
        whole: The logits by all members together, (N, C).
    """
    if np.array_equal(fast, whole):  # the others count for nothing
        return 0.0
    rows, label = np.arange(len(fast)), fast.argmax(axis=1)
    changes = label != whole.argmax(axis=1)
    if len(fast) < _LEAST_TEXTS or changes.sum() < _LEAST_CHANGED:
        return None
    margin = margins(fast).astype(np.float64)
    others = whole.astype(np.float64)
    others[rows, label] = -np.inf
    if np.ptp(margin) < _LEAST_SPREAD:  # the fast member counts for nothing
        return None
    taken = margin - (whole[rows, label] - others.max(axis=1))
    line = np.polynomial.Polynomial.fit(margin, taken, 1)
    noise = float((taken - line(margin)).std()) * np.sqrt(3) / np.pi  # the scale of a logistic distribution
    surest = np.sort(margin)[::-1]
    changed = np.cumsum(sigmoid((line(surest) - surest) / max(noise, 1e-9))) / len(surest)
    sure = min(int(np.searchsorted(changed, _AIM)), int(np.sum(margin > margin[changes].max())))
    return float(surest[sure - 1]) if sure >= _WORTH * len(surest) else None
