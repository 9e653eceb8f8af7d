"""Which settings a search tries: families, their ranges, the word vectors that were given, and what comes first.

The ranges stand beside the settings, see `config/ranges.py`. The name of a parameter is the class of the family, the
section and the key, such as `Recurrent.training.lr`: a gru and an lstm share what is learned of it, a bag does not.

`class_weight` is not searched: the score counts every text alike, so it falls where classes count alike. Thresholds of
several labels are not searched: every training fits them to the texts that judge it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rubrica.config.groups import DataSettings
from rubrica.config.ranges import OneOf, Range, Times
from rubrica.config.schema import flat
from rubrica.learning.budget import choose_length
from rubrica.models.config import Config, make_config
from rubrica.models.families import FAMILIES, SEARCHED

Params = dict[str, Any]
"""The values of a trial by the names of its parameters, as Optuna keeps them."""
Choose = Callable[[str, Range, Any], Any]
"""Gives a parameter's value by its name, its range, and the value that it has by default."""

FAMILY, VECTORS = "family", "vectors"
_WITH_VECTORS = {"training.freeze_steps"}  # has no effect without
_WITHOUT_VECTORS = {"model.embedding_dim", "data.min_count"}  # vectors bring their own

_UNITS = {"model.hidden_size": 128}
_CAREFUL = {"beside.keep_case": True, "training.word_dropout": 0.1, "training.label_smoothing": 0.0}
_CHANGES: tuple[dict[str, Any], ...] = (
    # Points against the defaults on five parts of trec6 and of lenta, see docs/decisions.md.
    _CAREFUL,  # +0.66 ± 0.24 and +0.10 ± 0.12
    _UNITS | _CAREFUL,  # +1.14 ± 0.25 and +0.09 ± 0.13, in twice the time
    # `--size large`: +0.53 ± 0.30 on four parts of trec6, +0.24 ± 0.16 on four of lenta; without the vectors of its own
    # texts, which take most of its time.
    _UNITS | {"model.embedding_dim": 100, "beside.keep_case": True, "beside.word_ngrams": 3},
    {"beside.char_ngrams": 4},  # -0.22 ± 0.08 and +0.22 ± 0.10: a question to ask early
    {"training.epochs": 1.5},  # +0.31 ± 0.23 on trec6
    {"training.adversarial": 0.0, "training.epochs": 1.5},  # half the time for each epoch
    # The same questions, to a linear model that stands alone.
    {"model.keep_case": True},
    {"model.char_ngrams": 4},
    {"model.keep_case": True, "model.word_ngrams": 3},
    {"model.cost": 1.0},
)
_BAG_CHANGE = {"model.max_n": 5}  # runs of characters help short texts of an inflected language
_SMALL = {"model.with_linear": False, "model.bidirectional": False, "model.pooling": "max"}  # `--size small`
_LONG = {"data.max_length": 512}


class Proposal(NamedTuple):
    """What a trial trains with.

    Args:
        tables: The settings, see `make_config`.
        factors: By key of `training`, what the number is multiplied by that the training would choose.
        vectors: The name of the word vectors; None for none.
    """

    tables: dict[str, dict[str, Any]]
    factors: dict[str, float]
    vectors: str | None

    def config(self, num_texts: int, num_classes: int) -> Config:
        """The settings for a training on this number of texts."""
        config = make_config(**self.tables)
        for key, factor in self.factors.items():
            chosen = getattr(choose_length(config, num_texts, num_classes).training, key) * factor
            whole = isinstance(getattr(config.training, key), int)
            config = config.replace(training={key: max(1, round(chosen)) if whole else chosen})
        return config

    @property
    def changes(self) -> dict[str, Any]:
        """The family, and what differs from its defaults, by `section.key`; a factor as "x 1.50"."""
        plain = flat(make_config(model={"name": self.tables["model"]["name"]}).to_dict())
        own = {key: value for key, value in flat(self.tables).items() if value != plain.get(key)}
        own = {"model.name": self.tables["model"]["name"]} | own | ({VECTORS: self.vectors} if self.vectors else {})
        own.pop("training.seed", None)
        return own | {f"training.{key}": f"x {factor:.2f}" for key, factor in self.factors.items()}


@dataclass(frozen=True)
class Space:
    """All that a search may try.

    Args:
        families: Names of families; the first one's defaults are the first trial.
        vectors: Names of word vectors.
        seed: Of every training.
        long_texts: Whether a part of the texts is longer than what the default reads.
    """

    families: tuple[str, ...] = SEARCHED
    vectors: tuple[str, ...] = ()
    seed: int = 0
    long_texts: bool = False

    def propose(self, choose: Choose) -> Proposal:
        """Settings whose values `choose` gives, one after the other."""
        name = choose(FAMILY, OneOf(self.families), self.families[0])
        family, default = FAMILIES[name], make_config(model={"name": name})
        vectors = None
        if self.vectors and family.reads_words:
            vectors = choose(f"{family.__name__}.{VECTORS}", OneOf(("", *self.vectors)), "") or None
        tables: dict[str, dict[str, Any]] = {"model": {"name": name}, "training": {"seed": self.seed}}
        factors: dict[str, float] = {}
        groups: dict[str, Mapping[str, Range]] = {"model": family.searched, "training": family.training.searched}
        groups |= {"data": DataSettings.searched} if family.reads_words else {}
        groups |= {"beside": type(default.beside).searched} if default.beside is not None else {}
        for section, ranges in groups.items():
            if section == "beside" and make_config(model=tables["model"]).beside is None:
                continue
            for key, kind in ranges.items():
                place = f"{section}.{key}"
                if place in (_WITHOUT_VECTORS if vectors else _WITH_VECTORS):
                    continue
                usual = 1.0 if isinstance(kind, Times) else getattr(getattr(default, section), key)
                value = choose(f"{family.__name__}.{place}", kind, usual)
                if isinstance(kind, Times):
                    factors |= {key: value} if value != 1 else {}
                else:
                    tables.setdefault(section, {})[key] = value
        return Proposal(tables, factors, vectors)

    def first(self) -> list[Params]:
        """What is tried first, in this order: the defaults, then what paid on other data, one question a trial."""
        main, vectors = self.families[0], ["", *self.vectors]
        found = [self._params(main, {}, name) for name in vectors]
        most, *changed = _CHANGES
        found += [self._params(main, most, name) for name in vectors]
        found += [self._params(main, _LONG, "")] if self.long_texts else []
        others = [name for name in self.families if FAMILIES[name] is not FAMILIES[main]]
        found += [self._params(family, {}, name) for family in others for name in vectors]
        found += [self._params(main, changes, "") for changes in (*changed, _SMALL)]
        found += [self._params(name, _BAG_CHANGE, "") for name in self.families]
        return [params for place, params in enumerate(found) if params and params not in found[:place]]

    def _params(self, name: str, changes: Mapping[str, Any], vectors: str) -> Params:
        """The parameters of a family's defaults with some changes; none where the family has no such range."""
        params, prefix = Params(), f"{FAMILIES[name].__name__}."
        given = {FAMILY: name} | {prefix + place: value for place, value in changes.items()}
        given |= {f"{prefix}{VECTORS}": vectors} if vectors else {}

        def choose(parameter: str, kind: Range, usual: Any) -> Any:
            params[parameter] = given.get(parameter, usual)
            return params[parameter]

        self.propose(choose)
        left_out = {prefix + place for place in _WITHOUT_VECTORS} if vectors else set()
        return params if given.keys() - left_out <= params.keys() else {}

    def describe(self) -> dict[str, Any]:
        """All that the proposals depend on, ready for JSON."""
        ranges = dict[str, Any]()
        for name in self.families:
            for kind in (FAMILIES[name], FAMILIES[name].training, DataSettings):
                ranges |= {f"{kind.__name__}.{key}": repr(value) for key, value in kind.searched.items()}
        return {"families": list(self.families), "ranges": ranges, "first": self.first()}


def suggest(trial: Any) -> Choose:
    """What asks an Optuna trial for a value."""

    def choose(name: str, kind: Range, usual: Any) -> Any:
        if isinstance(kind, OneOf):
            return trial.suggest_categorical(name, kind.values)
        if isinstance(kind, Times):
            return trial.suggest_float(name, kind.low, kind.high, log=True)
        whole = isinstance(kind.low, int) and isinstance(kind.high, int)
        ask = trial.suggest_int if whole else trial.suggest_float
        return ask(name, kind.low, kind.high, log=kind.log)

    return choose


def searchable(names: Sequence[str], *, torch: bool) -> tuple[str, ...]:
    """The families of these names that can be trained here."""
    return tuple(name for name in names if torch or not FAMILIES[name].training.needs_torch)
