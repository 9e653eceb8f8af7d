"""The texts that judge settings: parts of train, or the validation split of the data. Test is not among them.

Train is cut into folds, of which a training learns all but one and answers the one. Where the data has a validation
split, all of train is learned and the split answered. The judged texts also find the weights of the members and the
thresholds of the labels, as the validation split of any training does; they favour all settings alike.

Letters: N texts.
"""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rubrica.artifact.folder import Artifact
from rubrica.corpus.held_out import LEAST, hold_out_fold, split_folds, text_keys
from rubrica.data.dataset import Dataset, leave_out_unknown
from rubrica.data.stored_texts import stretches
from rubrica.errors import DataError, RubricaError
from rubrica.export.shrink import folder_sizes, shrink
from rubrica.learning.deadline import Deadline
from rubrica.learning.train import train_dataset
from rubrica.learning.training import MOST_HELD
from rubrica.models.config import Config
from rubrica.predict.classifier import Classifier
from rubrica.scoring.paired import Hits
from rubrica.scoring.task import Rows
from rubrica.vectors.word_vectors import Vectors

FOLDS = 5
"""Each part is a fifth of train. With a tenth a training would learn a little more, and judge half the texts."""

_MOST_JUDGED = 20_000  # texts: the lead of one model over another has an error of 0.2 points then
_ROUNDS = 3  # of parts, for the trials that may win
_SPARE = 0.15  # of the time a training was given; one that ends sooner, unfinished, was stopped by Ctrl-C
_NEGLIGIBLE = 0.05  # see `learning/training.py`: where more is held out, the final training learns it, too
_TEXTS = 1 << 12  # answered at a time


class LateError(RubricaError):
    """A training was stopped since it would take too long."""


class Judged(NamedTuple):
    """What a training answered.

    Args:
        rows: The judged texts, by their places in train or in the validation split, (N,).
        hits: What it answered to them, see `Task.hits`, (N, 2).
        loss: Their mean loss.
        seconds: Of the training and the answers.
        size: Bytes of the model's folder.
    """

    rows: Rows
    hits: Hits
    loss: float
    seconds: float
    size: int


class Part(NamedTuple):
    """A part that judges.

    Args:
        data: What a training learns as train, and the part as its validation split.
        rows: See `Judged`.
    """

    data: Dataset
    rows: Rows


@dataclass(frozen=True)
class Parts:
    """The parts of a data set.

    Args:
        data: Its splits train and, if the data has one, validation.
        keys: See `text_keys`; none where a validation split judges.
        count: Parts that train is cut into; 0 where a validation split judges.
        folds: How many parts judge a trial, where there is time.
        seed: Of the cuts.
    """

    data: Dataset
    keys: Rows
    count: int
    folds: int
    seed: int

    @property
    def most(self) -> int:
        """How many parts may judge the best trial. Behind the last part of train it is cut anew, in another way.

        Two trainings with other seeds differ about as much as two good settings do, so one round tells little.
        """
        return _ROUNDS * self.folds

    def part(self, fold: int) -> Part:
        """A part by its number, which may be anything from 0 on."""
        train, task = self.data.splits["train"], self.data.task
        if not self.count:
            return Part(self.data, np.arange(len(self.data.splits["validation"].texts)))
        targets, (turn, place) = task.encode(train.labels), divmod(fold, self.count)
        fold_of = split_folds(task, targets, self.keys, self.count, self.seed + turn, task.class_counts(targets))
        rows, held = hold_out_fold(task, targets, self.keys, fold_of, place)
        splits = {"train": train.take(rows), "validation": train.take(held)}
        return Part(replace(self.data, splits=splits), held)

    @property
    def final_cost(self) -> float:
        """Seconds of the training on all of train for a second of a training on a part; rather too many.

        The final training holds texts out once more, and then learns them too where they are many.
        """
        if not self.count:
            return 1.0
        texts = len(self.keys)
        held = min(0.1 * texts, MOST_HELD)
        learned = texts - held + (texts if held > _NEGLIGIBLE * (texts - held) else 0)
        return learned / (texts * (1 - 1 / self.count))


def make_parts(data: Dataset, seed: int) -> Parts:
    """See how train is cut into parts.

    Raises:
        DataError: If the texts are too few.
    """
    kept = {name: examples for name, examples in data.splits.items() if name != "test"}
    data = leave_out_unknown(replace(data, splits=kept))
    if "validation" in data.splits:
        return Parts(data, np.zeros(0, np.int64), 0, 1, seed)
    texts = data.splits["train"].texts
    count = max(FOLDS, math.ceil(len(texts) / _MOST_JUDGED))
    folds = min(FOLDS, math.ceil(_MOST_JUDGED * count / len(texts)))
    parts = Parts(data, text_keys(len(texts), stretches(texts)), count, folds, seed)
    sizes = [len(parts.part(fold).rows) for fold in range(folds)]
    if sizes[0] < LEAST or not min(sizes):
        advice = "train with `rubrica train`, or give a validation split"
        raise DataError(data.name, f"{len(texts):,} texts are too few to choose settings on; {advice}")
    return parts


def judge(
    part: Part, config: Config, vectors: Vectors | None, *, size: float | None = None, seconds: float = math.inf
) -> Judged:
    """Train on a part and answer its validation split, with the model made as small as it is asked for.

    Args:
        part: See `Parts.part`.
        config: The settings.
        vectors: Where the words start; None where they start at random.
        size: Most bytes of the model's folder.
        seconds: The training is given up after these.

    Raises:
        LateError: If it takes longer than `seconds`.
        TooLargeError: If the model cannot be as small as `size`.
        KeyboardInterrupt: After Ctrl-C, which a training takes as its end.
        RubricaError: If the training diverges.
    """
    began = time.perf_counter()
    deadline = Deadline.after(None if seconds == math.inf else seconds)
    with _quiet():
        _, artifact = train_dataset(part.data, vectors, config, deadline=deadline, plan=False)
    if artifact.metrics["interrupted"]:
        if deadline.left < _SPARE * seconds:
            raise LateError(f"stopped after {seconds:.1f} s, since the training on all texts would take too long")
        raise KeyboardInterrupt
    artifact = made_to_fit(artifact, size)
    held = part.data.splits["validation"]
    targets, model = artifact.task.encode(held.labels), Classifier(artifact)
    hits, losses = [], np.zeros(len(targets))
    for first in range(0, len(targets), _TEXTS):
        here = slice(first, first + _TEXTS)
        logits = model.logits(held.texts[here])
        soft = None if held.soft is None else held.soft.of(artifact.task.labels)[here]
        hits.append(artifact.task.hits(logits, targets[here], soft))
        losses[here] = artifact.task.known_losses(logits, targets[here], soft)
    loss, bytes_ = float(losses.mean()), sum(folder_sizes(artifact).values())
    if not math.isfinite(loss):
        raise RubricaError("the loss of the judged texts is not finite")
    return Judged(part.rows, np.concatenate(hits), loss, time.perf_counter() - began, bytes_)


def made_to_fit(artifact: Artifact, size: float | None) -> Artifact:
    """The model in a folder of at most `size` bytes; as it is where it fits already, or no size is asked for.

    Raises:
        TooLargeError: If it cannot be made as small.
    """
    return artifact if size is None or sum(folder_sizes(artifact).values()) <= size else shrink(artifact, size)


@contextmanager
def _quiet() -> Iterator[None]:
    """The trainings of a search show no bars and no epochs: the search has a bar and a line for each trial."""
    logger = logging.getLogger("rubrica")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
