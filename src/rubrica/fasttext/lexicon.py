r"""What a model of fastText's knows of words: its words and labels, their numbers, runs of characters and vectors.

Source: fastText 0.9.3, python/fasttext_module/fasttext/FastText.py and src/fasttext.cc.

Letters: V words, D numbers in a vector.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.fasttext.arguments import typed
from rubrica.fasttext.lines import encode, pack_one
from rubrica.fasttext.names import Names
from rubrica.fasttext.neighbours import nearest_words, normalise
from rubrica.kernels.fasttext import Engine
from rubrica.kernels.fasttext_rules import pack as pack_bytes
from rubrica.models.fasttext import FastText
from rubrica.models.storage import Tensors
from rubrica.text.tokens import Packed

Numbers = NDArray[np.float32]


class Lexicon:
    """The half of a model that needs no labels to answer with."""

    def _open(self, settings: FastText, tensors: Tensors) -> None:
        """Become the model of these settings and tensors."""
        self._settings, self._tensors = settings, tensors
        self._engine = Engine(settings.rules, tensors)
        self._directions: Numbers | None = None
        names, ends, counts = (tensors[f"dictionary.{part}"] for part in ("bytes", "ends", "counts"))
        V = settings.num_words
        cut = int(ends[V - 1]) if V else 0
        self._words = Names(names[:cut], ends[:V], counts[:V])
        self._labels = Names(names[cut:], ends[V:] - cut, counts[V:])

    def is_quantized(self) -> bool:
        """Whether the matrices are stored in codes."""
        return self._settings.input_dsub > 0

    def get_dimension(self) -> int:
        """D."""
        return self._settings.embedding_dim

    @property
    def words(self) -> list[str]:
        """All words, most frequent first."""
        return self.get_words()

    @property
    def labels(self) -> list[str]:
        """All labels, the most frequent first."""
        return self.get_labels()

    def get_words(self, include_freq: bool = False, on_unicode_error: str = "strict") -> Any:
        """All words, and with `include_freq` how often each occurred in train."""
        words = self._words.every(on_unicode_error)
        return (words, self._words.counts.copy()) if include_freq else words

    def get_labels(self, include_freq: bool = False, on_unicode_error: str = "strict") -> Any:
        """All labels, and with `include_freq` how often each occurred; of a model of word vectors, its words."""
        if not self._settings.supervised:
            return self.get_words(include_freq, on_unicode_error)
        labels = self._labels.every(on_unicode_error)
        return (labels, self._labels.counts.copy()) if include_freq else labels

    def get_word_id(self, word: str) -> int:
        """The number of a word; labels follow the words; -1 if there is none."""
        return self._engine.word_id(encode(word))

    def get_label_id(self, label: str) -> int:
        """The number of a label, -1 if there is none."""
        number = self.get_word_id(label)
        return number if number == -1 else number - self._settings.num_words

    def get_subword_id(self, subword: str) -> int:
        """The row that a run of characters is hashed to.

        Raises:
            ValueError: If the model has no buckets.
        """
        return self._engine.subword_id(encode(subword))

    def get_subwords(self, word: str, on_unicode_error: str = "strict") -> tuple[list[str], NDArray[np.int64]]:
        """The word, if it is known, and its runs of characters, with their rows."""
        runs, rows = self._engine.subwords(encode(word))
        return [run.decode("utf-8", on_unicode_error) for run in runs], np.array(rows, np.int64)

    def get_line(self, text: str | list[str], on_unicode_error: str = "strict") -> tuple[Any, Any]:
        r"""The words and labels of a line, or of each line of a list.

        Raises:
            TypeError: If a line is no string.
            ValueError: If it holds a "\n".
        """
        if isinstance(text, list):
            pairs = [self.get_line(line, on_unicode_error) for line in text]
            return [words for words, _ in pairs], [labels for _, labels in pairs]
        raw = encode(text)
        if b"\n" in raw:
            raise ValueError("get_line processes one line at a time (remove '\\n')")
        words, labels = self._engine.words_of(raw)
        decode = [[token.decode("utf-8", on_unicode_error) for token in tokens] for tokens in (words, labels)]
        return decode[0], decode[1]

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and 0 <= self.get_word_id(word) < self._settings.num_words

    def get_word_vector(self, word: str) -> Numbers:
        """The vector (D,) of a word: the mean of its row and of its runs' rows; an unknown word has runs alone."""
        return self.vectors_of([encode(word)])[0]

    def __getitem__(self, word: str) -> Numbers:
        return self.get_word_vector(word)

    def get_sentence_vector(self, text: str) -> Numbers:
        r"""The vector (D,) of a line.

        Raises:
            ValueError: If it holds a "\n".
        """
        return self._engine.sentence_vectors(pack_one(text))[0]

    def get_nearest_neighbors(
        self, word: str, k: int = 10, on_unicode_error: str = "strict"
    ) -> list[tuple[float, str]]:
        """The k words nearest to a word: cosine and word, best first."""
        return self._nearest(self.get_word_vector(word), k, [word], on_unicode_error)

    def get_analogies(
        self,
        wordA: str,  # fastText's names
        wordB: str,
        wordC: str,
        k: int = 10,
        on_unicode_error: str = "strict",
    ) -> list[tuple[float, str]]:
        """The k words nearest to A - B + C: cosine and word, best first."""
        query = np.zeros(self.get_dimension(), np.float32)
        for sign, word in ((1, wordA), (-1, wordB), (1, wordC)):
            vector = self.get_word_vector(word)
            query += np.float32(sign / (float(np.linalg.norm(vector)) + 1e-8)) * vector
        return self._nearest(query, k, [wordA, wordB, wordC], on_unicode_error)

    def _nearest(self, query: Numbers, k: int, without: list[str], errors: str) -> list[tuple[float, str]]:
        k = typed("k", k)
        if self._directions is None:
            starts = np.concatenate([[0], self._words.ends[:-1]]).astype(np.int64)[: len(self._words.ends)]
            packed = Packed(np.ascontiguousarray(self._words.data), starts, np.ascontiguousarray(self._words.ends))
            self._directions = normalise(self._engine.word_vectors(packed))
        cosines, numbers = nearest_words(self._directions, query, k, [self.get_word_id(word) for word in without])
        return list(zip(cosines.tolist(), self._words.of(numbers, errors).tolist(), strict=True))

    @property
    def raw_words(self) -> list[bytes]:
        """All words, as the file has them."""
        return self._words.raw

    @property
    def raw_labels(self) -> list[bytes]:
        """All labels, as the file has them."""
        return self._labels.raw

    def entries(self) -> tuple[list[tuple[bytes, int]], list[tuple[bytes, int]]]:
        """The words and the labels, each with how often it occurred."""
        words, labels = (
            list(zip(names.raw, names.counts.tolist(), strict=True)) for names in (self._words, self._labels)
        )
        return words, labels

    def vectors_of(self, words: list[bytes]) -> Numbers:
        """The vectors (N, D) of words."""
        return self._engine.word_vectors(pack_bytes(words))

    def sentence_vectors(self, texts: Packed) -> Numbers:
        """The vectors (N, D) of texts."""
        return self._engine.sentence_vectors(texts)
