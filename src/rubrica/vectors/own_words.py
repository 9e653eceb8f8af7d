"""Word vectors made ready for a training: words of the texts that they lack, and a scale that fits the network.

A word that is frequent enough in train and has no vector gets one. If the file has pieces of words (`##ing`, as the
tables of model2vec do), the vector is the mean of the word's pieces, the longest first, as WordPiece splits (Y. Wu et
al., 2016, https://arxiv.org/abs/1609.08144, section 4.1); else it is drawn. The numbers of files have standard
deviations from 0.1 to 20, but the steps of Adam have one size, so all vectors are scaled to one standard deviation.

Letters: W words of the vectors, E numbers in a word vector.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from rubrica.config.groups import DataSettings
from rubrica.data.stored_texts import stretches
from rubrica.text.tokens import WordCounter
from rubrica.text.vocab import compose_words
from rubrica.vectors.files import Matrix
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_PIECE = "##"  # the mark of a piece inside a word


def extend_vectors(vectors: Vectors, texts: Sequence[str], config: DataSettings, *, std: float, seed: int) -> Vectors:
    """The vectors (W, E), scaled, with more rows for words of the texts of train.

    `config` says how texts are read, and how frequent a word has to be. `std` is the standard deviation of
    all given numbers after scaling, and of the drawn numbers; `seed` starts the draws.
    """
    counter = WordCounter(
        lowercase=config.lowercase is not False, max_length=1, split_unspaced=config.split_unspaced is not False
    )
    for stretch in stretches(texts):
        counter.add(stretch)
    index = {word: i for i, word in enumerate(compose_words(vectors.words))}
    found, counts = counter.words()
    frequent = (word for word, count in zip(found, counts.tolist(), strict=True) if count >= config.min_count)
    own = [word for word in frequent if word not in index]
    scale = std / max(float(vectors.matrix.std()), 1e-12)
    matrix = np.empty((len(index) + len(own), vectors.dim), np.float32)
    np.multiply(vectors.matrix, np.float32(scale), out=matrix[: len(index)])
    drawn = np.random.default_rng(seed).normal(scale=std, size=(len(own), vectors.dim))
    has_pieces = any(word.startswith(_PIECE) and word != _PIECE for word in vectors.words)
    composed = 0
    for place, word in enumerate(own):
        pieces = _split(word, index) if has_pieces else []
        matrix[len(index) + place] = matrix[pieces].mean(axis=0) if pieces else drawn[place]
        composed += bool(pieces)
    log.info(
        "%s: %d words, and %d of train that it lacks (%d made of its pieces, %d drawn)",
        vectors.source, len(index), len(own), composed, len(own) - composed,
    )  # fmt: skip
    return Vectors([*vectors.words, *own], matrix, vectors.source, _scaled(vectors.reader, scale))


def _scaled(reader: Mapping[str, Matrix] | None, scale: float) -> Mapping[str, Matrix] | None:
    """The reader of vectors that are multiplied by this; what it makes of them stays the same."""
    if reader is None:
        return None
    return {name: weight / np.float32(scale) if "weight_ih" in name else weight for name, weight in reader.items()}


def _split(word: str, index: dict[str, int]) -> list[int]:
    """The places of a word's pieces, each the longest that fits; empty if the word cannot be put together."""
    places, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = word[start:end] if not start else _PIECE + word[start:end]
            if piece in index:
                break
        else:
            return []
        places.append(index[piece])
        start = end
    return places
