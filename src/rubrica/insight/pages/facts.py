"""What a report says of a model, as values: the template and the plots only lay them out.

Letters: N texts, L labels: those of the model and those that it does not know.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.data.dataset import Examples
from rubrica.data.labels import as_list
from rubrica.data.stored_texts import take_texts
from rubrica.insight.findings import shorten
from rubrica.insight.pages.intervals import (
    Figure,
    Reliability,
    Resampled,
    f1_of_label,
    interval,
    reliability,
    resample,
    share,
)
from rubrica.insight.pages.measure import NOTHING, Measured, Mistakes, Texts
from rubrica.predict.classifier import Classifier
from rubrica.scoring.task import Task

MATRIX_UP_TO = 16  # labels whose counts stand side by side on a page of 64rem
BEHIND = 5  # texts behind a mistake
GROUPS = 24  # mistakes that are listed where there is no matrix: all of them would be thousands
SUREST = 10
PER_SIDE = 6  # of them: labels that were added, and labels that were missed
SHOWN = 12  # labels of many that are in sight at once
BY_LENGTH = 5  # groups of texts
FEWEST = 50  # texts: in a fifth of fewer, a share says nothing
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.5)  # shares of answers that are kept


class Example(NamedTuple):
    """A text that is answered wrongly: its row counted from 1, its labels and the answer, how sure the model was."""

    row: int
    text: str
    truth: list[str]
    answer: list[str]
    sureness: float


class Group(NamedTuple):
    """All mistakes of one kind; of the places in `labels`, one may be `NOTHING`."""

    truth: int
    answer: int
    size: int
    examples: list[Example]


class ClassRow(NamedTuple):
    """The figures of a label; where only scores are known, without intervals."""

    label: str
    is_known: bool
    texts: int
    precision: Figure
    recall: Figure
    f1: Figure
    threshold: float | None


class Matrix(NamedTuple):
    """Counts (L, L), truth in rows, and the share of each in its row."""

    counts: list[list[int]]
    shares: list[list[float]]


class Stretch(NamedTuple):
    """Texts of like length, in characters, and how many of them are answered rightly."""

    shortest: int
    longest: int
    size: int
    right: Figure


class Kept(NamedTuple):
    """What abstaining leaves: the share of texts that are answered, the least probability, how many are right."""

    coverage: float
    least: float
    right: Figure


class Facts(NamedTuple):
    """All that a report knows of the answers to some texts."""

    labels: Sequence[str]
    scores: dict[str, Any]
    figures: dict[str, Figure]
    commonest: tuple[str, float] | None
    classes: list[ClassRow]
    matrix: Matrix | None
    groups: list[Group]
    surest: dict[str, list[Example]]
    reliability: Reliability | None
    kept: list[Kept]
    lengths: list[Stretch]
    has_texts: bool


def facts(measured: Measured, model: Classifier, examples: Examples | None) -> Facts:
    """The facts of measured answers.

    Args:
        measured: The answers.
        model: What gave them.
        examples: The texts; None where only scores are known.
    """
    drawn = None if measured.kinds is None else resample(measured.kinds, len(measured.labels))
    mistakes, counts = measured.mistakes, _counts(measured)
    groups, surest = _groups(measured), {} if mistakes is None else _surest(mistakes)
    wanted = [place for _, places in groups for place in places] + [p for places in surest.values() for p in places]
    shown = {} if mistakes is None or examples is None else _examples(measured, wanted, model, examples)
    matrix = measured.scores.get("confusion") or None
    bins = measured.bins
    return Facts(
        labels=measured.labels,
        scores=measured.scores,
        figures=_figures(measured.scores, drawn),
        commonest=_commonest(measured),
        classes=_classes(measured, counts, model.task),
        matrix=None if matrix is None else _matrix(matrix),
        groups=[group._replace(examples=[shown[place] for place in places]) for group, places in groups],
        surest={name: [shown[place] for place in places] for name, places in surest.items() if places},
        reliability=None if bins is None or not bins[0].any() else reliability(bins),
        kept=_kept(measured.texts),
        lengths=_lengths(measured.texts),
        has_texts=mistakes is not None,
    )


def _counts(measured: Measured) -> NDArray[np.int64] | None:
    """How often each label is rightly answered, answered, and there, (3, L)."""
    if measured.kinds is None:
        return None
    sizes, size = measured.kinds.sizes, len(measured.labels)
    columns = [np.bincount(labels, sizes[numbers], size) for numbers, labels in measured.kinds.pairs]
    return np.stack(columns).astype(np.int64)


def _figures(scores: dict[str, Any], drawn: Resampled | None) -> dict[str, Figure]:
    """The scores of all texts, the main one first."""
    texts, found = scores["texts"], dict[str, Figure]()
    for name in ("accuracy", "micro_f1", "macro_f1", "subset_accuracy"):
        if (value := scores.get(name)) is None:
            continue
        if name.endswith("accuracy"):
            found[name] = share(round(value * texts), texts)
        else:
            found[name] = Figure(value, value, value) if drawn is None else interval(value, getattr(drawn, name))
    return found


def _commonest(measured: Measured) -> tuple[str, float] | None:
    """The most frequent label and its share, where each text has one."""
    if "accuracy" not in measured.scores:
        return None
    row = max(measured.scores["per_class"], key=lambda row: row["texts"])
    return row["label"], row["texts"] / max(1, measured.scores["texts"])


def _classes(
    measured: Measured,
    counts: NDArray[np.int64] | None,
    task: Task,
) -> list[ClassRow]:
    """A row for each label; of many labels, those with the most mistakes first."""
    rows, mistakes = [], []
    for place, score in enumerate(measured.scores["per_class"]):
        precision, recall, f1 = (Figure(*3 * [score[name]]) for name in ("precision", "recall", "f1"))
        wrong = score["texts"] * (1 - score["recall"])
        if counts is not None:
            hits, answered, there = counts[:, place].tolist()
            precision, recall = share(hits, answered), share(hits, there)
            f1, wrong = f1_of_label(hits, answered, there), answered + there - 2 * hits
        known = place < task.num_classes
        threshold = task.thresholds[place] if task.thresholds and known else None
        rows.append(ClassRow(score["label"], known, score["texts"], precision, recall, f1, threshold))
        mistakes.append(wrong)
    if len(rows) > SHOWN:
        rows = [rows[place] for place in sorted(range(len(rows)), key=lambda place: (-mistakes[place], place))]
    return rows


def _matrix(confusion: list[list[int]]) -> Matrix:
    table = np.array(confusion, np.int64)
    return Matrix(confusion, (table / np.maximum(1, table.sum(axis=1))[:, None]).tolist())


def _groups(measured: Measured) -> list[tuple[Group, list[int]]]:
    """The mistakes of each kind, the most frequent first, and the places of the surest among all mistakes."""
    size, mistakes = len(measured.labels) + 1, measured.mistakes
    if mistakes is None:
        table = np.array(measured.scores.get("confusion") or np.zeros((0, 0)), np.int64)
        np.fill_diagonal(table, 0)
        truths, answers = np.nonzero(table)
        counts, keys = table[truths, answers], (truths + 1) * size + answers + 1
        order, of_key = np.zeros(0, np.int64), np.zeros(0, np.int64)
    else:
        of_key = (mistakes.truths + 1) * size + mistakes.answers + 1
        keys, counts = np.unique(of_key, return_counts=True)
        order = np.lexsort((-mistakes.sureness, of_key))
        of_key = of_key[order]
    most = MATRIX_UP_TO * MATRIX_UP_TO if _fits(measured) else GROUPS
    found = []
    for place in np.argsort(-counts, kind="stable")[:most].tolist():
        truth, answer = divmod(int(keys[place]), size)
        first = int(np.searchsorted(of_key, keys[place]))
        places = order[first : first + min(BEHIND, int(counts[place]))].tolist()
        found.append((Group(truth - 1, answer - 1, int(counts[place]), []), places))
    return found


def _fits(measured: Measured) -> bool:
    """Whether there is a matrix that a page shows with a number in each cell."""
    return bool(measured.scores.get("confusion")) and len(measured.labels) <= MATRIX_UP_TO


def _surest(mistakes: Mistakes) -> dict[str, list[int]]:
    """The places of the surest mistakes; labels that were added or missed stand by themselves."""
    order = np.argsort(-mistakes.sureness, kind="stable")
    added, missed = mistakes.truths[order] == NOTHING, mistakes.answers[order] == NOTHING
    parts = {
        "surest": (~added & ~missed, SUREST),
        "surest_added": (added, PER_SIDE),
        "surest_missed": (missed, PER_SIDE),
    }
    return {name: order[kept][:most].tolist() for name, (kept, most) in parts.items()}


def _examples(measured: Measured, places: list[int], model: Classifier, examples: Examples) -> dict[int, Example]:
    """The texts of some mistakes, by their places."""
    assert measured.mistakes is not None
    rows = np.unique(measured.mistakes.rows[places])
    texts = dict(zip(rows.tolist(), take_texts(examples.texts, rows), strict=True))
    answers = {} if model.task.has_confusion else dict(zip(texts, model.predict(list(texts.values())), strict=True))
    found = {}
    for place in places:
        row, truth, answer, sureness = (column[place].item() for column in measured.mistakes)
        if row in answers:  # what else belongs to the text, and what else it got
            sides = [list(as_list(examples.labels[row])), answers[row]]
        else:
            sides = [[measured.labels[truth]], [measured.labels[answer]]]
        found[place] = Example(row + 1, shorten(texts[row]), sides[0], sides[1], sureness)
    return found


def _kept(texts: Texts | None) -> list[Kept]:
    """What is right among the surest answers."""
    if texts is None or texts.sureness is None:
        return []
    order = np.argsort(-texts.sureness, kind="stable")
    right, found = np.cumsum(texts.right[order]), list[Kept]()
    for coverage in COVERAGES:
        last = max(1, round(coverage * len(order)))
        least = float(texts.sureness[order[last - 1]])
        last = int(np.searchsorted(-texts.sureness[order], -least, side="right"))  # all texts that are as sure
        if not found or last / len(order) < found[-1].coverage:
            found.append(Kept(last / len(order), least, share(int(right[last - 1]), last)))
    return found


def _lengths(texts: Texts | None) -> list[Stretch]:
    """How many texts of like length are right."""
    if texts is None or len(texts.right) < FEWEST:
        return []
    ends = np.unique(np.quantile(texts.lengths, np.arange(1, BY_LENGTH + 1) / BY_LENGTH, method="higher"))
    groups, found = np.searchsorted(ends, texts.lengths), []
    for number in range(len(ends)):
        here = groups == number
        lengths, right = texts.lengths[here], texts.right[here]
        found.append(Stretch(int(lengths.min()), int(lengths.max()), len(right), share(int(right.sum()), len(right))))
    return found if len(found) > 1 else []
