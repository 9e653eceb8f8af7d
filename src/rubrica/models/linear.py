"""A linear classifier on n-grams of words and characters, and its answers; `linear_training.py` makes one.

It stands alone as the model "linear", and may stand beside a network. What a text's features are and how the weights
are found is in `kernels/linear.py`. A class has one machine; of two classes the second one's is enough, and its score
d makes the logits (-d, d).

Letters: N texts, F features, C classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.config.settings import Config
from rubrica.kernels import native
from rubrica.kernels.linear import Entries, Index, Ngrams, features, index_keys, scores
from rubrica.kernels.rows import distinct
from rubrica.models.storage import take_rows

_TEXTS, _CHARACTERS = 1 << 10, 1 << 22  # that are numbers at a time; each character has room for some 7, of 8 bytes


@dataclass(frozen=True)
class LinearPart:
    """A fitted classifier.

    Args:
        ngrams: Which features a text has.
        tensors: `linear.keys` (F,) uint32, sorted; `linear.idf` (F,); `linear.weight` (F, C), as stored; `linear.bias`
            (C,); of two classes the last two have one column. There may be others beside them.
    """

    ngrams: Ngrams
    tensors: Mapping[str, NDArray[Any]]

    @cached_property
    def index(self) -> Index:
        """The keys, ready to be looked up."""
        return index_keys(self.tensors["linear.keys"])


def ngrams_of(config: Config) -> Ngrams:
    """The features that a config asks for."""
    # A training has settled what `auto` means; without vectors it means yes.
    lowercase = config.data.lowercase is not False and not config.model.keep_case
    return Ngrams(lowercase, config.model.word_ngrams, config.model.char_ngrams)


def logits(part: LinearPart, texts: Sequence[str]) -> NDArray[np.float32]:
    """What the classifier says of each text, (N, C): the distance from a class's plane, beyond 1 where it is sure."""
    tensors, threads = part.tensors, native.num_threads()
    found = np.empty((len(texts), len(tensors["linear.bias"])), np.float32)
    for first, stretch in _stretches(texts):
        entries = features(stretch, part.ngrams, part.index, tensors["linear.idf"], threads)
        weight = tensors["linear.weight"]
        if weight.dtype != np.float32 or "linear.scale" in tensors:  # the rows in use alone are expanded
            weight, entries = _expand(tensors, entries)
        found[first : first + len(stretch)] = scores(entries, weight, tensors["linear.bias"], threads)
    return np.hstack([-found, found]) if found.shape[1] == 1 else found


def take_texts(texts: Sequence[str], rows: NDArray[np.int64]) -> list[str]:
    """Some texts of those that may lie on disk, where neighbours are read together; rows in ascending order."""
    if not len(rows):
        return []
    first = int(rows[0])
    near = texts[first : int(rows[-1]) + 1]
    return [near[row] for row in (rows - first).tolist()]


def _stretches(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield place and texts, so many at a time as `_TEXTS` and `_CHARACTERS` allow, and at least one."""
    first = size = 0
    for place, text in enumerate(texts):
        if place > first and (place - first == _TEXTS or size + len(text) > _CHARACTERS):
            yield first, texts[first:place]
            first, size = place, 0
        size += len(text)
    if len(texts):
        yield first, texts[first:]


def _expand(tensors: Mapping[str, NDArray[Any]], entries: Entries) -> tuple[NDArray[np.float32], Entries]:
    used = [entries.indices[a : a + n] for a, n in zip(entries.places.tolist(), entries.sizes.tolist(), strict=True)]
    packed = np.concatenate(used).view(np.int32)
    rows, places = distinct(packed, len(tensors["linear.keys"]))
    values = [entries.values[a : a + n] for a, n in zip(entries.places.tolist(), entries.sizes.tolist(), strict=True)]
    starts = np.cumsum(entries.sizes, dtype=np.int64) - entries.sizes
    compact = Entries(starts, entries.sizes, places.astype(np.uint32), np.concatenate(values))
    return take_rows(tensors, "linear.weight", rows), compact
