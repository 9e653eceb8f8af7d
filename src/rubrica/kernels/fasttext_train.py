"""fastText's training: what it starts from, and stochastic gradient descent on some lines.

Everything is done by `native/fasttext_train.cpp` and `native/fasttext_start.cpp`; there is no numpy twin.

Letters: N lines, V words, L labels, U tokens, C outputs (labels, or the words of an unsupervised model), D numbers in a
row, R input rows, P buckets that a pruned model kept.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import RubricaError
from rubrica.kernels.border import call
from rubrica.kernels.fasttext_rules import LOSSES
from rubrica.kernels.fasttext_words import Lines, Words

KINDS = ("supervised", "skipgram", "cbow")


class Reading(NamedTuple):
    """How tokens become input rows.

    Args:
        min_n: The shortest run of characters that has a row.
        max_n: The longest; 0 reads no characters.
        word_ngrams: The longest run of words that has a row.
        num_buckets: Rows that runs are hashed into.
        pruned: The buckets that are left, sorted, and their rows, counted from V; each (P,). None if all are.
    """

    min_n: int
    max_n: int
    word_ngrams: int
    num_buckets: int
    pruned: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None


class Asking(NamedTuple):
    """What is asked about a hidden vector.

    Args:
        kind: One of `KINDS`.
        loss: One of `LOSSES`; each output by itself ("ova") is for supervised models alone.
        counts: How often each output occurs, (C,), for "ns" and "hs".
        negatives: Outputs that are drawn against each right one, for "ns".
        window: Words on each side, at most, for unsupervised models.
        keep: The share of each word's places that is kept, (V,), for unsupervised models.
    """

    kind: str
    loss: str
    counts: NDArray[np.int64]
    negatives: int = 0
    window: int = 1
    keep: NDArray[np.float32] | None = None


class Lesson(NamedTuple):
    """Which lines are learned from, and when in the whole training.

    Args:
        order: Their numbers.
        visit: Lines that were visited before.
        seen: Tokens that were read before.
        total: Tokens that are read in the whole training; with them the step size has fallen to zero.
        lr: The step size at the start of the training.
        batch_size: Examples whose hidden vectors do not see each other's steps.
        seed: What is drawn follows from it, and from the number of the visit.
    """

    order: NDArray[np.int64]
    visit: int
    seen: float
    total: float
    lr: float
    batch_size: int
    seed: int


def draw_uniform(shape: tuple[int, int], bound: float, seed: int, *, threads: int = 1) -> NDArray[np.float32]:
    """A matrix from U(-bound, bound), the same for any number of threads."""
    matrix = np.empty(shape, np.float32)
    call("fasttext_uniform", threads, matrix.size, seed, bound, matrix)
    return matrix


class Trainer:
    """The lines of a training, ready to be learned from.

    Args:
        words: The tokens.
        lines: The lines in their numbers.
        reading: How tokens become rows.
        asking: What is asked.
    """

    def __init__(self, words: Words, lines: Lines, reading: Reading, asking: Asking) -> None:
        self._words, self._lines, self._reading, self._asking = words, lines, reading, asking
        num_words, num_labels, num_rare = words.num_words, words.num_labels, words.num_rare
        self._pruned = reading.pruned or (None, None)
        num_pruned = 0 if reading.pruned is None else len(reading.pruned[0])
        sizes = (len(words.ends), num_words, num_labels, num_words + num_labels + num_rare)
        self.row_starts = np.empty(len(words.ends) + 1, np.int64)
        arguments = (
            *sizes, reading.min_n, reading.max_n, reading.num_buckets, num_pruned, words.names, words.ends,
            *self._pruned, self.row_starts,
        )  # fmt: skip
        self.rows = np.empty(call("fasttext_token_rows", *arguments, None), np.int32)
        call("fasttext_token_rows", *arguments, self.rows)
        self._sizes, self._num_pruned = sizes, num_pruned
        self._shares = self._aliases = self._path_starts = self._paths = None
        count = len(asking.counts)
        if asking.loss == "ns":
            self._shares, self._aliases = np.empty(count, np.float32), np.empty(count, np.int32)
            call("fasttext_aliases", count, np.sqrt(asking.counts.astype(np.float64)), self._shares, self._aliases)
        if asking.loss == "hs":
            self._path_starts = np.empty(count + 1, np.int64)
            self._paths = np.empty(call("fasttext_tree", count, asking.counts, self._path_starts, None), np.int32)
            call("fasttext_tree", count, asking.counts, self._path_starts, self._paths)

    def learn(
        self, input_weight: NDArray[Any], output_weight: NDArray[Any], lesson: Lesson, *, threads: int = 1
    ) -> tuple[float, int]:
        """Learn from some lines, in their order; both matrices move in place.

        Args:
            input_weight: (R, D).
            output_weight: (C, D).
            lesson: Which lines, and how.
            threads: How many; the same number gives the same bits.

        Returns:
            The sum of the losses, each before its own step, and how many there are.

        Raises:
            IndexError: If a line or a row that is needed does not exist.
            RubricaError: If the system grants fewer threads.
        """
        order, lines, asking = lesson.order, self._lines, self._asking
        num_lines = len(lines.starts) - 1
        if len(order) and not 0 <= order.min() <= order.max() < num_lines:
            raise IndexError(f"lines from {order.min()} to {order.max()}, expected 0 to {num_lines - 1}")
        least = self._least_rows()
        if len(input_weight) < least or len(output_weight) != len(asking.counts):
            raise IndexError(
                f"matrices of {len(input_weight)} and {len(output_weight)} rows, expected {least} or more"
                f" and {len(asking.counts)}"
            )
        outcome = np.empty(2)
        failed = call("fasttext_learn",
            threads, KINDS.index(asking.kind), LOSSES.index(asking.loss), num_lines, *self._sizes,
            len(input_weight), *output_weight.shape, self._reading.word_ngrams, self._reading.num_buckets,
            self._num_pruned, *lines, self._words.hashes, self.row_starts, self.rows, *self._pruned,
            asking.window, asking.negatives, asking.keep, self._shares, self._aliases, self._path_starts, self._paths,
            len(order), order, lesson.visit, lesson.seen, lesson.total, lesson.lr, lesson.batch_size, lesson.seed,
            input_weight, output_weight, outcome,
        )  # fmt: skip
        if failed:
            raise RubricaError(f"the system did not start {threads} threads; set RUBRICA_THREADS=1")
        return float(outcome[0]), int(outcome[1])

    def _least_rows(self) -> int:
        """The fewest input rows with which no row lies beyond the matrix."""
        reading = self._reading
        if not (reading.max_n or (reading.word_ngrams > 1 and self._asking.kind == "supervised")):
            return self._words.num_words
        if reading.pruned is None:
            return self._words.num_words + reading.num_buckets
        return self._words.num_words + int(reading.pruned[1].max(initial=-1)) + 1
