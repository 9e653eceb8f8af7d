"""From which margin on the fast member of a model may answer alone: the others would hardly ever change its label.

The margin of an answer is how far its logit is above the next one. Whether the label of a held-out text changes once
all members are asked follows from the margin by a logistic regression, which also says what no held-out part is large
enough to show: the share of changed labels among the surest texts.

Letters: N texts, C classes.
"""

import numpy as np

from rubrica.scoring.metrics import sigmoid
from rubrica.scoring.task import Floats

_AIM = 2e-5  # of all texts have another label, by the fit; on texts that were not fitted, up to five times as many
_LEAST_TEXTS, _LEAST_CHANGED = 1000, 10  # held-out texts, and changed labels among them; fewer say too little
_WORTH = 0.1  # of the texts must be sure, else there is nothing to gain
_STEPS, _CLOSE = 50, 1e-9  # of Newton's method
_RIDGE = 1e-3  # keeps the fit finite where a margin parts the changed from the others


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
    margin, changed = margins(fast).astype(np.float64), fast.argmax(axis=1) != whole.argmax(axis=1)
    if len(margin) < _LEAST_TEXTS or changed.sum() < _LEAST_CHANGED:
        return None
    surest = np.sort(margin)[::-1]
    expected = np.cumsum(sigmoid(np.polynomial.Polynomial(_fit(margin, changed))(surest))) / len(margin)
    sure = int(np.searchsorted(expected, _AIM))
    return float(surest[sure - 1]) if sure >= _WORTH * len(margin) else None


def _fit(margin: Floats, changed: np.ndarray) -> Floats:
    """Intercept and slope of the logit of a changed label by the margin, (2,): logistic regression."""
    inputs, found = np.stack([np.ones(len(margin)), margin], axis=1), np.zeros(2)
    for _ in range(_STEPS):
        shares = sigmoid(inputs @ found)
        curve = (inputs * (shares * (1 - shares))[:, None]).T @ inputs + _RIDGE * np.eye(2)
        step = np.linalg.solve(curve, inputs.T @ (changed - shares) - _RIDGE * found)
        found += step
        if np.abs(step).max() < _CLOSE:
            break
    return found
