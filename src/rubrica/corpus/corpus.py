"""A data set in numbers: the ids of every text, the targets, and the words that occur.

Only the rows of words that some text uses are kept. A row that no text uses gets no gradient, and with no gradient
Adam leaves it where it is, so the rest of a table of a million words changes no result; it only costs time.

Texts are read a stretch at a time, so a data set may be larger than memory, as long as its texts lie elsewhere. Arrays
with something for each text (ids, offsets, targets) become memory-mapped files once they are large. The files vanish
with the process.

Letters: N texts, V words in use, W words of the vectors.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.config.groups import DataSettings
from rubrica.corpus.held_out import text_keys
from rubrica.data.dataset import Dataset
from rubrica.data.stored_texts import stretches
from rubrica.files import cache_faults, make_array, unnamed_file
from rubrica.scoring.task import Rows, Task
from rubrica.text.tokens import WordCounter
from rubrica.text.vocab import PAD_ID, TokenIds, Vocab, Words
from rubrica.vectors.case import settle_reading
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_IN_MEMORY = 1 << 24  # ids that are kept in memory; more are mapped from a file
_RENUMBERED = 1 << 20  # ids at a time: 4 MB, which the processor's cache holds


@dataclass(frozen=True, slots=True)
class Split:
    """One part of a data set.

    Args:
        tokens: The ids of N texts.
        targets: Their labels in numbers, see `Task.encode`.
        texts: The texts themselves, in memory or on disk, for models that read characters.
        weights: How much each counts in training, (N,); None where all count alike.
        keys: The same number for near-duplicates, see `held_out.py`; None where no part of the split is held out.
        unknown: The labels that train lacks, see `Task.encode_all`.
        own: How many texts of train have labels of their own. Those behind them, which a model answered, are never held
            out. None for all.
        probabilities: How probable each label of each text is, (N, C), where the targets are not certain; else None.
    """

    tokens: TokenIds
    targets: NDArray[Any]
    texts: Sequence[str] = ()
    weights: NDArray[np.float32] | None = None
    keys: NDArray[np.int64] | None = None
    unknown: tuple[str, ...] = ()
    own: int | None = None
    probabilities: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Corpus:
    """A data set in numbers.

    Args:
        vocab: The V words in use.
        rows: Where each of them stands among the words of the vectors, (V,).
        table_size: W, words of the vectors (with the row for unknown words); V where there are no vectors.
        splits: By name, as in `data.sources.SPLITS`.
    """

    vocab: Vocab
    rows: NDArray[np.int64]
    table_size: int
    task: Task
    splits: dict[str, Split]

    def with_split(self, name: str, split: Split) -> "Corpus":
        """The corpus with another split of this name."""
        return replace(self, splits=self.splits | {name: split})


def build_corpus(
    dataset: Dataset,
    vectors: Vectors | None,
    config: DataSettings,
    *,
    spelled: bool = False,
    known: Vocab | None = None,
) -> Corpus:
    """Turn texts and labels into ids and targets.

    With vectors their words are the vocabulary, in the file's order; without, the words of train are. With `spelled`,
    words that the vocabulary lacks have ids of their own, see `TokenIds`. A `known` vocabulary keeps its ids, and more
    words of train follow.
    """
    texts, tokens = {name: examples.texts for name, examples in dataset.splits.items()}, dict[str, TokenIds]()
    first = "train" if "train" in texts else next(iter(texts))
    settled = settle_reading(config, vectors, texts[first])
    lowercase, split_unspaced = settled.lowercase is True, settled.split_unspaced is True
    others: dict[str, int] = {}
    if vectors is None:
        counter = WordCounter(lowercase=lowercase, max_length=config.max_length, split_unspaced=split_unspaced)
        tokens[first] = _gather(len(texts[first]), (counter.add(stretch) for stretch in stretches(texts[first])))
        words, counts = counter.words()
        if known is None:
            rule = {"lowercase": lowercase, "split_unspaced": split_unspaced}
            vocab, ids = Vocab.from_counts(words, counts, min_count=config.min_count, **rule)
        else:
            vocab, ids = known.extended(words, counts, config.min_count)
        _renumber(tokens[first].ids, vocab.number(words, others) if spelled else ids)
    else:
        vocab = Vocab.from_vectors(vectors.words, lowercase=lowercase, split_unspaced=split_unspaced)
    for name in (name for name in texts if name not in tokens):
        encode = partial(vocab.spell, others=others) if spelled else vocab.encode
        numbered = (encode(stretch, config.max_length) for stretch in stretches(texts[name]))
        tokens[name] = _gather(len(texts[name]), ((found.ids, found.offsets) for found in numbered))
    rows, table_size = np.arange(len(vocab.words)), len(vocab.words)
    if vectors is not None:
        rows = _rows_in_use(vocab, len(others), list(tokens.values()))
        vocab = vocab.take(rows)
    if spelled:
        spelling = Words(vocab.words, list(others), vocab.unknown_id)
        tokens = {name: replace(found, words=spelling) for name, found in tokens.items()}
    splits = {}
    for name, examples in dataset.splits.items():
        labels, task = examples.labels, dataset.task
        targets, unknown = (task.encode(labels), ()) if name == first else task.encode_all(labels)
        soft = None if examples.soft is None else examples.soft.of(task.labels)
        splits[name] = Split(tokens[name], targets, examples.texts, unknown=unknown, probabilities=soft)
    if "train" in splits and "validation" not in splits and config.validation_fraction:
        splits["train"] = replace(splits["train"], keys=text_keys(len(texts["train"]), stretches(texts["train"])))
    return Corpus(vocab, rows, table_size, dataset.task, splits)


def _gather(num_texts: int, stretches: Iterable[tuple[NDArray[np.int32], NDArray[np.int64]]]) -> TokenIds:
    """The ids of all texts in one piece, in memory while they are few; a stretch is ids and the starts of its texts."""
    parts: list[NDArray[np.int32]] = []
    offsets, done = make_array(num_texts + 1, np.int64), 0
    offsets[0] = 0
    file = None
    for ids, starts in stretches:
        offsets[done + 1 : done + len(starts)] = offsets[done] + starts[1:]
        done += len(starts) - 1
        if file is None and offsets[done] > _IN_MEMORY:
            file = unnamed_file()
        parts.append(ids)
        if file is not None:
            with cache_faults():
                for part in parts:
                    file.write(part.data)
            parts.clear()
    if file is None:
        return TokenIds(parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.int32), *parts]), offsets)
    with file:
        with cache_faults():
            file.flush()
        return TokenIds(np.memmap(file, np.int32, "r+"), offsets)


def _renumber(ids: NDArray[np.int32], numbers: NDArray[np.int32]) -> None:
    """Put `numbers[i]` where i was."""
    for first in range(0, len(ids), _RENUMBERED):
        part = ids[first : first + _RENUMBERED]
        part[:] = numbers[part]


def _rows_in_use(vocab: Vocab, num_others: int, tokens: Sequence[TokenIds]) -> NDArray[np.int64]:
    """The ids in use, sorted: padding, the unknown word, and the ids of the texts, which become places among them.

    The ids of words that the vocabulary lacks follow.
    """
    used = np.zeros(len(vocab.words) + num_others, bool)
    used[len(vocab.words) :] = True
    used[[PAD_ID, vocab.unknown_id]] = True
    for found in tokens:
        for first in range(0, len(found.ids), _RENUMBERED):
            used[found.ids[first : first + _RENUMBERED]] = True
    places = np.cumsum(used, dtype=np.int32) - 1
    for found in tokens:
        _renumber(found.ids, places)
    return np.flatnonzero(used[: len(vocab.words)])


def pretrained_rows(vectors: Vectors, rows: Rows) -> NDArray[np.float32]:
    """Rows of the vectors as an embedding table; the row behind the last word, for unknown words, is their mean."""
    known = rows < len(vectors.words)
    table = np.empty((len(rows), vectors.dim), np.float32)
    table[known] = vectors.matrix[rows[known]]
    if not known.all():
        table[~known] = vectors.matrix.mean(axis=0, dtype=np.float64)
    return table
