"""The road from numbered texts to a scored model: prepare, split, fit, calibrate, refit, score, artifact.

Letters: N texts, C classes.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact
from rubrica.corpus.corpus import Corpus, Split
from rubrica.corpus.held_out import LEAST, hold_out
from rubrica.corpus.spread import spread
from rubrica.environment import processes
from rubrica.errors import FileError, RubricaError
from rubrica.files import make_array
from rubrica.learning.budget import choose_length
from rubrica.learning.checkpoint import Checkpoints
from rubrica.learning.deadline import NEVER, Deadline
from rubrica.learning.job import Job, Trained, all_rows, token_inputs
from rubrica.learning.members import Fitted, join, train_members
from rubrica.learning.result import build_artifact, with_all_words
from rubrica.models.config import Config
from rubrica.models.families import BASELINE
from rubrica.scoring.calibration import DECISIONS, Weights, fit_by_class, fit_weights, rarity
from rubrica.scoring.report import Report, main_score
from rubrica.scoring.sureness import find_sure
from rubrica.scoring.tally import Tally
from rubrica.scoring.task import Floats, Rows, Targets, Task
from rubrica.text.batching import iter_rows
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_UNCALIBRATED = Weights((0.6, 1.5))  # of a network and a linear model that no text was held out for: as is common
MOST_HELD = 2000  # texts held out of train at the most: enough to weigh members and to judge epochs
_SPARE = 0.7  # of the time that is left: training anew, on some texts more, has to take less than this
_NEGLIGIBLE = 0.05  # of train; where more was held out, the model is trained once more, on all of it
_CALIBRATED = 1 << 16  # of more held-out texts, this many tell the weights
_SCORED = 1 << 13  # texts at a time, about: some MB of ids and features
_LOGITS = 1 << 24  # of texts that are calibrated or scored at a time, about: 64 MB


class HeldOut(NamedTuple):
    """The texts that judge a training.

    Args:
        split: Where they are.
        rows: Which of them; there may be none.
        from_train: Whether they are a part of train, which the final model could learn too.
    """

    split: Split
    rows: Rows
    from_train: bool

    @property
    def is_many(self) -> bool:
        """Whether they are so large a part of train that the model should learn them, too."""
        own = len(self.split.targets) if self.split.own is None else self.split.own
        return self.from_train and len(self.rows) > _NEGLIGIBLE * (own - len(self.rows))


def train_corpus(
    corpus: Corpus,
    vectors: Vectors | None,
    config: Config,
    *,
    title: str,
    deadline: Deadline = NEVER,
    before: Artifact | None = None,
    checkpoints: Checkpoints | None = None,
    plan: bool = True,
) -> Artifact:
    """Train one model and score it on validation and test, as the corpus has them.

    The seed sets the weights, the order of the texts and the part held out, so a training can be repeated. The held-out
    part of train finds the weights of the members and the thresholds. If the part is large, the model is then trained
    anew on all of train, with the same weights of the members and thresholds. Where there is a model `before`, the
    training goes on from it, see `continuing.py`. Where there is a deadline, the training does what fits into the time;
    without `plan` it does what it was asked for, and the deadline stops it.
    """
    corpus, config = prepare(corpus, vectors, config)
    rows, held = split_train(corpus, config, title)
    corpus, rows, texts_of = _spread(corpus, rows)
    corpus = balance(corpus, config, rows, in_parts=texts_of is not None)
    reader = None if vectors is None or not config.model.starts_at_vectors else vectors.reader
    can_read = config.model.can_foresee and reader is not None
    config = choose_length(config, len(rows), corpus.task.num_classes, can_read=can_read)
    job = Job(corpus, config, rows, vectors, title=title, deadline=deadline, before=before, checkpoints=checkpoints)
    if len(held.rows):
        job = replace(job, judge=lambda trained: score(trained, corpus.task, held.split, held.rows, job.config))
    began = time.perf_counter()
    fitted = train_members(job, plan=plan)
    job, (weights, sure) = fitted.job, calibrate(fitted, held)
    model, task, reports = join(fitted, weights), job.task, dict[str, Report]()
    if len(held.rows):
        task = tune(model, task, held, job.config)
        reports["validation"] = score(model, task, held.split, held.rows, job.config)
    job, first = limit_refit(job, time.perf_counter() - began), model
    model, rows = refit(model, job, held, weights)
    if test := corpus.splits.get("test"):
        reports["test"] = score(model, task, test, all_rows(test), job.config)
    metrics: dict[str, Any] = {
        "train_texts": len(rows) if texts_of is None else len(np.unique(texts_of[rows])),
        "steps": model.history.steps,  # of the network, or of the only member, before the model is trained once more
        "train_seconds": model.history.train_seconds,  # of all members, once more included
        "interrupted": model.history.interrupted,
        "weights": {
            member.name: float(np.mean(weight))  # of a linear model that counts by class the mean over the classes
            for member, weight in zip(job.config.members, weights.members, strict=True)
        },
    }
    if len(rows) > len(job.rows):
        metrics["refitted"] = True
    metrics |= {name: report.to_json() for name, report in reports.items()} | beside_scores(first, model, job, held)
    return replace(build_artifact(model, job, task, metrics), sure=sure)


def prepare(corpus: Corpus, vectors: Vectors | None, config: Config) -> tuple[Corpus, Config]:
    """Settle what the corpus and the vectors decide: case, size of the word vectors, numbers of the words."""
    vocab = corpus.vocab
    config = config.replace(data={"lowercase": vocab.lowercase, "split_unspaced": vocab.split_unspaced})
    if vectors is not None and config.model.reads_words:
        config = config.replace(model={"embedding_dim": vectors.dim})
        if config.model.hashes_ids and config.model.starts_at_vectors:
            corpus = with_all_words(corpus, vectors)
    return corpus, config


def split_train(corpus: Corpus, config: Config, title: str) -> tuple[Rows, HeldOut]:
    """The rows of train to learn from, and the texts that judge the training."""
    train = corpus.splits["train"]
    if validation := corpus.splits.get("validation"):
        return all_rows(train), HeldOut(validation, all_rows(validation), from_train=False)
    own, keys = train.targets[: train.own], None if train.keys is None else train.keys[: train.own]
    fraction = min(config.data.validation_fraction, MOST_HELD / len(own))
    rows, held = hold_out(corpus.task, own, fraction, config.training.seed, keys)
    if fraction:
        _tell_held_out(corpus, fraction, rows, held, title)
    if len(own) < len(train.targets):
        rows = np.concatenate([rows, np.arange(len(own), len(train.targets))])
    return rows, HeldOut(train, held, from_train=True)


def _spread(corpus: Corpus, rows: Rows) -> tuple[Corpus, Rows, Rows | None]:
    """The corpus and the rows to learn from, and the text of each row, where labels are not certain, see `spread`."""
    train = corpus.splits["train"]
    if train.probabilities is None:
        return corpus, rows, None
    split, texts_of = spread(train, corpus.task)
    return corpus.with_split("train", split), np.flatnonzero(np.isin(texts_of, rows)), texts_of


def _tell_held_out(corpus: Corpus, fraction: float, rows: Rows, held: Rows, title: str) -> None:
    """Say why no text is held out, or which classes the held-out texts are of, if they are not of all."""
    num_texts = len(rows) + len(held)
    targets = corpus.splits["train"].targets[:num_texts]
    counts, held_counts = (np.count_nonzero(corpus.task.class_counts(targets, part)) for part in (None, held))
    if len(held):
        if held_counts < counts and corpus.task.gives_labels:
            sizes = (len(held), num_texts, held_counts, counts)
            log.info("%s: {:,} of {:,} texts are held out, of {:,} of the {:,} classes".format(*sizes), title)
        return
    if corpus.task.gives_labels and corpus.task.class_counts(targets).max() <= 1:
        reason = "every class has one text only, so none is held out"
    elif round(fraction * num_texts) < LEAST:
        reason = f"{num_texts:,} texts are too few to hold some out"
    else:
        reason = "no text can be held out without a class that keeps none"
    log.warning("%s: %s; probabilities are not calibrated", title, reason)


def balance(corpus: Corpus, config: Config, rows: Rows, *, in_parts: bool = False) -> Corpus:
    """The corpus with weights that let its classes count alike, if the settings say so.

    With `in_parts` a row is the part of a text that its weight says. So is a row of a text that a model answered.
    """
    if config.training.class_weight == "none":
        return corpus
    train = corpus.splits["train"]
    parts = train.weights if in_parts else None
    if parts is None and train.weights is not None and train.own is not None:
        parts = np.concatenate([np.ones(train.own, np.float32), train.weights[train.own :]])
    weights = balanced_weights(corpus.task, train.targets, rows, parts)
    if train.weights is not None:
        weights *= train.weights
    return corpus.with_split("train", replace(train, weights=weights))


def balanced_weights(task: Task, targets: Targets, rows: Rows, parts: Floats | None = None) -> Floats:
    """How much each text counts, (N,), so that the classes count alike: n / (C * texts of its class).

    This is scikit-learn's rule. Where a text may have several labels, n counts all labels, and a text counts the mean
    of its labels' weights; without labels it counts 1.

    Only the texts of `rows`, to train on, are counted; each once, or the part of it that `parts` (N,) says.
    """
    counts: NDArray[Any] = task.class_counts(targets, rows)
    if parts is not None:
        texts, classes = task.pairs(targets[rows])
        counts = np.bincount(classes, parts[rows][texts], task.num_classes)
    by_class = counts.sum() / (np.count_nonzero(counts) * np.where(counts > 0, counts, 1))
    weights = make_array(len(targets), np.float32)
    for first in range(0, len(targets), _SCORED):
        weights[first : first + _SCORED] = task.mean_over_labels(targets[first : first + _SCORED], by_class)
    return weights


def calibrate(fitted: Fitted, held: HeldOut) -> tuple[Weights, float | None]:
    """The weights of the members that make the held-out texts most likely, and `Artifact.sure`."""
    if not len(held.rows):
        return _UNCALIBRATED if len(fitted.members) > 1 else Weights((1.0,)), None
    most, first = min(_CALIBRATED, max(1, _LOGITS // fitted.job.task.num_classes)), fitted.members[0]
    if first.search is not None:
        most = _CALIBRATED
    judged = held.rows[:: -(-len(held.rows) // most)]
    # A text's own weight counts here, too. The weights that balance the classes do not: `held` does not have them.
    counts = None if held.split.weights is None else held.split.weights[judged]
    targets, soft = held.split.targets[judged], _soft(held.split, judged)
    if first.search is not None:
        found = first.search.margins(token_inputs(held.split, judged), targets)
        return Weights(tuple(fit_weights(DECISIONS, [found], np.ones(found.shape), counts).tolist())), None
    job, logits = fitted.job, [member.logits(held.split, judged) for member in fitted.members]
    rare = None if job.config.members[-1].reads_words else rarity(job.task.class_counts(job.split.targets, job.rows))
    if rare is None:
        weights = Weights(tuple(fit_weights(job.task, logits, targets, counts, probabilities=soft).tolist()))
    else:
        weights = fit_by_class(job.task, logits, rare, targets, counts, soft)
    return weights, _sure(fitted, weights.apply(logits))


def _sure(fitted: Fitted, parts: Sequence[Floats]) -> float | None:
    """The `Artifact.sure` of members whose weighted logits are `parts`, (N, C) each."""
    if len(parts) == 1 or not fitted.job.config.model.masks_padding:
        return None  # a network that reads padding answers a text by the texts beside it
    if not (fitted.job.task.has_confusion and fitted.job.task.gives_labels):  # each label would need its own margin
        return None
    return find_sure(parts[1], parts[0] + parts[1])


def limit_refit(job: Job, took: float) -> Job:
    """Set `max_steps` where there is no time to train once more, so that a repeated run trains once too."""
    if not job.deadline.is_set or job.config.training.max_steps or took <= _SPARE * job.deadline.left:
        return job
    return replace(job, config=job.config.replace(training={"max_steps": job.total_steps}))


def refit(model: Trained, job: Job, held: HeldOut, weights: Weights) -> tuple[Trained, Rows]:
    """Train once more, on all of train, where a large part of it was held out; also the rows that were learned."""
    history = model.history
    if not held.is_many or history.interrupted or job.config.training.max_steps:
        return model, job.rows
    everything = all_rows(job.split)
    title = f"{job.title}, on all of train"
    try:
        again = train_members(replace(job, rows=everything, judge=None, title=title), plan=False)
    except (KeyboardInterrupt, RubricaError) as error:  # while the texts are read; or the training diverged
        if isinstance(error, KeyboardInterrupt | FileError) and processes()[1] > 1:
            raise  # the others do not have it; a divergence they have, too
        history.interrupted = isinstance(error, KeyboardInterrupt)
        log.warning("%s; the model that was trained on a part of train is kept", str(error) or "interrupted")
        return model, job.rows
    for member in again.members:
        history.train_seconds += member.history.train_seconds
        history.interrupted |= member.history.interrupted
    if history.interrupted:
        return model, job.rows
    return join(again, weights)._replace(history=history), everything


def score(model: Trained, task: Task, split: Split, rows: Rows, config: Config) -> Report:
    """Scores of some texts."""
    tally = Tally(task, len(rows), unknown=split.unknown)
    if model.search is not None:
        for part in iter_rows(rows, _SCORED):
            model.search.score(tally, token_inputs(split, part), split.targets[part])
        return tally.report(config.training.batch_size)
    for part, logits in _iter_logits(model, task, split, rows, config):
        tally.add(logits, split.targets[part], _soft(split, part))
    return tally.report(config.training.batch_size)


def beside_scores(first: Trained, last: Trained, job: Job, held: HeldOut) -> dict[str, Any]:
    """The main scores of the linear model beside a network, alone: what the whole has to be better than.

    The `first` model was trained without the held-out texts; the `last` one may have learned them, too.
    """
    task, found, test = job.task, dict[str, float](), job.corpus.splits.get("test")
    if job.config.beside is None or first.beside is None or last.beside is None:
        return {}
    beside, again = first.beside, last.beside
    if len(held.rows):
        if not task.gives_labels:
            scale = _own_scale(beside, task, held)
            beside, again = _scaled(beside, scale), _scaled(again, scale)
        task = tune(beside, task, held, job.config)
        found["validation"] = score(beside, task, held.split, held.rows, job.config).main
    if test:
        found["test"] = score(again, task, test, all_rows(test), job.config).main
    return {job.config.beside.name: found} if found else {}


def _own_scale(model: Trained, task: Task, held: HeldOut) -> float:
    """How far the logits of a member are to be stretched where it answers alone; labels do not depend on it."""
    logits, soft = model.logits(held.split, held.rows), _soft(held.split, held.rows)
    return float(fit_weights(task, [logits], held.split.targets[held.rows], probabilities=soft)[0])


def _scaled(model: Trained, scale: float) -> Trained:
    return model._replace(logits=lambda split, rows: np.float32(scale) * model.logits(split, rows))


def tune(model: Trained, task: Task, held: HeldOut, config: Config) -> Task:
    """The task with thresholds that fit the held-out texts."""
    parts = _iter_logits(model, task, held.split, held.rows, config)
    return task.tuned((logits, held.split.targets[part]) for part, logits in parts)


def _soft(split: Split, rows: Rows) -> Floats | None:
    """How probable each label of some texts is; None where labels are certain."""
    return None if split.probabilities is None else split.probabilities[rows]


def _iter_logits(model: Trained, task: Task, split: Split, rows: Rows, config: Config) -> Iterator[tuple[Rows, Floats]]:
    """Yield some of the texts at a time and their logits; whole batches, which matter where padding is read."""
    batch_size, most = config.training.batch_size, min(_SCORED, _LOGITS // task.num_classes)
    for part in iter_rows(rows, batch_size * max(1, most // batch_size)):
        yield part, model.logits(split, part)


def baseline_scores(corpus: Corpus, artifact: Artifact, checkpoints: Checkpoints | None = None) -> dict[str, Any]:
    """The main scores of a bag on the same texts, for `metrics.json`: what a model has to be better than.

    Ctrl-C and a bag that diverges leave the comparison out, not the model.
    """
    config = artifact.config.baseline()
    if "validation" not in artifact.metrics:
        config = config.replace(data={"validation_fraction": 0.0})
    try:
        title = f"{config.model.name}, for comparison"
        metrics = train_corpus(corpus, None, config, title=title, checkpoints=checkpoints).metrics
    except (KeyboardInterrupt, RubricaError) as error:
        log.warning("no bag to compare with: %s", str(error) or "interrupted")
        return {}
    scores = {name: main_score(metrics[name]) for name in ("validation", "test") if name in metrics}
    return {} if metrics["interrupted"] else {BASELINE: scores}
