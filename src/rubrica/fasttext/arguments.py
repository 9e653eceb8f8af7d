"""The arguments of a training: their names, order, defaults and flags, as fastText has them.

Source: fastText 0.9.3, python/fasttext_module/fasttext/FastText.py and src/args.cc. What differs: the default
is all threads that the process may use (there one less, or 12), and `train_unsupervised` has a seed.
"""

import operator
import os
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from rubrica.errors import nearest
from rubrica.fasttext.faults import ArgumentError
from rubrica.fasttext.limits import check_limits
from rubrica.fasttext.metric import METRICS
from rubrica.kernels import native
from rubrica.models.fasttext import FastText

Values = dict[str, Any]
"""The value of each argument by its name."""


class LossName(IntEnum):
    """How scores are made, with the numbers of fastText's files."""

    hs = 1
    ns = 2
    softmax = 3
    ova = 4


class ModelName(IntEnum):
    """What is trained, with the numbers of fastText's files."""

    cbow = 1
    skipgram = 2
    supervised = 3


class Argument(NamedTuple):
    """An argument of a training.

    Args:
        name: In Python.
        kind: int, float or str.
        default: For word vectors.
        supervised: For a classifier.
        help: A few words for the command's table.
        flag: The command's flag, without its dash.
    """

    name: str
    kind: type
    default: Any
    supervised: Any
    help: str
    flag: str


def _same(name: str, kind: type, default: Any, help: str, flag: str = "") -> Argument:
    return Argument(name, kind, default, default, help, flag or name)


ARGUMENTS = (
    _same("input", str, "", "file to learn from, a text a line"),
    Argument("model", str, "skipgram", "supervised", "skipgram or cbow", ""),
    Argument("lr", float, 0.05, 0.1, "step size at the start", "lr"),
    _same("dim", int, 100, "numbers in a vector"),
    _same("ws", int, 5, "words on each side that are looked at"),
    _same("epoch", int, 5, "passes over the file"),
    Argument("minCount", int, 5, 1, "a rarer word is left out", "minCount"),
    _same("minCountLabel", int, 0, "a rarer label is left out"),
    Argument("minn", int, 3, 0, "shortest run of characters", "minn"),
    Argument("maxn", int, 6, 0, "longest run of characters; 0 reads none", "maxn"),
    _same("neg", int, 5, "labels or words drawn against each right one"),
    _same("wordNgrams", int, 1, "longest run of words"),
    Argument("loss", str, "ns", "softmax", "softmax, hs, ns, ova or one-vs-all", "loss"),
    _same("bucket", int, 2_000_000, "rows that runs are hashed into"),
    _same("thread", int, 0, "threads; 0 takes all cores"),
    _same("lrUpdateRate", int, 100, "kept in the file; the step size follows every batch"),
    _same("t", float, 1e-4, "more frequent words are sometimes passed over"),
    _same("label", str, "__label__", "what begins a label"),
    _same("verbose", int, 2, "2 shows progress, 0 nothing"),
    _same("pretrainedVectors", str, "", "file of word vectors to start from"),
    _same("seed", int, 0, "seed of all random draws"),
    _same("autotuneValidationFile", str, "", "file that settings are chosen by", "autotune-validation"),
    _same("autotuneMetric", str, "f1", f"what is made large: {METRICS}", "autotune-metric"),
    _same("autotunePredictions", int, 1, "labels of a text that are looked at", "autotune-predictions"),
    _same("autotuneDuration", int, 300, "seconds to search in", "autotune-duration"),
    _same("autotuneModelSize", str, "", "largest size of the file: 2M, 800k or bytes", "autotune-modelsize"),
)
"""In the order of `train_supervised`."""

ALIASES = {
    "min_count": "minCount",
    "word_ngrams": "wordNgrams",
    "lr_update_rate": "lrUpdateRate",
    "label_prefix": "label",
    "pretrained_vectors": "pretrainedVectors",
}
SUPERVISED = tuple(each.name for each in ARGUMENTS if each.name != "model")
UNSUPERVISED = tuple(each.name for each in ARGUMENTS if not each.name.startswith("autotune"))
OF_MODEL = tuple(name for name in UNSUPERVISED if name not in ("input", "model", "seed"))
"""What a trained model has as attributes."""
_KINDS = {each.name: each.kind for each in ARGUMENTS} | {"k": int, "threshold": float}
_SAME_LOSS = {"one-vs-all": "ova"}
_PATHS = ("input", "pretrainedVectors", "autotuneValidationFile")
_FIELDS = {
    "embedding_dim": "dim", "window": "ws", "file_epochs": "epoch", "min_count": "minCount", "negatives": "neg",
    "word_ngrams": "wordNgrams", "num_buckets": "bucket", "min_n": "minn", "max_n": "maxn",
    "lr_update_rate": "lrUpdateRate", "sampling": "t", "label_prefix": "label",
}  # fmt: skip


def read_arguments(
    positional: tuple[Any, ...], named: Mapping[str, Any], *, supervised: bool
) -> tuple[Values, frozenset[str]]:
    """The value of every argument, and the names of those that were given.

    Raises:
        TypeError: If an argument is unknown, given twice, or of another type.
        ArgumentError: If a number is out of its limits, or the loss or the model is unknown.
    """
    names = SUPERVISED if supervised else UNSUPERVISED
    if len(positional) > len(names):
        raise TypeError(f"{len(positional)} positional arguments, expected at most {len(names)}")
    given: Values = {}
    for name, value in [*zip(names, positional, strict=False), *named.items()]:
        name = ALIASES.get(name, name)
        if name not in names:
            raise TypeError(f"unexpected keyword argument {name!r}; {nearest(name, names)}")
        if name in given:
            raise TypeError(f"multiple values for argument {name!r}")
        given[name] = typed(name, value)
    defaults = {each.name: each.supervised if supervised else each.default for each in ARGUMENTS}
    values = defaults | given
    for name, kinds in (("model", ModelName), ("loss", LossName)):
        known = [kind for kind in kinds.__members__ if supervised or kind != "supervised"]
        if values[name] not in known:
            others = [other for other, same in _SAME_LOSS.items() if name == "loss" and same in known]
            raise ArgumentError(name, f"is {values[name]!r}; expected one of {', '.join([*known, *others])}")
    if values["loss"] == "ova" and not supervised:
        raise ArgumentError("loss", "is 'ova', which classifiers alone have; give hs, ns or softmax")
    if values["thread"] <= 0:
        values["thread"] = native.num_threads()
    if values["seed"] < 0:
        values["seed"] %= 1 << 32  # as C++ reads it
    check_limits(values)
    if not values["autotuneValidationFile"]:
        if values["wordNgrams"] <= 1 and values["maxn"] == 0:
            values["bucket"] = 0  # nothing is hashed
        elif not values["bucket"]:
            raise ArgumentError("bucket", "is 0; runs of characters or words need 1 or more")
    return values, frozenset(given)


def typed(name: str, value: Any) -> Any:
    """The value as its argument's type, as far as nothing is lost.

    Raises:
        TypeError: If it is of another type.
    """
    kind = _KINDS[name]
    if name in _PATHS and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if name in ("loss", "model") and isinstance(value, IntEnum):
        value = value.name
    if name == "loss" and isinstance(value, str):
        value = _SAME_LOSS.get(value, value)
    if name == "autotuneModelSize" and isinstance(value, int):
        value = str(value)
    if kind is float and isinstance(value, int | float | np.floating | np.integer):
        return float(value)
    if kind is int and hasattr(value, "__index__"):
        return operator.index(value)
    if kind is str and isinstance(value, str):
        return value
    raise TypeError(f"{name} is {value!r:.60}, expected {kind.__name__}")


def to_settings(values: Values) -> FastText:
    """The settings of the model that these arguments ask for."""
    fields = {field: values[name] for field, name in _FIELDS.items()}
    return FastText(kind=values["model"], loss=values["loss"], **fields)


def from_settings(settings: FastText) -> Values:
    """The arguments of a model that comes from a file; what files do not hold has its default."""
    supervised = settings.supervised
    values = {each.name: each.supervised if supervised else each.default for each in ARGUMENTS}
    values |= {name: getattr(settings, field) for field, name in _FIELDS.items()}
    return values | {"model": settings.kind, "loss": settings.loss, "thread": native.num_threads()}
