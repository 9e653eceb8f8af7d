"""How long a training is: by the amount of text, or what fits into a given time.

The step size of a network falls to zero with the last update, so their number has to be known at the first. A short
trial on the same texts tells how long an update takes, and one on some texts what the linear model beside it does.
What is chosen, `training.max_steps`, is kept with the model, so the run can be repeated without a clock. On a machine
that becomes slower than it was on trial, the updates end as by Ctrl-C. Such a model is not repeated by its settings,
nor is a bag that stands in for a network that was given vectors: it knows their words, and starts at none of them.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rubrica.config.settings import Config, load_recipe

log = logging.getLogger(__name__)

_UPDATES, _EPOCHS = 2000, (3, 10)  # of a network
_BAG_TEXTS, _BAG_EPOCHS = 200_000, (5, 50)
_BATCH, _SMALL_BATCH, _MANY = 64, 32, 20_000  # texts of an update where there are so many texts; of fewer
_TRIAL_STEPS = (5, 35)
_TRIAL_TEXTS = 1024  # neighbours, at two places: of texts on disk so many are read together
_PLANNED = 0.8  # of the time left; the rest is for validation, for saving, and for what else the machine does
_LEAST_STEPS = 200  # of a network, which with fewer says next to nothing
STOPPED = 0.9  # of the time left: where updates end that took longer than on trial, ...
LEAST_SECONDS = 1.0  # ... but no sooner than so: what is stopped at once says nothing
_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_seconds(text: str) -> float:
    """Seconds of `90`, `90s`, `2m` or `1h`.

    Raises:
        ValueError: If it is nothing like that, or no more than 0.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is no length of time; give seconds, 90s, 2m or 1h")
    return seconds


def choose_length(config: Config, num_texts: int) -> Config:
    """The settings, with the batch size and the epochs that they leave open: 0.

    As many epochs as make so many updates of a network, or as read so many texts into a bag, within bounds; and smaller
    batches where texts are few. Chosen on validation parts of data sets of 900 to 68,000 texts, see docs/decisions.md.
    """
    batch_size = config.training.batch_size or (_BATCH if num_texts >= _MANY else _SMALL_BATCH)
    epochs = config.training.epochs
    if not epochs and config.model.name == "linear":
        epochs = load_recipe("linear").training.epochs
    elif not epochs:
        bag = config.model.name == "bag"
        texts, (few, many) = (_BAG_TEXTS, _BAG_EPOCHS) if bag else (_UPDATES * batch_size, _EPOCHS)
        epochs = max(few, min(many, round(texts / num_texts)))
    return replace(config, training=replace(config.training, batch_size=batch_size, epochs=epochs))


def linear_alone(config: Config) -> Config:
    """The settings of the linear model beside a network, as of one that is alone."""
    return config.changed(["model.name=linear", f"training.epochs={load_recipe('linear').training.epochs}"])


def bag_instead(config: Config, num_texts: int) -> Config:
    """The settings of a bag that reads the texts of a network; its words start at no vectors."""
    recipe = load_recipe("bag")
    kept = {name: getattr(config.training, name) for name in ("seed", "class_weight")}
    bag = replace(recipe, data=config.data, training=replace(recipe.training, **kept))
    return choose_length(bag.changed(["model.embedding=random"]), num_texts)


Run = Callable[[Config, NDArray[np.int64]], float]
"""Trains on some of the texts and forgets it; returns the seconds."""


def drop_slow_linear(config: Config, rows: NDArray[np.int64], seconds: float, run: Run, title: str) -> Config:
    """The settings, without the linear model beside a network where it would not fit into the time.

    It alone is worth most of the time it takes, so it comes before the network, which takes what it leaves.

    Args:
        config: The settings.
        rows: The texts to train on, (N,).
        seconds: Left, from now on.
        run: How a trial is made.
        title: For the message.
    """
    if "linear" not in config.model.parts:
        return config
    first, second = len(rows) // 4, max(len(rows) // 4 + _TRIAL_TEXTS, 3 * len(rows) // 4)
    sample = rows
    if len(rows) > 4 * _TRIAL_TEXTS:
        sample = np.concatenate([rows[place : place + _TRIAL_TEXTS] for place in (first, second)])
    started = time.perf_counter()
    needed = run(linear_alone(config), sample) / len(sample) * len(rows)
    if needed <= _PLANNED * (seconds - (time.perf_counter() - started)):
        return config
    if config.model.name == "linear":
        log.warning("%s: takes about %.1f s; a linear model has no shorter way", title, needed)
        return config
    log.info("%s: the linear model beside it would take %.1f s, and is left out", title, needed)
    return config.changed(["model.with_linear=false"])


def limit_steps(config: Config, rows: NDArray[np.int64], seconds: float, run: Run, title: str) -> Config | None:
    """The settings, with fewer updates of a network or a bag where all of them would take too long.

    None where a network would get so few that it is not worth its time; a bag always has an epoch.

    Args:
        config: Its epochs are known.
        rows: The texts to train on, (N,).
        seconds: Left, from now on.
        run: How a trial is made.
        title: For the message.
    """
    deadline = time.perf_counter() + seconds
    epoch = -(-len(rows) // config.training.batch_size)
    total = config.training.epochs * epoch
    if config.training.max_steps:
        total = min(total, config.training.max_steps)
    few, many = (min(steps, total) for steps in _TRIAL_STEPS)
    alone = config.changed(["model.with_linear=false", "training.freeze_steps=0", "training.freeze_epochs=0"])

    def seconds_of(steps: int) -> float:
        return run(alone.changed([f"training.max_steps={steps}"]), rows)

    def left() -> float:
        return deadline - time.perf_counter()

    def no_time(ahead: float) -> bool:
        if bag or ahead < left():
            return False
        log.info("%s: there is no time to try it, and it is left out", title)
        return True

    bag = config.model.name == "bag"
    least = epoch if bag else min(total, _LEAST_STEPS)
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
    fitting = int(_PLANNED * left() / max(step + start, 1e-9))
    if not bag and fitting < least:
        log.info(
            "%s: an update takes %.2f ms; only %d fit into the time, and it is left out", title, 1000 * step, fitting
        )
        return None
    steps = min(total, max(least, fitting))
    log.info("%s: an update takes %.2f ms; %d of %d fit into the time", title, 1000 * step, steps, total)
    return config if steps == total else config.changed([f"training.max_steps={steps}"])
