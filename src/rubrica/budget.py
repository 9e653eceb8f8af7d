"""How long a training is: by the amount of text, or what fits into a given time.

The step size of a network falls to zero with the last update, so their number has to be known at the first. A short
trial on the same texts tells how long an update takes, and one on some texts what the linear model beside it does.
What is chosen, `training.max_steps`, is kept with the model, so the run can be repeated without a clock.
"""

import logging
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rubrica.config import Config, load_recipe

log = logging.getLogger(__name__)

_UPDATES, _EPOCHS = 3000, (3, 10)  # of a network
_TRIAL_STEPS, _TRIAL_TEXTS = 30, 2000
_PLANNED = 0.8  # of the time left; the rest is for validation, for saving, and for what else the machine does
_LINEAR = 0.5  # of the time left that the linear model beside a network may take; else it is left out
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


def choose_epochs(config: Config, num_texts: int) -> int:
    """The epochs of a training that leaves them open: of a network as many as make so many updates, within bounds.

    Chosen on validation parts of data sets of 900 to 68,000 texts, see docs/decisions.md.
    """
    if config.model.name in ("bag", "linear"):
        return load_recipe(config.model.name).training.epochs
    few, many = _EPOCHS
    return max(few, min(many, round(_UPDATES * config.training.batch_size / num_texts)))


def fit_in_time(
    config: Config,
    rows: NDArray[np.int64],
    seconds: float,
    run: Callable[[Config, NDArray[np.int64]], float],
    title: str,
) -> Config:
    """The settings, with fewer updates where all of them would take too long.

    Args:
        config: Its epochs are known.
        rows: The texts to train on, (N,).
        seconds: Left, from now on.
        run: Trains on some of the texts and forgets it; returns the seconds.
        title: For the message.
    """
    deadline = time.perf_counter() + seconds
    total = config.training.epochs * -(-len(rows) // config.training.batch_size)
    if config.training.max_steps:
        total = min(total, config.training.max_steps)
    linear = 0.0
    if "linear" in config.model.parts:
        sample = rows[:: max(1, len(rows) // _TRIAL_TEXTS)]
        passes = load_recipe("linear").training.epochs
        alone = config.changed(["model.name=linear", f"training.epochs={passes}"])
        linear = run(alone, sample) / len(sample) * len(rows)
    if config.model.name == "linear":
        if linear > seconds:
            log.warning("%s: takes about %.0f s; a linear model has no shorter way", title, linear)
        return config
    if linear > _LINEAR * _PLANNED * (deadline - time.perf_counter()):
        log.info("%s: the linear model beside it would take %.1f s, and is left out", title, linear)
        config, linear = config.changed(["model.with_linear=false"]), 0.0
    trial = min(_TRIAL_STEPS, total)
    of_trial = [f"training.max_steps={trial}", "training.freeze_steps=0", "training.freeze_epochs=0"]
    step = run(config.changed(of_trial), rows) / trial
    steps = int((_PLANNED * (deadline - time.perf_counter()) - linear) / max(step, 1e-9))
    steps = max(1, min(total, steps))
    log.info("%s: an update takes %.2f ms; %d of %d fit into the time", title, 1000 * step, steps, total)
    return config if steps == total else config.changed([f"training.max_steps={steps}"])
