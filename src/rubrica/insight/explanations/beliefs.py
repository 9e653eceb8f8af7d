"""What a model believes while it reads: the probability of each class after the first 0, 1, 2, ... tokens.

It is the model's answer to the text that ends there, so it holds for every family. Only a recurrent network keeps
an order of what it has read. A bag would believe the same after any order of the same words.

Letters: T tokens, C classes.
"""

import numpy as np

from rubrica.insight.explanations.reading import Reading
from rubrica.scoring.task import Floats, Task

_ROWS = 1 << 12  # beginnings of a text that are in memory together


def beliefs(reading: Reading, task: Task) -> Floats:
    """The probability of each class after the first t tokens, (T + 1, C); the first row is of the empty text."""
    num_tokens, read = len(reading.tokens), reading.limit
    found = []
    for first in range(0, read + 1, _ROWS):
        lengths = np.arange(first, min(first + _ROWS, read + 1))
        found.append(task.probabilities(reading.logits(np.arange(num_tokens) < lengths[:, None])))
    return np.concatenate([*found, np.repeat(found[-1][-1:], num_tokens - read, axis=0)])
