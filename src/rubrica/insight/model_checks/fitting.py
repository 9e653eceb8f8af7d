"""Whether the model learned, and whether what it learned holds for texts that it has not seen.

What a model knows of a text is measured in nats: by how much its loss is below the loss of the best constant answer,
which gives each class its share. Accuracy would hide much where one class is frequent.

Letters: N texts, C classes.
"""

from collections.abc import Iterator

import numpy as np

from rubrica.insight.findings import Finding, Phrase, Row
from rubrica.insight.model_checks.subject import Sample, Subject
from rubrica.scoring.calibration import fit_weights
from rubrica.scoring.task import Floats, Targets, Task

_LEAST_TEXTS = 20  # fewer tell nothing
_HOLDS = 0.5  # of what is known of training texts; a sound model keeps two thirds and more
_HARDLY = 0.25
_NOTHING = 0.05  # of the entropy of the labels
_IDLE = 0.05  # of its own logits
_SURE = 1.0  # standard errors
_SHOWN = 3


def find_learned_nothing(subject: Subject) -> Iterator[Finding]:
    """Answers that say no more than the shares of the classes do."""
    sample, task = subject.held, subject.model.task
    if sample is None or len(sample) < _LEAST_TEXTS:
        return
    prior = constant_losses(task, sample.targets)
    weight = fit_weights(task, [sample.logits], sample.targets)[0]
    known = prior - task.losses(weight * sample.logits, sample.targets)
    share, error = float(known.mean() / max(prior.mean(), 1e-9)), _error(known) / max(float(prior.mean()), 1e-9)
    if share - 2 * error > _NOTHING or prior.mean() < 0.01:
        return
    yield Finding(
        kind="learns-nothing",
        severity="error",
        title=f"The answers hold {max(0.0, share):.1%} of what there is to know about the labels",
        why="A model that had never read a text would do as well: the labels do not go with the texts, or the training "
        "did not work.",
        remedy="Look at the labels (rubrica doctor DATA); then train anew with the defaults: rubrica train DATA.",
        figures={"share_known": share, "standard_error": error},
    )


def find_overfitting(subject: Subject) -> Iterator[Finding]:
    """Knowledge of training texts that does not hold for others."""
    train, held, task = subject.train, subject.held, subject.model.task
    if train is None or held is None or min(len(train), len(held)) < _LEAST_TEXTS:
        return
    known = [
        constant_losses(task, sample.targets) - task.losses(sample.logits, sample.targets) for sample in (train, held)
    ]
    (on_train, on_held), error = (float(part.mean()) for part in known), _error(known[1])
    accuracies = [accuracy(task, sample) for sample in (train, held)]
    least = _NOTHING * float(constant_losses(task, train.targets).mean())
    if on_train < least or on_held + 2 * error > _HOLDS * on_train or accuracies[0] - accuracies[1] < 0.05:
        return
    share = on_held / on_train
    yield Finding(
        kind="overfitting",
        severity="error" if share < _HARDLY else "warning" if _behind(subject, held) else "note",
        title=f"{accuracies[0]:.1%} of the training texts are answered rightly, {accuracies[1]:.1%} of others",
        why=f"Of the {on_train:.2f} nats that the model knows of a training text, {max(0.0, on_held):.2f} hold for "
        "texts that it has not seen: it learned texts by heart.",
        remedy="Take fewer --epochs or more texts, or --set training.dropout=0.3 --set training.word_dropout=0.3.",
        figures={"known_of_train": on_train, "known_of_others": on_held, "accuracies": accuracies},
        rows=_surest_mistakes(subject, held),
    )


def _behind(subject: Subject, held: Sample) -> bool:
    """Whether a linear model of the same texts answers more of the unseen ones: learning by heart has a cost."""
    if subject.baseline is None:
        return False
    task = subject.model.task
    more = exact(task, subject.baseline.logits(held.texts), held) * 1.0 - exact(task, held.logits, held)
    return bool(more.mean() > _SURE * _error(more))


def find_underfitting(subject: Subject) -> Iterator[Finding]:
    """Training texts that the model knows less well than a linear model knows texts that it has not seen."""
    train, held, task = subject.train, subject.held, subject.model.task
    if train is None or held is None or min(len(train), len(held)) < _LEAST_TEXTS:
        return
    own = accuracy(task, train)
    error = np.sqrt(own * (1 - own) / len(train) + 0.25 / len(held))
    if own + 2 * error >= 1 or subject.baseline is None:
        return
    other = exact(task, subject.baseline.logits(held.texts), held).mean()
    if own + 2 * error > other:
        return
    yield Finding(
        kind="underfitting",
        severity="error" if own < other - 0.2 else "warning",
        title=f"{own:.1%} of the training texts are answered rightly; a linear model gets {other:.1%} of unseen ones",
        why="The model did not learn what is in its own training texts.",
        remedy="Train with more --epochs or a larger --lr; or take the linear model: --model linear.",
        figures={"accuracy_on_train": own, "linear_model_on_others": float(other)},
    )


def find_idle(subject: Subject) -> Iterator[Finding]:
    """A network whose logits count for nothing beside the linear model's."""
    config, weights = subject.model.config, subject.model.artifact.metrics.get("weights")
    if config.beside is None or not isinstance(weights, dict) or subject.weight > _IDLE:
        return
    yield Finding(
        kind="idle-network",
        severity="note",
        title=f"The {config.model.name} counts {subject.weight:.2g} times; the linear model beside it answers alone",
        why="Held-out texts were answered no better with the network, which makes the model large and slow.",
        remedy="--model linear",
        figures={"weights": weights},
    )


def constant_losses(task: Task, targets: Targets) -> Floats:
    """The loss of each text where the answer is the share of each class, (N,)."""
    shares = np.clip(task.class_counts(targets) / len(targets), 1e-6, 1 - 1e-6)
    logits = np.log(shares) if task.has_confusion else np.log(shares / (1 - shares))
    return task.losses(np.broadcast_to(logits, (len(targets), len(shares))), targets)


def exact(task: Task, logits: Floats, sample: Sample) -> np.ndarray:
    """Whether each text's answer is right altogether, (N,)."""
    answers = [frozenset([answer]) if isinstance(answer, str) else frozenset(answer) for answer in task.decide(logits)]
    labels = [frozenset([label]) if isinstance(label, str) else frozenset(label) for label in sample.labels]
    return np.array([answer == label for answer, label in zip(answers, labels, strict=True)])


def accuracy(task: Task, sample: Sample) -> float:
    """The share of texts whose answer is right altogether."""
    return float(exact(task, sample.logits, sample).mean())


def _error(values: Floats) -> float:
    """The standard error of the mean."""
    return float(values.std() / np.sqrt(max(1, len(values))))


def _surest_mistakes(subject: Subject, sample: Sample) -> tuple[Row, ...]:
    task = subject.model.task
    wrong = np.flatnonzero(~exact(task, sample.logits, sample))
    sure = task.probabilities(sample.logits[wrong]).max(axis=1)
    places = wrong[np.argsort(-sure, kind="stable")[:_SHOWN]]
    answers = task.decide(sample.logits[places])
    return tuple(
        sample.row(place, Phrase("answered {}, labelled {}", answer, sample.labels[place]))
        for place, answer in zip(places.tolist(), answers, strict=True)
    )
