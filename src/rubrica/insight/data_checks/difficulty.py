"""What the answers to unseen texts say of the labels: whether they follow the texts, how many are wrong, which are one.

Wrong labels are counted where the model is surest. On sound data it is hardly ever wrong on the quarter of the texts
that it is surest of; where labels are wrong at random, they are wrong there as often as anywhere. Where classes overlap
it is wrong there, too, but then the label is its second choice.

Letters: N texts, C classes.
"""

from collections.abc import Iterator

import numpy as np

from rubrica.insight.data_checks.answers import Judged, have
from rubrica.insight.data_checks.apart import area
from rubrica.insight.data_checks.sample import Part, Sample
from rubrica.insight.findings import Finding, Phrase, Row, Severity
from rubrica.insight.pages.intervals import share as share_of
from rubrica.scoring.task import Rows

_NOTHING = 0.55  # area under the ROC curve; of labels of which 19 in 20 are shuffled 0.50 to 0.52
_EVERYWHERE = 0.98  # of the texts have one label: there is nothing to be right in
_SURE = 0.25  # of the texts, the surest ones
_NOISE_SEEN = 0.015  # of the surest texts contradict; of careful labels one in a hundred does
_NOISE, _NOISE_MUCH = 0.02, 0.1  # of the labels are wrong at random, at least; of sound data 0.012
_SAME = 0.6  # area under the ROC curve of two classes; near ones have 0.9
_LEAST = 30  # texts of a class
_CONFUSED = 0.1  # of a class's texts get another class
_EXAMPLES, _PAIRS = 3, 20
_Z = 1.645  # of a one-sided interval of 95 %


def check_signal(sample: Sample, judged: Judged) -> Iterator[Finding]:
    """Labels that do not follow from the texts."""
    counts, size = sample.class_counts(sample.train), len(sample.train)
    told = np.flatnonzero((counts > 0) & (counts < size))  # there are texts with the label, and others
    if counts.max() >= _EVERYWHERE * size or not len(told):
        return
    has = [sample.task.has_label(sample.train.targets, label) for label in told.tolist()]
    areas = np.array([area(judged.scores[:, label], own) for label, own in zip(told.tolist(), has, strict=True)])
    weights, others = counts[told] / counts[told].sum(), size - counts[told]
    # The variance of an area by chance, of Mann and Whitney's test; labels count by their texts.
    error = float(np.sqrt((weights**2 * (size + 1) / (12 * counts[told] * others)).sum()))
    found = float(weights @ areas)
    if found >= _NOTHING and found - 0.5 > 3 * error:
        return
    yield Finding(
        kind="unrelated-labels",
        severity="error",
        title="The texts say almost nothing of the labels: of a text that has a label and another that does not, a"
        f" linear model that has seen neither takes the right one in {found:.0%} of the cases (half would be chance)",
        why="No model can learn what the texts do not hold. Often the labels were shifted or shuffled.",
        remedy="Look at some rows: does a person see the label in the text? Then look at how the file was made.",
        figures={"area": found, "error": error, "accuracy": float(judged.right.mean())},
        rows=tuple(sample.train.show(place) for place in range(min(_EXAMPLES, size))),
    )


def check_noise(sample: Sample, judged: Judged) -> Iterator[Finding]:
    """Labels that contradict a model which is sure."""
    count = max(_LEAST, round(_SURE * len(sample.train)))
    surest = np.argsort(-judged.sureness, kind="stable")[:count]
    wrong = surest[~judged.right[surest]]
    share, low, _ = share_of(len(wrong), len(surest), _Z)
    if low < _NOISE_SEEN:
        return
    far, factor = _far(sample, judged, wrong)
    at_random = factor * share_of(far, len(surest), _Z).low
    severity: Severity = "warning" if at_random >= _NOISE or low >= _NOISE_MUCH else "note"
    what = "wrong" if at_random >= _NOISE else "doubtful"
    yield Finding(
        kind="label-noise",
        severity="error" if at_random >= _NOISE_MUCH else severity,
        title=f"About {share:.0%} of the labels are {what}: a model is surest of {len(surest):,} texts, and"
        f" {len(wrong):,} of them have another label",
        why="The model learns the wrong labels, too, and the score counts right answers as mistakes."
        if what == "wrong"
        else "Most of these labels are the model's second choice: two classes overlap, or people mix them up.",
        remedy="rubrica clean DATA --review REVIEW.csv",
        figures={"share": share, "at_least": low, "at_random_at_least": at_random, "texts": len(wrong)},
        rows=tuple(_contradicted(sample, sample.train, judged, place) for place in wrong[:_EXAMPLES].tolist()),
    )


def _far(sample: Sample, judged: Judged, wrong: Rows) -> tuple[int, float]:
    """How many of the texts have a label of the less likely half, and how many wrong ones each of them stands for.

    A label that was drawn at random is as often in that half as its size says. A label of a class that overlaps with
    the right one is the model's second choice. Of two classes there is no half to tell by: each text counts.
    """
    classes, half = sample.task.num_classes, sample.task.num_classes // 2
    if classes < 3:
        return len(wrong), 1.0
    order = np.argsort(-judged.scores[wrong], axis=1, kind="stable")
    likely = np.zeros(len(wrong), bool)
    for column in range(half + 1):
        likely |= have(sample.features, order[:, column], wrong)
    return int((~likely).sum()), (classes - 1) / (classes - 1 - half)


def check_same(sample: Sample, judged: Judged) -> Iterator[Finding]:
    """Pairs of classes that a model confuses."""
    part, names = sample.train, sample.task.labels
    counts, confused = sample.class_counts(part), _confusion(sample, judged)
    same, hard = [], []
    for first, second in _candidates(judged, confused):
        ours, theirs = (sample.task.has_label(part.targets, label) for label in (first, second))
        either = ours != theirs
        if min((either & ours).sum(), (either & theirs).sum()) < _LEAST:
            continue
        found = area(judged.scores[either, second] - judged.scores[either, first], theirs[either])
        entry = (names[first], names[second], found, int(confused[first, second]))
        if found < _SAME:
            same.append(entry)
        elif confused[first, second] >= _CONFUSED * min(counts[first], counts[second]):
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


def _confusion(sample: Sample, judged: Judged) -> Rows:
    """How many texts of either class of a pair got the other one as their first answer, (C, C), above the diagonal."""
    owners, classes = sample.task.pairs(sample.train.targets)
    wrong = ~judged.right[owners]
    found = np.zeros((sample.task.num_classes,) * 2, np.int64)
    np.add.at(found, (classes[wrong], judged.top[owners[wrong]]), 1)
    return np.triu(found + found.T, 1)


def _candidates(judged: Judged, confused: Rows) -> list[tuple[int, int]]:
    """The pairs that are confused most, and the pairs whose scores rise and fall together."""
    centered = judged.scores - judged.scores.mean(axis=0)
    centered /= np.maximum(np.linalg.norm(centered, axis=0), 1e-12)  # a class may always have the same score
    together = np.triu(centered.T @ centered, 1)
    found = dict[tuple[int, int], None]()
    for table in (confused, together):
        order = np.argsort(-table, axis=None, kind="stable")[:_PAIRS]
        found |= {divmod(int(place), len(table)): None for place in order if table.flat[place] > 0}
    return list(found)


def forgive(sample: Sample, judged: Judged, same: Finding) -> Judged:
    """The answers, of which a class that cannot be told from the text's own is right, too."""
    right, targets, names = judged.right.copy(), sample.train.targets, sample.task.labels
    for pair in same.figures["pairs"]:
        numbers = [names.index(name) for name in pair["classes"]]
        for answer, label in (numbers, numbers[::-1]):
            right |= (judged.top == answer) & sample.task.has_label(targets, label)
    return judged._replace(right=right)


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
    like = sample.task.labels[int(judged.top[place])]
    return row._replace(note=Phrase("labelled {!r}, reads like {!r}", row.note, like))
