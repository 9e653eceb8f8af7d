"""fastText's model at work: texts to labels, scores, vectors and rows; native, or by the rule itself.

Source: facebookresearch/fastText 0.9.3. The order of all additions and of labels with equal scores is its order too.
Departures: a text is read to its end, a line feed inside it is white space and its end counts as the end of the line;
a product that is not a number makes a score of 0, where fastText throws.

Letters: N texts, V words, L labels, D numbers in a row.
"""

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import RubricaError
from rubrica.kernels import native
from rubrica.kernels.border import bind, call
from rubrica.kernels.fasttext_rules import (
    END,
    LOSSES,
    Best,
    Rules,
    Tensors,
    Texts,
    fault_of,
    is_label,
    pack,
    runs_of,
    split,
)

_BYTES_PER_THREAD = 1 << 15  # of texts; a thread reads them in 0.2 ms, fewer are not worth waking one


class Engine:
    """A model that answers.

    Args:
        rules: How it reads and scores.
        tensors: See `models/fasttext.py`. The native core reads them where they lie; the engine keeps them alive.

    Raises:
        RubricaError: If tensors and rules do not fit, so that a text could read beyond an array.
    """

    def __init__(self, rules: Rules, tensors: Tensors) -> None:
        if problem := fault_of(rules, tensors):
            raise RubricaError(f"{problem}; the model is damaged, save or convert it anew")
        self.rules, self.tensors = rules, tensors
        self.num_labels = len(tensors["dictionary.ends"]) - rules.num_words
        side = "codes" if rules.input_dsub else "weight"
        self.num_rows = len(tensors[f"input.{side}"])
        self.embedding_dim = rules.embedding_dim
        self._twin = None
        if native.library() is None:
            from rubrica.kernels.fasttext_twin import Twin

            self._twin = Twin(rules, tensors)
            return
        self._handle = call("fasttext_open", *_arguments(rules, tensors))
        weakref.finalize(self, bind("fasttext_close"), (self._handle,))

    def best(self, texts: Texts, k: int, threshold: float = 0.0) -> Best:
        """The best labels of each text, as fastText's `predict` gives them.

        Args:
            texts: N texts.
            k: Labels of a text at most; -1: all.
            threshold: The least score of a label.

        Raises:
            ValueError: If k is 0 or below -1, or the model has no labels.
        """
        if not self.rules.supervised:
            raise ValueError("a model of word vectors has no labels to answer with; give a supervised model")
        if k < 1 and k != -1:
            raise ValueError(f"k is {k}, expected at least 1, or -1 for all labels")
        k = self.num_labels if k == -1 else min(k, self.num_labels)
        threshold = min(max(float(threshold), -1e300), 1e300)
        if self._twin is not None:
            return self._twin.best(texts, k, threshold)
        count = len(texts[1])
        labels, scores = np.empty((count, k), np.int32), np.empty((count, k), np.float32)
        counts = np.empty(count, np.int32)
        self._call("fasttext_best", texts, k, threshold, labels, scores, counts)
        return Best(labels, scores, counts)

    def scores(self, texts: Texts) -> NDArray[np.float32]:
        """The score (N, L) of each label, as `best` gives it; zeros for a text without rows."""
        if not self.rules.supervised:
            raise ValueError("a model of word vectors has no labels to score; give a supervised model")
        if self._twin is not None:
            return self._twin.scores(texts)
        scores = np.empty((len(texts[1]), self.num_labels), np.float32)
        self._call("fasttext_scores", texts, self.num_labels, scores)
        return scores

    def sentence_vectors(self, texts: Texts) -> NDArray[np.float32]:
        """The vector (N, D) of each text; zeros for a text without rows."""
        return self._vectors(texts, words=False)

    def word_vectors(self, words: Texts) -> NDArray[np.float32]:
        """The vector (N, D) of each word: its row and those of its runs of characters; zeros where it has none."""
        return self._vectors(words, words=True)

    def _vectors(self, texts: Texts, *, words: bool) -> NDArray[np.float32]:
        if self._twin is not None:
            return self._twin.vectors(texts, words=words)
        vectors = np.empty((len(texts[1]), self.embedding_dim), np.float32)
        self._call("fasttext_vectors", texts, self.embedding_dim, vectors, first=(int(words),))
        return vectors

    def line(self, text: bytes) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The rows of a text in their order, and its labels by number."""
        if self._twin is not None:
            return self._twin.line(text)
        data, found = np.frombuffer(text, np.uint8), np.zeros(1, np.int64)
        empty = np.empty(0, np.int32)
        count = call("fasttext_rows", self._handle, 0, len(data), data, 0, empty, 0, empty, found)
        rows, labels = np.empty(count, np.int32), np.empty(int(found[0]), np.int32)
        call("fasttext_rows", self._handle, 0, len(data), data, count, rows, len(labels), labels, found)
        return rows, labels

    def words_of(self, text: bytes) -> tuple[list[bytes], list[bytes]]:
        """The words of a text, the end of its line among them, and the labels that the model knows."""
        tokens = split(text)
        ids = self.ids_of(tokens).tolist()
        words, labels = [], []
        for token, i in zip(tokens, ids, strict=True):
            if i >= self.rules.num_words:
                labels.append(token)
            elif i >= 0 or not is_label(token, self.rules):
                words.append(token)
        return words, labels

    def ids_of(self, words: Sequence[bytes]) -> NDArray[np.int32]:
        """The number (N,) of each word or label in the dictionary, labels from V on; -1 where it is not there."""
        if self._twin is not None:
            return self._twin.ids_of(words)
        data, starts, ends = pack(words)
        ids = np.empty(len(words), np.int32)
        call("fasttext_find", self._handle, len(words), len(data), data, starts, ends, ids)
        return ids

    def word_id(self, word: bytes) -> int:
        """The number of a word or label in the dictionary, labels from V on; -1 where it is not there."""
        return int(self.ids_of([word])[0])

    def subword_id(self, subword: bytes) -> int:
        """The row that a run of characters is hashed into, as if no bucket had been pruned.

        Raises:
            ValueError: If the model has no buckets.
        """
        from rubrica.kernels.fasttext_rules import hash_of

        if not self.rules.num_buckets:
            raise ValueError("the model has no rows for runs of characters; train one with min_n and max_n")
        return self.rules.num_words + hash_of(subword) % self.rules.num_buckets

    def subwords(self, word: bytes) -> tuple[list[bytes], NDArray[np.int32]]:
        """The word, if it is known, and its runs of characters; and their rows. Pruned runs have no row."""
        i = self.word_id(word)
        known = [i] if i >= 0 else []
        if word == END:
            return [word] * len(known), np.array(known, np.int32)
        runs = runs_of(word, self.rules.min_n, self.rules.max_n)
        rows = self.rules.rows_of_runs(runs, self.tensors)
        return [word] * len(known) + runs, np.array(known + rows, np.int32)

    def _call(self, name: str, texts: Texts, *rest: Any, first: tuple[int, ...] = ()) -> None:
        data, starts, ends = texts
        useful = len(data) // _BYTES_PER_THREAD
        threads = 1 if useful < 2 else min(native.num_threads(), useful)
        if call(name, self._handle, threads, *first, len(starts), len(data), data, starts, ends, *rest):
            raise IndexError(f"a text does not lie within its {len(data)} bytes")


def _arguments(rules: Rules, tensors: Tensors) -> list[Any]:
    """What `fasttext_open` takes, see `signatures.py`."""
    prefix = np.frombuffer(rules.label_prefix, np.uint8)
    names, ends, counts = (tensors[f"dictionary.{name}"] for name in ("bytes", "ends", "counts"))
    buckets, rows = tensors["prune.buckets"], tensors["prune.rows"]
    arguments = [
        rules.min_n, rules.max_n, rules.word_ngrams, rules.num_buckets, LOSSES.index(rules.loss),
        int(rules.supervised), int(rules.pruned), len(prefix), prefix, rules.num_words, len(ends) - rules.num_words,
        len(names), names, ends, counts, len(buckets), buckets, rows,
        *(len(tensors[f"{side}.{'codes' if dsub else 'weight'}"]) for side, dsub in rules.sides), rules.embedding_dim,
    ]  # fmt: skip
    kinds = ("weight", "codes", "centroids", "norm_codes", "norm_centroids")
    for side, dsub in rules.sides:
        found = [tensors.get(f"{side}.{name}") for name in kinds]
        arguments += [found[1].shape[1] if found[1] is not None else 0, dsub, *found]
    return arguments
