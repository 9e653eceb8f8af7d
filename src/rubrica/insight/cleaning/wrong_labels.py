"""Suspected wrong labels of a data set: what the linear model says of each text after it has learned all others.

`learning/crossval.py` asks the model, and `scoring/label_noise.py` makes its answers probabilities.

Letters: N texts, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.data.dataset import Dataset, read_pairs
from rubrica.data.stored_texts import stretches, take_texts
from rubrica.errors import DataError
from rubrica.insight.cleaning.suspects import Suspect
from rubrica.learning.crossval import Features
from rubrica.scoring.label_noise import judge_labels
from rubrica.scoring.task import Rows, Targets, Task
from rubrica.scoring.tasks import check_labels

LEAST = 0.2  # how likely a label is wrong to be listed: of less, a person would read five right ones for each wrong one
COST = 0.1  # of an error; a third of what a model costs, since wrong labels should not be learned by heart
_FEWEST = 5  # different texts of a class; of fewer, a model that lacks one of them knows nothing of the class
_CHARACTERS = 20_000_000  # of texts that are judged together: 0.7 GB of features
_NUMBERS = 1 << 25  # of texts that are judged together, times classes: 128 MB for each score


def find_wrong_labels(
    dataset: Dataset, *, split: str | None = None, seed: int = 0, least: float = LEAST
) -> list[Suspect]:
    """The rows whose label is suspected to be wrong, the likeliest first.

    The sum of their probabilities is how many of them are expected to be wrong.

    Args:
        dataset: As `read_dataset` gives it.
        split: Which part to judge; train, or else the first one, if it is None.
        seed: Of the folds, and of the order in which texts are learned.
        least: How likely a label must be wrong.

    Raises:
        DataError: If there is no such split, or fewer than two classes.
    """
    split = split or ("train" if "train" in dataset.splits else next(iter(dataset.splits)))
    if split not in dataset.splits:
        raise DataError(dataset.name, f"has no split {split}; give one of {', '.join(dataset.splits)}")
    task, examples = dataset.task, dataset.splits[split]
    check_labels(task, "the search for wrong labels")
    if examples.soft is not None:
        problem = "labels are scores, which say themselves how sure they are; give data with certain labels"
        raise DataError(f"{dataset.name} ({split})", problem)
    if task.num_classes < 2:
        raise DataError(dataset.name, "has fewer than two classes, so no label can be told from another; add some")
    try:
        targets = task.encode(examples.labels)
    except ValueError as error:
        raise DataError(f"{dataset.name} ({split})", str(error)) from None
    found = []
    for rows in _parts(examples.texts, task, seed):
        wrong, corrected = _judge(task, examples.texts, targets[rows], rows, seed)
        doubted = np.flatnonzero(wrong >= least)
        for place, text in zip(doubted.tolist(), take_texts(examples.texts, rows[doubted]), strict=True):
            names = tuple(name for name, there in zip(task.labels, corrected[place].tolist(), strict=True) if there)
            suggested = task.spell(names[0] if len(names) == 1 else names)
            row = int(rows[place])
            chance = round(float(wrong[place]), 4)
            found.append(Suspect(split, row + 1, text, examples.labels[row], suggested, chance, "label"))
    return sorted(found, key=lambda suspect: (-suspect.probability, suspect.row))


def label_issues(texts: Any, labels: Any, *, seed: int = 0, least: float = LEAST) -> list[Suspect]:
    """The wrong labels among texts and labels in any of Python's columns, see `data.dataset.read_pairs`."""
    return find_wrong_labels(read_pairs(texts, labels), seed=seed, least=least)


def _parts(texts: Sequence[str], task: Task, seed: int) -> list[Rows]:
    """The rows of the texts that are judged together: all, or of more than memory holds, parts drawn at random."""
    characters = sum(sum(map(len, some)) for some in stretches(texts))
    count = max(-(-characters // _CHARACTERS), -(-len(texts) * task.num_classes // _NUMBERS), 1)
    order = np.random.default_rng(seed).permutation(len(texts))
    return [np.sort(order[first::count]) for first in range(count)]


def _judge(
    task: Task, texts: Sequence[str], targets: Targets, rows: Rows, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """How likely a label of each text is wrong, (N,), and the labels in its place, (N, C)."""
    features = Features.read(task, texts, targets, rows, title="reading texts")
    opinions = features.second_opinions(seed=seed, cost=COST, title="asking the others")
    owners, classes = task.pairs(targets)
    different = np.unique(np.stack([features.keys[owners], classes]), axis=1)[1]
    known = np.bincount(different, minlength=task.num_classes) >= _FEWEST
    judged = judge_labels(task, opinions, targets, known)
    return judged.wrong.max(axis=1), judged.corrected
