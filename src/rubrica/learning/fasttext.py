"""Training of fastText models: supervised, skip-gram and CBOW.

What one step does is fastText's, see `native/fasttext_train.cpp`. Departures: no thread's speed decides anything, so
the same seed and number of threads give the same bits; the whole input matrix starts at random numbers (fastText
fills a tenth a thread); the lines of a supervised training come in a new order in every epoch, so a file sorted by its
labels may stay so; and the step size falls with every line, not with every `lr_update_rate` tokens.

Letters: V words, L labels, D numbers in a row, R input rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from rubrica.errors import DataError, RubricaError
from rubrica.files import user_path
from rubrica.kernels import native
from rubrica.kernels.fasttext_train import Asking, Lesson, Reading, Trainer
from rubrica.kernels.fasttext_words import Lines, Words, count_words
from rubrica.learning.fasttext_start import count_on, find_origin, make_matrices
from rubrica.models.fasttext import FastText
from rubrica.progress import Progress
from rubrica.text.tokens import Packed

Tensors = dict[str, NDArray[Any]]

BATCH_SIZE = {"supervised": 16, "skipgram": 32, "cbow": 16}
"""Examples whose hidden vectors do not see each other's steps, see `docs/decisions.md`."""
_NUMBERS_PER_STRETCH = 300_000_000  # numbers of rows between two looks at Ctrl-C and the bar: 10 to 50 ms


@dataclass(frozen=True)
class FastTextTraining:
    """How a model is trained, beside the settings that its file carries.

    Args:
        lr: The step size at the start; it falls to zero with the last token.
        epochs: Passes over the texts; with 0 the model stays as it starts.
        seed: What is drawn follows from it.
        min_count_label: Labels that occur less often are left out.
        vectors: A file of word vectors where words start; its words are never left out.
        threads: How many; None takes all that the environment grants. The same number gives the same bits.
    """

    lr: float = 0.1
    epochs: int = 5
    seed: int = 0
    min_count_label: int = 0
    vectors: str | Path | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("lr", 0), ("epochs", 0), ("seed", 0), ("min_count_label", 0), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value < float("inf"):
                raise ValueError(f"{name} is {value}, expected {least} or more")


def train_fasttext(
    source: str | Path | Packed,
    settings: FastText,
    training: FastTextTraining,
    *,
    start: tuple[FastText, Tensors] | None = None,
    progress: Progress | None = None,
) -> tuple[FastText, Tensors]:
    """Train a model on the lines of a file, or on texts.

    A label is a token of the text that begins with the prefix of the settings.

    Args:
        source: A text file, a line a text; or texts.
        settings: The model. Its sizes are filled in.
        training: How to train.
        start: A model to learn on from. Its words keep their rows, and new ones are added.
        progress: Called some 20 to 100 times a second.

    Returns:
        The settings with their sizes, and the tensors.

    Raises:
        DataError: If the file cannot be read, or has no words or no labels that are kept.
        VectorsError: If the file of vectors cannot be read, or has vectors of another size.
        ValueError: If the settings contradict each other or the model to start from.
        RubricaError: If there is no native core, or the training diverges.
    """
    _check(settings)
    threads = training.threads or native.num_threads()
    hashes = settings.max_n > 0 or settings.word_ngrams > 1
    settings = structs.replace(settings, num_buckets=settings.num_buckets if hashes else 0)
    origin = find_origin(settings, start, training.vectors)
    words, lines = count_words(
        source[:] if isinstance(source, Packed) else map_file(source),
        prefix=settings.rules.label_prefix,
        min_count=settings.min_count,
        min_count_label=training.min_count_label,
        supervised=settings.supervised,
        known=origin.known,
        ordered=origin.model is not None,
    )
    where = "texts" if isinstance(source, Packed) else source
    check_words(words, where, settings, training.min_count_label)
    num_tokens = words.num_tokens
    words = count_on(origin, settings, words)
    input_weight, output_weight = make_matrices(origin, settings, words, training.seed, threads)
    trainer = Trainer(words, lines, reading_of(settings), asking_of(settings, words))
    matrices = input_weight, output_weight
    learn_from(trainer, words._replace(num_tokens=num_tokens), lines, settings, training, matrices, progress)
    return finish(settings, training, words, input_weight, output_weight)


def check_words(words: Words, where: object, settings: FastText, min_count_label: int) -> None:
    """Make sure that the texts have words, and a classifier's texts labels.

    Raises:
        DataError: If no word is kept, or no label of a classifier.
    """
    if not words.num_words and not settings.label_prefix:
        raise DataError(where, "every word is a label, as the label prefix is empty; give one such as __label__")
    if not words.num_words:
        problem = f"no word occurs {settings.min_count} times; give more texts, or a smaller minimum count of words"
        raise DataError(where, problem)
    if not settings.supervised or words.num_labels:
        return
    if len(words.ends) > words.num_words + words.num_rare:
        problem = f"no label occurs {min_count_label} times; give more texts, or a smaller minimum count of labels"
        raise DataError(where, problem)
    raise DataError(where, f"no label; expected words that begin with {settings.label_prefix!r}")


def learn_from(
    trainer: Trainer,
    words: Words,
    lines: Lines,
    settings: FastText,
    training: FastTextTraining,
    matrices: tuple[NDArray[np.float32], NDArray[np.float32]],
    progress: Progress | None = None,
) -> None:
    """Learn from all lines, some of them at a time; both matrices move in place.

    Raises:
        RubricaError: If the loss is no longer a number.
    """
    total, kind = training.epochs * float(words.num_tokens), settings.kind
    threads = training.threads or native.num_threads()
    tokens = _tokens_per_stretch(settings, words, trainer)
    stretches = iter_stretches(lines, tokens, total, shuffled=settings.supervised, seed=training.seed)
    visit, losses, asked = 0, 0.0, 0
    for order, seen in stretches:
        lesson = Lesson(order, visit, seen, total, training.lr, BATCH_SIZE[kind], training.seed)
        loss, count = trainer.learn(*matrices, lesson, threads=threads)
        visit, losses, asked = visit + len(order), losses + loss, asked + count
        if not np.isfinite(loss):
            raise RubricaError(
                f"the training diverged with lr {training.lr:g} (the loss is no number); give a smaller lr"
            )
        if progress is not None:
            share = min(1.0, seen / total)
            progress(share, losses / max(1, asked), training.lr * (1 - share))
    if not np.isfinite(matrices[1]).all():
        raise RubricaError(f"the training diverged with lr {training.lr:g}; give a smaller lr")


def iter_stretches(
    lines: Lines, tokens: int, total: float, *, shuffled: bool, seed: int
) -> Iterator[tuple[NDArray[np.int64], float]]:
    """Yield lines, some tokens of them at a time, until `total` tokens are read; and the tokens that lie before them.

    Where they are shuffled, every pass over the lines has an order of its own.
    """
    generator = np.random.default_rng(seed)
    lengths, seen = np.diff(lines.starts), 0.0
    if not len(lines.numbers):
        return
    while seen < total:
        order = generator.permutation(len(lengths)) if shuffled else np.arange(len(lengths))
        before = np.concatenate([[0], np.cumsum(lengths[order])])
        order = order[: np.searchsorted(before, total - seen)]  # fastText stops behind the line that reaches the total
        first = 0
        while first < len(order):
            last = max(first + 1, int(np.searchsorted(before, before[first] + tokens)))
            yield order[first:last], seen + float(before[first])
            first = last
        seen += float(before[-1])


def _tokens_per_stretch(settings: FastText, words: Words, trainer: Trainer) -> int:
    """How many tokens are learned from in some 10 to 50 ms; it depends on the texts and the settings alone."""
    counts = words.counts[: words.num_words]
    rows = float(counts @ np.diff(trainer.row_starts[: words.num_words + 1])) / max(1, int(counts.sum()))
    num_outputs = words.num_labels if settings.supervised else words.num_words
    asked = {
        "softmax": num_outputs, "ova": num_outputs, "hs": num_outputs.bit_length(), "ns": 1 + settings.negatives
    }[settings.loss]  # fmt: skip
    if settings.supervised:
        length = words.num_tokens / max(1, int(words.counts[words.num_words :][: words.num_labels].sum()))
        moved = rows + settings.word_ngrams - 1 + asked / length
    elif settings.kind == "skipgram":
        moved = rows + (settings.window + 1) * asked
    else:
        moved = rows * (settings.window + 1) + asked
    return max(1, int(_NUMBERS_PER_STRETCH / (moved * (settings.embedding_dim + 16))))


def reading_of(settings: FastText, pruned: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None) -> Reading:
    """How a model's tokens become rows; only supervised models read runs of words."""
    word_ngrams = settings.word_ngrams if settings.supervised else 1
    return Reading(settings.min_n, settings.max_n, word_ngrams, settings.num_buckets, pruned)


def asking_of(settings: FastText, words: Words) -> Asking:
    """What a model asks about a hidden vector."""
    counts = words.counts[: words.num_words]
    negatives = settings.negatives if settings.loss == "ns" else 0
    if settings.supervised:
        labels = words.counts[words.num_words :][: words.num_labels].copy()
        return Asking(settings.kind, settings.loss, labels, negatives)
    share = settings.sampling / np.maximum(counts / max(1, words.num_tokens), 1e-300)
    keep = (np.sqrt(share) + share).astype(np.float32)
    return Asking(settings.kind, settings.loss, counts.copy(), negatives, settings.window, keep)


def finish(
    settings: FastText,
    training: FastTextTraining,
    words: Words,
    input_weight: NDArray[np.float32],
    output_weight: NDArray[np.float32],
) -> tuple[FastText, Tensors]:
    """The settings with their sizes, and the tensors."""
    entries = words.num_words + words.num_labels
    size = int(words.ends[entries - 1])
    tensors: Tensors = {
        "dictionary.bytes": words.names[:size].copy(),
        "dictionary.ends": words.ends[:entries].copy(),
        "dictionary.counts": words.counts[:entries].copy(),
        "prune.buckets": np.empty(0, np.int32),
        "prune.rows": np.empty(0, np.int32),
        "input.weight": input_weight,
        "output.weight": output_weight,
    }
    finished = structs.replace(
        settings,
        num_words=words.num_words,
        num_labels=words.num_labels,
        num_rows=len(input_weight),
        num_bytes=size,
        num_tokens=words.num_tokens,
        file_epochs=training.epochs,
        version=12,
    )
    return finished, tensors


def map_file(path: str | Path) -> NDArray[np.uint8]:
    """The bytes of a file, mapped.

    Raises:
        DataError: If it cannot be read, or is empty.
    """
    path = user_path(path)
    try:
        if path.stat().st_size:
            return np.asarray(np.memmap(path, np.uint8, "r"))
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror or error}); give a text file") from None
    raise DataError(path, "an empty file; expected a text a line")


def _check(settings: FastText) -> None:
    """Make sure that a model of these settings can be trained."""
    if settings.loss == "ova" and not settings.supervised:
        raise ValueError(f'loss is "ova" and kind is "{settings.kind}"; one-vs-all is for supervised models')
    if (settings.max_n > 0 or settings.word_ngrams > 1) and not settings.num_buckets:
        raise ValueError("num_buckets is 0; runs of characters or words need 1 or more")
    used = {"min_count": 0} | ({"negatives": 0} if settings.loss == "ns" else {})
    for name, least in (used if settings.supervised else used | {"window": 1}).items():
        if getattr(settings, name) < least:
            raise ValueError(f"{name} is {getattr(settings, name)}, expected {least} or more")
    if settings.sampling <= 0 and not settings.supervised:
        raise ValueError(f"sampling is {settings.sampling}, expected more than 0")
