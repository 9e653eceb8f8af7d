"""The settings in the config.json of older models: formats 1 to 3 had one flat table for all families."""

from collections.abc import Mapping
from typing import Any

from rubrica.config.groups import AdamTraining
from rubrica.config.schema import fields_of
from rubrica.errors import ConfigError, nearest
from rubrica.models.families import FAMILIES
from rubrica.models.linear import Linear

FORMAT = 4
"""The first format with a table for each member of a model."""

# Values of settings that older versions did not have: what their code did.
_BEFORE: dict[str, dict[str, Any]] = {
    "model": {
        "with_linear": False, "bidirectional": False, "embedding_std": 1.0, "extend_vectors": False,
        "class_information": False,
    },
    "training": {
        "warmup": 0.0, "decay": "none", "label_smoothing": 0.0, "word_dropout": 0.0, "dropout": 0.0,
        "adversarial": 0.0, "storage": "float32",
    },
}  # fmt: skip


_EACH = {"adversarial_every": 1, "read_seldom": 0.0}


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same content with the tables of today; content of today is returned as it is.

    Raises:
        ConfigError: For an unknown key, or a table that is none.
    """
    values = {**values}  # a TypeError where it is no mapping
    if isinstance(values.get("data"), dict):  # what split scripts without spaces came within format 4
        values["data"] = {"split_unspaced": False} | values["data"]
    model, training = values.get("model"), values.get("training")
    if isinstance(model, dict) and isinstance(training, dict):  # so did what reads sure texts less often
        family = FAMILIES.get(str(model.get("name")))
        if family is not None and family.training is AdamTraining:
            values["training"] = _EACH | training
    if values.get("rubrica_format", FORMAT) == FORMAT or not all(isinstance(values.get(key), dict) for key in _BEFORE):
        return values
    of_models = {key for kind in FAMILIES.values() for key in fields_of(kind)}
    for section, keys in {"model": of_models, "training": {*fields_of(AdamTraining)}}.items():
        if unknown := [key for key in values[section] if key not in keys]:
            raise ConfigError(f"unknown key {section}.{unknown[0]}; {nearest(unknown[0], keys)}")
    model, training = (_BEFORE[section] | values[section] for section in ("model", "training"))
    family = FAMILIES.get(str(model.get("name")))
    if family is None:
        return values
    return values | {
        "model": {key: value for key, value in model.items() if key in fields_of(family)},
        "training": {key: value for key, value in training.items() if key in fields_of(family.training)},
        "beside": {key: value for key, value in model.items() if key in fields_of(Linear) and key != "name"},
    }
