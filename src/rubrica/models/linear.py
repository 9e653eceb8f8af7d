"""A linear classifier on n-grams of words and characters; it stands alone, or beside a network.

A text's features are in `text/ngrams.py`, the solver is in `kernels/linear.py`. Each class has a machine. Two classes
need only the machine of the second; its score d makes the logits (-d, d).

Letters: N texts, F features, C classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rubrica.config.groups import DataSettings, DescentTraining, Training
from rubrica.kernels import native
from rubrica.kernels.linear import Entries, scores
from rubrica.kernels.rows import distinct
from rubrica.models.family import Facts, Family, Floats, Inputs, Scorer, Shapes, Sizes
from rubrica.models.storage import Tensors, take_rows
from rubrica.text.ngrams import Index, Ngrams, features, index_keys

_TEXTS, _CHARACTERS = 1 << 10, 1 << 22  # of a stretch at most; a character becomes some 7 numbers of 8 bytes


@dataclass(frozen=True)
class LinearPart:
    """A fitted classifier.

    Args:
        ngrams: Which features a text has.
        tensors: `linear.keys` (F,) uint32, sorted; `linear.idf` (F,); `linear.weight` (F, C), as stored; `linear.bias`
            (C,); of two classes the last two have one column. There may be others beside them.
    """

    ngrams: Ngrams
    tensors: Tensors

    @cached_property
    def index(self) -> Index:
        """The keys, ready to be looked up."""
        return index_keys(self.tensors["linear.keys"])

    def answer(self, inputs: Inputs) -> Floats:
        """The `Scorer` of a linear model."""
        return logits(self, inputs.texts)


class Linear(Family, frozen=True, kw_only=True):
    """A linear classifier, trained by dual coordinate descent without torch."""

    training: ClassVar[type[Training]] = DescentTraining
    reads_words: ClassVar[bool] = False
    last_layer: ClassVar[tuple[str, ...]] = ("linear.weight", "linear.bias")
    is_baseline: ClassVar[bool] = True

    name: Literal["linear"] = "linear"
    word_ngrams: Annotated[int, Meta(ge=1, le=16)] = 2
    """The longest run of words that is a feature; 1 counts words alone."""
    char_ngrams: Annotated[int, Meta(ge=0, le=16)] = 5
    """The longest run of characters inside a word, from 2 on (endings, typing errors, compounds); 0 counts words
    alone."""
    class_information: bool = True
    """A feature also counts by how much it says about the class, see `learning/linear.py`."""
    keep_case: bool = False
    """Features keep their capitals even where texts are lower-cased."""
    cost: Annotated[float, Meta(gt=0, le=1e6)] = 0.3
    """What an error costs beside large weights: C of a support vector machine."""

    def ngrams(self, data: DataSettings) -> Ngrams:
        """The features that it reads; "auto" lower-cases, since without vectors there is nothing to follow."""
        return Ngrams(data.lowercase is not False and not self.keep_case, self.word_ngrams, self.char_ngrams)

    def shapes(self, sizes: Sizes) -> Shapes:
        return {
            "linear.keys": (sizes.num_features,),
            "linear.idf": (sizes.num_features,),
            "linear.weight": (sizes.num_features, sizes.num_machines),
            "linear.bias": (sizes.num_machines,),
        }

    def open(self, tensors: Tensors, data: DataSettings) -> Scorer:
        """See `Family.open`; the features are indexed at the first answer."""
        return LinearPart(self.ngrams(data), tensors).answer

    def describe(self, facts: Facts) -> str:
        case = " with their capitals" if self.keep_case else ""
        inside = f" and of 2 to {self.char_ngrams} characters inside a word" if self.char_ngrams > 1 else ""
        features = f"{facts.num_features} weighed features of a text{case}"
        return f"{features}: runs of 1 to {self.word_ngrams} words{inside}; cost {self.cost:g}."


def logits(part: LinearPart, texts: Sequence[str]) -> Floats:
    """The signed distance of each text from each class's plane, (N, C); above 1 means sure."""
    tensors, threads = part.tensors, native.num_threads()
    found = np.empty((len(texts), len(tensors["linear.bias"])), np.float32)
    for first, stretch in _stretches(texts):
        entries = features(stretch, part.ngrams, part.index, tensors["linear.idf"], threads)
        weight = tensors["linear.weight"]
        if weight.dtype != np.float32:  # the rows in use alone are expanded
            weight, entries = _expand(tensors, entries)
        found[first : first + len(stretch)] = scores(entries, weight, tensors["linear.bias"], threads)
    return np.hstack([-found, found]) if found.shape[1] == 1 else found


def _stretches(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield some texts at a time with the place of the first; `_TEXTS` and `_CHARACTERS` limit how many."""
    first = size = 0
    for place, text in enumerate(texts):
        if place > first and (place - first == _TEXTS or size + len(text) > _CHARACTERS):
            yield first, texts[first:place]
            first, size = place, 0
        size += len(text)
    if len(texts):
        yield first, texts[first:]


def _expand(tensors: Tensors, entries: Entries) -> tuple[NDArray[np.float32], Entries]:
    """The weights of the features in use, and the entries without gaps, by the numbers of these rows."""
    texts = [slice(a, a + n) for a, n in zip(entries.places.tolist(), entries.sizes.tolist(), strict=True)]
    used = np.concatenate([entries.indices[text] for text in texts]).view(np.int32)
    rows, places = distinct(used, len(tensors["linear.keys"]))
    values = np.concatenate([entries.values[text] for text in texts])
    starts = np.cumsum(entries.sizes, dtype=np.int64) - entries.sizes
    return take_rows(tensors, "linear.weight", rows), Entries(starts, entries.sizes, places.astype(np.uint32), values)
