"""The training texts that are nearest to a text, by the cosine of what the model sees of them.

What the model sees is the vector that its last layer reads, of a network with a linear model beside it the network's.
A linear model has no such vector; it sees the TF-IDF of a text's n-grams.

Letters: N texts, Q texts that are asked about, F numbers or features of a text.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact
from rubrica.data.dataset import Dataset, Examples, read_dataset
from rubrica.data.labels import as_list
from rubrica.errors import DataError, RubricaError
from rubrica.insight.compare import texts_of_run
from rubrica.kernels import native
from rubrica.kernels.linear import Entries, scores
from rubrica.models.ensemble import Ensemble
from rubrica.models.family import Family, Floats
from rubrica.models.linear import Linear
from rubrica.progress import progress_bar
from rubrica.text.ngrams import features, index_keys
from rubrica.text.strings import as_texts

_TEXTS = 1 << 12  # of train that are in memory as vectors; 2,000 numbers of each are 32 MB

Closeness = Callable[[Sequence[str]], Floats]
"""From N texts to the cosine of each with the texts that are asked about, (N, Q)."""


class Near(NamedTuple):
    """A text of train that is near.

    Args:
        similarity: The cosine, from -1 to 1.
        split: The split that it is in.
        row: Its number there, from 1 on.
        labels: Its labels.
        text: Its characters.
        shares: How probable each label is, where labels are not certain. With `Regression` the label is the upper end
            of the scale, and its share the score.
    """

    similarity: float
    split: str
    row: int
    labels: tuple[str, ...]
    text: str
    shares: tuple[float, ...] = ()


def training_texts(artifact: Artifact, data: Any = None, **layout: Any) -> tuple[str, Examples]:
    """The texts that a model was trained on, and the name of their split.

    Args:
        artifact: The model. Without `data` it says where its texts are.
        data: A `Dataset`, or whatever `read_dataset` takes; its split train, or its first.
        layout: How to read the data, see `read_dataset`; what the model answers with is known.

    Raises:
        RubricaError: If the model does not say where they are, or they are no longer the same.
    """
    layout |= artifact.task.layout
    if data is None:
        try:
            return texts_of_run(artifact, "train", **layout)
        except DataError as error:
            problem = "the texts are not as the training read them; repeat its flags, or give the texts as data"
            raise DataError(error.path, problem) from None
        except RubricaError:
            problem = "the model does not name training texts that are here; give them as data (--data)"
            raise RubricaError(problem) from None
    splits = (data if isinstance(data, Dataset) else read_dataset(data, **layout)).splits
    name = "train" if "train" in splits else next(iter(splits))
    return name, splits[name]


def nearest_texts(
    artifact: Artifact, texts: Sequence[str], split: str, examples: Examples, k: int = 5, *, at_once: int = _TEXTS
) -> list[list[Near]]:
    """The k texts of a split that are nearest to each of some texts, the nearest first; of equal ones the first.

    `at_once` texts of the split are in memory as vectors.

    Raises:
        ValueError: If k is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}, expected at least 1")
    raw = artifact.config.model.reads_raw
    closeness = open_closeness(artifact.config.model, artifact, as_texts(texts, raw=raw))
    best: Floats = np.zeros((len(texts), 0), np.float32)
    rows: NDArray[np.int64] = np.zeros((len(texts), 0), np.int64)
    for first, some in _stretches(examples.texts, at_once):
        found = closeness(as_texts(some, first, raw=raw)).T  # (Q, N)
        numbers = np.broadcast_to(np.arange(first, first + found.shape[1]), found.shape)
        best, rows = np.hstack([best, found]), np.hstack([rows, numbers])
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, rows = np.take_along_axis(best, order, axis=1), np.take_along_axis(rows, order, axis=1)
    return [
        [_near(examples, row, cosine, split) for cosine, row in zip(*near, strict=True)]
        for near in zip(best.tolist(), rows.tolist(), strict=True)
    ]


def _near(examples: Examples, row: int, cosine: float, split: str) -> Near:
    text, soft = examples.texts[row], examples.soft
    if soft is None:
        return Near(cosine, split, row + 1, tuple(as_list(examples.labels[row])), text)
    scores = soft.probabilities[row].astype(float).round(6)
    there = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
    if soft.is_regression:
        there = np.array([len(scores) - 1])
    labels = tuple(soft.labels[place] for place in there)
    return Near(cosine, split, row + 1, labels, text, tuple(scores[there].tolist()))


def _stretches(texts: Sequence[str], at_once: int) -> Iterator[tuple[int, Sequence[str]]]:
    """Some texts at a time and the place of the first."""
    places = range(0, len(texts), at_once)
    with progress_bar("nearest texts", len(places)) as advance:
        for first in places:
            yield first, texts[first : first + at_once]
            advance("")


@singledispatch
def open_closeness(settings: Family, artifact: Artifact, asked: Sequence[str]) -> Closeness:
    """How near texts are to the texts that are asked about, as a family of models sees them."""
    ensemble = Ensemble(artifact.config, artifact.tensors)

    def vectors(texts: Sequence[str]) -> Floats:
        found = ensemble.features(texts, artifact.vocab)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)

    wanted = vectors(asked)
    return lambda texts: vectors(texts) @ wanted.T


@open_closeness.register
def _closeness_for_linear(settings: Linear, artifact: Artifact, asked: Sequence[str]) -> Closeness:
    keys, idf = artifact.tensors["linear.keys"], artifact.tensors["linear.idf"]
    index, ngrams = index_keys(keys), settings.ngrams(artifact.config.data)

    def see(texts: Sequence[str]) -> tuple[Entries, Floats]:
        """The features of texts, and their lengths: the root of the number of blocks that are not empty."""
        entries = features(texts, ngrams, index, idf, native.num_threads())
        own = [_entries_of(entries, text)[1] for text in range(len(texts))]
        return entries, np.array([np.sqrt(np.square(values).sum()) or 1 for values in own], np.float32)

    entries, lengths = see(asked)
    wanted = np.zeros((len(keys), len(asked)), np.float32)
    for text, length in enumerate(lengths.tolist()):
        indices, values = _entries_of(entries, text)
        np.add.at(wanted[:, text], indices, values / length)

    def closeness(texts: Sequence[str]) -> NDArray[np.float32]:
        entries, lengths = see(texts)
        products = scores(entries, wanted, np.zeros(len(asked), np.float32), native.num_threads())
        return np.asarray(products / lengths[:, None], np.float32)

    return closeness


def _entries_of(entries: Entries, text: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    here = slice(int(entries.places[text]), int(entries.places[text]) + int(entries.sizes[text]))
    return entries.indices[here], entries.values[here]
