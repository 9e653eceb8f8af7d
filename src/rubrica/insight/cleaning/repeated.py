"""Rows that train has twice, and rows of train that another split has: suspects of the kinds "duplicate" and "leak"."""

import numpy as np

from rubrica.config.groups import DataSettings
from rubrica.data.dataset import Dataset
from rubrica.insight.cleaning.suspects import Suspect
from rubrica.insight.cleaning.wrong_labels import find_wrong_labels
from rubrica.insight.data_checks.duplicates import Twins
from rubrica.insight.data_checks.sample import Sample
from rubrica.vectors.case import settle_reading


def find_repeated(dataset: Dataset) -> list[Suspect]:
    """The rows of train that should go, since an earlier row or another split says almost the same with the same label.

    Where the labels differ, one of them may be wrong: that is for `find_wrong_labels` to say. Their probability is how
    much the two texts share, see `data_checks/near.py`. Of more texts than `Sample` reads, a sample is looked at.
    """
    settings = settle_reading(DataSettings(), None, ())
    twins = Twins(Sample(dataset, None, settings))
    train, (first, second, alike) = twins.parts[0], twins.pairs
    agree = twins.labels[first] == twins.labels[second]
    leaked, repeated = np.zeros(len(train), np.float32), np.zeros(len(train), np.float32)
    leaks = agree & (first < len(train)) & (second >= len(train))
    np.maximum.at(leaked, first[leaks], alike[leaks])
    copies = agree & (second < len(train))
    copies[copies] = leaked[first[copies]] == 0  # the original stays
    np.maximum.at(repeated, second[copies], alike[copies])
    found = {place: (float(repeated[place]), "duplicate") for place in np.flatnonzero(repeated).tolist()}
    found |= {place: (float(leaked[place]), "leak") for place in np.flatnonzero(leaked).tolist()}
    suspects = [
        Suspect(train.name, int(train.rows[at]) + 1, train.texts[at], train.labels[at], None, round(chance, 4), why)
        for at, (chance, why) in found.items()
    ]
    return sorted(suspects, key=lambda suspect: (-suspect.probability, suspect.row))


def find_suspects(dataset: Dataset, split: str | None = None, seed: int = 0) -> list[Suspect]:
    """All rows that are suspected of harm, each once, the likeliest first; see `find_wrong_labels`."""
    of_train = "train" in dataset.splits and split in (None, "train")
    found: dict[tuple[str, int], Suspect] = {}
    for suspect in (*(find_repeated(dataset) if of_train else ()), *find_wrong_labels(dataset, split=split, seed=seed)):
        found.setdefault((suspect.split, suspect.row), suspect)
    return sorted(found.values(), key=lambda suspect: -suspect.probability)
