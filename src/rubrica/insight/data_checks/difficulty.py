"""What a linear model makes of texts that it has not seen: do the labels follow the texts at all, how many are wrong,
and which classes cannot be told apart?

Wrong labels are counted where the model is surest. On sound data it is hardly ever wrong on the quarter of the texts
that it is surest of; where labels are wrong at random, they are wrong there as often as anywhere.

Letters: N texts, C classes.
"""

from collections.abc import Iterator

import numpy as np

from rubrica.insight.data_checks.answers import Judged
from rubrica.insight.data_checks.apart import area
from rubrica.insight.data_checks.sample import Part, Sample
from rubrica.insight.findings import Finding, Row, Severity

_NOTHING = 0.1  # of the way from the share of the largest class to 1; below, the texts say nothing of the labels
_SURE = 0.25  # of the texts, the surest ones
_NOISE, _NOISE_SEEN = 0.03, 0.015  # of the surest texts; of careful labels one in a hundred is wrong there
_SAME = 0.65  # area under the ROC curve of two classes; near ones have 0.9
_LEAST = 30  # texts of a class
_CONFUSED = 0.1  # of a class's texts get another class
_EXAMPLES, _PAIRS = 3, 5
_Z = 1.645  # of a one-sided interval of 95 %


def check_signal(sample: Sample, judged: Judged) -> Iterator[Finding]:
    """Labels that do not follow from the texts."""
    largest = float(sample.class_counts(sample.train).max() / len(sample.train))
    accuracy = float(judged.right.mean())
    error = float(np.sqrt(largest * (1 - largest) / len(sample.train)))
    gained = (accuracy - largest) / max(1e-9, 1 - largest)
    if gained >= _NOTHING and accuracy - largest > 3 * error:
        return
    yield Finding(
        kind="unrelated-labels",
        severity="error",
        title=f"The texts say almost nothing of the labels: on texts that it has not seen a linear model is right in"
        f" {accuracy:.1%}, and the answer {sample.task.labels[int(sample.class_counts(sample.train).argmax())]!r} to"
        f" all texts in {largest:.1%}",
        why="No model can learn what the texts do not hold. Often the rows of texts and labels were shifted or shuffled.",
        remedy="Look at some rows: does a person see the label in the text? Then look at how the file was made.",
        figures={"accuracy": accuracy, "largest_class": largest},
        rows=tuple(sample.train.show(place) for place in range(min(_EXAMPLES, len(sample.train)))),
    )


def check_noise(sample: Sample, judged: Judged) -> Iterator[Finding]:
    """Labels that contradict a model which is sure."""
    part, count = sample.train, max(_LEAST, round(_SURE * len(sample.train)))
    surest = np.argsort(-judged.sureness, kind="stable")[:count]
    wrong = surest[~judged.right[surest]]
    share = len(wrong) / len(surest)
    low = _wilson_low(len(wrong), len(surest))
    if low < _NOISE_SEEN:
        return
    severity: Severity = "warning" if low >= _NOISE else "note"
    yield Finding(
        kind="label-noise",
        severity="error" if low >= 0.1 else severity,
        title=f"About {share:.0%} of the labels are wrong: a model is surest of {len(surest):,} texts, and"
        f" {len(wrong):,} of them have another label",
        why="The model learns the wrong labels, too, and the score counts right answers as mistakes.",
        remedy="rubrica clean DATA --review REVIEW.csv lists the suspected labels, the likeliest first.",
        figures={"share": share, "at_least": low, "texts": len(wrong)},
        rows=tuple(_contradicted(sample, part, judged, place) for place in wrong[:_EXAMPLES].tolist()),
    )


def check_same(sample: Sample, judged: Judged) -> Iterator[Finding]:
    """Pairs of classes that a model confuses."""
    part, names = sample.train, sample.task.labels
    counts = sample.class_counts(part)
    owners, classes = sample.task.pairs(part.targets)
    alone = np.bincount(owners, minlength=len(part))[owners] == 1
    owners, classes = owners[alone], classes[alone]
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (classes, judged.top[owners]), 1)
    np.fill_diagonal(confusion, 0)
    both = np.triu(confusion + confusion.T)
    order = np.argsort(-both, axis=None, kind="stable")[: 4 * _PAIRS]
    same, hard = [], []
    for first, second in (divmod(int(place), len(names)) for place in order if both.flat[place]):
        if min(counts[first], counts[second]) < _LEAST:
            continue
        own = (classes == first) | (classes == second)
        scores = judged.scores[owners[own], second] - judged.scores[owners[own], first]
        found = area(scores, classes[own] == second)
        share = both[first, second] / min(counts[first], counts[second])
        entry = (names[first], names[second], found, int(both[first, second]))
        if found < _SAME:
            same.append(entry)
        elif share >= _CONFUSED:
            hard.append(entry)
    if same:
        told = "; ".join(f"{a!r} and {b!r} ({found:.2f})" for a, b, found, _ in same[:3])
        yield Finding(
            kind="same-classes",
            severity="error",
            title=f"A model cannot tell these classes apart (0.5 is a coin, 1 is always): {told}",
            why="The texts do not say which of the two it is: the classes mean the same, or their labels were mixed.",
            remedy="Join the two classes, or write down what tells them apart and label their texts anew.",
            figures={"pairs": [{"classes": [a, b], "area": found, "confused": n} for a, b, found, n in same]},
            rows=_confused(sample, judged, same[0]),
        )
    if hard:
        told = "; ".join(f"{a!r} and {b!r} ({n:,} texts)" for a, b, _, n in hard[:3])
        yield Finding(
            kind="hard-classes",
            severity="note",
            title=f"Most mistakes are between {told}",
            why="A text of the one often reads like the other.",
            remedy="More texts of these classes help most; so does a sentence that says where the border is.",
            figures={"pairs": [{"classes": [a, b], "area": found, "confused": n} for a, b, found, n in hard]},
            rows=_confused(sample, judged, hard[0]),
        )


def _confused(sample: Sample, judged: Judged, pair: tuple[str, str, float, int]) -> tuple[Row, ...]:
    names = list(sample.task.labels)
    numbers = {names.index(pair[0]), names.index(pair[1])}
    own = np.zeros(len(sample.train), bool)
    for number in numbers:
        own |= sample.task.has_label(sample.train.targets, number)
    wrong = np.flatnonzero(own & ~judged.right & np.isin(judged.top, list(numbers)))
    order = wrong[np.argsort(-judged.sureness[wrong], kind="stable")][:_EXAMPLES].tolist()
    return tuple(_contradicted(sample, sample.train, judged, place) for place in order)


def _contradicted(sample: Sample, part: Part, judged: Judged, place: int) -> Row:
    row = part.show(place)
    return row._replace(note=f"labelled {row.note!r}, reads like {sample.task.labels[int(judged.top[place])]!r}")


def _wilson_low(count: int, total: int) -> float:
    """The lower end of Wilson's interval of a share."""
    share, spread = count / total, _Z**2 / total
    return float((share + spread / 2 - _Z * np.sqrt(share * (1 - share) / total + spread / (4 * total))) / (1 + spread))
