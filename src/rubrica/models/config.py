"""All settings of one training, and the three places they come from: defaults, a recipe, what the user sets.

The tables of a recipe and of `config.json`:

    [data]       how texts are read
    [model]      `name`, a key of `FAMILIES`, and the settings of this family
    [beside]     the linear model that is trained beside a network
    [training]   the settings of the way that the family is trained in

The resolved settings are stored with every model, and a training from them repeats the run.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from rubrica.config.groups import DataSettings, Training
from rubrica.errors import ConfigError, nearest
from rubrica.files import user_path
from rubrica.models.families import BASELINE, DEFAULT, FAMILIES, FOREIGN
from rubrica.models.family import Family, Shapes, Sizes
from rubrica.models.linear import Linear

SECTIONS = ("data", "model", "beside", "training")
PACKAGE = Path(__file__).parents[1]

Tables = Mapping[str, Mapping[str, Any]]


class Config(msgspec.Struct, frozen=True):
    """All settings of one training; `make_config` makes one from plain tables."""

    data: DataSettings
    model: Family
    training: Training
    beside: Linear | None = None
    """None where the model stands alone."""

    @property
    def members(self) -> tuple[Family, ...]:
        """The models whose logits are added."""
        return (self.model,) if self.beside is None else (self.model, self.beside)

    @property
    def title(self) -> str:
        """What a person calls the model: "gru and linear"."""
        return " and ".join(member.name for member in self.members)

    def shapes(self, sizes: Sizes) -> Shapes:
        """Name and shape of every tensor of the model, before tables are stored in fewer bytes."""
        return {name: shape for member in self.members for name, shape in member.shapes(sizes).items()}

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The plain tables that `make_config` reads."""
        groups = {section: getattr(self, section) for section in SECTIONS}
        return {section: group.to_dict() for section, group in groups.items() if group is not None}

    def replace(self, **tables: Mapping[str, Any]) -> "Config":
        """A copy with some settings changed: `config.replace(training={"epochs": 3})`.

        Raises:
            ConfigError: For an unknown key or a bad value.
        """
        before = self.to_dict()
        merged = {section: {**before.get(section, {}), **tables.get(section, {})} for section in before | tables}
        return make_config(**merged)

    def alone(self, member: Family) -> Self:
        """The settings to train one member of the model by itself."""
        if member is self.model:
            return msgspec.structs.replace(self, model=member.alone(), beside=None)
        kept = {key: getattr(self.training, key) for key in ("seed", "storage", "class_weight", "batch_size")}
        return msgspec.structs.replace(self, model=member, beside=None, training=member.training(**kept))

    def baseline(self) -> "Config":
        """The settings of a bag on the same texts: what every other model is compared with."""
        return make_config(data=self.data.to_dict(), model={"name": BASELINE}, training={"seed": self.training.seed})


def make_config(**tables: Mapping[str, Any]) -> Config:
    """Settings from plain tables, each optional: `make_config(model={"name": "lstm", "hidden_size": 32})`.

    Raises:
        ConfigError: For an unknown section or key (the message names the nearest one), or a bad value.
    """
    if unknown := [section for section in tables if section not in SECTIONS]:
        raise ConfigError(f"unknown section [{unknown[0]}]; {nearest(unknown[0], SECTIONS)}")
    if broken := [section for section, values in tables.items() if not isinstance(values, Mapping)]:
        raise ConfigError(f"[{broken[0]}] is {tables[broken[0]]!r:.60}; give a table of keys and values")
    model = {"name": DEFAULT} | dict(tables.get("model", {}))
    if (name := model["name"]) not in list(
        known := FAMILIES | FOREIGN
    ):  # a list, since JSON may bring what has no hash
        raise ConfigError(f"model.name is {name!r:.60}; give one of {', '.join(FAMILIES)}")
    family = known[name].read(model)
    data = DataSettings.read(family.data_defaults | dict(tables.get("data", {})))
    training = family.training.read(tables.get("training", {}))
    try:  # checked even where the model stands alone: a wrong key is a slip
        beside = Linear.read(tables.get("beside", {}))
    except ConfigError as error:
        raise ConfigError(str(error).replace("model.", "beside.")) from None
    return Config(data, family, training, None if family.stands_alone else beside)


def with_known(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy with settings that are given without their section; one that the model does not have has no effect."""
    tables = config.to_dict()
    del tables["data"]
    known = {section: {key: values[key] for key in table if key in values} for section, table in tables.items()}
    return config.replace(**known)


def load_recipe(name: str) -> Config:
    """Settings from a recipe of the package (see `recipe_names`), a TOML file, or the config.json of a model folder.

    Raises:
        ConfigError: If there is no such recipe or file, or it holds an unknown key or a bad value.
    """
    return make_config(**read_recipe(name))


def read_recipe(name: str) -> dict[str, Any]:
    """The tables of a recipe; see `load_recipe`."""
    import tomllib  # late: a prediction reads no TOML

    from rubrica.models.older import upgrade

    if name in FAMILIES:
        return {"model": {"name": name}}
    path = _recipes().get(name, user_path(name))
    try:
        text = path.read_text(encoding="utf-8")
        tables = upgrade(json.loads(text)) if path.suffix == ".json" else tomllib.loads(text)
        if path.suffix == ".json":
            tables = {section: tables[section] for section in SECTIONS if section in tables}
        make_config(**tables)
    except FileNotFoundError:
        hint = nearest(name, recipe_names())
        raise ConfigError(f"recipe {name!r:.200}: neither a file nor a recipe of the package; {hint}") from None
    except OSError as error:
        raise ConfigError(f"recipe {name!r:.200} cannot be read: {error.strerror or error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (TypeError, ValueError, RecursionError) as error:  # neither TOML nor a JSON object
        kind = "the config.json of a model" if path.suffix == ".json" else "a TOML file"
        raise ConfigError(f"{path}: {error}; give {kind} with the tables {', '.join(SECTIONS)}") from None
    return tables


def recipe_names() -> list[str]:
    """The recipes that the package brings: the families by their defaults, and the files in its `recipes/` folders."""
    return sorted({*FAMILIES, *_recipes()})


def _recipes() -> dict[str, Path]:
    return {path.stem: path for path in PACKAGE.glob("*/recipes/*.toml")}
