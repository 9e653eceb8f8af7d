"""The linear model, trained again and again on parts of the same texts, which are read once.

Who checks labels asks what a model says of texts that it has not learned. That takes a training for each fold of the
texts, and reading takes as long as learning. So here the n-grams of all texts are counted and looked up once, and each
training only weighs them anew. It weighs them by its own texts alone, so it learns what `train_linear` learns from
these texts, and knows nothing of the others. It keeps all features, of which `train_linear` drops a quarter.

    features = Features.read(task, texts, targets)
    logits = features.out_of_sample(folds=5, seed=0)
    fitted = features.fit(rows)
    features.logits(fitted, others)

Letters: N texts, R rows of them, F features, C classes, M machines.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.config.groups import DataSettings
from rubrica.corpus.held_out import split_folds, text_keys
from rubrica.data.stored_texts import take_texts
from rubrica.kernels import native
from rubrica.kernels.linear import Entries, count_classes, descend, scores
from rubrica.learning.linear import (
    TOLERANCE,
    least_texts,
    number_features,
    start_machines,
    take_features,
    weigh_by_information,
    weigh_by_rarity,
)
from rubrica.models.linear import Linear, both_signs
from rubrica.progress import progress_bar
from rubrica.scoring.task import Floats, Rows, Targets, Task
from rubrica.text.batching import iter_rows
from rubrica.text.ngrams import DocumentCounter, count_features, index_keys, weigh_features

FOLDS = 5
"""A model learns four fifths of the texts. Ten folds take twice the time and find hardly more."""

_STRETCH = 1 << 10  # texts that are strings at a time, and whose numbers stay in the processor's cache
_FEATURES = 1 << 14  # whose odds are computed at a time
_SEEN = 3  # texts, spread over the classes like all: as if each feature had been seen in so many more
_AT_ONCE = 2  # folds; each has its own numbers of all features, 170 MB for 75,000 news texts
_PASSES = 20  # over the texts at most; the descent mostly ends after 5 to 10


class Fitted(NamedTuple):
    """What a training learned.

    Args:
        entries: The features of all N texts as this training weighs them.
        table: The weights of the machines, (F, M).
        bias: Their intercepts, (M,).
        odds: How much more frequent each class is among the texts with a feature than among all, as a logarithm,
            (F, C).
    """

    entries: Entries
    table: NDArray[np.float32]
    bias: NDArray[np.float32]
    odds: NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """The n-grams of N texts, looked up and counted.

    Args:
        task: What the targets mean.
        targets: Of the N texts; `dataclasses.replace` gives the same texts others.
        keys: The same number for near-duplicates, see `held_out.py`, (N,).
        model: The settings.
        entries: The features of each text; their values are 1 + ln(how often it occurs). Between two texts there may be
            room, filled with zeros.
        words: How many of a text's features are words', which come first, (N,).
        num_features: F.
    """

    task: Task
    targets: Targets
    keys: Rows
    model: Linear
    entries: Entries
    words: NDArray[np.int32]
    num_features: int

    @classmethod
    def read(
        cls,
        task: Task,
        texts: Sequence[str],
        targets: Targets,
        rows: Rows | None = None,
        *,
        model: Linear | None = None,
        data: DataSettings | None = None,
        title: str = "reading",
    ) -> "Features":
        """Read all texts, or some rows of them in ascending order; `targets` has one for each text that is read.

        It takes 8 bytes for each feature of each text: 340 MB for 75,000 news texts.
        """
        model, rows = model or Linear(), np.arange(len(texts)) if rows is None else rows
        ngrams, threads = model.ngrams(data or DataSettings()), native.num_threads()
        counter, keys, sizes = DocumentCounter(ngrams, threads), [], []
        parts = list(iter_rows(rows, _STRETCH))
        with progress_bar(title, 2 * len(parts)) as advance:
            for part in parts:
                taken = take_texts(texts, part)
                keys.append(text_keys(len(taken), [taken]))
                sizes.append(counter.add(taken))
                advance("")
            found, documents = take_features(counter, 1, task)
            index = index_keys(found, number_features(found, documents, len(rows))[0])
            room = np.concatenate([np.zeros(1, np.int64), *sizes])
            ends, total = np.cumsum(room), int(room.sum())
            values, words = np.zeros(total, np.float32), np.zeros(len(rows), np.int32)
            entries = Entries(ends[:-1], np.zeros(len(rows), np.int32), np.zeros(total, np.uint32), values)
            for turn, part in enumerate(parts):
                here, taken = slice(turn * _STRETCH, turn * _STRETCH + len(part)), take_texts(texts, part)
                into = entries._replace(places=entries.places[here], sizes=entries.sizes[here])
                count_features(taken, ngrams, index, threads, into, words[here])
                advance("")
        return cls(task, targets, np.concatenate(keys), model, entries, words, len(found))

    def fit(
        self,
        rows: Rows,
        *,
        cost: float | None = None,
        seed: int = 0,
        tolerance: float = TOLERANCE,
        passes: int = _PASSES,
    ) -> Fitted:
        """Train on some rows.

        Args:
            rows: Which, (R,).
            cost: What an error costs, in place of the one of the settings.
            seed: Of the order of the texts.
            tolerance: The largest projected gradient at which the descent ends.
            passes: Over the texts at most.
        """
        targets, threads = self.targets[rows], native.num_threads()
        costs = np.full(len(rows), self.model.cost if cost is None else cost, np.float32)
        weights, odds = self._count(rows)
        entries = self._weigh(weights)
        machines = start_machines(self.task, targets, self.num_features, costs)
        own = _take(entries, rows)
        order, generator = np.arange(len(rows)), np.random.default_rng(seed)
        for _ in range(passes):
            generator.shuffle(order)
            if descend(machines, own, order, threads) <= tolerance:
                break
        columns = self.task.num_machines
        table = np.concatenate(list(machines.weights), axis=1)[:, :columns]
        return Fitted(entries, np.ascontiguousarray(table), machines.biases.reshape(-1)[:columns].copy(), odds)

    def logits(self, fitted: Fitted, rows: Rows) -> Floats:
        """What a training says of some rows, (R, C)."""
        return both_signs(scores(_take(fitted.entries, rows), fitted.table, fitted.bias, native.num_threads()))

    def odds(self, fitted: Fitted, rows: Rows) -> Floats:
        """What the shares of the classes among the texts with each feature say of some rows, (R, C).

        It is a naive Bayes on weighed features, a second opinion that costs little: it is wrong about other texts than
        the machines are, and it does not follow a wrong label as they do.
        """
        nothing = np.zeros(self.task.num_classes, np.float32)
        return scores(_take(fitted.entries, rows), fitted.odds, nothing, native.num_threads())

    def out_of_sample(
        self, rows: Rows | None = None, *, folds: int = FOLDS, seed: int = 0, cost: float | None = None
    ) -> Floats:
        """The `logits` of each row by a model that learned the other folds, (R, C); 0 where there are no others.

        Args:
            rows: Which, (R,); None takes all texts.
            folds: How many; of fewer different texts, a fold for each.
            seed: Of the folds and of the trainings.
            cost: See `fit`.
        """
        return self.second_opinions(rows, folds=folds, seed=seed, cost=cost)[0]

    def second_opinions(
        self,
        rows: Rows | None = None,
        *,
        folds: int = FOLDS,
        seed: int = 0,
        cost: float | None = None,
        title: str = "cross-validation",
    ) -> tuple[Floats, Floats]:
        """The `logits` and the `odds` of each row by a model that learned the other folds, see `out_of_sample`."""
        rows = np.arange(len(self.targets)) if rows is None else rows
        places = self.folds(rows, folds, seed)
        found = np.zeros((2, len(rows), self.task.num_classes), np.float32)

        def answer(fold: int) -> None:
            held = places == fold
            if not held.all():
                fitted = self.fit(rows[~held], cost=cost, seed=seed)
                found[0, held] = self.logits(fitted, rows[held])
                found[1, held] = self.odds(fitted, rows[held])

        count = int(places.max(initial=0)) + 1
        with progress_bar(title, count) as advance, ThreadPoolExecutor(min(_AT_ONCE, native.num_threads())) as pool:
            try:
                for _ in pool.map(answer, range(count)):
                    advance("")
            except BaseException:  # Ctrl-C: the folds that have begun end, the others do not begin
                pool.shutdown(cancel_futures=True)
                raise
        return found[0], found[1]

    def folds(self, rows: Rows, folds: int = FOLDS, seed: int = 0) -> Rows:
        """The fold of each row, (R,), see `split_folds`."""
        counts = self.task.class_counts(self.targets)
        return split_folds(self.task, self.targets[rows], self.keys[rows], folds, seed, counts)

    def _count(self, rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How much each feature counts, (F,), and the `odds` of the classes, (F, C), by the texts that are learned.

        A feature that is in too few of them does not count.
        """
        documents = np.zeros((self.num_features, 1), np.uint32)
        count_classes(self.entries, rows, np.zeros(len(rows), np.int64), documents)
        counts = np.zeros((self.num_features, self.task.num_classes), np.uint32)
        owners, classes = self.task.pairs(self.targets[rows])
        count_classes(self.entries, rows[owners], classes, counts)
        shares = np.bincount(classes, minlength=self.task.num_classes) / len(rows)
        weights = weigh_by_rarity(documents[:, 0], len(rows))
        if self.model.class_information:
            weights *= weigh_by_information(self.task, counts, documents[:, 0], shares)
        known = documents[:, 0] >= least_texts(len(rows))
        weights[~(known if known.any() else documents[:, 0] > 0)] = 0
        odds = np.empty(counts.shape, np.float32)
        prior = np.maximum(shares, 1 / (len(rows) + 1)).astype(np.float32)  # a class without texts is not impossible
        for first in range(0, len(odds), _FEATURES):
            here = slice(first, first + _FEATURES)
            smoothed = (counts[here] + _SEEN * prior) / (documents[here] + np.float32(_SEEN))
            np.log(smoothed / prior, out=odds[here])
        return weights, odds

    def _weigh(self, weights: NDArray[np.float32]) -> Entries:
        """The features of all texts, each block with an L2 norm of 1, or 0 where no feature of it counts."""
        entries = self.entries._replace(values=self.entries.values.copy())
        weigh_features(entries, self.words, weights, native.num_threads())
        return entries


def _take(entries: Entries, rows: Rows) -> Entries:
    """The entries of some rows."""
    return entries._replace(places=entries.places[rows], sizes=entries.sizes[rows])
