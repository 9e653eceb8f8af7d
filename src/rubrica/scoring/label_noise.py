"""How likely each label of a data set is wrong, from what a model says of texts that it has not learned.

Source of the idea and of the start: C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident learning: estimating
uncertainty in dataset labels", JAIR 2021, https://doi.org/10.1613/jair.1.12125. How a label goes wrong depends on the
true class alone, so texts that are surely of one class, counted by the label that they have, show it.

Departure: there the counts decide. Here they are the start, and the likelihood of the given labels fits two things
together, by expectation and maximisation: how labels go wrong, and what the model's scores say of the true class. A
model that learned from wrong labels is less sure of every text; read with the noise that it learned from, its scores
mean more. What comes out is the probability that a label is wrong, not only a rank. Where a text may have several
labels, the counts stay, and only the meaning of the scores is fitted.

Letters: N texts, C classes, K scores of a model for each class, D numbers that tell the class of a text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rubrica.scoring.calibration import fit_weights
from rubrica.scoring.metrics import softmax
from rubrica.scoring.task import Floats, Targets, Task

_FITTED = 20_000  # texts that tell how labels go wrong; more change the ranks little
_NUMBERS = 1 << 20  # scores of the texts that are fitted: 8 MB, and some times more while they are
_STRETCH = 1 << 18  # numbers of the texts that are judged at a time
_ROUNDS = 30  # of expectation and maximisation at most...
_SMALL = 0.003  # ... they end where they move no weight by more
_STEPS = 100  # where each class has its own weights; 400 lower the loss by 0.0005 at most
_OWN = 32  # classes; of more, the weights of each class for the scores of all others are too many to fit
_MOST = 0.6  # of the wrong labels. If as many are found without saying which class becomes which, that is enough: of
# labels made wrong at random it was 0.8 to 0.9 of them, of two classes that were mixed up less than 0.01.
_RIDGE = 20.0  # as if twenty texts said that the weights are what they are at the start; 1 learns 400 texts by heart

Meaning = Callable[[Sequence[Floats]], Floats]
"""Makes the scores of a model, each (N, C), the probability that each class is true, (N, C)."""


@dataclass(frozen=True)
class Confusion:
    """Wrong labels where a text has one: the label of a text of one class (row) is another (column).

    Args:
        shares: How often, (C, C); rows sum to 1.
        is_uniform: Whether every wrong label is as frequent as every other.
    """

    shares: NDArray[np.float64]
    is_uniform: bool = False

    def truth(self, probabilities: Floats, given: Floats) -> Floats:
        """The probability of each class once the label is known, too, (N, C); `given` has a 1 at each text's label."""
        found = probabilities * (given @ self.shares.T)
        return found / found.sum(axis=1, keepdims=True)

    def learned(self, truth: Floats, given: Floats) -> "Confusion":
        """The shares that explain the labels best, if this is the truth."""
        joint = truth.T @ given
        sizes, classes = joint.sum(axis=1), len(joint)
        if self.is_uniform:
            wrong = 1 - np.trace(joint) / joint.sum()
            return Confusion(_uniform(classes, wrong), is_uniform=True)
        # A class that hardly any text is of has right labels: half a text and a little of each class says so.
        return Confusion((joint + 0.5 * np.eye(classes) + 0.01) / (sizes[:, None] + 0.5 + 0.01 * classes))

    def wrong(self, truth: Floats, given: Floats) -> Floats:
        """The probability that each text's label is wrong, at the class of the label, (N, C); 0 elsewhere."""
        return given * (1 - truth)

    def corrected(self, wrong: Floats, truth: Floats, given: Floats) -> NDArray[np.bool_]:
        """The labels in the place of the given ones, if these are wrong, (N, C): the most probable other class."""
        others = np.where(given > 0, -1, truth)
        return np.asarray(np.arange(given.shape[1]) == others.argmax(axis=1)[:, None])


@dataclass(frozen=True)
class Omissions:
    """Wrong labels where a text may have several: each label may be missing, or be there in error.

    Args:
        missing: How often a true label is not there.
        added: How often a label that is not true is there.
    """

    missing: float
    added: float

    def truth(self, probabilities: Floats, given: Floats) -> Floats:
        """See `Confusion.truth`; each label is a question of its own."""
        true = probabilities * np.where(given > 0, 1 - self.missing, self.missing)
        return true / (true + (1 - probabilities) * np.where(given > 0, self.added, 1 - self.added))

    def learned(self, truth: Floats, given: Floats) -> "Omissions":
        """The same. Most labels of a text are no, so a likelihood would rather explain the wrong ones away."""
        return self

    def wrong(self, truth: Floats, given: Floats) -> Floats:
        """The probability that each label of each text is wrong, there or missing, (N, C)."""
        return np.abs(given - truth)

    def corrected(self, wrong: Floats, truth: Floats, given: Floats) -> NDArray[np.bool_]:
        """See `Confusion.corrected`: what is rather wrong than right is changed, at least the likeliest of a text."""
        changed = (wrong > 0.5) | (wrong == wrong.max(axis=1, keepdims=True))
        return np.asarray((given > 0) != changed)


Noise = Confusion | Omissions
Kind = TypeVar("Kind", Confusion, Omissions)


class Judged(NamedTuple):
    """What is thought of the labels of N texts.

    Args:
        wrong: How likely each label is wrong, (N, C), float32. Where a text has one label, it is the label that is
            there; where it may have several, also each one that is missing.
        corrected: The labels in the place of the given ones, if these are wrong, (N, C).
    """

    wrong: NDArray[np.float32]
    corrected: NDArray[np.bool_]


def judge_labels(
    task: Task, scores: Sequence[Floats], targets: Targets, known: NDArray[np.bool_] | None = None
) -> Judged:
    """Find out how likely each label is wrong.

    Args:
        task: What the targets mean.
        scores: Of a model that has not learned the texts, K times (N, C); the first ones are its logits.
        targets: Of the N texts.
        known: Which classes can be judged, (C,); the labels of the others are not doubted.
    """
    count, classes = len(targets), task.num_classes
    apart = -(-count // max(1, min(_FITTED, _NUMBERS // (len(scores) * classes))))
    spreads = [float(score[::apart].std()) or 1.0 for score in scores]
    meaning, noise = fit_noise(task, _alike([score[::apart] for score in scores], spreads), targets[::apart])
    judged = Judged(np.empty((count, classes), np.float32), np.empty((count, classes), bool))
    stretch = max(1, _STRETCH // classes)
    for first in range(0, count, stretch):
        here = slice(first, first + stretch)
        given = as_matrix(task, targets[here])
        truth = noise.truth(meaning(_alike([score[here] for score in scores], spreads)), given)
        wrong = noise.wrong(truth, given)
        if known is not None:
            wrong[:, ~known] = 0
        judged.wrong[here] = wrong
        judged.corrected[here] = noise.corrected(wrong, truth, given)
    return judged


def as_matrix(task: Task, targets: Targets) -> NDArray[np.float64]:
    """Ones at the labels of each text, (N, C)."""
    given = np.zeros((len(targets), task.num_classes))
    given[task.pairs(targets)] = 1
    return given


def fit_noise(task: Task, scores: Sequence[Floats], targets: Targets) -> tuple[Meaning, Noise]:
    """What the scores mean, and how labels go wrong."""
    given = as_matrix(task, targets)
    temperature = float(fit_weights(task, scores[:1], targets)[0])
    probabilities = task.probabilities(temperature * scores[0])
    if not task.has_confusion:
        return _fit_shared(task, scores, given, confident_omissions(probabilities, given), temperature)[:2]
    shares = confident_joint(probabilities, targets)
    shares = (shares + np.eye(len(shares)) / len(targets)) / (shares.sum(axis=1, keepdims=True) + 1 / len(targets))
    fits = []
    for start in (Confusion(_uniform(len(shares), 0.1), is_uniform=True), Confusion(shares)):
        meaning, noise, weights = _fit_shared(task, scores, given, start, temperature)
        if task.num_classes <= _OWN:
            meaning, noise = _fit_own(scores, given, noise, weights)
        fits.append((meaning, noise, noise.wrong(noise.truth(meaning(scores), given), given).sum()))
    uniform, free = fits
    return uniform[:2] if uniform[2] > _MOST * free[2] else free[:2]


def confident_joint(probabilities: Floats, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The shares of texts by true class (row) and label (column), (C, C), estimated as in the paper; their sum is 1.

    A text counts as surely of the most probable one of the classes that are as probable as they are, on the average,
    among the texts with their label. Each label then counts as many texts as have it.
    """
    classes, count = probabilities.shape[1], len(targets)
    sizes = np.bincount(targets, minlength=classes)
    own = np.bincount(targets, probabilities[np.arange(count), targets], minlength=classes)
    thresholds = np.where(sizes > 0, own / np.maximum(sizes, 1), np.inf)
    sure = np.where(probabilities >= thresholds - 1e-6, probabilities, 0)  # the mean of equal numbers may be above all
    counted = np.flatnonzero(sure.max(axis=1, initial=0) > 0)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (sure[counted].argmax(axis=1), targets[counted]), 1)
    empty = np.flatnonzero((joint.sum(axis=0) == 0) & (sizes > 0))
    joint[empty, empty] = 1
    joint *= sizes / np.maximum(joint.sum(axis=0), 1)
    return joint / joint.sum()


def confident_omissions(probabilities: Floats, given: Floats) -> Omissions:
    """How often labels are missing and added among texts that are surely of a class, or surely not.

    Surely is as probable as the labels that are there (or are not there) are on the average, over all classes.
    """
    there = given > 0
    yes = probabilities >= probabilities.mean(where=there) if there.any() else np.zeros_like(there)
    no = probabilities <= probabilities.mean(where=~there) if not there.all() else np.zeros_like(there)
    rates = [((surely & odd).sum() + 0.5) / (surely.sum() + 1) for surely, odd in ((yes, ~there), (no, there))]
    return Omissions(*map(float, rates))


def _uniform(classes: int, wrong: float) -> NDArray[np.float64]:
    shares = np.full((classes, classes), wrong / max(1, classes - 1))
    np.fill_diagonal(shares, 1 - wrong)
    return shares


def _parts(scores: Sequence[Floats]) -> NDArray[np.float64]:
    """What the class is judged by: the scores; the square of the first, since far from the plane it says less; 1."""
    first, *others = scores
    return np.stack([first, first**2, *others, np.ones_like(first)])


def _alike(scores: Sequence[Floats], spreads: Sequence[float]) -> list[Floats]:
    """Some scores as numbers of one size."""
    return [score.astype(np.float64) / spread for score, spread in zip(scores, spreads, strict=True)]


def _fit_shared(
    task: Task, scores: Sequence[Floats], given: Floats, noise: Kind, temperature: float
) -> tuple[Meaning, Kind, NDArray[np.float64]]:
    """Weights of the `_parts` that all classes share, and the noise, by expectation and maximisation."""
    parts, counts = _parts(scores), np.ones(len(given))
    start = np.zeros(len(parts))
    start[0] = temperature
    weights = start

    def meaning(scores: Sequence[Floats]) -> Floats:
        return task.probabilities(np.tensordot(weights, _parts(scores), 1))

    for _ in range(_ROUNDS):
        truth = noise.truth(task.probabilities(np.tensordot(weights, parts, 1)), given)
        noise = noise.learned(truth, given)
        _, slope, curve = task.derivatives(weights, parts, truth, counts)
        pull = _RIDGE / len(given)
        step = np.linalg.solve(curve + pull * np.eye(len(parts)), slope + pull * (weights - start))
        weights = weights - np.clip(step, -1, 1)  # a longer one of Newton's would lead too far
        if np.abs(step).max() < _SMALL:
            break
    return meaning, noise, weights


def _fit_own(
    scores: Sequence[Floats], given: Floats, noise: Confusion, shared: NDArray[np.float64]
) -> tuple[Meaning, Confusion]:
    """Weights of each class for the parts of all classes, (D, C), from shared ones on, and the noise.

    A step of maximisation is D. Böhning's ("Multinomial logistic regression algorithm", 1992,
    https://doi.org/10.1007/BF00048682): the curvature is at most half of the one of least squares, whatever the
    weights. The steps have Nesterov's momentum.
    """
    classes = given.shape[1]

    def numbers(scores: Sequence[Floats]) -> NDArray[np.float64]:
        parts = _parts(scores)
        return np.hstack([*parts[:-1], parts[-1][:, :1]])

    given_numbers = numbers(scores)
    start = np.vstack([*(weight * np.eye(classes) for weight in shared[:-1]), np.zeros((1, classes))])
    ridge = _RIDGE * np.eye(len(start))
    inverse = np.linalg.inv(given_numbers.T @ given_numbers / 2 + ridge)
    weights = before = start
    for step in range(_STEPS):
        ahead = weights + step / (step + 3) * (weights - before)
        probabilities = softmax(given_numbers @ ahead)
        truth = noise.truth(probabilities, given)
        noise = noise.learned(truth, given)
        slope = given_numbers.T @ (probabilities - truth) + _RIDGE * (ahead - start)
        weights, before = ahead - inverse @ slope, weights
    return lambda scores: softmax(numbers(scores) @ weights), noise
