"""The size and the number of steps: what happens when the training goes on, by smaller, equal and larger ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from rubrica.config.groups import AdamTraining
from rubrica.insight.findings import Finding
from rubrica.insight.model_checks.fitting import constant_losses
from rubrica.insight.model_checks.subject import REPLAYED, Subject
from rubrica.scoring.task import Floats

_GAIN, _MUCH = 0.05, 0.2  # of the loss of a constant answer: more than another seed changes; a training that failed
_OF_LOSS = 0.1  # of the loss itself, at least
_SURE = 3.0  # standard errors
_FACTORS = (0.1, 1.0, 10.0)
_SMALLEST = 0.01  # tried where the loss is high and no other step lowers it
_HIGH = 0.5  # of the loss of a constant answer
_ABOVE = 1.1  # times the loss of a constant answer: updates have made things worse than not reading at all
_ABSENT = 0.1  # of the length of an update of the table


def find_steps(subject: Subject) -> Iterator[Finding]:
    """Held-out loss that falls when the training goes on, and with which steps it falls most."""
    start = subject.replay_losses(0.0)
    training = subject.model.config.training
    if start is None or start.mean() <= 0 or not isinstance(training, AdamTraining):
        return
    there = float(constant_losses(subject.model.task, subject.held.targets).mean()) if subject.held else 0.0
    losses = {f: found for f in _FACTORS if (found := subject.replay_losses(f)) is not None}
    gains = {f: float((start - found).mean()) / max(there, 1e-9) for f, found in losses.items()}
    stuck = max(gains.values(), default=0.0) < _GAIN and start.mean() > _HIGH * there
    if stuck and (smallest := subject.replay_losses(_SMALLEST)) is not None:
        losses[_SMALLEST], gains[_SMALLEST] = smallest, float((start - smallest).mean()) / max(there, 1e-9)
    if not gains:
        return
    best = max(gains, key=gains.__getitem__)
    figures = {
        "loss": float(start.mean()),
        "constant_loss": there,
        "gain_by_factor": {str(f): gain for f, gain in gains.items()},
    }
    spikes = _spikes(subject)
    figures["records_above_constant"] = spikes
    worth = gains[best] > _GAIN and _lower(losses[best], start, by=_OF_LOSS * start.mean())
    same = losses.get(1.0, start)  # steps of the training's own size; where they end in no number, no steps
    if worth and best < 1 and _lower(losses[best], same, by=_GAIN / 2 * there):
        yield _too_large(training.lr, best, gains[best], figures)
    elif spikes > 0.2:
        yield _spiked(training.lr, spikes, figures)
    elif worth and best > 1 and gains[best] > 1.5 * gains.get(1.0, 0.0):
        yield _too_small(training.lr, best, gains[best], figures)
    elif worth:
        yield _too_short(gains[best], figures)


def _lower(losses: Floats, others: Floats, *, by: float) -> bool:
    """Whether losses of the same texts are lower, by so much in the mean and beyond chance."""
    difference = others - losses
    return bool(difference.mean() > max(by, _SURE * difference.std() / np.sqrt(len(difference))))


def _severity(gain: float) -> Any:
    return "error" if gain > _MUCH else "warning"


def _too_large(lr: float, factor: float, gain: float, figures: dict[str, Any]) -> Finding:
    return Finding(
        kind="learning-rate-high",
        severity=_severity(gain),
        title=f"{REPLAYED} more updates with {factor:g} times the step size teach {gain:.0%} of what there is to know",
        why=f"With steps of {lr:g} the training jumps about its goal instead of reaching it.",
        remedy=f"--lr {lr * factor:.2g} --set training.decay=linear",
        figures=figures,
    )


def _spiked(lr: float, share: float, figures: dict[str, Any]) -> Finding:
    return Finding(
        kind="learning-rate-high",
        severity="error",
        title=f"In {share:.0%} of the training the loss was above the loss of a constant answer",
        why=f"Steps of {lr:g} undo what the steps before them learned.",
        remedy=f"--lr {lr / 10:.2g} --set training.decay=linear",
        figures=figures,
    )


def _too_small(lr: float, factor: float, gain: float, figures: dict[str, Any]) -> Finding:
    return Finding(
        kind="learning-rate-low",
        severity=_severity(gain),
        title=f"{REPLAYED} more updates with {factor:g} times the step size teach {gain:.0%} of what there is to know",
        why=f"With steps of {lr:g} the training is still far from its goal when it ends.",
        remedy=f"--lr {lr * factor:.2g}",
        figures=figures,
    )


def _too_short(gain: float, figures: dict[str, Any]) -> Finding:
    return Finding(
        kind="too-short",
        severity=_severity(gain),
        title=f"{REPLAYED} more updates teach {gain:.0%} of what there is to know",
        why="The training ended while it still learned.",
        remedy="Train with more --epochs; --epochs 0 chooses by the amount of text.",
        figures=figures,
    )


def _spikes(subject: Subject) -> float:
    """The share of recorded training losses, behind the first tenth, above a constant answer's and above one before.

    A network that has hardly begun is above a constant answer, too, but its losses fall.
    """
    sample = subject.train or subject.seen
    constant = float(constant_losses(subject.model.task, sample.targets).mean())
    lines = np.array([line["loss"] for line in subject.model.artifact.history if "loss" in line], dtype=float)
    later = 1 + len(lines) // 10
    reached = np.maximum(np.minimum.accumulate(lines), constant)
    return float((lines[later:] > _ABOVE * reached[later - 1 : -1]).mean()) if len(lines) > later else 0.0


def find_absent(subject: Subject) -> Iterator[Finding]:
    """Updates that move the vectors of words which are not in the batch."""
    found = subject.replayed(1.0)
    if found is None or found.absent < _ABSENT:
        return
    yield Finding(
        kind="absent-words-move",
        severity="warning",
        title=f"{found.absent:.0%} of the way that an update moves the word table is of words that it did not read",
        why="A word that was read once is carried on by past gradients for dozens of updates, in which no text says "
        "whether that is right: rare words become noise.",
        remedy="--set training.dense_updates=false",
        figures={"share_of_the_way": found.absent},
    )
