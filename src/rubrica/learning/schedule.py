"""What an update is given: its step size, its texts, which words are dropped, and whether the embedding trains.

All of it depends on the settings, the seed and the number of the epoch or update alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rubrica.config.groups import AdamTraining
from rubrica.corpus.corpus import Split
from rubrica.files import make_array
from rubrica.scoring.task import Rows
from rubrica.text.batching import iter_rows, similar_batches
from rubrica.text.vocab import TokenIds

_DROPPED = 1 << 20  # ids at a time: some MB


def lr_at(done: float, settings: AdamTraining) -> float:
    """The step size when this share of all updates is done: it rises, and then stays or falls to 0."""
    if done < settings.warmup:
        return settings.lr * done / settings.warmup
    return settings.lr * ((1 - done) / (1 - settings.warmup) if settings.decay == "linear" else 1.0)


def thaw_step(settings: AdamTraining, steps_per_epoch: int) -> int:
    """The first update, counted from 0, that trains the embedding table.

    The gradients of a network that still knows nothing would only spoil pretrained vectors.
    """
    return settings.freeze_epochs * steps_per_epoch or settings.freeze_steps


def describe_thawing(step: int) -> str:
    """The schedule of the embedding in words, for the log."""
    if step == 0:
        return "the embedding trains from the start"
    return f"the embedding is frozen for updates 0..{step - 1} and trains from update {step} on"


def batches_of(split: Split, rows: Rows, settings: AdamTraining, epoch: int) -> Sequence[Rows]:
    """The batches of an epoch."""
    generator = np.random.default_rng([settings.seed, epoch])
    order = make_array(len(rows), np.int64)
    order[:] = rows
    generator.shuffle(order)
    if not settings.similar_lengths:
        return list(iter_rows(order, settings.batch_size))
    return similar_batches(order, split.tokens, settings.batch_size, generator)


def drop_words(split: Split, unknown_id: int, settings: AdamTraining, epoch: int) -> Split:
    """The split as an epoch reads it: some words become the unknown word, which so learns what to mean."""
    if not settings.word_dropout:
        return split
    generator = np.random.default_rng([settings.seed, epoch, 1])  # the batches' seed with a 1
    ids = make_array(len(split.tokens.ids), np.int32)
    for first in range(0, len(ids), _DROPPED):
        part = split.tokens.ids[first : first + _DROPPED]
        dropped = generator.random(len(part), np.float32) < settings.word_dropout
        ids[first : first + _DROPPED] = np.where(dropped, np.int32(unknown_id), part)
    return replace(split, tokens=TokenIds(ids, split.tokens.offsets))
