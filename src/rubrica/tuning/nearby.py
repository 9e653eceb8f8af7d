"""Settings near the best ones so far: one to three of them are changed, the others stay.

A sampler that learns from the trials alone draws all numbers of a trial anew. Near good defaults most of the numbers
are right, so a trial with twenty new ones is worse (docs/decisions.md). fastText's autotune changes the best, too.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rubrica.config.ranges import OneOf, Range, Times
from rubrica.tuning.space import FAMILY, Params, Space

_STEP = 0.2  # standard deviation of a change, as a share of the range
_MOST = 3  # settings that change at once
_MORE = 0.4  # how often one more is changed
_DRAWS = 20  # of other settings, until some have not been tried


def nearby(space: Space, best: Params, tried: Sequence[Params], generator: np.random.Generator) -> Params:
    """Changed settings that have not been tried.

    Args:
        space: What may be tried.
        best: The parameters of the best trial.
        tried: Those of all trials.
        generator: Of the draws.
    """
    kinds = dict[str, Range]()

    def remember(name: str, kind: Range, usual: Any) -> Any:
        kinds[name] = kind
        return best.get(name, usual)

    space.propose(remember)
    names = [name for name in kinds if name != FAMILY]
    for _ in range(_DRAWS):
        count = 1
        while count < min(_MOST, len(names)) and generator.random() < _MORE:
            count += 1
        chosen = [names[place] for place in generator.choice(len(names), count, replace=False).tolist()]
        found = _settled(space, best | {name: _moved(kinds[name], best[name], generator) for name in chosen})
        if found not in tried:
            break
    return found


def _settled(space: Space, wanted: Params) -> Params:
    """The parameters that these settings have: another choice may add some, with their defaults, or take some away."""
    params = Params()

    def choose(name: str, kind: Range, usual: Any) -> Any:
        params[name] = wanted.get(name, usual)
        return params[name]

    space.propose(choose)
    return params


def _moved(kind: Range, value: Any, generator: np.random.Generator) -> Any:
    """Another value, near this one."""
    if isinstance(kind, OneOf):
        others = [other for other in kind.values if other != value]
        return others[generator.integers(len(others))] if others else value
    low, high = float(kind.low), float(kind.high)
    step = _STEP * generator.normal()
    if isinstance(kind, Times) or kind.log:
        moved = value * math.exp(step * math.log(high / low))
    else:
        moved = value + step * (high - low)
    if isinstance(kind, Times) or not (isinstance(kind.low, int) and isinstance(kind.high, int)):
        return float(np.clip(moved, low, high))
    whole = round(moved)
    if whole == value:  # a step is one at least
        whole += 1 if step > 0 else -1
    return int(np.clip(whole, low, high))
