"""Settings as the tests write them: `changed(make_config(), ["model.name=lstm", "training.lr=0.1"])`."""

from rubrica.cli.units import parse_setting
from rubrica.config.schema import fields_of
from rubrica.models.config import make_config
from rubrica.models.families import FAMILIES


def changed(config, settings):
    """A copy with some settings changed; another family keeps the settings that it has too."""
    tables = config.to_dict()
    for section, key, value in map(parse_setting, settings):
        tables.setdefault(section, {})[key] = value
    family = FAMILIES[tables["model"]["name"]]
    if family is not type(config.model):
        for section, kind in (("model", family), ("training", family.training)):
            tables[section] = {key: value for key, value in tables[section].items() if key in fields_of(kind)}
    return make_config(**tables)
