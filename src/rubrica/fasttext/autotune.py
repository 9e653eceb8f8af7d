"""The search for the settings of a classifier, within a time.

Source of the arguments and of the sizes: fastText 0.9.3, src/autotune.cc. What differs:

- the best model itself is kept, so nothing is trained again behind the search;
- a trial that cannot be done in time is given up as soon as that is seen;
- the proposals are others, see `proposals.py`. Optuna is not used: `rubrica.fasttext` works without an extra, and with
  10 to 100 trials of which each costs seconds, what the first ones are counts most.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from rubrica.errors import ConfigError, DataError, FileError, RubricaError, nearest
from rubrica.fasttext.arguments import Values, to_settings
from rubrica.fasttext.faults import ArgumentError, value_errors
from rubrica.fasttext.fitting import Codes, compress, fit
from rubrica.fasttext.lines import encode, iter_packed, labels_in, slices
from rubrica.fasttext.meter import Meter
from rubrica.fasttext.metric import Metric, read_metric, read_size
from rubrica.fasttext.proposals import Changes, change, first_changes
from rubrica.kernels.fasttext import Engine
from rubrica.kernels.fasttext_words import count_words
from rubrica.learning.deadline import Deadline
from rubrica.learning.fasttext import check_words, map_file
from rubrica.learning.fasttext_quantize import sizes_of
from rubrica.models.fasttext import FastText
from rubrica.models.storage import Tensors
from rubrica.progress import progress_bar
from rubrica.text.tokens import Packed

log = logging.getLogger(__name__)

_LOOK = 0.1  # of a trial is done before its whole time is guessed
_LATE = 1.15  # a trial that is guessed to take this much more than there is, is given up
_LEAST_ROWS = 256  # fastText's: with fewer rows a quantised model is no longer of use
_TOP = 3  # settings that are changed, the best most often


class AutotuneError(RubricaError, RuntimeError):
    """No model was found in time, or none of the size; fastText raises a RuntimeError."""


class Late(Exception):  # noqa: N818  # no error: it ends a trial
    """The time is over, or a trial would not be done in it."""


class Trial(NamedTuple):
    """A model and its score."""

    score: float
    changes: Changes
    values: Values
    settings: FastText
    tensors: Tensors


def tune(values: Values, given: frozenset[str]) -> tuple[FastText, Tensors, Values]:
    """The best model that is found in `autotuneDuration` seconds; Ctrl-C ends the search with the best so far.

    Args:
        values: The arguments.
        given: The names of those that were given; they are not changed.

    Raises:
        ArgumentError: If the metric, its label or the size cannot be understood.
        AutotuneError: If no model was trained in time, or none is small enough.
        RubricaError: If a file cannot be used.
    """
    deadline = Deadline.after(values["autotuneDuration"])
    read_size(values["autotuneModelSize"])  # a wrong one is said before any training
    num_texts, labels = _look_into(values)
    judge = Judge(values, labels)
    generator, tops, count, too_large = np.random.default_rng(values["seed"]), list[Trial](), 0, 0
    seconds = values["autotuneDuration"]
    queue = first_changes(values, given, num_texts, len(labels))
    try:
        with _shown(seconds, values["verbose"], deadline) as show:
            while not deadline.passed:
                if queue:
                    changes = queue.pop(0)
                else:
                    parent = tops[min(int(generator.exponential(0.8)), len(tops) - 1)].changes if tops else {}
                    changes = change(values, parent, given, generator)
                count += 1
                try:
                    trial = _try(values, changes, judge, deadline, gives_up=bool(tops))
                except Late:
                    continue
                if trial is None:
                    too_large += 1
                    continue
                tops = sorted([*tops, trial], key=lambda each: -each.score)[:_TOP]
                tops[1:] = [each._replace(tensors={}) for each in tops[1:]]  # one model is kept, not three
                show(f"trial {count}, best {tops[0].score:.4f}")
    except KeyboardInterrupt:
        if not tops:
            raise
        log.warning("autotune: stopped after %d trials; the best model is kept", count)
    if not tops:
        slow = f"no training was done in {seconds} s; give a larger autotuneDuration"
        raise AutotuneError(
            f"autotune: {'no model is as small; give a larger autotuneModelSize' if too_large else slow}"
        )
    best = tops[0]
    if values["verbose"] > 0:
        log.info("autotune: %d trials, %s %.4f with %s", count, values["autotuneMetric"], best.score, best.changes)
    return best.settings, best.tensors, best.values


class Judge:
    """Scores models on the validation file.

    Args:
        values: The arguments.
        labels: Of the file that is learned from.

    Raises:
        ArgumentError: If the metric cannot be understood, or no label has the name that it asks for.
        DataError: If the file cannot be read, or nothing in it can be scored.
    """

    def __init__(self, values: Values, labels: list[bytes]) -> None:
        self.metric: Metric = read_metric(values["autotuneMetric"])
        self.k = values["autotunePredictions"]
        if self.k < 1 and self.k != -1:
            raise ArgumentError("autotunePredictions", f"is {self.k}, expected 1 or more, or -1 for all labels")
        path, wanted = values["autotuneValidationFile"], self.metric.label
        ids = {name: i for i, name in enumerate(labels)}
        if wanted and encode(wanted) not in ids:
            known = [label.decode(errors="backslashreplace") for label in labels]
            problem = f"names the label {wanted!r}, which train does not have; {nearest(wanted, known)}"
            raise ArgumentError("autotuneMetric", problem)
        with value_errors():
            self.texts: list[Packed] = list(iter_packed(path, 1 << 14))
            found = {label for texts in self.texts for label in labels_in(texts, ids)[1].tolist()}
            if wanted and ids[encode(wanted)] not in found:
                raise DataError(path, f"no line has the label {wanted!r}, which autotuneMetric names; add such lines")
            if not found:
                problem = "no line has a label that train has, so nothing can be scored; give labelled lines"
                raise DataError(path, problem)

    def score(self, settings: FastText, tensors: Tensors) -> float:
        """The score of a model; -1 where it has no value."""
        engine, V = Engine(settings.rules, tensors), settings.num_words
        whole, bounds = tensors["dictionary.bytes"].tobytes(), [0, *tensors["dictionary.ends"].tolist()]
        ids = {whole[bounds[V + i] : bounds[V + i + 1]]: i for i in range(settings.num_labels)}
        number = ids[encode(self.metric.label)] if self.metric.label else None
        meter = Meter(len(ids), lambda label: ids.get(encode(label), -1), keeps_scores=self.metric.name != "f1")
        for texts in self.texts:
            meter.add(labels_in(texts, ids), *engine.best(texts, self.k, 0.0))
        score = self.metric.score(meter, number)
        return -1.0 if math.isnan(score) else score


def _try(values: Values, changes: Changes, judge: Judge, deadline: Deadline, *, gives_up: bool) -> Trial | None:
    """Train and score once; None if the model does not become small enough, or the training diverged.

    With `gives_up`, a training ends as soon as it is seen that it would not be done in time.

    Raises:
        Late: If the time is over before the training is.
    """
    trial, first = values | changes, list[tuple[float, float]]()

    def look(share: float, loss: float, lr: float) -> None:
        if deadline.passed:
            raise Late
        if gives_up and share < 1:
            first[1:] = [(share, time.perf_counter())]
            (before, began), (done, now) = first[0], first[-1]
            if done - before >= _LOOK and (now - began) / (done - before) * (1 - done) > _LATE * deadline.left:
                raise Late

    try:
        settings, tensors = fit(trial, look)
    except MemoryError:
        return None
    except RubricaError as error:
        if isinstance(error, FileError | ConfigError):
            raise
        return None  # the training diverged
    size = read_size(values["autotuneModelSize"])
    if size is not None:
        codes = _codes_for(settings, tensors, size)
        if codes is None:
            return None
        settings, tensors = compress(settings, tensors, trial, codes, look)
    return Trial(judge.score(settings, tensors), changes, trial, settings, tensors)


def _codes_for(settings: FastText, tensors: Tensors, size: int) -> Codes | None:
    """How a model is quantised so that its file has at most `size` bytes; None if too few rows would stay."""
    qout = settings.num_labels >= _LEAST_ROWS
    cutoff = int((sizes_of(settings, tensors, output=qout, pruned=True) <= size).sum())
    return Codes(qout=qout, cutoff=cutoff, retrain=True, qnorm=True) if cutoff > _LEAST_ROWS else None


def _look_into(values: Values) -> tuple[int, list[bytes]]:
    """How many texts the file has that is learned from, and its labels."""
    settings = to_settings(values)
    words, lines = count_words(
        map_file(values["input"]),
        prefix=settings.rules.label_prefix,
        min_count=settings.min_count,
        min_count_label=values["minCountLabel"],
        supervised=True,
    )
    check_words(words, values["input"], settings, values["minCountLabel"])
    names = slices(words.names, words.ends[: words.num_words + words.num_labels])
    return len(lines.starts) - 1, names[words.num_words :]


@contextmanager
def _shown(seconds: int, verbose: int, deadline: Deadline) -> Iterator[Callable[[str], None]]:
    """A bar of seconds, moved at the end of a trial."""
    if verbose < 2:
        yield lambda note: None
        return
    with progress_bar("autotune", seconds) as advance:
        shown = 0

        def show(note: str) -> None:
            nonlocal shown
            while shown < min(seconds, seconds - deadline.left):
                shown += 1
                advance(note)

        yield show
