"""The share of a token as what the score loses when the token is taken out: leave-one-out.

It needs no gradient and is right for every family. Words that say the same hide each other: without one of them the
other still says it. So the shares need not add up to the score, and what is left over is said beside them.

Letters: T tokens, K labels that are explained.
"""

from collections.abc import Sequence

import numpy as np

from rubrica.insight.explanations.exact import Sum
from rubrica.insight.explanations.reading import Part

_ROWS = 1 << 12  # ways to leave tokens out that are in memory together


def leave_one_out(part: Part, classes: Sequence[int]) -> Sum:
    """What the logits of some classes lose without each token; the base is the score of a text without any."""
    num_tokens = len(part.spans)
    ends = np.stack([np.ones(num_tokens, bool), np.zeros(num_tokens, bool)])
    score, base = part.logits(ends)[:, classes].astype(np.float64)
    shares = np.zeros((num_tokens, len(classes)))
    for first in range(0, part.count, _ROWS):
        left_out = np.arange(first, min(first + _ROWS, part.count))
        kept = np.arange(num_tokens) != left_out[:, None]
        shares[left_out] = score - part.logits(kept)[:, classes]
    return Sum(score, base, shares)
