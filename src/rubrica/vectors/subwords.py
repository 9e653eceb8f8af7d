"""Vectors of a fastText model: any word has one, made of the rows of its runs of characters.

The vector of a word is the mean of its own row, if the model knows the word, and of the rows of its runs, as fastText's
`get_word_vector` makes it. The matrices stay in the file, which may have 7 GB: a question reads the rows that it needs,
and one about all words goes through them some at a time.

Letters: N words that are asked for, V words of the model, E numbers of a word.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rubrica.artifact.fasttext_file import read_fasttext
from rubrica.config.groups import DataSettings
from rubrica.data.stored_texts import stretches
from rubrica.errors import ArtifactError, VectorsError
from rubrica.files import make_array
from rubrica.kernels.fasttext import Engine
from rubrica.models.fasttext import FastText
from rubrica.models.storage import Tensors
from rubrica.text.tokenizer import is_token
from rubrica.text.tokens import Packed, WordCounter
from rubrica.text.vocab import compose_words
from rubrica.vectors.files import Matrix
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_BLOCK = 1 << 14  # words whose vectors are made at a time: 20 MB of 300 numbers
_KEPT_BYTES = 512 << 20  # of the vectors of all words; more of them are made anew for each question
_MOST_UNSEEN = 100_000  # words of the file that train lacks and a model takes along: 120 MB of 300 numbers


class SubwordVectors(Vectors):
    """The words of a fastText model, and a vector for any other word.

    Args:
        settings: Of the model.
        tensors: Of the model; see `models/fasttext.py`.
        source: The path that the user gave; for messages and for the model card.
        kept_bytes: The vectors of all words are kept for the next question if they are no larger.
    """

    has_subwords: ClassVar[bool] = True

    settings: FastText
    tensors: Tensors
    kept_bytes: int

    def __init__(self, settings: FastText, tensors: Tensors, source: str, *, kept_bytes: int = _KEPT_BYTES) -> None:
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "tensors", tensors)
        object.__setattr__(self, "kept_bytes", kept_bytes)

    @property
    def dim(self) -> int:
        """Numbers of each word, E."""
        return self.settings.embedding_dim

    @cached_property
    def words(self) -> list[str]:
        """The V words in the order of the file; bytes that are no UTF-8 are lone surrogates."""
        return self.named(range(self.settings.num_words))

    def named(self, rows: Sequence[int]) -> list[str]:
        """The words of some rows, (N,)."""
        whole, places = self._known(0, self.settings.num_words), np.array(rows, np.int64)
        names = whole.data.data
        bounds = zip(whole.starts[places].tolist(), whole.ends[places].tolist(), strict=True)
        return [str(names[start:end], "utf-8", "surrogateescape") for start, end in bounds]

    @cached_property
    def matrix(self) -> Matrix:
        """The vectors of the model's own words (V, E): in memory while small, else in an unnamed file of the cache."""
        count, first = self.settings.num_words, 0
        made: Matrix = make_array(count * self.dim, np.float32).reshape(count, self.dim)
        for part in self._made():
            made[first : first + len(part)] = part
            first += len(part)
        return made

    def stretches(self) -> Iterator[Matrix]:
        """Yield the vectors of the model's own words in their order: all of them if they are kept, else some."""
        if 4 * self.settings.num_words * self.dim <= self.kept_bytes:
            yield self.matrix
        else:
            yield from self._made()

    def _made(self) -> Iterator[Matrix]:
        count = self.settings.num_words
        for first in range(0, count, _BLOCK):
            yield self._vectors(self._known(first, min(first + _BLOCK, count)))

    def of(self, words: Sequence[str]) -> Matrix:
        """The vector of each word (N, E); zeros where the model has no row for any part of it.

        Raises:
            VectorsError: If one is not finite: a large file is not looked through when it is opened.
        """
        return self._vectors(_pack(words))

    def _vectors(self, words: Packed) -> Matrix:
        made = self._engine.word_vectors(words)
        if not np.isfinite(made).all():
            row = int(np.isfinite(made).all(axis=1).argmin())
            word = words.data[words.starts[row] : words.ends[row]].tobytes().decode(errors="replace")
            raise VectorsError(self.source, f"the vector of {word!r} is not finite; the file is damaged, copy it again")
        return made

    @cached_property
    def _engine(self) -> Engine:
        return Engine(self.settings.rules, self.tensors)

    def _known(self, first: int, last: int) -> Packed:
        """Some of the model's words."""
        ends = self.tensors["dictionary.ends"]
        starts = np.concatenate([ends[first - 1 : first] if first else [0], ends[first : last - 1]]).astype(np.int64)
        return Packed(self.tensors["dictionary.bytes"], starts[: last - first], np.ascontiguousarray(ends[first:last]))

    def __deepcopy__(self, memo: dict[int, Any]) -> "SubwordVectors":
        return self  # nothing of it changes, and a copy of a mapped file would be read

    def __reduce__(self) -> tuple[Any, ...]:
        return SubwordVectors, (self.settings, self.tensors, self.source)  # the engine is of this process


def _pack(words: Sequence[str]) -> Packed:
    """Words as bytes in one piece, which may hold zero bytes and broken UTF-8."""
    parts = [word.encode("utf-8", "surrogateescape" if _is_escaped(word) else "surrogatepass") for word in words]
    bounds = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=bounds[1:])
    return Packed(np.frombuffer(b"".join(parts), np.uint8), bounds[:-1], bounds[1:])


def _is_escaped(word: str) -> bool:
    """Whether every lone surrogate of a word is a byte that was no UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" and not "\udc80" <= letter <= "\udcff" for letter in word)


def read_subwords(path: Path, source: str) -> SubwordVectors:
    """Open a fastText model, `.bin` or `.ftz`; `source` is what the user called it.

    Raises:
        VectorsError: If it is no whole file of fastText's, or has no words.
    """
    try:
        settings, tensors = read_fasttext(path)
    except ArtifactError as error:
        raise VectorsError(error.path, error.problem) from None
    if not settings.num_words:
        raise VectorsError(path, "no words; expected at least one")
    return SubwordVectors(settings, tensors, source)


def vectors_for(vectors: Vectors, texts: Sequence[str], config: DataSettings) -> Vectors:
    """The vectors that a training takes along, in one matrix.

    Vectors without subwords are what they are. Of a fastText model these words have one: words of the texts that it
    knows, its `_MOST_UNSEEN` first other words (the most frequent), and each further word of the texts that occurs
    `config.min_count` times and has a run of characters that the model knows.

    Args:
        vectors: Read from a file.
        texts: Of train.
        config: How the texts are read; its case is settled.
    """
    if not isinstance(vectors, SubwordVectors):
        return vectors
    lowercase, split_unspaced = config.lowercase is not False, config.split_unspaced is not False
    counter = WordCounter(lowercase=lowercase, max_length=1, split_unspaced=split_unspaced)
    for stretch in stretches(texts):
        counter.add(stretch)
    found, counts = counter.words()
    spelled = dict(zip(compose_words(vectors.words), vectors.words, strict=True))  # texts are NFC, the file need not be
    seen, unseen, known = set(found), 0, []
    for word in spelled:
        if word in seen:
            known.append(word)
        elif unseen < _MOST_UNSEEN and word == (word.lower() if lowercase else word):
            fits = is_token(word, split_unspaced=split_unspaced)
            known += [word] * fits
            unseen += fits
    frequent = (word for word, count in zip(found, counts.tolist(), strict=True) if count >= config.min_count)
    others = [word for word in frequent if word not in spelled]
    words = [*known, *others]
    matrix = np.empty((len(words), vectors.dim), np.float32)
    for first in range(0, len(words), _BLOCK):
        some = words[first : first + _BLOCK]
        matrix[first : first + len(some)] = vectors.of([spelled.get(word, word) for word in some])
    has_one = np.ones(len(words), bool)
    has_one[len(known) :] = matrix[len(known) :].any(axis=1)
    log.info(
        "%s: %d words of the file, %d of train by their runs of characters",
        vectors.source, len(known), int(has_one.sum()) - len(known),
    )  # fmt: skip
    if not has_one.all():  # a model without runs of characters
        words, matrix = [word for word, has in zip(words, has_one.tolist(), strict=True) if has], matrix[has_one]
    return Vectors(words, matrix, vectors.source)
