"""How far back a gradient reaches, and how long it is: it fades or grows from step to step, or is always clipped.

Source: R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013,
https://arxiv.org/abs/1211.5063: over k steps a gradient is multiplied k times by about the same factor.

Letters: B texts, T steps that are read, K steps back from the last one.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.findings import Finding
from rubrica.insight.model_checks.subject import Subject

_STEPS = 8  # back from the last; over more of them the mean factor hardly changes, and many texts end
_LEAST_TEXTS = 8  # that a step back is measured on
_FADES = 0.25  # a step; behind 4 steps 0.4 % is left, and sound trainings have 0.7 to 0.9
_GROWS = 1.03  # a step; sound trainings have 0.7 to 0.9, since units that saturate now and then let less pass
_LONGEST = 5.0  # of the weights; sound trainings have up to 0.3
_ALWAYS = 0.9  # of the updates: then the limit, not the gradient, decides how long a step is
_LONG = 3.0  # times the limit, in the mean
_LEFT = 1e-3  # of a gradient: too little to learn from beside the rest


def find_fading(subject: Subject) -> Iterator[Finding]:
    """Gradients that fade or grow with each step back, or on their way to a layer."""
    inside = subject.inside
    if inside is None:
        return
    masked = subject.model.config.model.masks_padding
    curves = {
        direction: _by_distance(norms, inside.lengths, masked=masked, reverse=direction.endswith("reverse"))
        for direction, norms in inside.memory.items()
    }
    factors = {direction: factor for direction, curve in curves.items() if (factor := _factor(curve)) is not None}
    figures = {
        "factor_per_step": factors,
        "gradient_by_steps_back": {name: curve.tolist() for name, curve in curves.items()},
        "gradient_over_weight_by_layer": inside.by_layer,
    }
    weights = {name: ratio for name, ratio in inside.by_layer.items() if "weight" in name}
    starved, longest = (choose(weights, key=weights.__getitem__) for choose in (min, max))
    low, high = min(factors.values(), default=1.0), max(factors.values(), default=1.0)
    if low < _FADES:
        yield _vanishing(
            f"With each step back only {low:.2g} of the gradient is left",
            f"Of a word {_STEPS} steps back the state knows {low**_STEPS:.1g} of what it knows of the last word, so "
            "the order of words is not learned.",
            figures,
        )
    elif weights[starved] < _LEFT**2 * weights[longest]:
        yield _vanishing(
            f"Hardly any gradient reaches {starved}: {weights[starved]:.1g} of its length",
            f"{longest} gets {weights[longest]:.1g} of its own: the layers behind the head do not learn.",
            figures,
        )
    if high > _GROWS:
        yield _exploding(
            f"With each step back the gradient grows {high:.2f} times",
            "The first words decide the update, and a small change of a word changes everything behind it.",
            figures,
        )
    elif weights[longest] > _LONGEST:
        yield _exploding(
            f"The gradient of {longest} is {weights[longest]:.2g} times as long as the weights themselves",
            "On its way back through the steps it grew: single texts decide the update.",
            figures,
        )


def _vanishing(title: str, why: str, figures: dict[str, Any]) -> Finding:
    return Finding(
        kind="vanishing-gradient",
        severity="warning",
        title=title,
        why=why,
        remedy="--model gru --set model.pooling=average_max",
        figures=figures,
    )


def _exploding(title: str, why: str, figures: dict[str, Any]) -> Finding:
    return Finding(
        kind="exploding-gradient",
        severity="warning",
        title=title,
        why=why,
        remedy="--set model.init=torch --set training.max_grad_norm=0.5 --lr 0.002",
        figures=figures,
    )


def _by_distance(norms: NDArray[Any], lengths: NDArray[Any], *, masked: bool, reverse: bool) -> NDArray[np.float64]:
    """The typical gradient by a word K steps before the last that is read: the geometric mean over the texts.

    Without masks all texts end with the batch, and padding is a word.
    """
    rows, steps = norms.shape
    ends = lengths if masked else np.full(rows, steps)
    curve = []
    for back in range(_STEPS + 1):
        there = np.flatnonzero(ends > back)
        places = np.full(len(there), back) if reverse else ends[there] - 1 - back
        if len(there) < min(_LEAST_TEXTS, rows):
            break
        curve.append(float(np.exp(np.log(np.maximum(norms[there, places], 1e-300)).mean())))
    return np.array(curve)


def _factor(curve: NDArray[np.float64]) -> float | None:
    """The mean factor of a step; None where texts are too short, or the last step passes no gradient either."""
    if len(curve) < 4 or curve[0] < 1e-200:
        return None
    return float((curve[-1] / curve[0]) ** (1 / (len(curve) - 1)))


def find_clipped(subject: Subject) -> Iterator[Finding]:
    """Gradients that are clipped in nearly every update, and by much."""
    lines = [line for line in subject.model.artifact.history if "clipped" in line]
    if not lines:
        return
    shares, norms = ([float(line[name]) for line in lines] for name in ("clipped", "gradient_norm"))
    share, norm, limit = float(np.mean(shares)), float(np.mean(norms)), _limit(subject)
    if limit is None or share < _ALWAYS or norm < _LONG * limit:
        return
    yield Finding(
        kind="clipped",
        severity="note",
        title=f"{share:.0%} of the updates are clipped; a gradient is {norm:.2g} long, the limit is {limit:g}",
        why="Then the limit, not the gradient, says how far an update goes, and texts that are known well count as "
        "much as the others.",
        remedy=f"--set training.max_grad_norm={2 * norm:.2g}",
        figures={"clipped": share, "gradient_norm": norm, "max_grad_norm": limit},
    )


def _limit(subject: Subject) -> float | None:
    found = subject.model.config.training.to_dict().get("max_grad_norm")
    return float(found) if found else None


def find_forgotten(subject: Subject) -> Iterator[Finding]:
    """A network whose loss hardly depends on the words of a text, or on the first of them."""
    inside = subject.inside
    if inside is None:
        return
    steps = np.arange(inside.to_words.shape[1])
    real, lengths = steps < inside.lengths[:, None], inside.lengths[:, None]
    long = inside.lengths >= 8  # shorter ones have no quarters
    if long.sum() < _LEAST_TEXTS:
        return
    norms = inside.to_words[long]
    first, last = (
        (norms * where[long]).sum(axis=1)
        for where in (real & (steps < lengths / 4), real & (steps >= lengths - lengths / 4))
    )
    everywhere = norms.sum(axis=1) + 1e-300
    share = float(np.median((norms * real[long]).sum(axis=1) / everywhere))
    early = float(np.median(first / np.maximum(first + last, 1e-300)))
    figures = {"share_of_real_words": share, "share_of_first_quarter": early}
    if share < 0.5:
        behind = float(np.median(norms.shape[1] - inside.lengths))
        yield Finding(
            kind="forgets-start",
            severity="error" if share < 0.05 else "warning",
            title=f"{1 - share:.0%} of what the answer depends on is padding behind the text",
            why=f"{behind:.0f} steps of padding follow the typical text, and the state forgets the text over them.",
            remedy="--set model.mask_padding=true --set model.pooling=average_max",
            figures=figures | {"padding": behind},
        )
    elif early < 10 * _LEFT:
        yield Finding(
            kind="forgets-start",
            severity="warning",
            title=f"The first quarter of a text has {early:.1g} of the weight that its first and last quarters have",
            why="What stands at the start of a text does not reach the answer.",
            remedy="--set model.pooling=average_max",
            figures=figures,
        )
