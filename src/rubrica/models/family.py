"""What every model family has: settings, tensor shapes, forward pass, ONNX nodes, a sentence for the model card.

A family is a class of settings, and a value of it answers for itself: `Recurrent(name="gru").shapes(sizes)`. The dict
`models.families.FAMILIES` holds the classes by the names that users write. A new family is a file here, a file in
`networks/` if it needs torch, and a line in the dict; no other code asks what kind of model it has.

Letters: N texts, V words, E numbers in a word vector, F features, C classes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
from msgspec import Meta, structs
from numpy.typing import NDArray

from rubrica.config.groups import AdamTraining, DataSettings, Training
from rubrica.config.ranges import Between, OneOf, Range
from rubrica.config.schema import Settings
from rubrica.errors import ConfigError, RubricaError
from rubrica.kernels import layer
from rubrica.models.graph import Graph
from rubrica.models.storage import Tensors
from rubrica.scoring.task import Task
from rubrica.text.batching import pad_batch
from rubrica.text.ngrams import Counts
from rubrica.text.tokenizer import token_pattern
from rubrica.text.vocab import TokenIds, Vocab

if TYPE_CHECKING:
    from rubrica.models.search import Search

Floats = NDArray[np.floating[Any]]
Shapes = dict[str, tuple[int, ...]]
Size = Annotated[int, Meta(ge=1, le=1 << 16)]

HEAD = ("head.weight", "head.bias")
"""The tensors of the last layer of every model but the linear one: features to logits."""


class Sizes(NamedTuple):
    """What the texts decide about a model."""

    vocab_size: int
    num_classes: int
    num_machines: int
    """Columns of a linear model, see `scoring.task.Task.num_machines`."""
    num_features: int = 1
    """F of a linear model; at least 1."""


class Inputs(NamedTuple):
    """N texts, as the members of a model read them."""

    tokens: TokenIds | None
    """Their ids; None where no member looks words up."""
    texts: Sequence[str]
    """Their characters."""
    batch_size: int
    """Texts of a batch. It decides the answers of a network that reads padding as words."""
    counts: Counts | None = None
    """Their n-grams, where they are counted already and come in place of the characters."""


GraphInputs = dict[str, NDArray[np.int64]]
"""The inputs of an ONNX graph by name."""

Scorer = Callable[[Inputs], Floats]
"""One member of a model with its weights: texts in, logits (N, C) out."""


class Facts(NamedTuple):
    """What a model card says beside the settings."""

    num_words: int
    """Words that have a vector."""
    num_features: int
    """Features that a linear model knows."""
    vectors: str | None
    """Where the word vectors came from."""
    max_length: int
    """Tokens of a text that are read."""
    epochs: int


class Family(Settings, frozen=True, kw_only=True):
    """The settings of one model family, and what follows from them."""

    section: ClassVar[str] = "model"
    training: ClassVar[type[Training]] = AdamTraining
    """The way that the family is trained in."""
    data_defaults: ClassVar[dict[str, Any]] = {}
    """Data settings that differ from the general defaults."""
    recipes: ClassVar[tuple[str, ...]] = ()
    """Sizes of `rubrica train --size` beside the default; a size is a recipe of the package."""
    reads_words: ClassVar[bool] = True
    """Whether it looks words up, and so takes word vectors; else it reads the characters of a text."""
    reads_raw: ClassVar[bool] = False
    """Whether it reads the characters of a text as they are written, without Unicode's composed form."""
    logits_are_scores: ClassVar[bool] = False
    """Whether its logits, of a text with one label, are logarithms of scores that need not add up to 1."""
    hashes_ids: ClassVar[bool] = False
    """Whether n-grams are hashed from ids, so that the ids of a trained model must not change."""
    last_layer: ClassVar[tuple[str, ...]] = HEAD
    """The tensors that are multiplied by the member's weight in the sum of logits."""
    can_continue: ClassVar[bool] = False
    """Whether a training can go on from a trained model."""
    is_baseline: ClassVar[bool] = False
    """Whether it is so simple that no baseline is trained beside it."""

    name: str

    @property
    def stands_alone(self) -> bool:
        """Whether no linear model is trained beside it."""
        return True

    @property
    def takes_labels(self) -> bool:
        """Whether a training that goes on from a trained model may bring new labels."""
        return True

    @property
    def masks_padding(self) -> bool:
        """Whether a text's logits are independent of its batch."""
        return True

    @property
    def spells_words(self) -> bool:
        """Whether it reads the characters of each word too, and so tells unknown words apart."""
        return False

    @property
    def starts_at_vectors(self) -> bool:
        """Whether given word vectors are where its table starts."""
        return False

    @property
    def dim_of_own_vectors(self) -> int | None:
        """Numbers of a vector, where its table starts at vectors of the training texts if none are given; else None."""
        return None

    @property
    def can_foresee(self) -> bool:
        """Whether it can start at a layer that foresees the words of texts, see `learning/language_model.py`."""
        return False

    @property
    def own_words_std(self) -> float | None:
        """Standard deviation of the vectors once words of train are added to them; None where none are added."""
        return None

    def alone(self) -> Self:
        """The same without a linear model beside it."""
        return self

    def shapes(self, sizes: Sizes) -> Shapes:
        """Name and shape of every tensor, before tables are stored in fewer bytes."""
        raise NotImplementedError

    def open(self, tensors: Tensors, data: DataSettings) -> Scorer:
        """The member with its weights, ready to answer."""
        return partial(self.logits, tensors)

    def logits(self, tensors: Tensors, inputs: Inputs) -> Floats:
        """Logits (N, C) of N texts."""
        return layer.logits(self.features(tensors, inputs), tensors["head.weight"], tensors["head.bias"])

    def compared(self, num_classes: int) -> int:
        """How many rows of the head a text is compared with in training."""
        return num_classes

    def search(self, tensors: Tensors) -> "Search | None":
        """What finds the classes without the logits of all; None where all logits are needed."""
        return None

    def check_task(self, task: Task, *, certain: bool = True) -> None:
        """Make sure that the family can learn this task.

        Args:
            task: The task.
            certain: Whether each text has its labels for certain.

        Raises:
            ConfigError: If it cannot.
        """

    def features(self, tensors: Tensors, inputs: Inputs) -> Floats:
        """What the head sees of N texts, (N, F).

        Raises:
            RubricaError: If the family has no such vectors.
        """
        raise RubricaError(f"a {self.name} model has no vectors of texts; take another model")

    def graph_inputs(self, texts: Sequence[str], vocab: Vocab, data: DataSettings) -> GraphInputs:
        """What its ONNX nodes are given for N texts."""
        tokens = vocab.encode(texts, data.max_length)
        ids, lengths = pad_batch(tokens, np.arange(len(tokens)))
        return {"ids": ids, "lengths": lengths}

    def graph_settings(self, vocab: Vocab, data: DataSettings) -> dict[str, Any]:
        """What another program needs to know to make `graph_inputs`, ready for JSON."""
        return {
            "token_pattern": token_pattern(vocab.split_unspaced),
            "lowercase": vocab.lowercase,
            "max_length": data.max_length,
            "unknown_id": vocab.unknown_id,
            "mask_padding": self.masks_padding,
        }

    def add_logits(self, graph: Graph) -> str:
        """Add the ONNX nodes from `graph_inputs` to logits; returns the name of the last one.

        Raises:
            RubricaError: If the family has no ONNX form.
        """
        return graph.add("Gemm", self.add_to_graph(graph), *graph.weights(*HEAD), transB=1)

    def add_to_graph(self, graph: Graph) -> str:
        """Add the ONNX nodes from ids to features; returns the name of the last one.

        Raises:
            RubricaError: If the family has no ONNX form.
        """
        raise RubricaError(f"a {self.name} model has no ONNX form; copy its folder instead")

    def describe(self, facts: Facts) -> str:
        """Sentences for the model card."""
        raise NotImplementedError


class WordFamily(Family, frozen=True, kw_only=True):
    """A family with a table of word vectors."""

    embedding_dim: Size = 50
    """E, numbers in a word vector. Vectors from a file bring their own."""
    embedding: Literal["pretrained", "own", "random"] = "pretrained"
    """Where the embedding table starts: at the given vectors, if there are some, or drawn at random. Where none are
    given, "own" makes vectors of the training texts first, and a recurrent network learns to foresee their words."""
    extend_vectors: bool = True
    """Words of train that the vectors lack get vectors, and all are scaled to embedding_std; see
    `vectors/own_words.py`."""
    embedding_std: Annotated[float, Meta(gt=0, le=1e6)] = 0.2
    """Standard deviation of the numbers of drawn vectors, from N(0, std^2). At 1, the default of torch and of the
    seminar, a rare word mostly says the noise that it started from."""

    @property
    def starts_at_vectors(self) -> bool:
        """Whether given word vectors are where its table starts."""
        return self.embedding != "random"

    @property
    def dim_of_own_vectors(self) -> int | None:
        return self.embedding_dim if self.embedding == "own" else None

    @property
    def own_words_std(self) -> float | None:
        return self.embedding_std if self.extend_vectors and self.starts_at_vectors else None

    def describe(self, facts: Facts) -> str:
        """Sentences for the model card."""
        return (
            f"{facts.num_words} words, {self.embedding_dim} numbers each"
            f" (vectors: {facts.vectors or 'none, learned from the texts'}); {facts.epochs} epochs at most;"
            f" {facts.max_length} tokens of a text at most."
        )


Pooling = Literal["last", "max", "average", "average_max", "attention"]


class NetworkFamily(WordFamily, frozen=True, kw_only=True):
    """A family that torch trains."""

    searched: ClassVar[dict[str, Range]] = {
        "hidden_size": Between(32, 192, log=True),
        "embedding_dim": Between(25, 200, log=True),
        "embedding_std": Between(0.05, 0.4, log=True),
        "with_linear": OneOf((False, True)),
    }
    recipes: ClassVar[tuple[str, ...]] = ("small", "large")
    unfit: ClassVar[tuple[str, ...]] = ()
    """Poolings that the family cannot do."""

    hidden_size: Size = 64
    """H, recurrent units of each direction, or filters of each convolution."""
    pooling: Pooling = "average_max"
    """What the head sees of the states: the last one, their maximum or average over time, both side by side, or their
    mean by a learned attention."""
    mask_padding: bool = True
    """Padding does not reach the result. Without the mask a text's score depends on the longest text of its batch."""
    with_linear: bool = True
    """Train a linear model on n-grams of words and characters beside the network, and add its logits. Validation
    decides how much each of the two counts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling in self.unfit:
            fitting = ", ".join(name for name in get_args(Pooling) if name not in self.unfit)
            raise ConfigError(
                f'model.pooling is "{self.pooling}", which a {self.name} cannot do; give one of {fitting}'
            )

    @property
    def stands_alone(self) -> bool:
        """Whether no linear model is trained beside it."""
        return not self.with_linear

    def alone(self) -> Self:
        """The same without a linear model beside it."""
        return structs.replace(self, with_linear=False)

    @property
    def masks_padding(self) -> bool:
        """Whether a text's logits are independent of its batch."""
        return self.mask_padding

    @property
    def num_features(self) -> int:
        """F of one direction or one convolution."""
        return 2 * self.hidden_size if self.pooling == "average_max" else self.hidden_size

    def describe(self, facts: Facts) -> str:
        """Sentences for the model card."""
        padding = "A text's score does not depend on the texts beside it."
        if not self.mask_padding:
            padding = "Padding is read as words: a text's score depends on the longest text of its batch."
        return f"{super().describe(facts)} {self.hidden_size} hidden units. {padding}"
