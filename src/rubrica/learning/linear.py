"""Training of the linear classifier on n-grams of words and characters; without torch, in seconds.

The texts are read twice: to count in how many texts each feature is, and to look up the features that are kept.

This weight is an idea of F. Debole and F. Sebastiani, "Supervised term weighting for automated text categorization",
2003, https://doi.org/10.1145/952532.952688. Of their measures it is information gain, but only over the texts that have
the feature, and beside idf instead of in its place. It is multiplied into `linear.idf`; prediction has no code for it.

Letters: N texts, F features, C classes, P parts of W columns.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rubrica.data.stored_texts import take_texts
from rubrica.files import make_array
from rubrica.kernels import native
from rubrica.kernels.linear import Entries, Machines, count_classes, descend
from rubrica.learning.checkpoint import State, generator_text, set_generator
from rubrica.learning.job import History, Job, Trained
from rubrica.models.linear import Linear, LinearPart, logits
from rubrica.progress import Advance, progress_bar
from rubrica.scoring.task import Rows, Targets, Task
from rubrica.text.ngrams import DocumentCounter, count_features, index_keys, weigh_features

log = logging.getLogger(__name__)

MIN_DF = 2  # texts that a feature must be in...
_FEW = 5000  # ... but with fewer texts than this, 1 is enough: a rare feature is not noise yet
MAX_FEATURES = 1 << 20  # more are cut by raising MIN_DF
_MAX_WEIGHTS = 1 << 25  # features times machines: 128 MB
_MAX_ENTRIES = 1 << 28  # features of all texts: 2 GB; more texts are not learned from
_WIDEST = 16  # columns that go through a text together
TOLERANCE = 0.1  # liblinear's
_FLOOR = 0.2  # of the weight by information: what a feature counts that says nothing
_KEPT = 0.75  # of the features; what the others say no validation part shows (docs/decisions.md)
_STRETCH = 1 << 10  # texts that are strings at a time
_SLICE = 1 << 14  # texts between two looks at the bar and at Ctrl-C


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    """Where a descent is.

    Args:
        generator: Its state now.
        history: What the training did so far.
        turn: The number of the pass.
        slices: How many slices of the pass are done.
        slope: The largest projected gradient of the pass so far.
    """

    generator: str
    history: History
    turn: Annotated[int, Meta(ge=0)] = 0
    slices: Annotated[int, Meta(ge=0)] = 0
    slope: Annotated[float, Meta(ge=0)] = 0.0


def train_linear(job: Job, *, tolerance: float = TOLERANCE, keep: float = _KEPT) -> Trained:
    """Train on the rows of a job; Ctrl-C or its deadline ends the passes with what was learned until then.

    Word vectors and validation have no effect: there is one solution, and the passes only come nearer to it.

    Args:
        job: The epochs are the most passes over the texts. The weight of a text multiplies what an error costs there.
        tolerance: The largest projected gradient at which the descent ends.
        keep: The share of features, those of the largest weights, that the classifier knows in the end.
    """
    split, rows, settings, model = job.split, job.rows, job.config.training, job.config.model
    assert isinstance(model, Linear)
    started, generator = time.perf_counter(), np.random.default_rng(settings.seed)
    targets = job.task.empty_targets(len(rows))
    np.take(split.targets, rows, axis=0, out=targets, mode="clip")  # "raise" would fill a copy first
    with progress_bar(job.title, -(-len(rows) // _SLICE) * settings.epochs) as advance:
        keys, idf, numbers, entries = _read(job, model, targets, generator)
        costs = make_array(len(rows), np.float32)
        costs[:] = model.cost if split.weights is None else model.cost * split.weights[rows]
        machines = start_machines(job.task, targets, len(keys), costs)
        order = make_array(int(np.count_nonzero(entries.sizes >= 0)), np.int64)  # of many texts not all are read
        order[:] = np.flatnonzero(entries.sizes >= 0)
        place = _resume(job, machines, order, generator)
        history = place.history

        def state() -> State:
            so_far = replace(history, train_seconds=history.train_seconds + time.perf_counter() - started)
            here = msgspec.structs.replace(place, generator=generator_text(generator), history=so_far)
            return State(here, _moving(machines, order))

        try:
            for slope in _passes(job, machines, entries, place, order, generator, state, advance):
                history.steps += len(rows)
                history.record(place.turn, slope=slope)
                place.turn = job.config.training.epochs if slope <= tolerance else place.turn + 1
                job.stage.offer(state, is_last=place.turn == job.config.training.epochs)
            history.interrupted = job.deadline.passed
        except KeyboardInterrupt:
            history.interrupted = True
    columns = job.task.num_machines
    table = np.concatenate(list(machines.weights), axis=1)[numbers, :columns]
    kept = np.sort(np.argsort(-np.abs(table).max(axis=1), kind="stable")[: math.ceil(keep * len(keys))])
    tensors = {
        "linear.keys": keys[kept],
        "linear.idf": idf[numbers[kept]],
        "linear.weight": table[kept],
        "linear.bias": machines.biases.reshape(-1)[:columns].copy(),
    }
    history.train_seconds += time.perf_counter() - started
    if history.interrupted:
        log.warning("%s: interrupted after %d passes; what was learned is kept", job.title, len(history.records))
    part = LinearPart(model.ngrams(job.config.data), tensors)
    doubts = _slack(machines, costs)
    doubts[entries.sizes < 0] = np.inf
    return Trained(tensors, lambda split, rows: logits(part, take_texts(split.texts, rows)), history, doubts=doubts)


def _slack(machines: Machines, costs: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much each text is on the wrong side of the margins of all machines, (N,): alpha is 2 C times it."""
    found = make_array(len(costs), np.float32)
    found[:] = 0
    for alphas in machines.alphas:
        for first in range(0, len(found), _SLICE):
            found[first : first + _SLICE] += alphas[first : first + _SLICE].sum(axis=1)
    found /= np.maximum(2 * costs, np.finfo(np.float32).tiny)
    return found


def _resume(job: Job, machines: Machines, order: Rows, generator: np.random.Generator) -> _Place:
    """Where the descent begins; machines, order and generator as they were there."""
    saved = job.stage.take()
    if saved is None:
        return _Place(generator_text(generator), History())
    place, texts = saved.place(_Place), order.copy()
    saved.fill(_moving(machines, order))
    if not np.array_equal(np.sort(order), texts):
        raise saved.broken("its order is not of these texts")
    set_generator(generator, place.generator, saved)
    return place


def _moving(machines: Machines, order: Rows) -> dict[str, NDArray[Any]]:
    """What changes while the machines learn."""
    return {"alphas": machines.alphas, "weights": machines.weights, "biases": machines.biases, "order": order}


def _passes(
    job: Job,
    machines: Machines,
    entries: Entries,
    place: _Place,
    order: Rows,
    generator: np.random.Generator,
    state: Callable[[], State],
    advance: Advance,
) -> Iterator[float]:
    """Descend pass by pass from `place` on, which moves along; yields the largest projected gradient of each pass."""
    while place.turn < job.config.training.epochs:
        if not place.slices:
            generator.shuffle(order)
        for first in range(place.slices * _SLICE, len(order), _SLICE):
            slope = descend(machines, entries, order[first : first + _SLICE], native.num_threads())
            place.slope, place.slices = max(place.slope, slope), place.slices + 1
            advance(f"pass {place.turn + 1} slope {place.slope:.3f}")
            if job.deadline.passed:
                return
            if first + _SLICE < len(order):
                job.stage.offer(state)
        slope, place.slope, place.slices = place.slope, 0.0, 0
        yield slope


def _read(
    job: Job, model: Linear, targets: Targets, generator: np.random.Generator
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.int32], Entries]:
    """Sorted keys (F,), idf by number (F,), the number of each key (F,), and the entries of the texts.

    Features are numbered from the most frequent on: their rows lie together and stay in the processor's cache. Of more
    texts than there is room for, some stretches are read; the sizes of the other texts are -1.
    """
    task, texts, rows = job.task, job.split.texts, job.rows
    ngrams, threads = model.ngrams(job.config.data), native.num_threads()
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
    keys, documents = take_features(counter, least_texts(num_texts), task)
    numbers, by_number = number_features(keys, documents, num_texts)
    idf = weigh_by_rarity(by_number, num_texts)
    entries = Entries(places, sizes, make_array(total, np.uint32), make_array(total, np.float32))
    index, words = index_keys(keys, numbers), make_array(len(rows), np.int32)
    counts, shares = np.zeros((len(keys), task.num_classes), np.uint32), np.zeros(task.num_classes)
    exact = np.zeros((len(keys), 1), np.uint32)
    parts = [entries._replace(places=places[here], sizes=sizes[here]) for here in read]
    for here, into in zip(read, parts, strict=True):
        count_features(take_texts(texts, rows[here]), ngrams, index, threads, into, words[here])
        if not model.class_information:
            continue
        if counter.has_dropped:  # then the counts of rare features are too small, and shares would be above 1
            count_classes(into, np.arange(len(into.sizes)), np.zeros(len(into.sizes), np.int64), exact)
        owners, classes = task.pairs(targets[here])
        count_classes(into, owners, classes, counts)
        shares += np.bincount(classes, minlength=task.num_classes)
    if model.class_information:
        if counter.has_dropped:
            by_number = exact[:, 0]
            idf = weigh_by_rarity(by_number, num_texts)
        idf *= weigh_by_information(task, counts, by_number, shares / num_texts)
    for here, into in zip(read, parts, strict=True):
        weigh_features(into, words[here], idf, threads)
    return keys, idf, numbers, entries


def least_texts(num_texts: int) -> int:
    """How many of `num_texts` texts a feature must be in."""
    return MIN_DF if num_texts >= _FEW else 1


def take_features(counter: DocumentCounter, least: int, task: Task) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The keys that are in at least `least` texts, as many as there is room for, and in how many texts each is."""
    keys, documents = counter.take(least, min(MAX_FEATURES, max(1, _MAX_WEIGHTS // task.num_machines)))
    if not len(keys):  # no text has a token; a model has a feature all the same
        return np.zeros(1, np.uint32), np.ones(1, np.uint32)
    return keys, documents


def weigh_by_rarity(documents: NDArray[np.uint32], num_texts: int) -> NDArray[np.float32]:
    """The weight of features by the number of texts that each is in, (F,)."""
    return (np.log((1 + num_texts) / (1 + documents)) + 1).astype(np.float32)


def number_features(
    keys: NDArray[np.uint32], documents: NDArray[np.uint32], num_texts: int
) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """The number of each key, the most frequent first, and in how many texts each number is."""
    # Sorted by count, then by key: one sort of whole numbers.
    by_count = np.sort((np.uint64(num_texts) - documents << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64))
    order = (by_count & np.uint64(0xFFFFFFFF)).astype(np.int64)
    numbers = np.empty(len(keys), np.int32)
    numbers[order] = np.arange(len(keys), dtype=np.int32)
    return numbers, documents[order]


def weigh_by_information(
    task: Task, counts: NDArray[np.uint32], sizes: NDArray[np.uint32], shares: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The factor of each feature by what it says about the classes, (F,): `_FLOOR`, and the root of its nats.

    The nats are a divergence, see `Task.divergence`: from the shares of the classes among all texts (C,) to their
    shares among the texts with the feature, as if one more text had it, spread over the classes like all texts. A
    feature is in `sizes` texts (F,), of each class in `counts` (F, C).
    """
    weights = np.empty(len(counts), np.float32)
    prior = np.clip(shares, 1e-12, 1 - 1e-12)
    for first in range(0, len(counts), _SLICE):
        here = slice(first, first + _SLICE)
        found = (counts[here] + prior) / (sizes[here, None].astype(np.float64) + 1)
        weights[here] = _FLOOR + np.sqrt(np.maximum(task.divergence(found, prior), 0))
    return weights


def start_machines(task: Task, targets: Targets, num_features: int, costs: NDArray[np.float32]) -> Machines:
    """Machines that have learned nothing, in parts of equal width, a power of 2."""
    columns, count = task.num_machines, len(targets)
    parts = -(-columns // _WIDEST)
    width = 1 << (-(-columns // parts) - 1).bit_length()
    signs = make_array(parts * count * width, np.int8).reshape(parts, count, width)
    for column in range(parts * width):
        signs[column // width, :, column % width] = task.signs(targets, column) if column < columns else 0
    alphas = make_array(parts * count * width, np.float32).reshape(parts, count, width)
    alphas[:] = 0
    weights, biases = np.zeros((parts, num_features, width), np.float32), np.zeros((parts, width), np.float32)
    return Machines(signs, costs, alphas, weights, biases)
