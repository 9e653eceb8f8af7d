"""What a trainer gets, and what it returns.

Letters: N texts, C classes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact
from rubrica.corpus.corpus import Corpus, Split
from rubrica.files import make_array
from rubrica.learning.checkpoint import Checkpoints, Stage
from rubrica.learning.deadline import NEVER, Deadline
from rubrica.models.config import Config
from rubrica.models.family import Inputs
from rubrica.models.search import Search
from rubrica.scoring.report import Report
from rubrica.scoring.task import Floats, Rows, Task
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

TURNS = 3
"""Epochs in which each text is read at least once."""


@dataclass(slots=True)
class History:
    """What a training did.

    Args:
        losses: The loss of every update of a network, before the update.
        accuracies: The accuracy on the texts of every update, likewise.
        norms: The length of every update's gradient before it was clipped.
        records: The lines of `metrics.jsonl`: averages over the last updates, and validation after each epoch.
        steps: The number of updates.
        train_seconds: Seconds of the updates, without validation.
        interrupted: Whether Ctrl-C or a deadline ended it.
    """

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    records: list[dict[str, int | float]] = field(default_factory=list)
    steps: int = 0
    train_seconds: float = 0.0
    interrupted: bool = False

    def record(self, epoch: int, **values: float) -> None:
        """Add a line: the updates and epochs so far, and what was measured."""
        rounded = {name: round(float(value), 6) for name, value in values.items()}
        self.records.append({"step": self.steps, "epoch": epoch + 1} | rounded)

    def recent(self, count: int, max_norm: float) -> dict[str, float]:
        """Means over the last updates: loss, accuracy, the gradient's length, the share that was clipped."""
        norms = self.norms[-count:]
        return {
            "loss": fmean(self.losses[-count:]),
            "accuracy": fmean(self.accuracies[-count:]),
            "gradient_norm": fmean(norms),
            "clipped": fmean(norm > max_norm for norm in norms),
        }

    def validated(self, title: str, epoch: int, report: Report) -> float:
        """Add the scores on held-out texts after an epoch, and log them; returns the loss."""
        assert report.loss is not None  # of held-out texts all labels are known
        self.record(epoch, validation_loss=report.loss, validation_accuracy=report.main)
        scores = (report.loss, report.measure, report.main)
        log.info("%s: epoch %d, validation loss %.4f, %s %.4f", title, epoch + 1, *scores)
        return report.loss


class Reading(NamedTuple):
    """Which texts an epoch of a network reads.

    Args:
        always: Rows that every epoch reads.
        seldom: Rows of which each is read in one epoch of `TURNS`; their number is a multiple of it.
    """

    always: Rows
    seldom: Rows

    def rows_of(self, epoch: int) -> Rows:
        """The rows that an epoch reads; each epoch reads the same number."""
        part = self.seldom[epoch % TURNS :: TURNS]
        found = make_array(len(self.always) + len(part), np.int64)
        found[: len(self.always)], found[len(self.always) :] = self.always, part
        return found


SplitScorer = Callable[[Split, Rows], Floats]
"""A model that reads numbered texts: it returns the logits (N, C) of the given rows of a split."""


class Trained(NamedTuple):
    """What a training learned.

    Args:
        tensors: The weights by name, float32; the embedding has the rows in use.
        logits: Its answers.
        history: How it went.
        search: What finds the classes without the logits of all; None where all are needed.
        doubts: How little it is sure of each text that it has learned from, (N,); infinite where it did not read one.
            None where nobody knows.
        beside: The linear model beside a network, alone; None where a model stands alone.
    """

    tensors: dict[str, NDArray[Any]]
    logits: SplitScorer
    history: History
    search: Search | None = None
    doubts: Floats | None = None
    beside: "Trained | None" = None


Judge = Callable[[Trained], Report]
"""Scores a model on held-out texts."""


@dataclass(frozen=True)
class Job:
    """One training, of a whole model or of one member, ready to run.

    Args:
        config: Its epochs and its batch size are chosen.
        rows: Which texts of train to learn from, in ascending order, (N,).
        vectors: Where the words start; None where they start at random.
        judge: Scores the model during the training; None where no text is held out.
        title: The name of the progress bar.
        before: The model that the training goes on from; None where it begins anew.
        checkpoints: Of the run; None where nothing is kept.
        stage: This training among the run's, see `checkpoint.py`.
        reading: Which rows an epoch of a network reads; None reads all in each.
    """

    corpus: Corpus
    config: Config
    rows: Rows
    vectors: Vectors | None = None
    judge: Judge | None = None
    title: str = "train"
    deadline: Deadline = NEVER
    before: Artifact | None = None
    checkpoints: Checkpoints | None = None
    stage: Stage = field(default_factory=Stage)
    reading: Reading | None = None

    @property
    def task(self) -> Task:
        """One label or several."""
        return self.corpus.task

    @property
    def split(self) -> Split:
        """The texts of train."""
        return self.corpus.splits["train"]

    @property
    def start(self) -> Vectors | None:
        """The vectors that the words start at; None where they start at random."""
        return self.vectors if self.config.model.starts_at_vectors else None

    def rows_of(self, epoch: int) -> Rows:
        """The rows that an epoch reads."""
        return self.rows if self.reading is None else self.reading.rows_of(epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Updates of an epoch."""
        num_texts = len(self.rows)
        if self.reading is not None:
            num_texts = len(self.reading.always) + len(self.reading.seldom) // TURNS
        return -(-num_texts // self.config.training.batch_size)

    @property
    def total_steps(self) -> int:
        """Updates of the whole training."""
        settings = self.config.training
        total = settings.epochs * self.steps_per_epoch
        return min(total, settings.max_steps or total)


def token_inputs(split: Split, rows: Rows) -> Inputs:
    """Some texts of a split for a model that reads words alone, and no padding."""
    return Inputs(split.tokens.take(rows), (), 0)


def all_rows(split: Split) -> Rows:
    """The rows of every text of a split."""
    return np.arange(len(split.targets), dtype=np.int64)
