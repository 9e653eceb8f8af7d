"""Settings as the tests write them: `changed(make_config(), ["model.name=lstm", "training.lr=0.1"])`."""

from rubrica.cli.units import parse_setting
from rubrica.config.schema import fields_of
from rubrica.models.config import make_config
from rubrica.models.families import FAMILIES

QUICK = ["--epochs", "4", "--batch-size", "16", "--lr", "0.02", "--set", "model.hidden_size=16"]
"""Flags of a network that trains in a second."""


def changed(config, settings):
    """A copy with some settings changed; settings that only other families have are left out."""
    tables = config.to_dict()
    for section, key, value in map(parse_setting, settings):
        tables.setdefault(section, {})[key] = value
    family = FAMILIES[tables["model"]["name"]]
    others = {
        "model": {key for kind in FAMILIES.values() for key in fields_of(kind)} - fields_of(family).keys(),
        "training": {key for kind in FAMILIES.values() for key in fields_of(kind.training)}
        - fields_of(family.training).keys(),
    }
    for section, unfit in others.items():
        tables[section] = {key: value for key, value in tables[section].items() if key not in unfit}
    return make_config(**tables)


def shapes_of(config, vocab_size, classes, num_features=1, *, lists=False):
    """Name and shape of every tensor of a model."""
    from rubrica.models.family import Sizes
    from rubrica.scoring.tasks import task_of

    task = task_of([str(i) for i in range(classes)], lists=lists)
    return config.shapes(Sizes(vocab_size, classes, task.num_machines, num_features))
