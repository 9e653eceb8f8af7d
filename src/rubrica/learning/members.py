"""The members of a model, a network and the linear model beside it: each is trained alone, then they are added."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from rubrica.config.groups import AdamTraining, DescentTraining, SgdTraining
from rubrica.corpus.corpus import Split
from rubrica.data.stored_texts import take_texts
from rubrica.environment import processes
from rubrica.errors import RubricaError
from rubrica.files import make_array
from rubrica.learning.bag import train_bag
from rubrica.learning.budget import Trial, choose_length, fits_beside, limit_steps
from rubrica.learning.deadline import NEVER
from rubrica.learning.job import TURNS, Job, Reading, Trained
from rubrica.learning.linear import train_linear
from rubrica.models.config import Config
from rubrica.models.ensemble import Ensemble, weigh
from rubrica.models.storage import store_tensors
from rubrica.scoring.calibration import Weights
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
    """Train a single member in the way that its settings name.

    Raises:
        RubricaError: If a weight is not finite.
    """
    if job.checkpoints is not None:
        job = replace(job, stage=job.checkpoints.stage(job.title))
    trained = _TRAINERS[type(job.config.training)](job)
    if trained.history.interrupted and processes()[1] > 1:
        raise KeyboardInterrupt  # none of a team can go on alone
    if not all(np.isfinite(tensor).all() for tensor in trained.tensors.values()):
        if job.checkpoints is not None:
            job.checkpoints.discard()  # it would diverge once more
        raise RubricaError(f"{job.title}: the training diverged; train again with a smaller step size (training.lr)")
    return trained


def _train_network(job: Job) -> Trained:
    from rubrica.learning.network import train_network  # late: it imports torch

    return train_network(job)


_TRAINERS = {AdamTraining: _train_network, DescentTraining: train_linear, SgdTraining: train_bag}


def train_members(job: Job, *, plan: bool = True) -> Fitted:
    """Train each member of a model; the settings of the job are for the whole model.

    The linear model comes first: it is good after seconds, and it stays if Ctrl-C or the deadline ends the network. If
    it is interrupted itself, it stays alone. With `plan` a trial shows first what fits into the time to the deadline.
    """
    trial = partial(_try, job) if plan and job.deadline.is_set else None
    has_steps = job.config.training.has_steps
    if trial and (job.config.beside is not None or not has_steps) and not fits_beside(job, trial):
        job = replace(job, config=job.config.alone(job.config.model))
    if not has_steps:
        return Fitted(job, [train_member(job)])
    if job.config.beside is None:
        return _train_first(job, trial, beside=None)
    alone = replace(
        job,
        config=job.config.alone(job.config.beside),
        vectors=None,
        judge=None,
        deadline=job.deadline.with_reserve(1, _LEAST_SECONDS),
    )
    beside = Fitted(alone, [train_member(replace(alone, title=f"linear, beside {job.title}"))])
    history = beside.members[0].history
    if history.interrupted:
        return beside
    try:
        return _train_first(replace(job, reading=_reading(job, beside.members[0].doubts)), trial, beside)
    except KeyboardInterrupt:  # before its first update
        if processes()[1] > 1:
            raise
        history.interrupted = True
        return beside


def _train_first(job: Job, trial: Trial | None, beside: Fitted | None) -> Fitted:
    """Train the first member; where a trial shows no time for it, `beside` stays alone, or a bag takes its place."""
    config = limit_steps(job, trial) if trial else job.config
    if config is None and beside is not None:
        return beside
    if config is None:  # a bag's words start at no vectors
        bag = job.config.baseline().replace(training={"class_weight": job.config.training.class_weight})
        bag = choose_length(bag, len(job.rows), job.task.num_classes)
        job = replace(job, config=bag, vectors=None, title=bag.model.name)  # it stands alone: all texts are read
        config = limit_steps(job, partial(_try, job))
        assert config is not None  # there is always an epoch of a bag
    job = replace(job, config=config)
    until = job.deadline.with_reserve(_STOPPED, _LEAST_SECONDS)
    first = train_member(replace(job, config=config.alone(config.model), deadline=until))
    return Fitted(replace(job, reading=None), [first, *(beside.members if beside else ())])


def _reading(job: Job, doubts: Floats | None) -> Reading | None:
    """Which texts the network reads in each epoch, by how little the linear model is sure of each, (N,)."""
    settings = job.config.training
    assert isinstance(settings, AdamTraining)  # the way that every network is trained in
    if doubts is None or settings.read_seldom == "auto":
        return None
    num_sure = min(round(settings.read_seldom * len(doubts)), int(np.isfinite(doubts).sum())) // TURNS * TURNS
    if not num_sure:
        return None
    ordered = make_array(len(doubts), np.float32)
    ordered[:] = doubts
    ordered.partition(num_sure - 1)
    limit = ordered[num_sure - 1]
    alike = np.flatnonzero(doubts == limit)
    missing = num_sure - int(np.count_nonzero(doubts < limit))
    sure = doubts < limit
    sure[alike[np.arange(missing) * len(alike) // missing]] = True  # from everywhere: a file may be sorted by class
    return Reading(job.rows[~sure], job.rows[sure])


def _try(job: Job, config: Config, rows: Rows) -> float:
    """Run a `Trial`."""
    title = f"{job.title}, on trial"
    tried = train_member(replace(job, config=config, rows=rows, judge=None, title=title, deadline=NEVER))
    if tried.history.interrupted:
        raise KeyboardInterrupt  # Ctrl-C was meant for the whole training
    return tried.history.train_seconds


def join(fitted: Fitted, weights: Weights) -> Trained:
    """One model whose logits are the weighted sum of its members' logits.

    Its tensors are float32; its logits are those of the tables as they will be stored.
    """
    job, members = fitted
    tensors = weigh(job.config, [member.tensors for member in members], weights)
    stored = store_tensors(tensors, job.config.training.storage)
    ensemble = Ensemble(job.config, stored)

    def logits(split: Split, rows: Rows) -> Floats:
        tokens = split.tokens.take(rows) if ensemble.reads_words else None
        return ensemble.logits(take_texts(split.texts, rows) if ensemble.reads_texts else (), tokens)

    history = replace(
        members[0].history,
        train_seconds=sum(member.history.train_seconds for member in members),
        interrupted=any(member.history.interrupted for member in members),
    )
    beside = None
    if job.config.beside is not None and np.any(np.less_equal(weights.members[-1], 0)):
        beside = members[-1]  # a weight of 0 has left nothing of its logits
    elif job.config.beside is not None:
        beside = Trained(tensors, lambda split, rows: ensemble.quick(take_texts(split.texts, rows)), history)
    return Trained(tensors, logits, history, ensemble.search, beside=beside)
