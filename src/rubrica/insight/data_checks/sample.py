"""What the checks of data look at: the texts of a data set in words, as they are written and lower-cased.

Of a large split a sample is read. It is the same for the same data.

Letters: N texts of a split, T tokens of all of them, V words as they are written, L words lower-cased, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rubrica.config.groups import DataSettings
from rubrica.corpus.held_out import text_keys
from rubrica.data.dataset import Dataset, Examples
from rubrica.data.labels import as_list
from rubrica.data.stored_texts import take_texts
from rubrica.insight.findings import Row, shorten
from rubrica.learning.crossval import Features
from rubrica.scoring.task import Label, Rows, Targets, Task
from rubrica.text.tokens import WordCounter
from rubrica.vectors.word_vectors import Vectors

MOST = 200_000  # texts of a split that are read: what more would add is below what a check can tell
_ALL = (1 << 31) - 1  # tokens of a text


@dataclass(frozen=True)
class Part:
    """The sampled texts of a split.

    Args:
        name: Of the split.
        rows: Their numbers in the split, from 0 on, ascending, (N,).
        ids: The number of each token among the words as written, (T,).
        offsets: Where the tokens of each text begin, (N + 1,).
        targets: Their labels in numbers; labels that train lacks are numbered from C on.
        unknown: The labels that train lacks.
    """

    name: str
    rows: Rows
    texts: list[str]
    labels: list[Label]
    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    targets: Targets
    unknown: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, (N,)."""
        return np.diff(self.offsets)

    @cached_property
    def owners(self) -> NDArray[np.int32]:
        """The text of each token, (T,)."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    @cached_property
    def keys(self) -> Rows:
        """The same number for texts with the same letters and digits, (N,)."""
        return text_keys(len(self), [self.texts])

    def show(self, place: int, note: str = "") -> Row:
        """A text of the part as the evidence of a finding; without a note, with its label."""
        label = ", ".join(as_list(self.labels[place]))
        return Row(self.name, int(self.rows[place]) + 1, shorten(self.texts[place]), note or label)


class Sample:
    """A data set for the checks.

    Args:
        dataset: What was read.
        vectors: The vectors that the words will start at, if any.
        settings: How texts will be read; cases that are open are settled as a training would.
        most: Texts of a split that are looked at.
    """

    def __init__(self, dataset: Dataset, vectors: Vectors | None, settings: DataSettings, most: int = MOST) -> None:
        self.dataset, self.vectors, self.settings = dataset, vectors, settings
        counter = WordCounter(lowercase=False, max_length=_ALL, split_unspaced=settings.split_unspaced is True)
        self.parts = {
            name: _sample(name, examples, dataset.task, counter, most) for name, examples in dataset.splits.items()
        }
        self.words, _ = counter.words()
        self._words_of: dict[str, tuple[NDArray[np.int32], NDArray[np.int32]]] = {}

    @property
    def task(self) -> Task:
        """One label a text or several."""
        return self.dataset.task

    @property
    def train(self) -> Part:
        """The texts to learn from; the only split where there is one."""
        return self.parts.get("train") or next(iter(self.parts.values()))

    @property
    def others(self) -> Iterator[Part]:
        """The parts that judge a model: validation and test."""
        return (part for part in self.parts.values() if part is not self.train)

    @cached_property
    def lowered(self) -> tuple[list[str], NDArray[np.int32]]:
        """The L words lower-cased, and which of them each word as written is, (V,)."""
        places: dict[str, int] = {}
        numbers = [places.setdefault(word.lower(), len(places)) for word in self.words]
        return list(places), np.array(numbers, np.int32)

    @cached_property
    def features(self) -> Features:
        """The n-grams of train, for linear models of parts of it."""
        return Features.read(self.task, self.train.texts, self.train.targets, data=self.settings)

    def words_of(self, part: Part) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Each text with each of its lower-cased words once: texts and words in numbers, sorted by text, then word."""
        if part.name not in self._words_of:
            names, numbers = self.lowered
            pairs = np.unique(part.owners * np.int64(len(names)) + numbers[part.ids])
            self._words_of[part.name] = (pairs // len(names)).astype(np.int32), (pairs % len(names)).astype(np.int32)
        return self._words_of[part.name]

    def class_counts(self, part: Part, places: Rows | None = None) -> Rows:
        """How many of the texts have each class, (C,); labels that train lacks do not count."""
        return self.task.class_counts(part.targets, places)[: self.task.num_classes]


def _sample(name: str, examples: Examples, task: Task, counter: WordCounter, most: int) -> Part:
    count = len(examples.texts)
    rows = np.arange(count, dtype=np.int64)
    if count > most:
        rows = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    texts = take_texts(examples.texts, rows) if count > most else list(examples.texts)
    labels = [examples.labels[row] for row in rows.tolist()] if count > most else list(examples.labels)
    ids, offsets = counter.add(texts)
    targets, unknown = task.encode_all(labels)
    return Part(name, rows, texts, labels, ids, offsets, targets, unknown)
