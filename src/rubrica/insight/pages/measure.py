"""How a model answers labelled texts, in one pass: the scores, and which texts are behind them.

What follows from it for a page is computed in `facts.py`. Where a text may have several labels, each probability of a
label is an answer of its own, yes or no: a label is missed, or added where it does not belong.

Letters: N texts, C classes, U unknown labels, M mistakes, K kinds of texts, P pairs.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.data.dataset import Examples
from rubrica.data.soft_labels import labels_for
from rubrica.predict.classifier import Classifier
from rubrica.progress import progress_bar
from rubrica.scoring.metrics import chosen
from rubrica.scoring.tally import Tally
from rubrica.scoring.task import Floats, Targets, Task
from rubrica.scoring.tasks import check_labels
from rubrica.scoring.unknown_labels import encode_scored

BINS = 10  # of probabilities, each a tenth: the reliability diagram of the literature
NOTHING = -1
"""Stands for a label where there is none: the truth of an added label, the answer to a missed one."""

_AT_A_TIME = 1 << 11  # texts between two looks of the progress bar, about
_PAIR = ">i4"  # the first byte is the highest, so bytes are in the order of the numbers
_LOGITS = 1 << 22  # that are in memory at once, about: 16 MB, and a few copies of them

Rows = NDArray[np.int64]


class Mistakes(NamedTuple):
    """Wrong answers: the row of each in its split, its label, the answer, and how sure the model was of it, (M,)."""

    rows: Rows
    truths: Rows
    answers: Rows
    sureness: NDArray[np.float64]


class Kinds(NamedTuple):
    """The different pairs of truth and answer. Texts of a kind are alike to every score that counts labels.

    Args:
        sizes: How many texts each kind has, (K,).
        pairs: Of kinds and labels (2, P): rightly answered, answered, there.
    """

    sizes: Rows
    pairs: tuple[Rows, Rows, Rows]


class Texts(NamedTuple):
    """What is known of each text, (N,): whether all of its answer is right, how long it is, how probable the answer."""

    right: NDArray[np.bool_]
    lengths: Rows
    sureness: NDArray[np.float64] | None
    """None where a text may have more than one answer."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The answers of a model to labelled texts.

    Args:
        scores: The JSON of their `Report`.
        labels: The C labels of the model, then the U that it does not know.
        kinds: What the texts are and are answered with; None where only the scores are known.
        mistakes: The wrong answers; None where only the scores are known.
        bins: How many probabilities each tenth holds, their sum, and how many of the answers are right, (3, BINS); None
            where only the scores are known, or labels are not certain.
        texts: What is known of each text.
    """

    scores: dict[str, Any]
    labels: tuple[str, ...]
    kinds: Kinds | None = None
    mistakes: Mistakes | None = None
    bins: NDArray[np.float64] | None = None
    texts: Texts | None = None


class _Part(NamedTuple):
    """What some texts have shown; `kinds` counts the bits of truth and answer of each."""

    mistakes: Mistakes
    kinds: Counter[bytes]
    bins: NDArray[np.float64]
    texts: Texts


def measure(
    model: Classifier, examples: Examples, *, abstain_below: float | None = None, name: str = "the data"
) -> Measured:
    """Let the model answer all texts, while a bar shows how far it is.

    Raises:
        ValueError: If there are no texts, or their labels are none; see `Classifier.evaluate`.
    """
    texts, task = examples.texts, model.task
    check_labels(task, "a report")
    if not len(texts):
        raise ValueError("there are no texts; give at least one")
    given, soft = labels_for(examples.labels, examples.soft, task)
    targets, unknown = encode_scored(task, given, name)
    tally, read = Tally(task, len(texts), abstain_below, unknown), _one_answer if task.has_confusion else _many_answers
    step = model.whole_batches(max(1, min(_AT_A_TIME, _LOGITS // task.num_classes)))
    parts = []
    with progress_bar("report", -(-len(texts) // step)) as advance:
        for first in range(0, len(texts), step):
            some, here = texts[first : first + step], targets[first : first + step]
            logits = model.logits(some)
            tally.add(logits, here, None if soft is None else soft[first : first + step])
            parts.append(read(task, logits, here, first, np.fromiter(map(len, some), np.int64, len(some))))
            advance("")
    labels = (*task.labels, *unknown)
    counts = sum((part.kinds for part in parts), Counter[bytes]())
    return Measured(
        scores=tally.report().to_json(),
        labels=labels,
        kinds=_kinds(counts, len(labels)) if not task.has_confusion else _kinds_of_pairs(counts),
        mistakes=Mistakes(*(np.concatenate(column) for column in zip(*(part.mistakes for part in parts), strict=True))),
        bins=None if soft is not None else np.sum([part.bins for part in parts], axis=0),
        texts=_join(part.texts for part in parts),
    )


def measured_before(scores: dict[str, Any]) -> Measured:
    """What the scores alone tell of texts that are not at hand, such as the part of train that was held out."""
    labels = tuple(row["label"] for row in scores["per_class"])
    confusion = scores.get("confusion")
    if not confusion:
        return Measured(scores=scores, labels=labels)
    table = np.array(confusion, np.int64)
    truths, answers = np.nonzero(table)
    return Measured(scores=scores, labels=labels, kinds=_paired(table[truths, answers], truths, answers))


def _one_answer(task: Task, logits: Floats, targets: Targets, first: int, lengths: Rows) -> _Part:
    answers = logits.argmax(axis=1)
    # fastText's scores need not be probabilities: rounding may lift one above 1.
    sureness = np.minimum(task.probabilities(logits)[np.arange(len(logits)), answers].astype(np.float64), 1.0)
    right = np.asarray(answers == targets)
    wrong = np.flatnonzero(~right)
    pairs = np.stack([targets, answers], axis=1).astype(_PAIR)
    return _Part(
        Mistakes(first + wrong, targets[wrong].astype(np.int64), answers[wrong], sureness[wrong]),
        Counter(map(bytes, pairs)),
        _binned(sureness, right),
        Texts(right, lengths, sureness),
    )


def _many_answers(task: Task, logits: Floats, targets: Targets, first: int, lengths: Rows) -> _Part:
    probabilities, wanted = task.probabilities(logits).astype(np.float64), targets.astype(bool)
    answers = np.zeros(wanted.shape, bool)
    answers[:, : task.num_classes] = chosen(logits, task.thresholds or ())
    # Nobody can be sure that a label is not there which the model does not know.
    sureness = np.pad(probabilities, ((0, 0), (0, wanted.shape[1] - task.num_classes)), constant_values=1.0)
    added, missed = np.nonzero(answers & ~wanted), np.nonzero(wanted & ~answers)
    nothing = [np.full(len(rows), NOTHING, np.int64) for rows, _ in (added, missed)]
    mistakes = Mistakes(
        first + np.concatenate([added[0], missed[0]]),
        np.concatenate([nothing[0], missed[1]]),
        np.concatenate([added[1], nothing[1]]),
        np.concatenate([sureness[added], 1 - sureness[missed]]),
    )
    bits = np.packbits(np.concatenate([wanted, answers], axis=1), axis=1)
    known = wanted[:, : task.num_classes]
    right = np.asarray((answers == wanted).all(axis=1))
    return _Part(
        mistakes, Counter(map(bytes, bits)), _binned(probabilities.ravel(), known.ravel()), Texts(right, lengths, None)
    )


def _binned(probabilities: Floats, right: NDArray[np.bool_]) -> NDArray[np.float64]:
    places = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    weights = (None, probabilities, right)
    return np.stack([np.bincount(places, weights=each, minlength=BINS).astype(np.float64) for each in weights])


def _join(parts: Any) -> Texts:
    right, lengths, sureness = zip(*parts, strict=True)
    return Texts(
        np.concatenate(right), np.concatenate(lengths), None if sureness[0] is None else np.concatenate(sureness)
    )


def _kinds_of_pairs(counts: Counter[bytes]) -> Kinds:
    keys = sorted(counts)  # the order of the texts does not matter
    pairs = np.frombuffer(b"".join(keys), _PAIR).reshape(-1, 2).astype(np.int64)
    return _paired(np.array([counts[key] for key in keys]), pairs[:, 0], pairs[:, 1])


def _paired(sizes: Rows, truths: NDArray[Any], answers: NDArray[Any]) -> Kinds:
    """Kinds of one label and one answer each."""
    numbers, right = np.arange(len(sizes)), np.flatnonzero(truths == answers)
    columns = (right, truths[right]), (numbers, answers), (numbers, truths)
    return Kinds(sizes, tuple(np.stack(pair).astype(np.int64) for pair in columns))  # type: ignore[arg-type]


def _kinds(counts: Counter[bytes], num_labels: int) -> Kinds:
    """Kinds of a set of labels and a set of answers each."""
    keys = sorted(counts)
    bits = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1)
    wanted, answers = np.split(np.unpackbits(bits, axis=1, count=2 * num_labels).astype(bool), 2, axis=1)
    columns = (wanted & answers, answers, wanted)
    return Kinds(np.array([counts[key] for key in keys]), tuple(np.stack(np.nonzero(each)) for each in columns))  # type: ignore[arg-type]


def label_of(labels: Sequence[str], place: int) -> str | None:
    """The label at a place; None for `NOTHING`."""
    return None if place == NOTHING else labels[place]
