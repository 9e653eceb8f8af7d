"""The labels: too few of a class, names that are almost the same, splits that do not have the same classes."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from rubrica.data.labels import as_list
from rubrica.errors import quote_names
from rubrica.insight.data_checks.sample import Part, Sample
from rubrica.insight.findings import Finding, Phrase, Row

_RARE = 20  # texts of a class; with fewer, each text held out moves its score by 5 points or more
_UNEVEN = 10.0  # texts of the largest class for each text of the smallest; a note at less, where none is needed
_SLIP = 0.05  # share of the rarer name beside the other: a spelling that one text in twenty has is a slip
_SHORT = 5  # letters; of shorter names one letter may be the meaning
_MOVED = 0.05  # of the texts have other classes in one split than in the other, beyond chance; or are of one class
_CERTAIN = 4.0  # standard errors: of a hundred classes, chance moves one so far in 200 data sets


def check_balance(sample: Sample) -> Iterator[Finding]:
    """Classes with few texts, and classes that are much smaller than the largest."""
    counts, names = sample.class_counts(sample.train), sample.task.labels
    order = np.argsort(counts, kind="stable")
    rare = [names[label] for label in order.tolist() if counts[label] < _RARE]
    if rare and len(rare) < len(names):
        told = f"{len(rare)} of {len(names)}, such as {quote_names(rare[:5])}"
        yield Finding(
            kind="rare-classes",
            severity="warning" if len(rare) * 10 >= len(names) else "note",
            title=f"Classes with fewer than {_RARE} texts: {told}",
            why="A model hardly learns a class from so few texts, and no score of the class can be trusted.",
            remedy="Collect more texts of these classes, or join them with a class that is near.",
            figures={"classes": len(rare), "texts": {name: int(counts[names.index(name)]) for name in rare[:50]}},
        )
    large, small = int(counts[order[-1]]), int(counts[order[0]])
    if len(names) > 1 and large > _UNEVEN * max(1, small):
        yield Finding(
            kind="imbalance",
            severity="warning",
            title=f"The class {names[order[-1]]!r} has {large:,} texts, {names[order[0]]!r} has {small:,}",
            why="A model that always gives the large class looks good by accuracy, and the small classes are missed."
            " Judge by macro-F1 instead.",
            remedy="rubrica train DATA --out MODEL --set training.class_weight=balanced",
            figures={
                "largest": large,
                "smallest": small,
                "largest_class": names[order[-1]],
                "smallest_class": names[order[0]],
                "largest_share": large / max(1, int(counts.sum())),
            },
        )


def check_spellings(sample: Sample) -> Iterator[Finding]:
    """Names of classes that differ by case, spaces or one letter."""
    counts = dict(zip(sample.task.labels, sample.class_counts(sample.train).tolist(), strict=True))
    groups = defaultdict(list)
    for name in sample.task.labels:
        groups[_plain(name)].append(name)
    alike = [sorted(group, key=lambda name: -counts[name]) for group in groups.values() if len(group) > 1]
    alike += [list(pair) for pair in _slips(counts)]
    if not alike:
        return
    shown = "; ".join(" / ".join(f"{name!r} ({counts[name]:,})" for name in group) for group in alike[:5])
    lost = sum(counts[name] for group in alike for name in group[1:])
    yield Finding(
        kind="label-spelling",
        severity="error",
        title=f"Labels that are written in more than one way: {shown}",
        why=f"Each spelling is a class of its own; {lost:,} texts teach the model to tell apart what is the same.",
        remedy="Write each label in one way in the data.",
        figures={"classes": alike[:50], "texts": lost},
        rows=tuple(_show_first(sample.train, name) for group in alike[:3] for name in group[:2]),
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()


def _slips(counts: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Pairs of a frequent name and a rare one that is one letter away, or two letters in the wrong order."""
    rare = [name for name, count in counts.items() if len(name) >= _SHORT and count <= _SLIP * max(counts.values())]
    for name in rare:
        for other, count in counts.items():
            plain = _plain(name), _plain(other)
            if counts[name] <= _SLIP * count and plain[0] != plain[1] and _one_slip(*plain):
                yield other, name


def _one_slip(first: str, second: str) -> bool:
    """Whether two names are one letter apart that is no digit, or differ by two neighbours in the wrong order."""
    if abs(len(first) - len(second)) > 1:
        return False
    start = 0
    while start < min(len(first), len(second)) and first[start] == second[start]:
        start += 1
    a, b = first[start:], second[start:]
    if any(letter.isdigit() for letter in (a[:1], b[:1])):
        return False
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _show_first(part: Part, name: str) -> Row:
    place = next(place for place, label in enumerate(part.labels) if name in as_list(label))
    return part.show(place, Phrase("labelled {!r}", name))


def check_splits(sample: Sample) -> Iterator[Finding]:
    """Labels that only one split has, and classes that are not as frequent in each split."""
    for part in sample.others:
        yield from _unknown(sample, part)
        yield from _moved(sample, part)


def _unknown(sample: Sample, part: Part) -> Iterator[Finding]:
    if not part.unknown:
        return
    places = [place for place, label in enumerate(part.labels) if not {*part.unknown}.isdisjoint(as_list(label))]
    share = len(places) / len(part)
    yield Finding(
        kind="unknown-labels",
        severity="error" if share >= 0.01 else "warning",
        title=f"{share:.1%} of {part.name} have labels that train lacks: {quote_names(part.unknown[:5])}",
        why="No answer to these texts can be right; each counts as a mistake.",
        remedy=f"Add texts with these labels to train, or take them out of {part.name}.",
        figures={"split": part.name, "share": share, "labels": list(part.unknown[:50])},
        rows=tuple(part.show(place) for place in places[:3]),
    )


def _moved(sample: Sample, part: Part) -> Iterator[Finding]:
    ours, theirs = (sample.class_counts(which).astype(np.float64) for which in (sample.train, part))
    if not (ours.sum() and theirs.sum()):
        return
    shares = ours / ours.sum(), theirs / theirs.sum()
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    # What two samples of the same source differ by, on the average: each count has the variance of a Poisson count.
    pooled = (ours + theirs) / (ours.sum() + theirs.sum())
    errors = np.sqrt(pooled * (1 / ours.sum() + 1 / theirs.sum()))
    noise = float(np.sqrt(2 / np.pi) * errors.sum() / 2)
    moved = np.abs(shares[0] - shares[1])
    most = int(moved.argmax())
    one = moved[most] >= max(_MOVED, _CERTAIN * errors[most])  # of many classes, all the others hide one
    if distance < max(2 * noise, noise + _MOVED) and not one:
        return
    name = sample.task.labels[most]
    yield Finding(
        kind="label-shift",
        severity="warning",
        title=f"{distance:.0%} of {part.name} would need another class to have train's shares: {name!r} is"
        f" {shares[0][most]:.1%} of train and {shares[1][most]:.1%} of {part.name}",
        why=f"A model expects train's shares, and its probabilities are wrong on {part.name}.",
        remedy="Draw both splits from the same source at random; if the shares of the future differ, weight the texts.",
        figures={
            "split": part.name,
            "distance": distance,
            "expected_by_chance": noise,
            "class": name,
            "shares": [float(side[most]) for side in shares],
        },
    )
