"""The bag of words, word n-grams and runs of characters: the mean of a text's rows, and a linear layer.

The idea is fastText's. What a row is and how it is trained: `kernels/bag.py`.

Letters: N texts, D numbers in a row, V words, B buckets of n-grams and runs of characters, C classes.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rubrica.config.groups import SgdTraining, Training
from rubrica.config.ranges import Between, OneOf, Range
from rubrica.errors import ConfigError, RubricaError
from rubrica.kernels import bag
from rubrica.kernels.rows import distinct
from rubrica.models.family import HEAD, Facts, Floats, Inputs, Shapes, Size, Sizes, WordFamily
from rubrica.models.graph import Graph, add_words, drop_padding, look_up, sum_over_time
from rubrica.models.reading import tokens_of
from rubrica.models.storage import Tensors, take_rows
from rubrica.scoring.task import Task
from rubrica.text.vocab import TokenIds

if TYPE_CHECKING:
    from rubrica.models.search import Search

_TABLES = ("embedding.weight", "ngrams.weight")
_MANY_BUCKETS = 1 << 21
_END = np.iinfo(np.int64).max  # of a slice that goes to the end


class Bag(WordFamily, frozen=True, kw_only=True):
    """A bag of words and n-grams; all of its arithmetic is native."""

    training: ClassVar[type[Training]] = SgdTraining
    data_defaults: ClassVar[dict[str, Any]] = {"max_length": 512}  # no step per token, so long texts cost little
    hashes_ids: ClassVar[bool] = True
    can_continue: ClassVar[bool] = True
    is_baseline: ClassVar[bool] = True
    searched: ClassVar[dict[str, Range]] = {
        "embedding_dim": Between(8, 64, log=True),
        "word_ngrams": Between(1, 3),
        "num_buckets": Between(1 << 14, 1 << 19, log=True),  # few of them make a small model
        "max_n": OneOf((0, 4, 5, 6)),
    }

    embedding_dim: Size = 16
    """D, numbers in a row; 16 of them are a cache line."""
    word_ngrams: Annotated[int, Meta(ge=1, le=16)] = 2
    """The longest run of words that has a row; 1 counts words alone."""
    num_buckets: Annotated[int, Meta(ge=1, le=1 << 26)] = 1 << 18
    """B, rows that n-grams and runs of characters are hashed into. With loss "hs" the default is 2,097,152, since many
    classes have many n-grams."""
    min_n: Annotated[int, Meta(ge=1, le=16)] = 3
    """The shortest run of characters inside a word that has a row; the ends of a word are marks, which count."""
    max_n: Annotated[int, Meta(ge=0, le=16)] = 0
    """The longest run of characters that has a row; 0 reads words as a whole. A word that is misspelt, or that train
    lacks, is known by its runs."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        if values.get("loss") == "hs":
            values = {"num_buckets": _MANY_BUCKETS} | dict(values)
        return super().read(values)

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.max_n < self.min_n:
            problem = f"model.max_n is {self.max_n}, below model.min_n ({self.min_n})"
            raise ConfigError(f"{problem}; give at least as much, or 0")

    loss: Literal["softmax", "hs"] = "softmax"
    """What is made small: "softmax" compares a text with every class; "hs" (hierarchical softmax) finds its class by
    some log2(C) decisions, for thousands of classes, see `kernels/tree.py`."""

    @property
    def takes_labels(self) -> bool:
        return self.loss == "softmax"

    @property
    def spells_words(self) -> bool:
        return self.max_n > 0

    @property
    def buckets(self) -> int:
        """B; 0 where words are counted alone."""
        return self.num_buckets if self.word_ngrams > 1 or self.spells_words else 0

    def subwords(self, tokens: TokenIds) -> bag.Subwords | None:
        """The runs of characters of the words of some texts; None where they are not read."""
        if not self.spells_words:
            return None
        assert tokens.words is not None
        used, of_token = distinct(tokens.ids, tokens.words.size)
        return bag.Subwords(tokens.words.unknown_id, of_token, *self._hash(tokens.words.of(used)))

    def all_subwords(self, tokens: TokenIds) -> bag.Subwords | None:
        """As `subwords`, of texts that hold most of the words: each token's word is its id, and no array is made."""
        if not self.spells_words:
            return None
        assert tokens.words is not None
        words = tokens.words
        return bag.Subwords(words.unknown_id, tokens.ids, *self._hash([*words.known, *words.others]))

    def _hash(self, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        from rubrica.text.subwords import Runs, hash_runs  # late, as the tree: most bags have neither

        return hash_runs(words, Runs(self.min_n, self.max_n, self.num_buckets))

    def shapes(self, sizes: Sizes) -> Shapes:
        return {
            "embedding.weight": (sizes.vocab_size, self.embedding_dim),
            "ngrams.weight": (self.buckets, self.embedding_dim),
            **self.head_shapes(sizes.num_classes),
        }

    def head_shapes(self, num_classes: int) -> Shapes:
        """The tensors behind the features; those of a tree are its decisions, and the counts that it is made of."""
        rows = num_classes - 1 if self.loss == "hs" else num_classes
        counts: Shapes = {"head.counts": (num_classes,)} if self.loss == "hs" else {}
        return {"head.weight": (rows, self.embedding_dim), "head.bias": (rows,), **counts}

    def check_task(self, task: Task, *, certain: bool = True) -> None:
        if self.loss == "hs" and not (task.fits_tree and certain):
            found = "a text may have several labels" if certain and task.gives_labels else "texts have scores"
            raise ConfigError(f'model.loss is "hs", which finds one class, and {found}; give model.loss="softmax"')

    def compared(self, num_classes: int) -> int:
        return num_classes if self.loss == "softmax" else max(1, (num_classes - 1).bit_length())

    def search(self, tensors: Tensors) -> "Search | None":
        if self.loss == "softmax":
            return None
        from rubrica.kernels.tree import build_tree
        from rubrica.models.search import Search

        head = bag.Head(*(tensors[name] for name in HEAD))
        return Search(partial(self.features, tensors), build_tree(tensors["head.counts"]), head)

    def logits(self, tensors: Tensors, inputs: Inputs) -> Floats:
        """Logits (N, C) of N texts; of a tree the logarithms of the probabilities."""
        if (search := self.search(tensors)) is None:
            return super().logits(tensors, inputs)
        from rubrica.kernels.tree import log_probabilities

        return log_probabilities(search.tree, search.head, search.features(inputs))

    def features(self, tensors: Tensors, inputs: Inputs) -> Floats:
        """The mean of each text's rows, (N, D)."""
        tokens = tokens_of(inputs)
        words, ngrams = (tensors[name] for name in _TABLES)
        tables, subwords = bag.Tables(words, ngrams, self.word_ngrams), self.subwords(tokens)
        if words.dtype.kind == "f":
            return bag.features(tables, tokens.ids, tokens.offsets, subwords)
        if self._rows_of_token(subwords) * len(tokens.ids) < len(words) + len(ngrams):  # expand these few rows alone
            rows, owners = bag.rows_of(tables, tokens.ids, tokens.offsets, subwords)
            taken, is_word = np.empty((len(rows), self.embedding_dim), np.float32), rows < len(words)
            taken[is_word] = take_rows(tensors, _TABLES[0], rows[is_word])
            taken[~is_word] = take_rows(tensors, _TABLES[1], rows[~is_word] - len(words))
            return bag.mean_rows(taken, owners, len(tokens))
        words, ngrams = (take_rows(tensors, name) for name in _TABLES)
        return bag.features(bag.Tables(words, ngrams, self.word_ngrams), tokens.ids, tokens.offsets, subwords)

    def _rows_of_token(self, subwords: bag.Subwords | None) -> float:
        """How many rows a token has, about."""
        runs = 0.0 if subwords is None else len(subwords.buckets) / max(1, len(subwords.starts) - 1)
        return self.word_ngrams + runs

    def add_to_graph(self, graph: Graph) -> str:
        """The mean (B, D) of the rows of a text's words and n-grams: `kernels/bag.py` once more, with its hash.

        The hash is arithmetic modulo 2^64. It is the same for signed numbers, which ONNX can multiply.
        """
        for setting, there in (("model.max_n", self.spells_words), ('model.loss="hs"', self.loss == "hs")):
            if there:
                raise RubricaError(f"a bag with {setting} has no ONNX form; copy its folder instead")
        types, factor = graph.onnx.TensorProto, int(bag.MIX.view(np.int64))
        bits = graph.constant("bits", np.array(32, np.uint64))
        x, count = add_words(graph)
        total = sum_over_time(graph, drop_padding(graph, x, count))
        numbers = graph.add("Add", "ids", 1)
        mixed = graph.add("Mul", numbers, factor)
        for longer in range(1, self.word_ngrams):
            # The numbers moved to the left: what falls off the end of a text is masked below.
            moved = graph.add("Slice", graph.add("Pad", numbers, [0, 0, 0, longer]), [longer], [_END], [1])
            mixed = graph.add("Mul", graph.add("BitwiseXor", mixed, moved), factor)
            upper = graph.add("BitShift", graph.add("Cast", mixed, to=types.UINT64), bits, direction="RIGHT")
            scaled = graph.add("Mul", graph.add("Cast", upper, to=types.INT64), self.num_buckets)
            rows = look_up(graph, "ngrams.weight", graph.add("Div", scaled, 1 << 32))
            whole = graph.add("Max", graph.add("Sub", "lengths", longer), 0)
            x = graph.add("Transpose", rows, perm=[1, 0, 2])
            total = graph.add("Add", total, sum_over_time(graph, drop_padding(graph, x, whole)))
            count = graph.add("Add", count, whole)
        column = graph.add("Unsqueeze", graph.add("Max", count, 1), [1])
        return graph.add("Div", total, graph.add("Cast", column, to=types.FLOAT))

    def describe(self, facts: Facts) -> str:
        """Sentences for the model card."""
        sentences = [super().describe(facts)]
        if self.spells_words:
            sentences.append(f"Runs of {self.min_n} to {self.max_n} characters inside a word are read too.")
        if self.loss == "hs":
            sentences.append("A tree of decisions finds the class.")
        return " ".join(sentences)
