"""Every setting of a training, in three small frozen groups: data, model, training.

A recipe is a TOML file with the same three tables; the ones that the package brings lie in `recipes/`. Order:
defaults < recipe < `--set section.key=value`. The resolved result is stored in every run and artifact, and
training from it repeats the run.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

from rubrica.errors import ConfigError, nearest

SINGLE_LABEL, MULTI_LABEL = "single_label_classification", "multi_label_classification"
"""Whether a text has one label or may have several, as `transformers` calls it."""

Storage = Literal["float32", "bfloat16", "int8", "int4"]
"""What a table's numbers are rounded to, see `quantization.py`."""

# What a model folder does not say was so when it was written, since nothing else was there.
_BEFORE: dict[str, dict[str, Any]] = {
    "data": {},
    "model": {"with_linear": False, "bidirectional": False, "embedding_std": 1.0, "extend_vectors": False,
              "class_information": False},
    "training": {
        "warmup": 0.0, "decay": "none", "label_smoothing": 0.0, "word_dropout": 0.0, "dropout": 0.0,
        "adversarial": 0.0, "storage": "float32",
    },
}  # fmt: skip

PACKAGE = Path(__file__).parents[1]


def _refuse(problem_if: bool, message: str) -> None:
    if problem_if:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """From texts to ids."""

    lowercase: Literal[True, False, "auto"] = "auto"
    """Lower-case a text before it is split; "auto" does unless given vectors know more of train's tokens as they are
    written, see `corpus.follow_case`. The seminar did not, and its vectors know no capitals."""
    max_length: int = 128
    """Tokens kept of a text, from its start; at least 1."""
    min_count: int = 2
    """How often a word must occur in train to have an id of its own. Only without vectors, at least 1.

    Words below it stand for the unknown ones, whose vector would otherwise never train."""
    validation_fraction: float = 0.1
    """Share of train held out, per class, when the data brings no validation split, but at most 2,000 texts; 0 holds
    out nothing."""

    def __post_init__(self) -> None:
        _refuse(self.max_length < 1, f"data.max_length is {self.max_length}; give at least 1 token")
        _refuse(self.min_count < 1, f"data.min_count is {self.min_count}; give at least 1")
        _refuse(
            not 0 <= self.validation_fraction < 1,
            f"data.validation_fraction is {self.validation_fraction}; give a share from 0 up to, not with, 1",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The network."""

    name: Literal["bag", "linear", "cnn", "rnn", "gru", "lstm", "mingru", "drnn"] = "gru"
    """Which network: the dict `rubrica.models.MODELS` holds them; a bag of words and n-grams is trained by `bag.py`, a
    linear classifier on n-grams of words and characters by `linear_training.py`."""
    embedding_dim: int = 50
    """E, numbers in a word vector; at least 1. Vectors from a file bring their own."""
    embedding: Literal["pretrained", "random"] = "pretrained"
    """Where the embedding table starts: at the vectors (when some are given), or drawn at random."""
    extend_vectors: bool = True
    """Words of train that the vectors lack get some too, and all are scaled to embedding_std; see `own_words.py`."""
    embedding_std: float = 0.2
    """Standard deviation of the numbers of drawn vectors, from N(0, std^2); above 0. At 1, torch's default and the
    seminar's, what a rare word says is mostly the noise that it started from."""
    hidden_size: int = 64
    """H, recurrent units of each direction, or filters of each convolution; at least 1."""
    bidirectional: bool = True
    """Of rnn, gru, lstm and mingru: read each text from its end too, with parameters of its own."""
    pooling: Literal["last", "max", "average", "average_max", "attention"] = "average_max"
    """What the head sees of the states: the last one, their maximum or average over time, both of these side by side,
    or the mean by a learned attention."""
    mask_padding: bool = True
    """Keep padding out of the result. Without it a text's score depends on the longest text of its batch."""
    init: Literal["torch", "uniform01"] = "torch"
    """Recurrent parameters from U(-1/sqrt(H), 1/sqrt(H)) as in torch, or from U[0, 1) as in the seminar."""

    kernel_sizes: tuple[int, ...] = ()
    """Of a cnn: widths of its convolutions in tokens, side by side (Kim's are 3, 4, 5), with hidden_size filters each;
    none is the seminar's cnn of three layers. Each at least 1."""

    window: int = 15
    """Of a drnn: the words that a state knows of, those up to its own; at least 1."""

    with_linear: bool = True
    """Beside a network, a linear model on n-grams of words and characters: the logits of both are added, weighed on
    validation. A bag or a linear model stands alone."""
    word_ngrams: int = 2
    """Of a bag and of a linear model: the longest run of words that has a row of its own; 1 counts words alone."""
    num_buckets: int = 1 << 18
    """Of a bag: rows that n-grams are hashed into; from 1 to 2^30."""
    char_ngrams: int = 5
    """Of a linear model: the longest run of characters inside a word, from 2 on; 0 counts words alone. At most 16."""
    class_information: bool = True
    """Of a linear model: a feature counts by how much it says of the class, too; see `linear_training.information`."""
    keep_case: bool = False
    """Of a linear model: its features keep their capitals also where the words of the network lose them."""
    cost: float = 0.3
    """Of a linear model: what an error costs beside large weights (C of a support vector machine); above 0."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What the logits are the sum of: the network (a bag too), a linear model, or both."""
        if self.name in ("bag", "linear"):
            return (self.name,)
        return (self.name, "linear") if self.with_linear else (self.name,)

    def __post_init__(self) -> None:
        _refuse(self.word_ngrams < 1, f"model.word_ngrams is {self.word_ngrams}; give at least 1")
        _refuse(not 1 <= self.num_buckets <= 1 << 30, f"model.num_buckets is {self.num_buckets}; give 1 to {1 << 30}")
        _refuse(not self.embedding_std > 0, f"model.embedding_std is {self.embedding_std}; give more than 0")
        _refuse(
            "linear" in self.parts and self.word_ngrams > 16,
            f"model.word_ngrams is {self.word_ngrams}; a linear model takes 1 to 16",
        )
        _refuse(not 0 <= self.char_ngrams <= 16, f"model.char_ngrams is {self.char_ngrams}; give 0 to 16")
        _refuse(not 0 < self.cost <= 1e6, f"model.cost is {self.cost}; give more than 0, at most 1000000")
        _refuse(self.embedding_dim < 1, f"model.embedding_dim is {self.embedding_dim}; give at least 1")
        _refuse(
            min(self.kernel_sizes, default=1) < 1,
            f"model.kernel_sizes is {list(self.kernel_sizes)}; give widths of at least 1, for example [3, 4, 5]",
        )
        _refuse(self.window < 1, f"model.window is {self.window}; give at least 1")
        _refuse(self.hidden_size < 1, f"model.hidden_size is {self.hidden_size}; give at least 1")
        unfit = {"cnn": ("last", "attention"), "drnn": ("attention",)}.get(self.name, ())
        fitting = [name for name in ("last", "max", "average", "average_max") if name not in unfit]
        _refuse(
            self.pooling in unfit,
            f'model.pooling is "{self.pooling}"; the {self.name} pools with {", ".join(fitting)}',
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """The loop."""

    epochs: int = 0
    """Passes over train; 0 chooses by the amount of text, see `budget.choose_length`."""
    max_steps: int = 0
    """Updates at most, of a network or a bag: the step size falls to 0 with the last of them, and what was held out of
    train is not learned in the end. 0 sets no limit; a training in a given time chooses it, see `budget.py`."""
    batch_size: int = 0
    """Texts of one update; 0 chooses by the amount of text, see `budget.choose_length`."""
    similar_lengths: bool = True
    """Batches of texts of similar length, in a random order; else of random texts, of which half is padding."""
    dense_updates: bool = False
    """Adam moves every row of the embedding table in every update, as the seminar's did; else only the batch's."""
    lr: float = 8e-3
    """Adam's step size at its largest; above 0."""
    warmup: float = 0.05
    """Share of all updates over which the step size rises from 0; from 0 up to, not with, 1."""
    decay: Literal["none", "linear"] = "linear"
    """How the step size goes on: as it is, or falling to 0 with the last update. A bag's always falls."""
    class_weight: Literal["none", "balanced"] = "none"
    """Texts count alike, or so that classes do: n / (C * texts of the class) each, as in scikit-learn."""
    label_smoothing: float = 0.05
    """Share of a target that goes to all classes alike, so that no text is ever learned by heart; from 0 up to 1."""
    word_dropout: float = 0.2
    """Share of the words that are read as unknown ones in each update, drawn anew; from 0 up to 1."""
    dropout: float = 0.05
    """Share of the features that is zeroed before the head in each update, drawn anew; from 0 up to 1."""
    adversarial: float = 1.5
    """Learn each batch also with its word vectors moved so far, as an L2 distance of all of them together, to where the
    loss is higher; at least 0, which leaves it out. It takes twice the time. A frozen table's vectors are not moved."""
    max_grad_norm: float = 1.0
    """Longer gradients are scaled down to this L2 norm; above 0."""
    freeze_steps: int = 300
    """A table that starts at given vectors keeps still for this many first updates; at least 0."""
    freeze_epochs: int = 0
    """The same, counted in epochs, in place of freeze_steps; at least 0, which leaves it to these."""
    patience: int = 0
    """Stop after this many epochs without a better validation loss; 0 never stops early."""
    seed: int = 0
    """Start of every random draw: weights, order, the validation split."""
    storage: Storage = "int8"
    """What the tables of the trained model are rounded to before it is scored and saved, see `quantization.py`."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: an accelerator if torch sees one."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "max_steps", "freeze_steps", "freeze_epochs", "patience", "seed"):
            _refuse(getattr(self, name) < 0, f"training.{name} is {getattr(self, name)}; give 0 or more")
        _refuse(self.seed >= 2**63, f"training.seed is {self.seed}; give less than 2^63, which is what torch takes")
        for name in ("warmup", "label_smoothing", "word_dropout", "dropout"):
            _refuse(
                not 0 <= getattr(self, name) < 1,
                f"training.{name} is {getattr(self, name)}; give a share from 0 up to, not with, 1",
            )
        _refuse(not self.adversarial >= 0, f"training.adversarial is {self.adversarial}; give 0 or more")
        for name in ("lr", "max_grad_norm"):
            _refuse(not getattr(self, name) > 0, f"training.{name} is {getattr(self, name)}; give more than 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """All settings of one training."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any], origin: str = "config") -> Self:
        """Build from plain tables.

        Args:
            tables: `{"data": {...}, "model": {...}, "training": {...}}`, each optional.
            origin: What the tables were read from, for the messages.

        Raises:
            ConfigError: For an unknown key (the message names the nearest one) or a bad value.
        """
        hints = cls.__annotations__  # the types themselves: nothing here postpones their evaluation
        groups = {}
        for section, values in tables.items():
            if section not in hints:
                raise ConfigError(f"{origin}: unknown section [{section}]; {nearest(section, hints)}")
            _refuse(not isinstance(values, Mapping), f"{origin}: [{section}] is no table of keys and values")
            kind = hints[section]
            types = kind.__annotations__
            for key, value in values.items():
                name = f"{section}.{key}"
                if key not in types:
                    raise ConfigError(f"{origin}: unknown key {name}; {nearest(key, types)}")
                _check_type(name, value, types[key], origin)
            # Files write a list, a frozen setting is a tuple.
            groups[section] = kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
        return cls(**groups)

    @classmethod
    def from_saved(cls, values: Mapping[str, Any], origin: str = "config") -> Self:
        """The settings in the config.json of a model folder, of any age; they repeat its training.

        Raises:
            ConfigError: As `from_dict`.
        """
        groups = {key: values[key] for key in _BEFORE if key in values}
        for key, group in groups.items():
            if isinstance(group, dict):
                groups[key] = _BEFORE[key] | group
        return cls.from_dict(groups, origin)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The plain tables that `from_dict` reads."""
        return dataclasses.asdict(self)

    def changed(self, settings: Iterable[str]) -> Self:
        """A copy with settings such as `training.lr=3e-4` applied.

        Raises:
            ConfigError: If one is not of that form, or its key or value is bad.
        """
        tables = self.to_dict()
        for setting in settings:
            path, equals, text = setting.partition("=")
            section, dot, key = path.strip().partition(".")
            _refuse(not equals or not dot, f"--set {setting}: expected section.key=value, e.g. training.lr=3e-4")
            if section not in tables:
                raise ConfigError(f"--set {setting}: unknown section; {nearest(section, tables)}")
            tables[section][key] = _parse_value(text.strip())
        return self.from_dict(tables, origin="--set")


def load_recipe(name: str) -> Config:
    """Read a recipe by name (see `recipe_names`), or a TOML file, or the config.json of an artifact.

    Raises:
        ConfigError: If there is no such recipe or file, or it holds an unknown key or a bad value.
    """
    import tomllib  # here and below: prediction reads no TOML

    path = _recipes().get(name, Path(name))
    if not path.is_file():
        raise ConfigError(
            f"recipe {name!r}: neither a file nor a recipe of the package; {nearest(name, recipe_names())}"
        )
    try:
        text = path.read_text(encoding="utf-8")
        tables = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}; give a TOML file with the tables data, model, training") from None
    if path.suffix == ".json" and isinstance(tables, dict):
        return Config.from_saved(tables, origin=str(path))
    return Config.from_dict(tables, origin=str(path))


def recipe_names() -> list[str]:
    """The recipes that the package brings."""
    return sorted(_recipes())


def _recipes() -> dict[str, Path]:
    return {path.stem: path for path in PACKAGE.glob("*/recipes/*.toml")}


def _check_type(name: str, value: object, expected: Any, origin: str) -> None:
    if get_origin(expected) is tuple:  # of whole numbers, the one kind there is
        fits = isinstance(value, (list, tuple)) and all(type(item) is int for item in value)
        _refuse(not fits, f"{origin}: {name} is {value!r}; give a list of whole numbers, for example [3, 4, 5]")
        return
    if choices := get_args(expected):
        _refuse(
            value not in choices,
            f"{origin}: {name} is {value!r}; give one of {', '.join(map(repr, choices))}",
        )
        return
    allowed = (int, float) if expected is float else (expected,)
    # bool is an int to Python; `epochs = true` is a slip all the same.
    fits = isinstance(value, allowed) and (expected is bool or not isinstance(value, bool))
    _refuse(not fits, f"{origin}: {name} is {value!r}; give a value of type {expected.__name__}")


def _parse_value(text: str) -> object:
    """A TOML value where it is one (3, 3e-4, true, "max"), else the text itself (max)."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
