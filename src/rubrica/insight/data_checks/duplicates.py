"""Texts that stand in the data more than once: in train, in train and in test, with the same label and with others."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.data.labels import as_list
from rubrica.insight.data_checks.near import Pairs, similar_pairs
from rubrica.insight.data_checks.sample import Part, Sample
from rubrica.insight.findings import Finding, Phrase, Row, Severity, shorten
from rubrica.scoring.task import Rows

_EXAMPLES = 3
_MANY = 0.02  # of the texts: a model that sees one in fifty twice learns the others less
_FEW = 0.002  # of the texts: not worth a line
_LEAKED, _LEAKED_SOME, _LEAKED_MUCH = 0.001, 0.005, 0.01  # of the texts of test: what they can add to a score, at most
_CONFLICTS = 0.002  # of the texts


class Twin(NamedTuple):
    """A text that is almost the same as one before it.

    Args:
        place: Among all sampled texts, see `Twins.where`.
        original: The one before it.
        alike: How much they share, 1 for the same letters and digits.
    """

    place: int
    original: int
    alike: float


@dataclass(frozen=True)
class Twins:
    """Who is almost the same as whom, in all splits together, train first.

    Args:
        sample: The texts.
    """

    sample: Sample

    @cached_property
    def parts(self) -> list[Part]:
        """Train, then the others."""
        return [self.sample.train, *self.sample.others]

    @cached_property
    def starts(self) -> Rows:
        """The place of the first text of each part, and behind the last, (parts + 1,)."""
        return np.cumsum([0, *map(len, self.parts)])

    @cached_property
    def labels(self) -> Rows:
        """A number for the labels of each text, (N,): equal labels have equal numbers."""
        numbers = dict[frozenset[str], int]()
        names = (_names(label) for part in self.parts for label in part.labels)
        return np.array([numbers.setdefault(found, len(numbers)) for found in names], np.int64)

    @cached_property
    def pairs(self) -> Pairs:
        """The pairs of similar texts; equal letters and digits are 1."""
        _, numbers = self.sample.lowered
        ids = np.concatenate([numbers[part.ids] for part in self.parts])
        sizes = np.concatenate([part.lengths for part in self.parts])
        offsets = np.append(0, np.cumsum(sizes))
        found = similar_pairs(ids, offsets)
        keys = np.concatenate([part.keys for part in self.parts])
        # With other labels between them, a text is the same as the first one of its label, too.
        same = [_equal_pairs(of, sizes > 0) for of in (keys, _numbered(keys, self.labels))]
        both = np.concatenate([np.stack(found[:2], axis=1), *same])
        alike = np.concatenate([found.alike, np.ones(len(both) - len(found.alike), np.float32)])
        alike[keys[both[:, 0]] == keys[both[:, 1]]] = 1
        both, places = np.unique(both, axis=0, return_index=True)
        return Pairs(both[:, 0], both[:, 1], alike[places])

    @cached_property
    def twins(self) -> list[Twin]:
        """Each text that has a similar one before it, with the one that is most alike."""
        first, second, alike = self.pairs
        order = np.lexsort((first, -alike, second))
        _, places = np.unique(second[order], return_index=True)
        chosen = order[places]
        columns = (column[chosen].tolist() for column in (second, first, alike))
        return [Twin(*found) for found in zip(*columns, strict=True)]

    def where(self, place: int) -> tuple[Part, int]:
        """The part of a text, and its place there."""
        which = int(np.searchsorted(self.starts, place, "right")) - 1
        return self.parts[which], place - int(self.starts[which])

    def show(self, twin: Twin) -> Row:
        """A twin as evidence."""
        part, place = self.where(twin.place)
        other, original = self.where(twin.original)
        labels = ", ".join(as_list(part.labels[place])), ", ".join(as_list(other.labels[original]))
        row = int(other.rows[original]) + 1
        if twin.alike == 1:
            note = Phrase("the same as row {} of {}", row, other.name)
        else:
            start = shorten(other.texts[original], 80)
            note = Phrase("{:.0%} of row {} of {}, {!r}", twin.alike, row, other.name, start)
        if labels[0] != labels[1]:
            note = Phrase("{}; {!r} here, {!r} there", note, *labels)
        return part.show(place, note)


def _numbered(keys: Rows, labels: Rows) -> Rows:
    """A number for each key with its label, (N,)."""
    return np.unique(np.stack([keys, labels], axis=1), axis=0, return_inverse=True)[1].ravel()


def _equal_pairs(keys: Rows, filled: NDArray[np.bool_]) -> Rows:
    """The pairs of each text with the first one of the same key, (pairs, 2)."""
    places = np.flatnonzero(filled)
    _, firsts, groups = np.unique(keys[places], return_index=True, return_inverse=True)
    pairs = np.stack([places[firsts[groups]], places], axis=1)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def check_duplicates(twins: Twins) -> Iterator[Finding]:
    """Texts of train that train has already, and the same text with other labels."""
    train = len(twins.parts[0])
    inside = [twin for twin in twins.twins if twin.place < train]
    exact = [twin for twin in inside if twin.alike == 1]
    near = [twin for twin in inside if twin.alike < 1]
    for kind, found, what in (("duplicates", exact, "the same"), ("near-duplicates", near, "almost the same")):
        share = len(found) / train
        if share < _FEW:
            continue
        yield Finding(
            kind=kind,
            severity="warning" if share >= _MANY else "note",
            title=f"Texts of train that are {what} as an earlier one: {len(found):,} ({share:.1%})",
            why="The model learns them twice. Where one of them is held out, validation asks for what was shown.",
            remedy="rubrica clean DATA --out CLEANED",
            figures={"texts": len(found), "share": share},
            rows=tuple(map(twins.show, found[:_EXAMPLES])),
        )
    labels = twins.parts[0].labels
    differ = [twin for twin in inside if _names(labels[twin.place]) != _names(labels[twin.original])]
    share = len(differ) / train
    if share >= _CONFLICTS / 10:
        yield Finding(
            kind="conflicting-labels",
            severity="warning" if share >= _CONFLICTS else "note",
            title=f"Texts of train with another label than an earlier one that is almost the same: {len(differ):,}",
            why="At least one of the two labels is wrong, or the texts do not say which is right.",
            remedy="rubrica clean DATA --review REVIEW.csv",
            figures={"texts": len(differ), "share": share},
            rows=tuple(map(twins.show, sorted(differ, key=lambda twin: -twin.alike)[:_EXAMPLES])),
        )


def _names(label: object) -> frozenset[str]:
    return frozenset(as_list(label))  # type: ignore[arg-type]


def check_leaks(twins: Twins) -> Iterator[Finding]:
    """Texts that judge the model and that train has, too."""
    first, second, alike = twins.pairs
    train = len(twins.parts[0])
    leaks = (first < train) & (second >= train)
    order = np.lexsort((-alike[leaks], second[leaks]))
    places, which = np.unique(second[leaks][order], return_index=True)
    found = np.flatnonzero(leaks)[order][which]
    for part, start in zip(twins.parts[1:], twins.starts[1:].tolist(), strict=False):
        here = found[(places >= start) & (places < start + len(part))]
        share = len(here) / max(1, len(part))
        if share < _LEAKED:
            continue
        exact = int((alike[here] == 1).sum())
        told = f"{exact:,} of them word for word"
        severity: Severity = "warning" if share >= _LEAKED_SOME else "note"
        shown = sorted(here.tolist(), key=lambda pair: -alike[pair])[:_EXAMPLES]
        yield Finding(
            kind="leak",
            severity="error" if share >= _LEAKED_MUCH else severity,
            title=f"Texts of {part.name} that are in train: {len(here):,} ({share:.1%}), {told}",
            why=f"The model has seen their labels, so the score on {part.name} is too good.",
            remedy="rubrica clean DATA --out CLEANED",
            figures={"split": part.name, "texts": len(here), "share": share, "exact": exact},
            rows=tuple(twins.show(Twin(int(second[pair]), int(first[pair]), float(alike[pair]))) for pair in shown),
        )
