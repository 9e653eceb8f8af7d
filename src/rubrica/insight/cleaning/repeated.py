"""Rows that train has twice, and rows of train that another split has: suspects of the kinds "duplicate" and "leak"."""

from collections.abc import Iterable

import numpy as np

from rubrica.config.groups import DataSettings
from rubrica.data.dataset import Dataset
from rubrica.insight.cleaning.suspects import Suspect
from rubrica.insight.data_checks.duplicates import Twins
from rubrica.insight.data_checks.sample import Sample
from rubrica.vectors.case import settle_reading


def find_repeated(dataset: Dataset) -> list[Suspect]:
    """The rows of train that should go, since an earlier row or another split says almost the same.

    Their probability is how much the two texts share, see `data_checks/near.py`. Of more texts than `Sample` reads, a
    sample is looked at.
    """
    settings = settle_reading(DataSettings(), None, ())
    twins = Twins(Sample(dataset, None, settings))
    train, (first, second, alike) = twins.parts[0], twins.pairs
    leaked = np.zeros(len(train), np.float32)
    leaks = (first < len(train)) & (second >= len(train))
    np.maximum.at(leaked, first[leaks], alike[leaks])
    found = {place: (float(leaked[place]), "leak") for place in np.flatnonzero(leaked).tolist()}
    for twin in twins.twins:
        if twin.place < len(train) and twin.original not in found:  # the original stays
            found.setdefault(twin.place, (twin.alike, "duplicate"))
    suspects = [
        Suspect(train.name, int(train.rows[at]) + 1, train.texts[at], train.labels[at], None, round(chance, 4), why)
        for at, (chance, why) in found.items()
    ]
    return sorted(suspects, key=lambda suspect: (-suspect.probability, suspect.row))


def one_each(*suspects: Iterable[Suspect]) -> list[Suspect]:
    """Each suspected row once, for the first reason that is given, the likeliest first."""
    found: dict[tuple[str, int], Suspect] = {}
    for suspect in (suspect for some in suspects for suspect in some):
        found.setdefault((suspect.split, suspect.row), suspect)
    return sorted(found.values(), key=lambda suspect: -suspect.probability)
