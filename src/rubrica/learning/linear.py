"""Training of the linear classifier on n-grams of words and characters; without torch, in seconds.

The texts are read twice: to count in how many each feature is, and for the numbers of those that are kept; and where
a feature counts by what it says of the classes, once more, for the numbers that this makes.

That weight is an idea of F. Debole and F. Sebastiani, "Supervised term weighting for automated text categorization",
2003, https://doi.org/10.1145/952532.952688: of what they tried, information gain, but for the texts that have the
feature alone and beside idf, not in its place. It is part of `linear.idf`, so an answer knows nothing of it.

Letters: N texts, F features, C classes, P parts of W columns.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.config.settings import Config
from rubrica.corpus.corpus import Corpus
from rubrica.files import make_array
from rubrica.kernels import native
from rubrica.kernels.linear import (
    DocumentCounter,
    Entries,
    Machines,
    Ngrams,
    count_classes,
    descend,
    features,
    index_keys,
)  # fmt: skip
from rubrica.learning.history import History, Trained
from rubrica.learning.progress import progress_bar
from rubrica.models.linear import LinearPart, logits, ngrams_of, take_texts
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

MIN_DF = 2  # texts that a feature must be in...
_FEW = 5000  # ... but of fewer texts than these 1: what is rare there is not noise yet
MAX_FEATURES = 1 << 20  # more are cut by raising MIN_DF
_MAX_WEIGHTS = 1 << 25  # features times machines: 128 MB
_MAX_ENTRIES = 1 << 28  # features of all texts: 2 GB; more texts are not learned from
_WIDEST = 16  # columns that go through a text together
_TOLERANCE = 0.1  # liblinear's: the largest projected gradient at which the descent ends...
_PASSES = 20  # ... or after so many passes over the texts
_FLOOR = 0.2  # of the weight by information: what a feature counts that says nothing
_KEPT = 0.75  # of the features; what the others say no validation part shows (docs/decisions.md)
_STRETCH = 1 << 10  # texts that are strings at a time
_SLICE = 1 << 14  # texts between two looks at the bar and at Ctrl-C


def train_linear(
    corpus: Corpus,
    vectors: Vectors | None,
    config: Config,
    rows: NDArray[np.int64],
    *,
    validate: Callable[[Trained], tuple[float, float]] | None,
    title: str,
) -> Trained:
    """Train on the given rows of the corpus's train split; Ctrl-C ends the passes with what was learned until then.

    Args:
        corpus: Its texts are read once more.
        vectors: Not used; every trainer is called alike.
        config: The settings; of `training` epochs (the most passes) and seed are read.
        rows: Which texts of train to learn from, in ascending order.
        validate: Not used: there is one solution, and the passes only come nearer to it.
        title: What the progress bar is called.
    """
    split, settings = corpus.splits["train"], config.training
    started = time.perf_counter()
    targets = make_array(len(rows) * split.targets[:1].size, split.targets.dtype)
    targets = targets.reshape(len(rows), *split.targets.shape[1:])
    np.take(split.targets, rows, axis=0, out=targets, mode="clip")  # "raise" would fill a copy first
    with progress_bar(title, slices_of(len(rows)) * settings.epochs) as advance:
        fitted = fit(
            split.texts, rows, targets, len(corpus.labels), ngrams_of(config), cost=config.model.cost,
            weights=None if split.weights is None else split.weights[rows], informed=config.model.class_information,
            seed=settings.seed, passes=settings.epochs, keep=_KEPT, advance=advance,
        )  # fmt: skip
    history = History(steps=len(fitted.slopes) * len(rows), interrupted=fitted.interrupted)
    history.train_seconds = time.perf_counter() - started
    for turn, slope in enumerate(fitted.slopes):
        history.records.append({"step": (turn + 1) * len(rows), "epoch": turn + 1, "slope": round(slope, 6)})
    if fitted.interrupted:
        log.warning("%s: interrupted after %d passes; what was learned is kept", title, len(fitted.slopes))
    part = fitted.part
    return Trained(dict(part.tensors), lambda split, wanted: logits(part, take_texts(split.texts, wanted)), history)


def slices_of(num_texts: int) -> int:
    """How often `fit` looks up from a pass over so many texts."""
    return -(-num_texts // _SLICE)


class Fitted(NamedTuple):
    """What `fit` learned, and how.

    Args:
        part: The classifier.
        slopes: The largest projected gradient of each pass.
        interrupted: Whether Ctrl-C ended it.
    """

    part: LinearPart
    slopes: list[float]
    interrupted: bool


def fit(
    texts: Sequence[str],
    rows: NDArray[np.int64],
    targets: NDArray[np.integer[Any]],
    num_classes: int,
    ngrams: Ngrams,
    *,
    cost: float,
    weights: NDArray[np.float32] | None = None,
    informed: bool = False,
    seed: int = 0,
    tolerance: float = _TOLERANCE,
    passes: int = _PASSES,
    keep: float = 1.0,
    advance: Callable[[str], None] = lambda note: None,
) -> Fitted:
    """Learn from texts.

    Args:
        texts: All texts; they are read a stretch at a time, twice.
        rows: Which of them to learn from, in ascending order, N.
        targets: The class of each of these N texts, (N,), or which classes it is in, (N, C) of 0 and 1.
        num_classes: C.
        ngrams: Which features to count.
        cost: C of the support vector machine: what an error costs, above 0; the smaller, the more alike the weights.
        weights: What multiplies it for each text, (N,).
        informed: Whether a feature counts by what it says of the classes.
        seed: Of the order of the texts.
        tolerance: The largest projected gradient at which the descent ends.
        passes: The most passes over the texts.
        keep: The share of features, those of the largest weights, that the classifier knows in the end.
        advance: Called after each `_SLICE` texts of a pass.
    """
    threads, generator = native.num_threads(), np.random.default_rng(seed)
    one = targets.ndim == 1 and num_classes == 2
    columns = 1 if one else num_classes
    known = (targets, num_classes) if informed else None
    keys, idf, numbers, entries = _read(texts, rows, ngrams, columns, generator, threads, known)
    costs = make_array(len(rows), np.float32)
    costs[:] = cost if weights is None else cost * weights
    machines = _start(targets, columns, len(keys), costs)
    slopes: list[float] = []
    interrupted = False
    order = make_array(int(np.count_nonzero(entries.sizes >= 0)), np.int64)  # of many texts not all are read
    order[:] = np.flatnonzero(entries.sizes >= 0)
    try:
        for turn in range(passes):
            generator.shuffle(order)
            largest = 0.0
            for first in range(0, len(order), _SLICE):
                largest = max(largest, descend(machines, entries, order[first : first + _SLICE], threads))
                advance(f"pass {turn + 1} slope {largest:.3f}")
            slopes.append(largest)
            if largest <= tolerance:
                break
    except KeyboardInterrupt:
        interrupted = True
    table = np.concatenate(list(machines.weights), axis=1)[numbers, :columns]
    kept = np.sort(np.argsort(-np.abs(table).max(axis=1), kind="stable")[: math.ceil(keep * len(keys))])
    tensors = {
        "linear.keys": keys[kept],
        "linear.idf": idf[numbers[kept]],
        "linear.weight": table[kept],
        "linear.bias": machines.biases.reshape(-1)[:columns].copy(),
    }
    return Fitted(LinearPart(ngrams, tensors), slopes, interrupted)


def _read(
    texts: Sequence[str],
    rows: NDArray[np.int64],
    ngrams: Ngrams,
    columns: int,
    generator: np.random.Generator,
    threads: int,
    known: tuple[NDArray[np.integer[Any]], int] | None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.int32], Entries]:
    """Sorted keys (F,), idf by number (F,), the number of each key (F,), and the entries of the texts.

    Features are numbered from the most frequent on: their rows lie together, and stay in the processor's cache. Of more
    texts than there is room for, those of some stretches are read; the sizes of the others are -1. With `known`,
    targets and C, the idf counts by what a feature says of these.
    """
    counter = DocumentCounter(ngrams, threads)
    places, sizes = make_array(len(rows), np.int64), make_array(len(rows), np.int32)
    sizes[:] = -1
    total, read = 0, []
    for turn in generator.permutation(-(-len(rows) // _STRETCH)).tolist():
        if total > _MAX_ENTRIES:
            break
        here = slice(turn * _STRETCH, (turn + 1) * _STRETCH)
        found = counter.add(take_texts(texts, rows[here]))
        places[here] = total + np.cumsum(found) - found
        sizes[here] = found
        total += int(found.sum())
        read.append(here)
    num_texts = int(np.count_nonzero(sizes >= 0))
    if num_texts < len(rows):
        log.info("linear: learns from %d of %d texts, taken at random: more need more memory", num_texts, len(rows))
    keys, documents = counter.take(
        MIN_DF if num_texts >= _FEW else 1, min(MAX_FEATURES, max(1, _MAX_WEIGHTS // columns))
    )
    if not len(keys):  # no text has a token; a model has a feature all the same
        keys, documents = np.zeros(1, np.uint32), np.ones(1, np.uint32)
    # Sorted by count, then by key: one sort of whole numbers.
    by_count = np.sort((np.uint64(num_texts) - documents << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64))
    order = (by_count & np.uint64(0xFFFFFFFF)).astype(np.int64)
    numbers = np.empty(len(keys), np.int32)
    numbers[order] = np.arange(len(keys), dtype=np.int32)
    by_number = documents[order]
    idf = (np.log((1 + num_texts) / (1 + by_number)) + 1).astype(np.float32)
    entries = Entries(places, sizes, make_array(total, np.uint32), make_array(total, np.float32))
    index = index_keys(keys, numbers)
    counts = None if known is None else np.zeros((len(keys), known[1]), np.uint32)
    for here in read:
        into = entries._replace(places=places[here], sizes=sizes[here])
        features(take_texts(texts, rows[here]), ngrams, index, idf, threads, into)
        if known is not None and counts is not None:
            count_classes(into, *_pairs(known[0][here]), counts)
    if known is None or counts is None:
        return keys, idf, numbers, entries
    shares = np.zeros(known[1])
    for here in read:
        shares += np.bincount(_pairs(known[0][here])[1], minlength=known[1])
    idf *= information(counts, by_number, shares / num_texts, several=known[0].ndim == 2)
    for here in read:
        into = entries._replace(places=places[here], sizes=sizes[here])
        features(take_texts(texts, rows[here]), ngrams, index, idf, threads, into)
    return keys, idf, numbers, entries


def _pairs(targets: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each pair of a text and a class that it has, (P,) and (P,)."""
    if targets.ndim == 2:
        texts, classes = map(np.ascontiguousarray, np.nonzero(targets))  # views of one array
        return texts, classes
    return np.arange(len(targets)), np.ascontiguousarray(targets, np.int64)


def information(
    counts: NDArray[np.uint32], sizes: NDArray[np.uint32], shares: NDArray[np.float64], *, several: bool
) -> NDArray[np.float32]:
    """What a feature counts, (F,): a little, and the root of the nats that it says about a text's class.

    These are the Kullback-Leibler divergence of the shares of the classes among the texts with the feature, as if one
    more text had it that is of all classes by their shares, from those among all texts; where a text may have several
    labels, summed over them, each being there or not.

    Args:
        counts: In how many texts of each class a feature is, (F, C).
        sizes: In how many texts it is, (F,).
        shares: Of all texts, those of each class, (C,).
        several: Whether a text may have several labels.
    """
    weights = np.empty(len(counts), np.float32)
    prior = np.clip(shares, 1e-12, 1 - 1e-12)
    for first in range(0, len(counts), _SLICE):
        here = slice(first, first + _SLICE)
        found = (counts[here] + prior) / (sizes[here, None].astype(np.float64) + 1)
        nats = (found * np.log(found / prior)).sum(axis=1)
        if several:
            nats += ((1 - found) * np.log((1 - found) / (1 - prior))).sum(axis=1)
        weights[here] = _FLOOR + np.sqrt(np.maximum(nats, 0))
    return weights


def _start(targets: NDArray[np.integer[Any]], columns: int, num_features: int, costs: NDArray[np.float32]) -> Machines:
    count, parts = len(targets), -(-columns // _WIDEST)
    width = 1 << (-(-columns // parts) - 1).bit_length()
    signs = make_array(parts * count * width, np.int8).reshape(parts, count, width)
    for column in range(parts * width):
        place = signs[column // width, :, column % width]
        if column >= columns:
            place[:] = 0
        elif targets.ndim == 2:
            place[:] = 2 * targets[:, column].astype(np.int8) - 1
        else:
            place[:] = 2 * (targets == column + (columns == 1)).astype(np.int8) - 1
    alphas = make_array(parts * count * width, np.float32).reshape(parts, count, width)
    alphas[:] = 0
    weights, biases = np.zeros((parts, num_features, width), np.float32), np.zeros((parts, width), np.float32)
    return Machines(signs, costs, alphas, weights, biases)
