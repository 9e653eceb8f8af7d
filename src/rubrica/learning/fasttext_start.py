"""Where the training of a fastText model starts: from nothing, from word vectors, or from a model.

Letters: V words, L labels, D numbers in a row, R input rows, O output rows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import VectorsError
from rubrica.kernels.fasttext_train import draw_uniform
from rubrica.kernels.fasttext_words import Strings, Words
from rubrica.models.fasttext import FastText

if TYPE_CHECKING:
    from rubrica.vectors.word_vectors import Vectors

Tensors = dict[str, NDArray[Any]]


class Origin(NamedTuple):
    """What a training starts from; at most one of the two.

    Args:
        model: A model to learn on from.
        vectors: Vectors of words.
    """

    model: tuple[FastText, Tensors] | None
    vectors: "Vectors | None"

    @property
    def known(self) -> Strings | None:
        """Words and labels that are never left out."""
        if self.model is not None:
            return entries_of(self.model[1])
        if self.vectors is None:
            return None
        names = [word.encode("utf-8", "surrogatepass") for word in self.vectors.words]
        ends = np.cumsum([len(name) for name in names], dtype=np.int64)
        return np.frombuffer(b"".join(names), np.uint8), np.concatenate([[0], ends[:-1]]).astype(np.int64), ends


def find_origin(settings: FastText, model: tuple[FastText, Tensors] | None, vectors: str | Path | None) -> Origin:
    """Read the vectors, and make sure that a model can learn on with these settings.

    Raises:
        ValueError: If both are given, or the model has other rows than the settings say, or is quantised.
        VectorsError: If the file cannot be read, or its vectors have another size.
    """
    if model is not None and vectors is not None:
        raise ValueError("a model to start from and a file of vectors; give one of them")
    if model is not None:
        old = model[0]
        if old.input_dsub or old.output_dsub or old.pruned:
            raise ValueError("the model to start from is quantised or pruned; give the model that it was made from")
        for name in ("kind", "loss", "embedding_dim", "min_n", "max_n", "word_ngrams", "num_buckets", "label_prefix"):
            if getattr(old, name) != getattr(settings, name):
                raise ValueError(
                    f"{name} is {getattr(settings, name)!r}, and {getattr(old, name)!r} in the model to start from;"
                    " give the same"
                )
    if vectors is None:
        return Origin(model, None)
    from rubrica.vectors.stored import read_vectors  # late: few trainings start from vectors

    read = read_vectors(vectors)
    if read.dim != settings.embedding_dim:
        raise VectorsError(vectors, f"{read.dim} numbers a word, and the model has rows of {settings.embedding_dim}")
    return Origin(None, read)


def entries_of(tensors: Mapping[str, NDArray[Any]]) -> Strings:
    """Words and labels of a model, in their order."""
    ends = np.ascontiguousarray(tensors["dictionary.ends"], np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
    return np.ascontiguousarray(tensors["dictionary.bytes"]), starts, ends


def count_on(origin: Origin, settings: FastText, words: Words) -> Words:
    """Add what was counted before: in the texts of the model, or once for each word of the vectors.

    A tree of the labels follows from their counts. So that it stays the tree that the model has learned, their counts
    stay as they are, as long as there are no new labels.
    """
    counts, num_words = words.counts.copy(), words.num_words
    num_tokens = words.num_tokens
    if origin.model is not None:
        old, tensors = origin.model
        before = np.asarray(tensors["dictionary.counts"], np.int64)
        counts[: old.num_words] += before[: old.num_words]
        labels = slice(num_words, num_words + old.num_labels)
        if settings.loss == "hs" and settings.supervised and words.num_labels == old.num_labels:
            counts[labels] = 0
        counts[labels] += before[old.num_words :]
        num_tokens += max(0, old.num_tokens)
    elif origin.vectors is not None:
        counts[place_words(origin.vectors, words)[1]] += 1
        num_tokens += len(origin.vectors.words)
    return words._replace(counts=counts, num_tokens=num_tokens)


def make_matrices(
    origin: Origin, settings: FastText, words: Words, seed: int, threads: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Input (R, D) and output (O, D): rows of the origin, else numbers from U(-1/D, 1/D) and zeros."""
    num_words, dim = words.num_words, settings.embedding_dim
    shape = num_words + settings.num_buckets, dim
    input_weight = draw_uniform(shape, 1 / dim, seed, threads=threads)
    outputs = words.num_labels if settings.supervised else num_words
    output_weight = np.zeros((outputs, dim), np.float32)
    if origin.model is not None:
        old, tensors = origin.model
        before = tensors["input.weight"]
        input_weight[: old.num_words] = before[: old.num_words]
        input_weight[num_words:] = before[old.num_words : old.num_words + settings.num_buckets]
        same_tree = settings.loss != "hs" or outputs == old.num_outputs
        if same_tree:  # another tree has other nodes, which start anew
            output_weight[: old.num_outputs] = tensors["output.weight"]
    elif origin.vectors is not None:
        taken, rows = place_words(origin.vectors, words)
        first = 0
        for part in origin.vectors.stretches():  # `taken` rises
            here = slice(*np.searchsorted(taken, [first, first + len(part)]))
            input_weight[rows[here]] = part[taken[here] - first]
            first += len(part)
    return input_weight, output_weight


def place_words(vectors: "Vectors", words: Words) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which vectors belong to words of the texts, and the number of the word of each."""
    whole, ends = words.names.tobytes(), words.ends[: words.num_words].tolist()
    numbers = {whole[start:end]: i for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False))}
    found = [numbers.get(word.encode("utf-8", "surrogatepass"), -1) for word in vectors.words]
    rows = np.array(found, np.int64)
    taken = np.flatnonzero(rows >= 0)
    return taken, rows[taken]
