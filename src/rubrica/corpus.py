"""A data set in numbers: the ids of every text, the targets, and the words that occur.

Only the rows of words that some text uses are kept. A row that no text uses gets no gradient, and with no gradient
Adam leaves it where it is, so the rest of a table of a million words changes no result; it only costs time.

The whole step from texts to ids is cached on disk, keyed by the texts, the vectors' words and the settings.

Letters: N texts, V words in use, W words of the vectors, E numbers in a word vector.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.cache import cache_folder, content_key, write_whole
from rubrica.config import DataConfig
from rubrica.data import Dataset
from rubrica.errors import ConfigError
from rubrica.vectors import Vectors
from rubrica.vocab import PAD_ID, UNKNOWN, TokenIds, Vocab

log = logging.getLogger(__name__)

_FORMAT = b"corpus-1"  # part of every key: raise it when the meaning of an entry changes


@dataclass(frozen=True, slots=True)
class Split:
    """One part of a data set.

    Args:
        tokens: The ids of N texts.
        targets: The class of each, int64, (N,).
    """

    tokens: TokenIds
    targets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A data set in numbers.

    Args:
        vocab: The V words in use.
        rows: Where each of them stands among the words of the vectors, int64, (V,).
        table_size: W, words of the vectors (with the row for unknown words); V where there are no vectors.
        labels: The class names.
        splits: By name, as in `data.SPLITS`.
    """

    vocab: Vocab
    rows: NDArray[np.int64]
    table_size: int
    labels: list[str]
    splits: dict[str, Split]


def build_corpus(dataset: Dataset, vectors: Vectors | None, config: DataConfig) -> Corpus:
    """Turn texts and labels into ids and targets, by way of the cache.

    With vectors their words are the vocabulary, in the file's order; without, the words of train are.
    """
    texts = {name: examples.texts for name, examples in dataset.splits.items()}
    words = vectors.words if vectors is not None else []
    path = cache_folder() / "ids" / f"{_key(texts, words, vectors is not None, config)}.safetensors"
    entry = _read_entry(path)
    if entry is None:
        entry = _encode(texts, words if vectors is not None else None, config)
        if write_whole(path, lambda temporary: _write_entry(temporary, entry)):
            log.info("token ids: made from the texts, kept in %s", path)
    else:
        log.info("token ids: reused from %s", path)
    known = json.loads(entry["words"].tobytes())
    unknown_id, table_size = (int(number) for number in entry["numbers"])
    target = {label: i for i, label in enumerate(dataset.labels)}
    splits = {
        name: Split(
            TokenIds(entry[f"{name}.ids"], entry[f"{name}.offsets"]),
            np.array([target[label] for label in examples.labels], np.int64),
        )
        for name, examples in dataset.splits.items()
    }
    vocab = Vocab(known, unknown_id, config.lowercase)
    return Corpus(vocab, entry["rows"], table_size, dataset.labels, splits)


def pretrained_table(vectors: Vectors) -> NDArray[np.float32]:
    """The vectors as an embedding table (W, E): where they have no word `unk`, their mean is one more row."""
    if UNKNOWN in vectors.words:
        return vectors.matrix
    return np.vstack([vectors.matrix, vectors.matrix.mean(axis=0, keepdims=True, dtype=np.float64)], dtype=np.float32)


def hold_out(targets: NDArray[np.int64], fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the rows of train into those that stay and those held out for validation, class by class.

    Every class keeps at least one text to train on.

    Raises:
        ConfigError: If the fraction is above 0 but too small to hold out a single text.
    """
    generator = np.random.default_rng(seed)
    held = np.zeros(len(targets), bool)
    for target in np.unique(targets):
        rows = generator.permutation(np.flatnonzero(targets == target))
        held[rows[: min(round(fraction * len(rows)), len(rows) - 1)]] = True
    if fraction > 0 and not held.any():
        raise ConfigError(
            f"data.validation_fraction is {fraction}, which holds out none of {len(targets)} texts; "
            "raise it, add texts, or set it to 0"
        )
    return np.flatnonzero(~held), np.flatnonzero(held)


def _encode(
    texts: Mapping[str, Sequence[str]], words: Sequence[str] | None, config: DataConfig
) -> dict[str, NDArray[Any]]:
    if words is None:
        first = next(iter(texts.values()))
        vocab = Vocab.from_texts(texts.get("train", first), lowercase=config.lowercase, min_count=config.min_count)
    else:
        vocab = Vocab.from_vectors(words, lowercase=config.lowercase)
    tokens = {name: vocab.encode(split, config.max_length) for name, split in texts.items()}
    if words is None:
        rows = np.arange(len(vocab.words))
    else:
        used = [PAD_ID, vocab.unknown_id]
        rows = np.unique(np.concatenate([used, *(split.ids for split in tokens.values())])).astype(np.int64)
    position = np.zeros(len(vocab.words), np.int32)
    position[rows] = np.arange(len(rows), dtype=np.int32)
    small = vocab.take(rows)
    entry = {
        "words": np.frombuffer(json.dumps(small.words).encode(), np.uint8),
        "numbers": np.array([small.unknown_id, len(vocab.words)]),
        "rows": rows,
    }
    for name, split in tokens.items():
        entry |= {f"{name}.ids": position[split.ids], f"{name}.offsets": split.offsets}
    return entry


def _key(texts: Mapping[str, Sequence[str]], words: Sequence[str], has_vectors: bool, config: DataConfig) -> str:
    settings = [config.lowercase, config.max_length, has_vectors, 0 if has_vectors else config.min_count]
    parts = [_FORMAT, json.dumps([settings, list(texts)]).encode()]
    for strings in (words, *texts.values()):
        # Lengths beside the joined text: ["a", "b"] and ["a\0b"] must not share a key.
        parts.append(np.fromiter(map(len, strings), np.int64, len(strings)).tobytes())
        parts.append("\0".join(strings).encode("utf-8", "surrogatepass"))
    return content_key(*parts)


def _write_entry(path: Path, entry: dict[str, NDArray[Any]]) -> None:
    from safetensors.numpy import save_file

    save_file(entry, path)


def _read_entry(path: Path) -> dict[str, NDArray[Any]] | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError):  # not there, or broken: made anew
        return None
