"""Labels that are not certain: how probable each label of a text is, where other texts have a name.

    {"text": "Oil prices climb", "label": {"Business": 0.9, "World": 0.1}}

An object of JSON, a map or a struct of Parquet, a dict of Python, a string that one of them was written as; or a column
for each label, with numbers from 0 to 1. Where the scores of every text of train add up to 1, each text has one label,
and we know with which probability it is which. Else a text may have several labels, each a question of its own.

Letters: N texts, C classes.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.files import make_array
from rubrica.scoring.label_names import spell
from rubrica.scoring.lookup import parts_of
from rubrica.scoring.task import Label, Task
from rubrica.text.strings import is_missing, plain

_ROUNDED = 0.05  # the scores of a text may miss 1 by this: ten classes, each rounded to two decimals
_CUT = 0.5  # of several labels, the ones that are rather there than not are the text's labels


@dataclass(frozen=True, slots=True)
class Scored:
    """How probable each label of a text is.

    Args:
        scores: The labels with a score above 0, by name, and their scores.
    """

    scores: tuple[tuple[str, float], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The labels that the text may have."""
        return tuple(name for name, _ in self.scores)

    @property
    def total(self) -> float:
        """What the scores add up to."""
        return math.fsum(score for _, score in self.scores)


class SoftLabels(NamedTuple):
    """How probable each label of N texts is.

    Args:
        labels: The C labels.
        probabilities: (N, C). Where each text has one label a row adds up to 1, or to less where its label is none of
            these.
        is_regression: Whether they are scores, see `Regression`.
    """

    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]
    is_regression: bool = False

    @property
    def there(self) -> list[str]:
        """The labels that some text may have."""
        return list(compress(self.labels, self.probabilities.max(axis=0, initial=0) > 0))

    def take(self, rows: NDArray[np.int64]) -> "SoftLabels":
        """Of some of the texts."""
        return self._replace(probabilities=self.probabilities[rows])

    def of(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """How probable these labels are, (N, C); a label that nobody has scored is never there."""
        if tuple(labels) == self.labels:
            return self.probabilities
        found = np.zeros((len(self.probabilities), len(labels)), np.float32)
        places = {name: place for place, name in enumerate(self.labels)}
        known = [place for place, label in enumerate(labels) if label in places]
        found[:, known] = self.probabilities[:, [places[labels[place]] for place in known]]
        return found


def read_scored(value: Any) -> Scored:
    """The scores of a text, see `named_scores`.

    Raises:
        ValueError: As there.
    """
    return Scored(tuple(sorted((name, score) for name, score in named_scores(value).items() if score > 0)))


def as_scored(label: Label | Scored) -> Scored:
    """A label, or several, that the text has for certain, as scores; scores stay as they are."""
    if isinstance(label, Scored):
        return label
    return Scored(tuple((name, 1.0) for name in sorted(parts_of(label))))


def holds_scores(value: Any) -> bool:
    """Whether a value is a mapping, or pairs of names and numbers, as Arrow gives a map."""
    if isinstance(value, Mapping):
        return True
    pairs = isinstance(value, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value)
    return pairs and bool(value) and all(isinstance(name, str) and not isinstance(score, str) for name, score in value)


def named_scores(row: Any) -> dict[str, float]:
    """The score of each label that a text's scores name; a missing score is 0.

    Args:
        row: A mapping from labels to scores, or pairs of them.

    Raises:
        ValueError: If a label stands twice, something is no label, or a score is no probability.
    """
    pairs = [(spell(label), value) for label, value in (row.items() if isinstance(row, Mapping) else row)]
    named = [label for label, _ in pairs]
    if len(set(named)) < len(named):
        raise ValueError(f"the label {max(named, key=named.count)!r:.40} stands twice")
    return {label: 0.0 if is_missing(value) else _probability(label, value) for label, value in pairs}


def _probability(label: str, value: Any) -> float:
    try:
        score = float(plain(value))
    except (TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 1:
        raise ValueError(f"the score of {label!r:.40} is {value!r:.40}, expected a probability from 0 to 1")
    return score


def other_totals(labels: Iterable[Label | Scored]) -> list[float]:
    """What the scores of each text add up to that are not 1: it may have several labels."""
    return [total for label in labels if abs((total := as_scored(label).total) - 1) > _ROUNDED]


def scored_number(value: Any) -> Scored:
    """The score of a text, a number from 0 to 1, as how probable the upper end of the scale is, see `Regression`.

    Raises:
        ValueError: If it is missing, or something else.
    """
    if is_missing(plain(value)) or (isinstance(value, str) and not value.strip()):
        raise ValueError("no score")
    try:
        found = float(plain(value))
    except (TypeError, ValueError):
        raise ValueError(f"found {value!r:.40}, expected a number from 0 to 1, such as 0.8") from None
    if not 0 <= found <= 1:
        advice = "divide by the largest score that there may be"
        raise ValueError(f"found {value!r:.40}, expected a number from 0 to 1; {advice}")
    return Scored(tuple((end, score) for end, score in (("0", 1 - found), ("1", found)) if score))


def labels_for(
    labels: Sequence[Label], soft: SoftLabels | None, task: Task
) -> tuple[Sequence[Label], NDArray[np.float32] | None]:
    """The labels of a data set for a model's task, and how probable each is, (N, C), where they are not certain.

    Data that were read alone may have several labels a text where the model gives one, or the other way round.

    Raises:
        ValueError: As `certain`; if the data have scores, and the model gives labels.
    """
    if soft is None:
        return labels, None
    if task.gives_labels and soft.is_regression:
        raise ValueError("the model gives labels, and the data have scores; leave --regression out")
    if task.has_confusion == all(isinstance(label, str) for label in labels[:1]):
        return labels, soft.of(task.labels)
    rows = soft.probabilities.tolist()
    named = [[(name, p) for name, p in zip(soft.labels, row, strict=True) if p > 0] for row in rows]
    found, soft = settle([Scored(tuple(sorted(pairs))) for pairs in named], task)
    return found, soft.of(task.labels)


def scored_labels(column: Sequence[Any], task: Task) -> list[Any] | None:
    """The labels of a column, of which some hold scores; None where none does, and the task is of labels.

    Raises:
        ValueError: If something is no score.
    """
    if not task.gives_labels:
        return list(map(scored_number, column))
    if not any(map(holds_scores, column)):
        return None
    return [read_scored(label) if holds_scores(label) else label for label in column]


def certain(label: Label | Scored, task: Task) -> Label:
    """The label of a text in the form of the task: the most probable one, or all that are rather there than not.

    Raises:
        ValueError: If there is none, and each text has one.
    """
    if not isinstance(label, Scored):
        return task.spell(label)
    if not task.has_confusion:
        return tuple(name for name, score in label.scores if score >= _CUT)
    if not label.scores:
        raise ValueError("no label has a score above 0; give the most probable one a score, or remove the row")
    return max(label.scores, key=lambda pair: pair[1])[0]


def settle(labels: Sequence[Label | Scored], task: Task) -> tuple[list[Label], SoftLabels]:
    """The labels of N texts in the form of the task, see `certain`, and how probable each label is.

    Raises:
        ValueError: As `certain`, with the place of the text.
    """
    scored, found = list(map(as_scored, labels)), list[Label]()
    for place, label in enumerate(scored):
        try:
            found.append(certain(label, task))
        except ValueError as error:
            raise ValueError(f"label {place}: {error}") from None
    return found, SoftLabels(task.labels, _probabilities(scored, task), not task.gives_labels)


def _probabilities(labels: Sequence[Scored], task: Task) -> NDArray[np.float32]:
    """How probable each label of each text is, (N, C); of one label a text they add up to 1 where train knows any."""
    places = {name: place for place, name in enumerate(task.labels)}
    found = make_array(len(labels) * task.num_classes, np.float32).reshape(len(labels), task.num_classes)
    found[:] = 0
    for row, label in zip(found, labels, strict=True):
        known = [(places[name], score) for name, score in label.scores if name in places]
        total = math.fsum(score for _, score in known) if task.has_confusion else 1.0
        for place, score in known:
            row[place] = score / total
    return found
