"""How much more labels would help: the learning curve of the linear model, drawn on to sizes that are not there yet.

The error at n texts is taken as a + b * n^-c (C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of
Convergence", NIPS 1993): a floor, and a power that falls. Few measured points fit many such curves, so no single one is
chosen. Curves on a grid of c and a are weighed by how well they fit, and the forecast is their mean; its interval holds
95 % of their weight, with the noise of the measurement.

Letters: N texts, P points of the curve, S sizes to forecast, G curves of the grid.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.data_checks.answers import have
from rubrica.insight.data_checks.sample import Sample
from rubrica.insight.findings import Finding
from rubrica.learning.crossval import Features
from rubrica.progress import progress_bar
from rubrica.scoring.task import Rows

_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the texts to learn from
_JUDGED = 10_000  # texts that judge each point: an error of 10 % is then known to 0.3 points
_FOLDS = 5
_LEAST, _POINTS = 100, 3  # texts at the first point, and points; a curve through fewer says nothing
_POWERS = np.linspace(0.05, 1.0, 39)  # c: 0.05 hardly falls, 1 is what a known model of the data would reach
_FLOORS = np.linspace(0.0, 1.0, 41)  # a, as a share of the smallest error
_FLOOR = 0.05  # of the smallest error: floors are thought to be near 0 before anything is measured, see decisions.md
_MODEL = 0.02  # of the error: what a curve of two parameters misses
_WORTH = 1.0  # points that twice as many texts bring; less than one is not worth twice the labels


class Curve(NamedTuple):
    """A measured learning curve.

    Args:
        sizes: Texts learned from, (P,).
        errors: The share of wrong answers, (P,).
        judged: Texts that judged each point.
    """

    sizes: NDArray[np.float64]
    errors: NDArray[np.float64]
    judged: int


class Forecast(NamedTuple):
    """What the error will be, (S,) each: the mean of the curves, and where 95 % of their weight begins and ends."""

    errors: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def measure(features: Features, rows: Rows, seed: int = 0) -> Curve | None:
    """Train on more and more of the texts, and ask about texts that none of the trainings saw.

    Returns:
        The curve; None where the texts are too few for three points, or say too often the same.
    """
    folds = features.folds(rows, _FOLDS, seed)
    shares = [share for share in _SHARES if share * len(rows) * (1 - 1 / _FOLDS) >= _LEAST]
    if len(shares) < _POINTS or np.bincount(folds).max() > len(rows) / 2:
        return None
    used = min(_FOLDS, -(-_JUDGED * _FOLDS // len(rows)))
    generator, sizes, wrong, judged = np.random.default_rng(seed), np.zeros(len(shares)), np.zeros(len(shares)), 0
    with progress_bar("learning curve", used * len(shares)) as advance:
        for fold in range(used):
            held, learned = rows[folds == fold], generator.permutation(rows[folds != fold])
            judged += len(held)
            for point, share in enumerate(shares):
                part = np.sort(learned[: round(share * len(learned))])
                answers = features.logits(features.fit(part, seed=seed), held).argmax(axis=1)
                wrong[point] += np.count_nonzero(~have(features, answers, held))
                sizes[point] += len(part) / used
                advance("")
    return Curve(sizes, wrong / judged, judged)


def forecast(curve: Curve, sizes: Sequence[float]) -> Forecast:
    """Draw a learning curve on to other sizes."""
    wanted, smallest = np.asarray(sizes, float), max(float(curve.errors.min()), 1 / curve.judged)
    noise = np.sqrt(np.maximum(curve.errors * (1 - curve.errors), 1 / curve.judged) / curve.judged)
    # The same texts judge all points, so a part of the noise is common; the rest is as large, to be careful.
    spread = np.hypot(noise, _MODEL * curve.errors)
    powers, floors = (grid.ravel() for grid in np.meshgrid(_POWERS, _FLOORS * smallest))
    shapes = curve.sizes ** -powers[:, None]  # (G, P)
    weights = 1 / spread**2
    factors = ((curve.errors - floors[:, None]) * shapes * weights).sum(axis=1) / (shapes**2 * weights).sum(axis=1)
    misfit = (((floors[:, None] + factors[:, None] * shapes - curve.errors) / spread) ** 2).sum(axis=1)
    doubt = misfit / 2 + 2 * np.log1p(floors / (_FLOOR * smallest))
    chance = np.exp(doubt.min() - doubt)
    found = floors[:, None] + factors[:, None] * wanted ** -powers[:, None]  # (G, S)
    chance /= chance.sum()
    means = chance @ found
    deviations = np.sqrt(chance @ (found - means) ** 2 + noise[-1] ** 2 + (_MODEL * means) ** 2)
    return Forecast(means, np.clip(means - 1.96 * deviations, 0, 1), np.clip(means + 1.96 * deviations, 0, 1))


def check_more(sample: Sample) -> Iterator[Finding]:
    """What twice and ten times the labels would bring."""
    rows = np.arange(len(sample.train))
    curve = measure(sample.features, rows)
    if curve is None:
        return
    size = len(rows)
    told = forecast(curve, [size, 2 * size, 10 * size])
    now, gains = told.errors[0], 100 * (told.errors[0] - told.errors)
    spread = 50 * (told.high - told.low)
    yield Finding(
        kind="more-labels",
        severity="note",
        title=f"Twice the labels would bring {gains[1]:.1f} points (± {spread[1]:.1f}), ten times {gains[2]:.1f}"
        f" (± {spread[2]:.1f}): a linear model is right in {1 - now:.1%} now",
        why="The curve goes on as it fell from a sixteenth of the texts to all of them, if new texts are like old ones."
        if gains[1] >= _WORTH
        else "The curve is almost flat: better labels or a better model bring more than more texts.",
        remedy="Label more texts, first of the classes that are confused."
        if gains[1] >= _WORTH
        else "Look at wrong labels first: rubrica clean DATA --review REVIEW.csv.",
        figures={
            "sizes": curve.sizes.tolist(),
            "errors": curve.errors.tolist(),
            "forecast_sizes": [size, 2 * size, 10 * size],
            "gains": gains[1:].tolist(),
            "gains_spread": spread[1:].tolist(),
            "forecast_errors": told.errors.tolist(),
            "low": told.low.tolist(),
            "high": told.high.tolist(),
        },
    )
