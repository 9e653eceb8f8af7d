"""The members of a model, a network and the linear model beside it: each is trained alone, then they are added.

Letters: N texts, C classes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from rubrica.config.groups import DescentTraining, SgdTraining
from rubrica.corpus.corpus import Split
from rubrica.errors import require
from rubrica.learning.bag import train_bag
from rubrica.learning.budget import Trial, choose_length, fits_beside, limit_steps
from rubrica.learning.deadline import NEVER
from rubrica.learning.job import Job, Trained
from rubrica.learning.linear import train_linear
from rubrica.models.config import Config
from rubrica.models.ensemble import Ensemble, weigh
from rubrica.models.linear import take_texts
from rubrica.models.storage import store_tensors
from rubrica.scoring.task import Floats, Rows

_STOPPED = 0.9  # of the time left: updates that take longer than on trial end here, ...
_LEAST_SECONDS = 1.0  # ... but not sooner: a network that stops at once says nothing


class Fitted(NamedTuple):
    """The trained members of a model.

    Args:
        job: As it turned out: where time was short, a simpler model than the one that was asked for.
        members: What each of `job.config.members` learned.
    """

    job: Job
    members: list[Trained]


def train_member(job: Job) -> Trained:
    """Train a single member in the way that its settings name; only `AdamTraining` needs torch."""
    if isinstance(job.config.training, SgdTraining):
        return train_bag(job)
    if isinstance(job.config.training, DescentTraining):
        return train_linear(job)
    from rubrica.learning.network import train_network  # late: it imports torch

    return train_network(job)


def check_installed(config: Config) -> None:
    """Make sure that the libraries of a training are there, before any work is done.

    Raises:
        MissingExtraError: If torch is needed and is not installed.
    """
    if not isinstance(config.training, SgdTraining | DescentTraining):
        require("torch", "train")


def train_members(job: Job, *, plan: bool = True) -> Fitted:
    """Train each member of a model.

    The linear model comes first: it is good after seconds, and it stays if Ctrl-C or the deadline ends the network. If
    it is interrupted itself, it stays alone.

    Args:
        job: Its settings are those of the whole model.
        plan: Whether to find out first what fits into the time, if there is a deadline.
    """
    plan = plan and job.deadline.is_set
    trial = _trial(job)
    if plan and (job.config.beside is not None or not job.config.training.has_steps) and not fits_beside(job, trial):
        job = job.changed(config=job.config.alone(job.config.model))
    if not job.config.training.has_steps:
        return Fitted(job, [train_member(job)])
    if job.config.beside is None:
        return _train_network(job, trial, plan=plan, instead=None)
    alone = job.changed(config=job.config.alone(job.config.beside), vectors=None, judge=None)
    beside = train_member(alone.changed(title=f"linear, beside {job.title}"))
    if beside.history.interrupted:
        return Fitted(alone, [beside])
    try:
        fitted = _train_network(job, trial, plan=plan, instead=Fitted(alone, [beside]))
    except KeyboardInterrupt:  # before its first update
        beside.history.interrupted = True
        return Fitted(alone, [beside])
    return fitted if fitted.job.config.beside is None else Fitted(fitted.job, [*fitted.members, beside])


def _train_network(job: Job, trial: Trial, *, plan: bool, instead: Fitted | None) -> Fitted:
    """Train the first member; where there is no time for it, return `instead`, or a bag in its place."""
    config = limit_steps(job, trial) if plan else job.config
    if config is None:
        if instead is not None:
            return instead
        job = _bag_instead(job)
        config = limit_steps(job, _trial(job))
        assert config is not None  # there is always an epoch of a bag
    job = job.changed(config=config)
    until = job.deadline.with_reserve(_STOPPED, _LEAST_SECONDS) if job.deadline.is_set else NEVER
    member = job.changed(config=config.alone(config.model), deadline=until)
    return Fitted(job, [train_member(member)])


def _bag_instead(job: Job) -> Job:
    """The same training with a bag, whose words start at no vectors."""
    kept = {"class_weight": job.config.training.class_weight}
    bag = job.config.baseline().replace(training=kept)
    return job.changed(config=choose_length(bag, len(job.rows)), vectors=None, title=bag.model.name)


def _trial(job: Job) -> Trial:
    def run(config: Config, rows: Rows) -> float:
        title = f"{job.title}, on trial"
        tried = train_member(job.changed(config=config, rows=rows, judge=None, title=title, deadline=NEVER))
        if tried.history.interrupted:
            raise KeyboardInterrupt  # Ctrl-C was meant for the whole training
        return tried.history.train_seconds

    return run


def join(fitted: Fitted, weights: Sequence[float]) -> Trained:
    """One model whose logits are the weighted sum of its members' logits.

    Its tensors are float32; its logits are those of the tables as they will be stored.
    """
    job, members = fitted
    tensors = weigh(job.config, [member.tensors for member in members], weights)
    stored = store_tensors(tensors, job.config.training.storage)
    ensemble = Ensemble(job.config, stored, job.task.num_classes)

    def logits(split: Split, rows: Rows) -> Floats:
        tokens = split.tokens.take(rows) if ensemble.reads_words else None
        return ensemble.logits(take_texts(split.texts, rows) if ensemble.reads_texts else (), tokens)

    history = replace(
        members[0].history,
        train_seconds=sum(member.history.train_seconds for member in members),
        interrupted=any(member.history.interrupted for member in members),
    )
    return Trained(tensors, logits, history)
