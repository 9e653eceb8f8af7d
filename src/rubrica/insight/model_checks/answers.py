"""What the answers look like as a whole: always the same one, or surer than they should be.

Source of the calibration error: C. Guo et al., "On calibration of modern neural networks", ICML 2017,
https://arxiv.org/abs/1706.04599. A few texts have one by chance, too, so it is compared with what answers have whose
probabilities are right: for each text a coin is thrown that shows its own probability.

Letters: N answers with a probability.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.findings import Finding, Phrase
from rubrica.insight.model_checks.fitting import exact
from rubrica.insight.model_checks.subject import Subject
from rubrica.scoring.calibration import fit_weights
from rubrica.scoring.task import Floats

_LEAST_TEXTS = 100  # of fewer, chance alone gives an error of ten points
_SAME = 0.25  # of the labels' entropy
_WORTH = 0.06  # between probability and truth; a model that was calibrated on 100 texts has 0.02 to 0.05
_DEAR, _SURE = 1.6, 3.0  # times the loss of calibrated logits, and standard errors: for models that are mostly right
_BINS = 15
_DRAWS = 400
_CHANCE = 0.99
_ASKED = 0.1  # where a text may have several labels: less probable ones are right in saying no, and there are many
_SHOWN = 3


def find_constant(subject: Subject) -> Iterator[Finding]:
    """Nearly the same answer to every text, or nearly the same label in every answer."""
    sample, task = subject.seen, subject.model.task
    if len(sample) < 20:
        return
    views = [("are", [_key(answer) for answer in task.decide(sample.logits)], [_key(label) for label in sample.labels])]
    if not task.has_confusion:  # one label may be in all answers, whatever stands beside it
        counts = Counter(label for answer in views[0][1] for label in answer)
        for label, _ in counts.most_common(1):
            views.append(("hold", _only(label, views[0][1]), _only(label, views[0][2])))
    for what, answers, labels in views:
        ((answer, count),) = Counter(answers).most_common(1)
        given, wanted = _entropy(answers), _entropy(labels)
        if given < _SAME * wanted and (answer or what == "are"):
            share, there = count / len(answers), labels.count(answer) / len(answers)
            other = [place for place, label in enumerate(labels) if label != answer][:_SHOWN]
            yield Finding(
                kind="constant-answer",
                severity="error",
                title=f"{share:.1%} of the answers {what} {', '.join(answer) or 'no label'!r}, which is the label of"
                f" {there:.1%} of the texts",
                why="The answers hardly depend on the texts.",
                remedy="Train anew with smaller steps (--lr) and the default start (--set model.init=torch); of rare"
                " classes, --class-weight balanced.",
                figures={"share_of_answers": share, "share_of_labels": there, "entropies": [given, wanted]},
                rows=tuple(sample.row(place, Phrase("labelled {}", sample.labels[place])) for place in other),
            )
            return


def find_miscalibrated(subject: Subject) -> Iterator[Finding]:
    """Probabilities that are further from the truth than chance explains, or that cost much of the loss."""
    sample, task = subject.held, subject.model.task
    if sample is None or len(sample) < _LEAST_TEXTS or not sample.certain:
        return
    sure, right = _pairs(subject)
    if len(sure) < _LEAST_TEXTS:
        return
    found = calibration_error(sure, right)
    draw = np.random.default_rng(0)
    by_chance = [calibration_error(sure, draw.random(len(sure)) < sure) for _ in range(_DRAWS)]
    beyond = found - float(np.mean(by_chance)) if found > np.quantile(by_chance, _CHANCE) else 0.0
    weight = float(fit_weights(task, [sample.logits], sample.targets)[0])
    losses = [task.losses(scale * sample.logits, sample.targets) for scale in (1.0, weight)]
    saved = losses[0] - losses[1]
    costs = saved.mean() > _SURE * saved.std() / np.sqrt(len(saved)) and losses[0].mean() > _DEAR * losses[1].mean()
    if beyond < _WORTH and not costs:
        return
    much = "too sure" if sure.mean() > right.mean() else "not sure enough"
    yield Finding(
        kind="miscalibrated",
        severity="error" if beyond > 2 * _WORTH else "warning",
        title=f"The model is {much}: {sure.mean():.1%} in the mean, and {right.mean():.1%} of the answers are right",
        why=f"The probability of an answer is off by {100 * found:.1f} points in the mean; by chance it would be "
        f"{100 * float(np.mean(by_chance)):.1f}. A limit such as --abstain-below lets too much or too little pass.",
        remedy=f"Hold texts out (--set data.validation_fraction=0.1); they would multiply the logits by {weight:.2f}.",
        figures={
            "error": found,
            "error_by_chance": float(np.mean(by_chance)),
            "sureness": float(sure.mean()),
            "right": float(right.mean()),
            "logits_times": weight,
            "losses": [float(part.mean()) for part in losses],
        },
    )


def _pairs(subject: Subject) -> tuple[Floats, NDArray[np.bool_]]:
    """The probability of each answer, (N,), and whether it is right; of several labels, of each likely label."""
    sample, task = subject.held, subject.model.task
    assert sample is not None
    probabilities = np.clip(task.probabilities(sample.logits).astype(np.float64), 0, 1)
    if task.has_confusion:
        return probabilities.max(axis=1), exact(task, sample.logits, sample)
    asked = probabilities > _ASKED
    there = np.stack([task.has_label(sample.targets, label) for label in range(task.num_classes)], axis=1)
    return probabilities[asked], there[asked]


def calibration_error(sure: Floats, right: NDArray[np.bool_], bins: int = _BINS) -> float:
    """The expected calibration error: |share right - mean probability| of each of some bins, weighed by its answers."""
    places = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(places, weights=right - sure, minlength=bins)).sum() / max(1, len(sure)))


def _key(label: Any) -> tuple[str, ...]:
    return (label,) if isinstance(label, str) else tuple(sorted(label))


def _only(label: str, answers: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The answers without all other labels."""
    return [(label,) if label in answer else () for answer in answers]


def _entropy(answers: Iterable[tuple[str, ...]]) -> float:
    counts = np.array(list(Counter(answers).values()), np.float64)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())
