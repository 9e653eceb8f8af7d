"""Training of the bag of words and n-grams: fastText's idea, without torch, in seconds.

The rows start as fastText's do: words from U(-1/D, 1/D), the head at zero; n-grams start at zero too. The step size
falls linearly to zero with the last text, so the last epoch's weights are kept.

Letters: D numbers in a row.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact
from rubrica.config.groups import SgdTraining
from rubrica.corpus.corpus import Split, pretrained_rows
from rubrica.kernels import native
from rubrica.kernels.bag import Head, Tables, Ways, train
from rubrica.learning.checkpoint import State, generator_text, set_generator
from rubrica.learning.job import History, Job, Trained, token_inputs
from rubrica.models.bag import Bag
from rubrica.models.family import HEAD
from rubrica.models.storage import take_rows
from rubrica.progress import progress_bar
from rubrica.scoring.task import Floats, Rows
from rubrica.text.vocab import PAD_ID

log = logging.getLogger(__name__)

_BATCHES = 128  # between two looks at the bar, Ctrl-C and the deadline: some 10 ms
_VALIDATED = 10  # times at the most, at the end of an epoch: nothing is chosen by it
_NEAR_FROM = 1 << 18  # texts; the ids of fewer are near enough to the processor
_NEAR = 16  # of more, this many neighbours go together: each page of the ids is looked up for all of them


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    """Where a training is.

    Args:
        generator: Its state at the start of the epoch.
        history: What the training did so far.
        epoch: The number of the epoch.
        stretches: How many stretches of the epoch are done.
    """

    generator: str
    history: History
    epoch: Annotated[int, Meta(ge=0, le=1 << 30)] = 0
    stretches: Annotated[int, Meta(ge=0)] = 0


def train_bag(job: Job) -> Trained:
    """Train on the rows of a job; Ctrl-C or its deadline ends the training with what was learned until then."""
    generator = np.random.default_rng(job.config.training.seed)
    model = job.config.model
    assert isinstance(model, Bag)
    tensors = _start(job, model, generator)

    def logits(split: Split, rows: Rows) -> Floats:
        return np.asarray(model.logits(tensors, token_inputs(split, rows)), np.float32)

    place, started = _Place(generator_text(generator), History()), time.perf_counter()
    if saved := job.stage.take():
        place = saved.place(_Place)
        saved.fill(tensors)
        set_generator(generator, place.generator, saved)
    history = place.history
    trained = Trained(tensors, logits, history, model.search(tensors))

    def state() -> State:
        so_far = replace(history, train_seconds=history.train_seconds + time.perf_counter() - started)
        return State(msgspec.structs.replace(place, history=so_far), tensors)

    try:
        _train_epochs(job, model, generator, trained, place, state)
    except KeyboardInterrupt:
        history.interrupted = True
    history.train_seconds += time.perf_counter() - started
    if history.interrupted:
        log.warning("%s: stopped after %d updates; what was learned is kept", job.title, history.steps)
    return trained


def _train_epochs(
    job: Job, model: Bag, generator: np.random.Generator, trained: Trained, place: _Place, state: Callable[[], State]
) -> None:
    """Train from `place` on, which moves along; take the seconds of validation off the seconds of training."""
    settings, split, history = job.config.training, job.split, trained.history
    tables = Tables(trained.tensors["embedding.weight"], trained.tensors["ngrams.weight"], model.word_ngrams)
    head = Head(*(trained.tensors[name] for name in HEAD))
    targets, label_sets = job.task.kernel_targets(split.targets)
    assert isinstance(settings, SgdTraining)
    subwords, ways = model.all_subwords(split.tokens), None
    if trained.search is not None:
        ways = Ways(trained.search.tree.starts, trained.search.tree.path)
    whole, rest = divmod(job.total_steps, job.steps_per_epoch)
    stretch, total = settings.batch_size * _BATCHES, whole * len(job.rows) + rest * settings.batch_size
    shown, stretches = -(-settings.epochs // _VALIDATED), -(-len(job.rows) // stretch)
    done = place.epoch * len(job.rows)
    with progress_bar(job.title, stretches * settings.epochs, place.epoch * stretches) as advance:
        for epoch in range(place.epoch, -(-total // len(job.rows))):
            for number, drawn in enumerate(_iter_random(job.rows, stretch, generator)):
                texts = drawn[: total - done]
                if not len(texts):
                    break
                if number < place.stretches:  # learned before the training was stopped
                    done += len(texts)
                    advance("")
                    continue
                loss, accuracy = train(
                    tables, head, split.tokens.ids, split.tokens.offsets, targets, texts, subwords=subwords,
                    label_sets=label_sets, ways=ways, batch_size=settings.batch_size,
                    lr=settings.lr * (1 - done / total), lr_end=settings.lr * (1 - (done + len(texts)) / total),
                    smoothing=settings.label_smoothing, weights=split.weights, threads=native.num_threads(),
                )  # fmt: skip
                done += len(texts)
                history.steps += -(-len(texts) // settings.batch_size)
                history.record(epoch, loss=loss, accuracy=accuracy)
                advance(f"loss {loss:.4f} accuracy {accuracy:.4f}")
                if job.deadline.passed:
                    history.interrupted = True
                    return
                place.stretches = number + 1
                job.stage.offer(state)
            if job.judge is not None and not ((epoch + 1) % shown and done < total):
                began = time.perf_counter()
                history.validated(job.title, epoch, job.judge(trained))
                history.train_seconds -= time.perf_counter() - began
            place.epoch, place.stretches, place.generator = epoch + 1, 0, generator_text(generator)
            job.stage.offer(state, is_last=done == total)


def _iter_random(rows: Rows, stretch: int, generator: np.random.Generator) -> Iterator[Rows]:
    """Yield rows in a random order, a stretch at a time.

    Of many texts neighbours share a stretch, but meet its other texts, from all over the data, in a random order.
    """
    near = _NEAR if len(rows) > _NEAR_FROM else 1
    starts = np.arange(0, len(rows), near)
    generator.shuffle(starts)
    for first in range(0, len(starts), stretch // near):
        places = (starts[first : first + stretch // near, None] + np.arange(near)).ravel()
        texts = rows[places[places < len(rows)]]
        if near > 1:
            generator.shuffle(texts)
        yield texts


def _start(job: Job, model: Bag, generator: np.random.Generator) -> dict[str, NDArray[Any]]:
    """The tensors before the first update."""
    corpus, dim = job.corpus, model.embedding_dim
    if job.start is not None:
        words: NDArray[np.float32] = pretrained_rows(job.start, corpus.rows)
    else:
        words = np.float32(1 / dim) * (2 * generator.random((len(corpus.rows), dim), np.float32) - 1)
        words[[PAD_ID, corpus.vocab.unknown_id]] = 0  # a word that is not known says nothing until it has learned to
    tensors: dict[str, NDArray[Any]] = {
        "embedding.weight": words,
        "ngrams.weight": np.zeros((model.buckets, dim), np.float32),
    }
    for name, shape in model.head_shapes(job.task.num_classes).items():
        tensors[name] = np.zeros(shape, np.float32)
    if "head.counts" in tensors:
        tensors["head.counts"] = job.task.class_counts(job.split.targets, job.rows).astype(np.uint32)
    return tensors if job.before is None else _go_on(tensors, job.before)


def _go_on(tensors: dict[str, NDArray[Any]], before: Artifact) -> dict[str, NDArray[Any]]:
    """The tensors with the rows of a trained model in front; its tree stays, since its rows are decisions of it."""
    for name, tensor in tensors.items():
        known = take_rows(before.tensors, name)
        tensor[: len(known)] = known
    return tensors
