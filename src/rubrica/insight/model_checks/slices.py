"""Groups of texts with more mistakes than the others: by length, unknown words, class, or a column of the data.

Each group is compared with all other texts. Since many groups are asked about, the p-values are corrected (S. Holm,
"A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979).

Letters: N texts, G groups.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.findings import Finding, Phrase
from rubrica.insight.model_checks.fitting import exact
from rubrica.insight.model_checks.subject import Sample, Subject

_LEAST_TEXTS = 20  # of a group
_WORSE, _MUCH_WORSE = 0.1, 0.25  # of the texts
_OFTEN_MISSED = 0.5  # of the others' accuracy: some class is always the hardest, and that alone is no fault
_LEVEL = 0.01
_LEAST_RIGHT = 0.4  # of all texts
_MOST_GROUPS = 50  # values of a column, the most frequent; a row's number has a value for each row
_SHOWN = 3


class Group(NamedTuple):
    """Some texts of a sample: a class, or what is alike in another way."""

    name: str
    inside: NDArray[np.bool_]
    is_class: bool = False


def find_failing_slices(subject: Subject) -> Iterator[Finding]:
    """Groups whose texts are answered wrongly much more often than the others."""
    sample = subject.held
    if sample is None or len(sample) < 2 * _LEAST_TEXTS:
        return
    right = exact(subject.model.task, sample.logits, sample)
    if not _LEAST_RIGHT < right.mean() < 1:
        return  # the fault is the whole model's
    groups = [group for group in _groups(subject, sample) if _LEAST_TEXTS <= group.inside.sum() < len(sample)]
    tested = [(compare(right, group.inside), group) for group in groups]
    for (p, inside, outside), group in _after_holm(tested):
        if outside - inside < _WORSE or p > _LEVEL:
            continue
        is_grave = inside < _OFTEN_MISSED * outside if group.is_class else outside - inside >= _MUCH_WORSE
        wrong = np.flatnonzero(group.inside & ~right)[:_SHOWN].tolist()
        answers = subject.model.task.decide(sample.logits[wrong])
        yield Finding(
            kind="slice-fails",
            severity="warning" if is_grave else "note",
            title=f"Texts {group.name}: {inside:.1%} are answered rightly, {outside:.1%} of the others",
            why=f"Of {len(groups)} groups that were compared, chance alone would hardly show this one (p {p:.1g}).",
            remedy="Collect more training texts of this group; of a rare class, --class-weight balanced.",
            figures={"group": group.name, "texts": int(group.inside.sum()), "accuracies": [inside, outside], "p": p},
            rows=tuple(
                sample.row(place, Phrase("answered {}, labelled {}", answer, sample.labels[place]))
                for place, answer in zip(wrong, answers, strict=True)
            ),
        )


def compare(right: NDArray[np.bool_], inside: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The p-value of equal accuracy inside and outside a group, and both accuracies (two-proportion z-test)."""
    here, there = right[inside], right[~inside]
    pooled = float(right.mean())
    error = math.sqrt(max(pooled * (1 - pooled), 1e-12) * (1 / len(here) + 1 / len(there)))
    z = (float(here.mean()) - float(there.mean())) / error
    return math.erfc(abs(z) / math.sqrt(2)), float(here.mean()), float(there.mean())


def _after_holm(
    tested: list[tuple[tuple[float, float, float], Group]],
) -> Iterator[tuple[tuple[float, float, float], Group]]:
    """Yield the groups with corrected p-values, the smallest first."""
    largest = 0.0
    for place, ((p, *accuracies), group) in enumerate(sorted(tested, key=lambda pair: pair[0][0])):
        largest = max(largest, min(1.0, p * (len(tested) - place)))
        yield (largest, accuracies[0], accuracies[1]), group


def _groups(subject: Subject, sample: Sample) -> Iterator[Group]:
    words = np.array([len(text.split()) for text in sample.texts])
    first, last = np.quantile(words, [0.25, 0.75])
    yield Group(f"of at most {first:.0f} words", words <= first)
    yield Group(f"of {last:.0f} words and more", words >= last)
    vocab = subject.model.artifact.vocab
    if subject.model.config.model.reads_words:
        tokens = subject.encode(sample, len(sample))
        unknown = np.add.reduceat(np.append(tokens.ids == vocab.unknown_id, 0), tokens.offsets[:-1])
        shares = np.where(tokens.lengths > 0, unknown, 0) / np.maximum(tokens.lengths, 1)
        many = float(np.quantile(shares, 0.75))
        if many > 0:
            yield Group(f"with {many:.0%} unknown words and more", shares >= many)
    task = subject.model.task
    for number, label in enumerate(task.labels):
        yield Group(f"of class {label!r}", task.has_label(sample.targets, number), is_class=True)
    for column, values in sample.columns.items():
        names = np.array([value if isinstance(value, str) else "|".join(value) for value in values])
        found, counts = np.unique(names, return_counts=True)
        for name in found[np.argsort(-counts, kind="stable")[:_MOST_GROUPS]].tolist():
            yield Group(f"with {column} {name!r:.60}", names == name)
