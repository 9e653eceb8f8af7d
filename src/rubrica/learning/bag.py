"""Training of the bag of words and n-grams: fastText's idea, without torch, in seconds.

The rows start as fastText's do, words from U(-1/D, 1/D) and the head at zero, n-grams at zero; the step size falls
linearly to zero. All epochs are run and the last one's weights are kept: the step size ends there.

Letters: D numbers in a row, V words in use, B buckets of n-grams, C classes.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rubrica.config.settings import Config
from rubrica.corpus.corpus import Corpus, Split, pretrained_table
from rubrica.kernels import native
from rubrica.kernels.bag import Head, Tables, features, train
from rubrica.learning.history import History, Trained
from rubrica.learning.progress import progress_bar
from rubrica.text.vocab import PAD_ID
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_BATCHES = 128  # between two looks at the bar and at Ctrl-C: some 10 ms
_VALIDATED = 10  # times at the most, at the end of an epoch: nothing is chosen by it
_NEAR_FROM = 1 << 18  # texts; the ids of fewer are near enough to the processor
_NEAR = 16  # of more, this many neighbours go together: each page of the ids is looked up for all of them


def train_bag(
    corpus: Corpus,
    vectors: Vectors | None,
    config: Config,
    rows: NDArray[np.int64],
    *,
    validate: Callable[[Trained], tuple[float, float]] | None,
    title: str,
    stop_at: float = math.inf,
) -> Trained:
    """Train on the given rows of the corpus's train split; Ctrl-C ends it with what was learned until then.

    Args:
        corpus: Texts in numbers.
        vectors: The words start at them where the config says so.
        config: The settings; of `training` epochs, batch_size, lr, label_smoothing and seed are read.
        rows: Which texts of train to learn from.
        validate: Returns loss and accuracy on held-out texts; called after some epochs.
        title: What the progress bar is called.
        stop_at: When to end as by Ctrl-C, on the clock of `time.perf_counter`.
    """
    settings, split = config.training, corpus.splits["train"]
    generator = np.random.default_rng(settings.seed)
    tables, head = _start(corpus, vectors, config, generator)
    history = History()
    trained = Trained(
        {
            "embedding.weight": tables.words,
            "ngrams.weight": tables.ngrams,
            "head.weight": head.weight,
            "head.bias": head.bias,
        },
        lambda part, wanted: _logits(tables, head, part, wanted),
        history,
    )
    stretch = settings.batch_size * _BATCHES
    done, total = 0, settings.epochs * len(rows)
    if settings.max_steps:
        whole, rest = divmod(settings.max_steps, -(-len(rows) // settings.batch_size))
        total = min(total, whole * len(rows) + rest * settings.batch_size)
    shown = -(-settings.epochs // _VALIDATED)
    started = time.perf_counter()
    try:
        with progress_bar(title, -(-len(rows) // stretch) * settings.epochs, stop_at) as advance:
            for epoch in range(-(-total // len(rows))):
                for drawn in _iter_random(rows, stretch, generator):
                    texts = drawn[: total - done]
                    if not len(texts):
                        break
                    loss, accuracy = train(
                        tables, head, split.tokens.ids, split.tokens.offsets, split.targets, texts,
                        batch_size=settings.batch_size, lr=settings.lr * (1 - done / total),
                        lr_end=settings.lr * (1 - (done + len(texts)) / total), smoothing=settings.label_smoothing,
                        weights=split.weights, threads=native.num_threads(),
                    )  # fmt: skip
                    done += len(texts)
                    history.steps += -(-len(texts) // settings.batch_size)
                    history.record(epoch, loss=loss, accuracy=accuracy)
                    advance(f"loss {loss:.4f} accuracy {accuracy:.4f}")
                if validate is None or ((epoch + 1) % shown and done < total):
                    continue
                now = time.perf_counter()
                history.train_seconds, started = history.train_seconds + now - started, now
                loss, accuracy = validate(trained)
                started = time.perf_counter()
                log.info("%s: epoch %d, validation loss %.4f accuracy %.4f", title, epoch + 1, loss, accuracy)
                history.record(epoch, validation_loss=loss, validation_accuracy=accuracy)
    except KeyboardInterrupt:
        history.interrupted = True
        log.warning("%s: interrupted after %d updates; what was learned is kept", title, history.steps)
    history.train_seconds += time.perf_counter() - started
    return trained


def _iter_random(rows: NDArray[np.int64], stretch: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
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


def _start(
    corpus: Corpus, vectors: Vectors | None, config: Config, generator: np.random.Generator
) -> tuple[Tables, Head]:
    dim, num_classes = config.model.embedding_dim, len(corpus.labels)
    if vectors is not None and config.model.embedding == "pretrained":
        words: NDArray[np.float32] = pretrained_table(vectors)[corpus.rows]
    else:
        words = np.float32(1 / dim) * (2 * generator.random((len(corpus.rows), dim), np.float32) - 1)
        words[[PAD_ID, corpus.vocab.unknown_id]] = 0  # a word that is not known says nothing until it has learned to
    buckets = config.model.num_buckets if config.model.word_ngrams > 1 else 0
    tables = Tables(words, np.zeros((buckets, dim), np.float32), config.model.word_ngrams)
    return tables, Head(np.zeros((num_classes, dim), np.float32), np.zeros(num_classes, np.float32))


def _logits(tables: Tables, head: Head, split: Split, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    tokens = split.tokens.take(rows)
    return np.asarray(features(tables, tokens.ids, tokens.offsets) @ head.weight.T + head.bias, np.float32)
