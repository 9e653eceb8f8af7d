"""Word vectors: what they answer, and how gensim learns them from one's own texts.

`stored.py` reads and saves them.

Letters: V words, E numbers of a word, N words that are asked for.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from unicodedata import normalize

import numpy as np

from rubrica.errors import VectorsError, require
from rubrica.text.tokenizer import tokenize

if TYPE_CHECKING:
    from rubrica.vectors.files import Matrix
    from rubrica.vectors.neighbours import Neighbour

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Vectors:
    """Words and their vectors.

    Args:
        words: Each word once, in the order of the file.
        matrix: The vector of each word, (V, E) float32; may be a read-only memory map.
        source: The path or the name that the user gave; for messages and for the model card.
        reader: Weights of a recurrent network by name, learned together with the vectors; None where nobody learned it.
    """

    has_subwords: ClassVar[bool] = False
    """Whether words that are not among `words` have vectors too, see `subwords.py`."""

    words: list[str]
    matrix: "Matrix"
    source: str
    reader: "Mapping[str, Matrix] | None" = None

    def __repr__(self) -> str:
        return f"<Vectors: {len(self.words):,} words of {self.dim} numbers, {self.source}>"

    @property
    def dim(self) -> int:
        """Numbers of each word, E."""
        return int(self.matrix.shape[1])

    def named(self, rows: Sequence[int]) -> list[str]:
        """The words of some rows, (N,)."""
        return [self.words[row] for row in rows]

    def stretches(self) -> "Iterator[Matrix]":
        """Yield the vectors of all words in their order, as many at a time as memory takes."""
        yield self.matrix

    def of(self, words: Sequence[str]) -> "Matrix":
        """The vector of each word (N, E), in whatever form of Unicode it is written; zeros where it has none."""
        places = dict(zip(self.words, range(len(self.words)), strict=True))
        found = np.zeros((len(words), self.dim), np.float32)
        for row, word in enumerate(words):
            place = next((places[form] for form in _forms(word) if form in places), None)
            if place is not None:
                found[row] = self.matrix[place]
        return found

    def neighbours(self, word: str, k: int = 10) -> "list[Neighbour]":
        """The k words whose vectors are nearest to the word's by cosine, nearest first, without the word itself.

        Raises:
            VectorsError: If the word has no vector; the message names the word that is spelled most like it.
            ValueError: If k is below 1.
        """
        return self._near(self.asked([word]), [word], k)

    def analogy(self, a: str, b: str, c: str, k: int = 10) -> "list[Neighbour]":
        """The k words nearest to a - b + c: `analogy("berlin", "germany", "france")` looks for paris.

        The three vectors are first brought to length 1. The order of the words is that of fastText's `get_analogies`.

        Raises:
            VectorsError: If one of the words has no vector.
            ValueError: If k is below 1.
        """
        from rubrica.vectors.neighbours import analogy_vector  # late, here and below: a training looks for none

        return self._near(analogy_vector(*self.asked([a, b, c]))[None], [a, b, c], k)

    def _near(self, query: "Matrix", asked: Sequence[str], k: int) -> "list[Neighbour]":
        """The words nearest to a vector (1, E), without the ones that were asked for."""
        if k < 1:
            raise ValueError(f"k is {k}, expected at least 1")
        from rubrica.vectors.neighbours import Neighbour, nearest_rows

        banned = {form for word in asked for form in _forms(word)}
        rows, similarities = nearest_rows(self.stretches(), query[0], k + len(banned))
        near = map(Neighbour, self.named(rows.tolist()), similarities.tolist())
        return [neighbour for neighbour in near if neighbour.word not in banned][:k]

    def asked(self, words: Sequence[str]) -> "Matrix":
        """The vector of each word (N, E).

        Raises:
            VectorsError: If one has none; the message names the word that is spelled most like it.
        """
        found = self.of(words)
        for word, vector in zip(words, found, strict=True):
            if not vector.any() and not any(form in self.words for form in _forms(word)):
                from rubrica.vectors.neighbours import spelling_hint

                raise VectorsError(self.source, f"no vector of the word {word!r}; {spelling_hint(word, self.words)}")
        return found


def train_vectors(
    texts: Iterable[str],
    *,
    dim: int = 50,
    min_count: int = 5,
    epochs: int = 5,
    cbow: bool = False,
    lowercase: bool = True,
    split_unspaced: bool = True,
    seed: int = 0xDEAD,
) -> Vectors:
    """Word vectors learned from one's own texts, with gensim's word2vec on our tokens.

    Skip-gram (Mikolov et al. 2013, https://arxiv.org/abs/1301.3781) makes a training pair of each word and each of its
    neighbours; CBOW averages the neighbours first. So skip-gram moves rare words more often, and most words of a small
    corpus are rare. One thread trains, so equal seeds give equal bytes.

    Args:
        texts: Without their labels; all are in memory as tokens.
        dim: E, numbers of each word.
        min_count: Rarer words are left out.
        epochs: Passes over the texts.
        cbow: CBOW, which foresees a word from the words around it, in place of skip-gram.
        lowercase: Whether texts are lower-cased first, as the model will do.
        split_unspaced: Whether each character of a script without spaces is a word, see `text/tokenizer.py`.
        seed: Start of every random draw.

    Raises:
        VectorsError: If fewer than two words are frequent enough.
        MissingExtraError: If gensim is not installed.
    """
    word2vec = require("gensim.models.word2vec", "vectors")
    sentences = [tokenize(text, lowercase=lowercase, split_unspaced=split_unspaced) for text in texts]
    model = word2vec.Word2Vec(vector_size=dim, window=5, min_count=min_count, sg=int(not cbow), seed=seed, workers=1)
    model.build_vocab(sentences)
    source = f"{len(sentences)} own texts"
    check_enough(source, len(model.wv), min_count=min_count, dim=dim)
    model.train(sentences, total_examples=len(sentences), epochs=epochs)
    return Vectors(list(model.wv.index_to_key), model.wv.vectors, source)


def check_enough(source: str, found: int, *, min_count: int, dim: int) -> None:
    """Make sure that texts have words to learn vectors of; warn if they have fewer than a vector has numbers.

    Raises:
        VectorsError: If fewer than two words are frequent enough.
    """
    if found < 2:
        raise VectorsError(
            source, f"{found} words occur {min_count} times or more, expected 2; give more texts or lower min_count"
        )
    if found < dim:
        log.warning("%s: only %d words occur %d times, fewer than dim %d", source, found, min_count, dim)


def _forms(word: str) -> list[str]:
    """A word as it is written, and as Unicode composes and decomposes it."""
    return list(dict.fromkeys([word, normalize("NFC", word), normalize("NFD", word)]))
