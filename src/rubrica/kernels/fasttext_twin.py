"""fastText's answers in numpy and Python: what native/fasttext_model.cpp and fasttext_answers.cpp do, word by word.

The heap is libstdc++'s, since its order is the order of labels with equal scores; Python's own differs.

Letters: N texts, V words, L labels, D numbers in a row.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels.fasttext_rules import END, Best, Rules, Tensors, Texts, hash_of, is_label, runs_of, split

Floats = NDArray[np.float32]
Found = tuple[np.float32, int]
"""The logarithm of a score, and its label."""

_TEXTS = 256  # at a time: their products with all labels are in memory together
_KNOWN = 1 << 16  # words whose rows are remembered
_RUN_FACTOR, _MASK = 116049371, (1 << 64) - 1
_quiet = np.errstate(over="ignore", invalid="ignore")  # the native core warns of no overflow either


class Twin:
    """A model that answers, many times slower than the native core."""

    def __init__(self, rules: Rules, tensors: Tensors) -> None:
        self.rules, self.tensors = rules, tensors
        self.num_labels = len(tensors["dictionary.ends"]) - rules.num_words
        self._known: dict[bytes, list[int]] = {}

    @cached_property
    def _index(self) -> dict[bytes, int]:
        names, ends = self.tensors["dictionary.bytes"].tobytes(), self.tensors["dictionary.ends"].tolist()
        starts = [0, *ends[:-1]]
        return {names[start:end]: i for i, (start, end) in enumerate(zip(starts, ends, strict=True))}

    @cached_property
    def _output(self) -> Floats:
        return take(self.rules, self.tensors, "output", np.arange(self.num_labels))[0]

    def ids_of(self, words: Sequence[bytes]) -> NDArray[np.int32]:
        """See `Engine.ids_of`."""
        return np.array([self._index.get(word, -1) for word in words], np.int32)

    def line(self, text: bytes) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """See `Engine.line`."""
        rows: list[int] = []
        labels, hashes = [], []
        for token in split(text):
            i = self._index.get(token, -1)
            if i >= self.rules.num_words:
                labels.append(i - self.rules.num_words)
            elif i >= 0 or not is_label(token, self.rules):
                rows += self._rows_of_word(token, i)
                hashes.append(hash_of(token))
        rows += self._rows_of_ngrams(hashes)
        return np.array(rows, np.int32), np.array(labels, np.int32)

    def _rows_of_word(self, word: bytes, i: int) -> list[int]:
        found = self._known.get(word)
        if found is None:
            found = [i] if i >= 0 else []
            if self.rules.max_n and word != END:
                runs = runs_of(word, self.rules.min_n, self.rules.max_n)
                found += self.rules.rows_of_runs(runs, self.tensors)
            if len(self._known) < _KNOWN:
                self._known[word] = found
        return found

    def _rows_of_ngrams(self, hashes: list[int]) -> list[int]:
        if self.rules.word_ngrams < 2 or not self.rules.hashes(self.tensors):
            return []
        buckets = [bucket for _, _, bucket in runs_of_words(hashes, self.rules)]
        return self.rules.rows_of(buckets, self.tensors)

    def _mean(self, rows: NDArray[np.int32]) -> Floats:
        if not len(rows):
            return np.zeros(self.rules.embedding_dim, np.float32)
        taken, norms = take(self.rules, self.tensors, "input", rows)
        if norms is not None:
            taken *= norms[:, None]
        return np.asarray(np.cumsum(taken, axis=0)[-1] * np.float32(1.0 / len(rows)))

    @_quiet
    def vectors(self, texts: Texts, *, words: bool) -> Floats:
        """See `Engine.sentence_vectors` and `Engine.word_vectors`."""
        found = np.zeros((len(texts[1]), self.rules.embedding_dim), np.float32)
        make = self._word_vector if words else self._sentence_vector
        for row, text in zip(found, _each(texts), strict=True):
            row[:] = make(text)
        return found

    def _word_vector(self, word: bytes) -> Floats:
        rows = self._rows_of_word(word, self._index.get(word, -1))
        return self._mean(np.array([row for row in rows if row < self._num_rows], np.int32))

    @property
    def _num_rows(self) -> int:
        return len(self.tensors["input.codes" if self.rules.input_dsub else "input.weight"])

    def _sentence_vector(self, text: bytes) -> Floats:
        if self.rules.supervised:
            return self._mean(self.line(text)[0])
        total, count = np.zeros(self.rules.embedding_dim, np.float32), 0
        for word in text.split():  # zero is no white space here
            vector = self._word_vector(word)
            norm = np.sqrt(np.cumsum(vector * vector)[-1])
            if norm > 0:
                total += vector * np.float32(1.0 / float(norm))
                count += 1
        return np.asarray(total * np.float32(1.0 / count)) if count else total

    def _means(self, texts: Texts) -> Iterator[tuple[slice, Floats, NDArray[np.bool_]]]:
        """Some texts at a time: which, their means, and whether they have rows at all."""
        found = list(_each(texts))
        for first in range(0, len(found), _TEXTS):
            rows = [self.line(text)[0] for text in found[first : first + _TEXTS]]
            means = np.stack([self._mean(mine) for mine in rows])
            yield slice(first, first + len(rows)), means, np.array([len(mine) > 0 for mine in rows])

    @_quiet
    def scores(self, texts: Texts) -> Floats:
        """See `Engine.scores`."""
        found = np.zeros((len(texts[1]), self.num_labels), np.float32)
        for which, means, there in self._means(texts):
            if self.rules.loss != "hs":
                found[which] = exp_of(log_of(self._flat(means)))
            else:
                for row, mean in zip(found[which], means, strict=True):
                    leaves: list[Found] = []
                    self._descend(mean, lambda _: True, leaves.append)
                    row[[label for _, label in leaves]] = exp_of(np.array([score for score, _ in leaves], np.float32))
            found[which][~there] = 0
        return found

    @_quiet
    def best(self, texts: Texts, k: int, threshold: float) -> Best:
        """See `Engine.best`."""
        count = len(texts[1])
        best = Best(np.full((count, k), -1, np.int32), np.zeros((count, k), np.float32), np.zeros(count, np.int32))
        least = np.float32(threshold)
        for which, means, there in self._means(texts):
            flat = self._flat(means) if self.rules.loss != "hs" else means
            for place, row, has_rows in zip(range(which.start, which.stop), flat, there, strict=True):
                if not has_rows:
                    continue
                heap = self._best_of_tree(row, k, least) if self.rules.loss == "hs" else best_of(row, k, least)
                best.counts[place] = len(heap)
                best.labels[place, : len(heap)] = [label for _, label in heap]
                best.scores[place, : len(heap)] = exp_of(np.array([score for score, _ in heap], np.float32))
        return best

    def _flat(self, means: Floats) -> Floats:
        """The scores (N, L) of all labels, before the logarithm; the sums go through D in order."""
        products = np.zeros((len(means), self.num_labels), np.float32)
        for j in range(self.rules.embedding_dim):
            products += means[:, j, None] * self._output[:, j]
        norms = self._norms
        if norms is not None:
            products *= norms
        if self.rules.loss == "softmax":
            raised = exp_of(products - products.max(axis=1, keepdims=True))
            sums = np.cumsum(raised, axis=1)[:, -1:]
            return np.where(sums > 0, raised / sums, np.float32(0))  # NaN if a product is none or infinite
        within = np.fmin(np.fmax(products, -8), 8)  # NaN has no place, and a score of 0
        places = ((within + 8) * 512 / 8 / 2).astype(np.int64)
        return np.where(products > 8, np.float32(1), np.where(products >= -8, _SIGMOIDS[places], np.float32(0)))

    @cached_property
    def _norms(self) -> Floats | None:
        norms = self.tensors.get("output.norm_centroids") if self.rules.output_dsub else None
        return None if norms is None else norms[self.tensors["output.norm_codes"]]

    def _best_of_tree(self, mean: Floats, k: int, threshold: np.float32) -> list[Found]:
        heap: list[Found] = []
        least = np.float32(np.log(float(threshold) + 1e-5))  # NaN of a negative threshold: nothing is below it

        def enter(score: np.float32) -> bool:
            return not score < least and not (len(heap) == k and score < heap[0][0])

        self._descend(mean, enter, lambda found: offer(heap, k, found))
        return sort_heap(heap)

    def _descend(self, mean: Floats, enter: Callable[[np.float32], bool], found: Callable[[Found], None]) -> None:
        stack: list[Found] = [(np.float32(0), len(self._tree) - 1)]
        one = np.float32(1)
        while stack:
            score, place = stack.pop()
            if not enter(score):
                continue
            if place < self.num_labels:
                found((score, place))
                continue
            row = place - self.num_labels
            product = np.cumsum(self._output[row] * mean)[-1]
            if self._norms is not None:
                product *= self._norms[row]
            right = np.float32(1.0 / float(one + exp_of(-product)))
            left_node, right_node = self._tree[place]
            stack.append((score + np.float32(log_of(right)), right_node))
            stack.append((score + np.float32(log_of(np.float32(1.0 - float(right)))), left_node))

    @cached_property
    def _tree(self) -> list[tuple[int, int]]:
        return make_tree(self.tensors["dictionary.counts"][self.rules.num_words :].tolist())


def take(rules: Rules, tensors: Tensors, side: str, rows: NDArray[np.integer]) -> tuple[Floats, Floats | None]:
    """Rows of the matrix "input" or "output" without their norms, and the norms."""
    dsub, numbers = dict(rules.sides)[side], rules.embedding_dim
    if not dsub:
        return np.asarray(tensors[f"{side}.weight"][rows], np.float32), None
    codes, centroids = tensors[f"{side}.codes"][rows], np.asarray(tensors[f"{side}.centroids"])
    taken = np.empty((len(rows), numbers), np.float32)
    for part, first in enumerate(range(0, numbers, dsub)):
        width = min(dsub, numbers - first)
        of_part = centroids[256 * first : 256 * (first + width)].reshape(256, width)
        taken[:, first : first + width] = of_part[codes[:, part]]
    norm_codes = tensors.get(f"{side}.norm_codes")
    return taken, None if norm_codes is None else tensors[f"{side}.norm_centroids"][norm_codes[rows]]


def runs_of_words(hashes: Sequence[int], rules: Rules) -> Iterator[tuple[int, int, int]]:
    """Each run of two words and more, of words by their hashes: its first word, its length, its bucket."""
    signed = list(map(_signed, hashes))
    for first, mixed in enumerate(signed):
        for length, other in enumerate(signed[first + 1 : first + rules.word_ngrams], 2):
            mixed = (mixed * _RUN_FACTOR + other) & _MASK
            yield first, length, mixed % rules.num_buckets


def make_tree(counts: Sequence[int]) -> list[tuple[int, int]]:
    """The two children of each node, labels (which have none) first; the last one is the root."""
    labels = len(counts)
    sums = [*counts, *[10**15] * (labels - 1)]  # the count of a node that is not there yet
    tree = [(-1, -1)] * labels
    leaf, node = labels - 1, labels
    for i in range(labels, 2 * labels - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and sums[leaf] < sums[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        tree.append((pair[0], pair[1]))
        sums[i] = sums[pair[0]] + sums[pair[1]]
    return tree


def log_of(scores: Floats | np.float32) -> Floats:
    """The logarithm of scores with 1e-5 added; NaN counts as 0."""
    return np.log(np.fmax(np.asarray(scores, np.float64), 0) + 1e-5).astype(np.float32)


def exp_of(x: Floats | np.float32) -> Floats:
    """The exponentials as the C library rounds them; numpy's of float32 differ from its in the last bit."""
    with np.errstate(over="ignore"):
        return np.exp(np.asarray(x, np.float64)).astype(np.float32)


def best_of(scores: Floats, k: int, threshold: np.float32) -> list[Found]:
    """The k best labels, best first."""
    heap: list[Found] = []
    logs = log_of(scores)
    for label in np.flatnonzero(~(scores < threshold)).tolist():
        if not (len(heap) == k and logs[label] < heap[0][0]):
            offer(heap, k, (logs[label], label))
    return sort_heap(heap)


def offer(heap: list[Found], k: int, found: Found) -> None:
    """Put a label into the heap, whose first is the worst, and take out the worst of more than k."""
    heap.append(found)
    _rise(heap, len(heap) - 1, found)
    if len(heap) > k:
        _pop(heap, len(heap) - 1)
        heap.pop()


def sort_heap(heap: list[Found]) -> list[Found]:
    """The heap, best first."""
    for last in range(len(heap) - 1, 0, -1):
        _pop(heap, last)
    return heap


def _rise(heap: list[Found], hole: int, found: Found) -> None:
    while hole > 0 and heap[(hole - 1) // 2][0] > found[0]:
        heap[hole] = heap[(hole - 1) // 2]
        hole = (hole - 1) // 2
    heap[hole] = found


def _pop(heap: list[Found], last: int) -> None:
    """Move the first to `last`; what stood there sinks into the heap before it."""
    found, heap[last] = heap[last], heap[0]
    hole = child = 0
    while child < (last - 1) // 2:
        child = 2 * (child + 1)
        if heap[child][0] > heap[child - 1][0]:
            child -= 1
        heap[hole] = heap[child]
        hole = child
    if last % 2 == 0 and child == (last - 2) // 2:
        heap[hole] = heap[2 * child + 1]
        hole = 2 * child + 1
    _rise(heap, hole, found)


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _each(texts: Texts) -> Iterator[bytes]:
    data, starts, ends = texts
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield data[start:end].tobytes()


def _make_sigmoids() -> Floats:
    x = np.arange(513, dtype=np.float32) * np.float32(16) / np.float32(512) - np.float32(8)
    return (1.0 / (1.0 + exp_of(-x).astype(np.float64))).astype(np.float32)


_SIGMOIDS = _make_sigmoids()
