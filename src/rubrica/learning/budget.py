"""How long a training is: by the amount of text, or by what fits into a given time.

The step size of a network falls to zero with the last update, so their number has to be known at the first one. A short
trial on the same texts tells how long an update takes; a trial on some of the texts tells how long the linear model
beside the network takes. The chosen number, `training.max_steps`, is kept with the model, so the run can be repeated
without a clock.

Two models are not repeated by their settings. One was stopped by the deadline, because the machine became slower than
it was on trial. The other is a bag that took the place of a network with vectors: it knows the words of the vectors,
but starts at none of them.
"""

import logging
from collections.abc import Callable

import numpy as np

from rubrica.config.groups import MANY
from rubrica.learning.job import Job
from rubrica.models.config import Config
from rubrica.scoring.task import Rows

log = logging.getLogger(__name__)

_BATCH, _SMALL_BATCH = 64, 32  # texts of an update where there are `MANY` texts; of fewer
_TRIAL_STEPS = (5, 35)
_TRIAL_TEXTS = 1024  # of each of two runs of texts; `learning.linear` reads 1,024 texts at a time
_ALWAYS = 0.5  # seconds: a linear model that takes fewer is trained even late; what is faster knows hardly anything
_PLANNED = 0.8  # of the time left; the rest is for validation, for saving, and for what else the machine does

Trial = Callable[[Config, Rows], float]
"""Trains on some of the texts and forgets what was learned; returns the seconds of training."""


def choose_length(config: Config, num_texts: int, num_classes: int, *, can_read: bool = False) -> Config:
    """The settings with a batch size, a number of epochs and a step size, where the user left them open (0).

    Fewer texts take smaller batches. The numbers were chosen on validation parts of data sets of 900 to 68,000 texts,
    see docs/decisions.md.

    Args:
        config: The settings.
        num_texts: How many texts are learned.
        num_classes: C.
        can_read: Whether the network starts at a layer that foresees words.
    """
    batch_size = config.training.batch_size or (_BATCH if num_texts >= MANY else _SMALL_BATCH)
    compared = config.model.compared(num_classes)
    epochs = config.training.epochs or config.training.choose_epochs(
        num_texts, batch_size, num_classes, compared, can_read=can_read
    )
    config = config.replace(training={"batch_size": batch_size, "epochs": epochs})
    rest = config.training.choose_rest(num_texts, num_classes, compared, beside=config.beside is not None)
    return config.replace(training=rest.to_dict())


def fits_beside(job: Job, trial: Trial) -> bool:
    """Whether the descent of a linear model, alone or beside a network, fits into the time.

    Beside a network it comes first, since alone it is worth most of the time that it takes; the network takes the rest.
    """
    config, rows = job.config, job.rows
    sample = rows
    if len(rows) > 4 * _TRIAL_TEXTS:
        places = (len(rows) // 4, 3 * len(rows) // 4)
        sample = np.concatenate([rows[place : place + _TRIAL_TEXTS] for place in places])
    needed = trial(config.alone(config.members[-1]), sample) / len(sample) * len(rows)
    left = job.deadline.left
    if needed <= max(_PLANNED * left, _ALWAYS):
        return True
    if config.beside is None:
        log.warning("%s: takes about %.1f s; a linear model has no shorter way", job.title, needed)
    else:
        told = (job.title, needed, max(0.0, left))
        log.info("%s: the linear model beside it would take %.1f s of the %.1f s left, and is left out", *told)
    return False


def limit_steps(job: Job, trial: Trial) -> Config | None:
    """The settings, with fewer updates where all of them would take too long.

    None where the time is too short for `Training.least_steps`: with fewer updates the model is not worth it.
    """
    config, epoch, total = job.config, job.steps_per_epoch, job.total_steps
    needed = config.training.least_steps
    least = min(total, needed) if needed else epoch
    few, many = (min(steps, total) for steps in _TRIAL_STEPS)
    thawed = config.alone(config.model).replace(training=config.training.thawed().to_dict())

    def seconds_of(steps: int) -> float:
        return trial(thawed.replace(training={"max_steps": steps}), job.rows)

    def no_time(ahead: float) -> bool:
        if not needed or ahead < job.deadline.left:
            return False
        log.info("%s: there is no time to try it, and it is left out", job.title)
        return True

    if no_time(0.0):
        return None
    once = min(seconds_of(1), seconds_of(1))  # the first one warms up
    if no_time(2 * once):
        return None
    first = seconds_of(few)
    if no_time(first + (many - few) * (first - once) / max(1, few - 1)):
        return None
    second = seconds_of(many)
    step = (second - first) / (many - few) if many > few and second > first else second / many
    start = max(0.0, first - few * step) / epoch  # of an epoch, a share for each update
    fitting = int(_PLANNED * job.deadline.left / max(step + start, 1e-9))
    speed = f"{job.title}: an update takes {1000 * step:.2f} ms"
    if needed and fitting < least:
        log.info("%s; only %d fit into the time: left out", speed, fitting)
        return None
    steps = min(total, max(least, fitting))
    log.info("%s; %d of %d fit into the time", speed, steps, total)
    return config if steps == total else config.replace(training={"max_steps": steps})
