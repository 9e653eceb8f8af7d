"""A linear classifier on n-grams of words and characters; it stands alone, or beside a network.

A text's features are in `text/ngrams.py`, the solver is in `kernels/linear.py`. Each class has a machine. Two classes
need only the machine of the second; its score d makes the logits (-d, d).

ONNX cannot hash a text, so its nodes are given the keys of a text's n-grams and how often each occurs. They look a key
up as `text/ngrams.py` does: the first bits choose a bucket, here of some keys, in which a binary search follows.

Letters: N texts, F features, C classes, B texts of a batch, K n-grams of its text with the most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rubrica.config.groups import DataSettings, DescentTraining, Training
from rubrica.config.ranges import Between, OneOf, Range
from rubrica.kernels import native
from rubrica.kernels.linear import Entries, scores
from rubrica.kernels.rows import distinct
from rubrica.models.family import Facts, Family, Floats, GraphInputs, Inputs, Scorer, Shapes, Sizes
from rubrica.models.graph import Graph, look_up
from rubrica.models.linear_answers import LinearAnswers, fits
from rubrica.models.storage import Tensors, take_rows
from rubrica.text.ngrams import (
    CHARACTERS,
    MAX_CHARACTERS,
    MAX_TOKENS,
    Index,
    Ngrams,
    count_ngrams,
    features,
    index_keys,
    weigh_counts,
)
from rubrica.text.tokenizer import token_pattern
from rubrica.text.tokens import PackedTexts
from rubrica.text.vocab import Vocab

_TEXTS, _CHARACTERS = 1 << 10, 1 << 22  # of a stretch at most; a character becomes some 7 numbers of 8 bytes
_BUCKET = 4  # buckets of the index that are one in a graph, which needs a step more and a quarter of the bytes
_SIGN = 1 << 31  # taken off, it makes a key a signed number of 32 bits, which ONNX compares
_TINY = 1e-30  # divides a block that has no features; the norm of every other one is larger


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

    @cached_property
    def quick(self) -> LinearAnswers | None:
        """The part ready to answer without a list of features; None where that is not to be had."""
        if not fits(len(self.tensors["linear.idf"]), len(self.tensors["linear.bias"])):
            return None
        return LinearAnswers(self.ngrams, self.index, self.tensors)

    def __reduce__(self) -> Any:  # a copy is made of what was given, and keeps words of its own
        return LinearPart, (self.ngrams, self.tensors)

    def answer(self, inputs: Inputs) -> Floats:
        """The `Scorer` of a linear model."""
        if inputs.counts is None:
            return logits(self, inputs.texts)
        return both_signs(_score(self, weigh_counts(inputs.counts, self.index, self.tensors["linear.idf"])))


class Linear(Family, frozen=True, kw_only=True):
    """A linear classifier, trained by dual coordinate descent without torch."""

    training: ClassVar[type[Training]] = DescentTraining
    reads_words: ClassVar[bool] = False
    last_layer: ClassVar[tuple[str, ...]] = ("linear.weight", "linear.bias")
    is_baseline: ClassVar[bool] = True
    searched: ClassVar[dict[str, Range]] = {
        "word_ngrams": Between(1, 3),
        "char_ngrams": Between(3, 7),
        "keep_case": OneOf((False, True)),
        "cost": Between(0.05, 2.0, log=True),
    }

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

    def graph_inputs(self, texts: Sequence[str], vocab: Vocab, data: DataSettings) -> GraphInputs:
        return count_ngrams(texts, self.ngrams(data))._asdict()

    def graph_settings(self, vocab: Vocab, data: DataSettings) -> dict[str, Any]:
        limits = {"max_characters": MAX_CHARACTERS, "max_tokens": MAX_TOKENS}
        settings = {"token_pattern": token_pattern(split_unspaced=False)} | limits
        return {"ngrams": self.ngrams(data)._asdict() | settings}

    def add_logits(self, graph: Graph) -> str:
        """TF-IDF of the n-grams of a text, times their weights: what `logits` says of the text itself."""
        keys, counts = (graph.input(name, "batch", "ngrams") for name in ("keys", "counts"))
        rows, known = _add_search(graph, graph.add("Mod", keys, CHARACTERS))
        occurs = graph.add("And", known, graph.add("Greater", counts, 0))
        times = graph.add("Cast", graph.add("Max", counts, 1), to=graph.onnx.TensorProto.FLOAT)
        damped = graph.add("Add", graph.add("Log", times), 1.0)
        values = graph.add("Mul", graph.add("Gather", *graph.weights("linear.idf"), rows), damped)
        normed = []
        for which in ("Less", "GreaterOrEqual"):  # the block of words, of characters
            block = graph.add("And", occurs, graph.add(which, keys, CHARACTERS))
            own = graph.add("Where", block, values, 0.0)
            normed.append(graph.add("Div", own, graph.add("Max", graph.add("ReduceL2", own, [1]), _TINY)))
        row = graph.add("Unsqueeze", graph.add("Add", *normed), [1])  # (B, 1, K)
        product = graph.add("MatMul", row, look_up(graph, "linear.weight", rows))
        found = graph.add("Add", graph.add("Squeeze", product, [1]), *graph.weights("linear.bias"))
        if len(graph.tensors["linear.bias"]) == 1:
            found = graph.add("Concat", graph.add("Neg", found), found, axis=1)
        return found

    def describe(self, facts: Facts) -> str:
        case = " with their capitals" if self.keep_case else ""
        inside = f" and of 2 to {self.char_ngrams} characters inside a word" if self.char_ngrams > 1 else ""
        features = f"{facts.num_features} weighed features of a text{case}"
        return f"{features}: runs of 1 to {self.word_ngrams} words{inside}; cost {self.cost:g}."


def logits(part: LinearPart, texts: Sequence[str]) -> Floats:
    """The signed distance of each text from each class's plane, (N, C); above 1 means sure."""
    if part.quick is not None:
        return both_signs(part.quick(texts))
    tensors, threads = part.tensors, native.num_threads()
    found = np.empty((len(texts), len(tensors["linear.bias"])), np.float32)
    for first, stretch in _stretches(texts):
        entries = features(stretch, part.ngrams, part.index, tensors["linear.idf"], threads)
        found[first : first + len(stretch)] = _score(part, entries)
    return both_signs(found)


def _score(part: LinearPart, entries: Entries) -> Floats:
    """What each machine says of the texts whose features are `entries`."""
    weight = part.tensors["linear.weight"]
    if weight.dtype.kind != "f":  # the rows in use alone are expanded
        weight, entries = _expand(part.tensors, entries)
    return scores(entries, weight, part.tensors["linear.bias"], native.num_threads())


def both_signs(found: Floats) -> Floats:
    """The logits that the machines make, two of a single one."""
    return np.hstack([-found, found]) if found.shape[1] == 1 else found


def _stretches(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield some texts at a time with the place of the first; `_TEXTS` and `_CHARACTERS` limit how many."""
    first = size = 0
    for place, length in enumerate(texts.sizes if isinstance(texts, PackedTexts) else map(len, texts)):
        if place > first and (place - first == _TEXTS or size + length > _CHARACTERS):
            yield first, texts[first:place]
            first, size = place, 0
        size += length
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


def _add_search(graph: Graph, keys: str) -> tuple[str, str]:
    """Where each of the keys (B, K) stands in `linear.keys`, and whether it is there at all; if not, the place is any.

    `LabelEncoder` would do this in one node, and a text of news would take 0.2 ms instead of 0.4. But it is not among
    ONNX's own operators, and the file would be a quarter larger and load in 42 ms instead of 15.
    """
    index = index_keys(graph.tensors["linear.keys"])
    starts, last = index.starts[:-1:_BUCKET], len(index.keys) - 1
    steps = int(np.diff(starts, append=last + 1).max()).bit_length()
    signed = (index.keys.astype(np.int64) - _SIGN).astype(np.int32)
    filled = np.append(signed, np.full(1 << steps, _SIGN - 1, np.int32))  # no step leads beyond its end
    table = graph.constant("linear.keys", filled)
    wanted = graph.add("Cast", graph.add("Sub", keys, _SIGN), to=graph.onnx.TensorProto.INT32)
    bucket = graph.add("Div", keys, _BUCKET << index.shift)
    place = graph.add("Gather", graph.constant("linear.starts", starts), bucket)
    for step in reversed(range(steps)):  # the last key that is not above the wanted one
        further = graph.add("Add", place, graph.constant(f"step_{step}", np.array(1 << step, np.int32)))
        below = graph.add("LessOrEqual", graph.add("Gather", table, further), wanted)
        place = graph.add("Where", below, further, place)
    place = graph.add("Min", place, graph.constant("linear.last", np.array(last, np.int32)))
    return place, graph.add("Equal", graph.add("Gather", table, place), wanted)
