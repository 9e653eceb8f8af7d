"""Settings: strict keys, ranges, recipes, overrides."""

import json
from pathlib import Path
from typing import Annotated, get_args, get_origin

import click
import pytest

from rubrica.cli.units import parse_setting
from rubrica.config.groups import DataSettings
from rubrica.config.schema import fields_of
from rubrica.errors import ConfigError
from rubrica.models.config import load_recipe, make_config, recipe_names
from rubrica.models.families import FAMILIES
from rubrica.models.linear import Linear
from settings import changed


def test_dict_and_back_is_the_same():
    config = changed(
        make_config(), ["training.lr=3e-4", "model.name=cnn", "data.lowercase=false", "model.kernel_sizes=[3,4]"]
    )
    assert config.model.kernel_sizes == (3, 4)
    assert make_config(**config.to_dict()) == config
    assert make_config(**json.loads(json.dumps(config.to_dict()))) == config
    assert (config.training.lr, config.model.name, config.data.lowercase) == (3e-4, "cnn", False)


BAD = [
    ({"train": {}}, "unknown section [train]; did you mean 'training'?"),
    ({"training": {"epoch": 3}}, "unknown key training.epoch; did you mean 'epochs'?"),
    ({"training": {"epochs": -1}}, "training.epochs is -1; give a whole number from 0 to 100000"),
    ({"training": {"epochs": 2.5}}, "training.epochs is 2.5; give a whole number"),
    ({"training": {"epochs": True}}, "training.epochs is True; give a whole number"),
    ({"training": {"lr": 0}}, "training.lr is 0; give a number above 0"),
    ({"training": {"lr": float("nan")}}, "training.lr is nan; give a number above 0"),
    ({"training": {"batch_size": -1}}, "training.batch_size is -1; give a whole number from 0"),
    ({"training": {"seed": -1}}, "training.seed is -1; give a whole number from 0"),
    ({"training": {"seed": 2**63}}, "give a whole number from 0 to 9223372036854775807"),
    ({"training": 3}, "[training] is 3; give a table"),
    ({"model": {"name": "bag"}, "beside": {"typo": 1}}, "unknown key beside.typo"),
    ({"beside": {"name": "gru"}}, "beside.name is 'gru'; give 'linear'"),
    (
        {"model": {"name": "transformer"}},
        "model.name is 'transformer'; give one of bag, linear, cnn, rnn, gru, lstm, mingru, drnn",
    ),
    ({"model": {"name": ["gru"]}}, "model.name is ['gru']; give one of bag"),
    ({"model": {"name": "cnn", "pooling": "last"}}, 'model.pooling is "last", which a cnn cannot do; give one of max'),
    (
        {"model": {"name": "cnn", "kernel_sizes": [3, 0]}},
        "model.kernel_sizes is (3, 0); give a list of numbers, each a whole",
    ),
    (
        {"model": {"name": "cnn", "kernel_sizes": 3}},
        "model.kernel_sizes is 3; give a list of numbers, each a whole number from 1",
    ),
    ({"model": {"name": "cnn", "kernel_sizes": [3, True]}}, "model.kernel_sizes is (3, True); give a list of numbers"),
    ({"model": {"name": "drnn", "window": 0}}, "model.window is 0; give a whole number from 1 to 1024"),
    (
        {"model": {"name": "cnn", "pooling": "attention"}},
        'model.pooling is "attention", which a cnn cannot do; give one of max',
    ),
    (
        {"model": {"name": "drnn", "pooling": "attention"}},
        'model.pooling is "attention", which a drnn cannot do; give one of last',
    ),
    ({"training": {"dropout": 1.0}}, "training.dropout is 1.0; give a number from 0, below 1"),
    ({"model": {"hidden_size": 0}}, "model.hidden_size is 0; give a whole number from 1 to 65536"),
    ({"model": {"embedding_dim": 0}}, "model.embedding_dim is 0; give a whole number from 1"),
    ({"data": {"max_length": 0}}, "data.max_length is 0; give a whole number from 1 to 1048576"),
    ({"data": {"lowercase": 0}}, "data.lowercase is 0; give true or false or 'auto'"),
    ({"model": {"hidden_size": 2**32 + 1}}, "model.hidden_size is 4294967297; give a whole number from 1 to 65536"),
    ({"model": {"name": "bag", "hidden_size": 5}}, "unknown key model.hidden_size"),
    (
        {"model": {"name": "bag", "word_ngrams": 2**30}},
        "model.word_ngrams is 1073741824; give a whole number from 1 to 16",
    ),
    ({"beside": {"cost": 0.0}}, "beside.cost is 0.0; give a number above 0"),
    ({"beside": {"costs": 1.0}}, "unknown key beside.costs; did you mean 'cost'?"),
    ({"data": {"min_count": 0}}, "data.min_count is 0; give a whole number from 1"),
    ({"data": {"validation_fraction": 1}}, "data.validation_fraction is 1; give a number from 0, below 1"),
]


@pytest.mark.parametrize(("tables", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_setting_is_one_sentence_that_names_it(tables, message):
    with pytest.raises(ConfigError) as caught:
        make_config(**tables)
    assert message in str(caught.value)


def number_of(hint):
    """The type of a number, its bounds, and whether the setting is a list of them; None of anything else."""
    listed = get_origin(hint) is tuple
    kind = get_args(hint)[0] if listed else hint
    bounds = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    kind = get_args(kind)[0] if bounds else kind
    return (kind, bounds, listed) if kind in (int, float) else None


def numbers():
    """Every number among the settings: a name of a family, section, key, type, bounds, and whether it is a list."""
    groups = [("gru", "data", DataSettings), ("gru", "beside", Linear)]
    for name, family in FAMILIES.items():
        groups += [(name, "model", family), (name, "training", family.training)]
    for name, section, group in groups:
        for key, hint in fields_of(group).items():
            if found := number_of(hint):
                yield pytest.param(name, section, key, *found, id=f"{name}-{section}.{key}")


def with_number(name, section, key, value, *, listed):
    tables = {"model": {"name": name}}
    tables.setdefault(section, {})[key] = [value] if listed else value
    return make_config(**tables)


def test_numbers_are_found_by_their_annotations():
    found = {parameter.values[:3]: parameter.values[3] for parameter in numbers()}
    assert found["bag", "model", "word_ngrams"] is int
    assert found["cnn", "model", "kernel_sizes"] is int
    assert found["gru", "beside", "char_ngrams"] is int
    assert found["gru", "data", "max_length"] is int
    assert found["linear", "training", "seed"] is int
    assert found["drnn", "training", "lr"] is float
    assert {name for name, section, _ in found if section == "training"} == set(FAMILIES)


@pytest.mark.parametrize(("name", "section", "key", "kind", "bounds", "listed"), list(numbers()))
def test_a_number_out_of_bounds_or_of_another_type_names_its_setting(name, section, key, kind, bounds, listed):
    assert bounds, "a number without bounds"
    (meta,) = bounds
    assert meta.ge is not None or meta.gt is not None
    assert meta.le is not None or meta.lt is not None
    wrong = [True, False, "1", "", None, [], {}, -(2**64), float("nan"), float("inf"), -float("inf")]
    if kind is int:
        assert meta.le < 2**63  # it fits the core's longest integers, and an array's size
        for right in (meta.ge, meta.le):
            value = getattr(getattr(with_number(name, section, key, right, listed=listed), section), key)
            assert value == ((right,) if listed else right)
        wrong += [meta.ge - 1, meta.le + 1, 1.5, 1.0, 2**63, 2**64, 2**64 + 1]
        wrong += [2**32 - 1, 2**32 + 1] if meta.le < 2**31 else []
    else:
        wrong += [-1.0, -1, 1e31, 10**400]
        wrong += [0.0, 0] if meta.gt == 0 else []
        wrong += [1.0, 1] if meta.lt == 1 else [2.0 * meta.le]
    for value in wrong:
        with pytest.raises(ConfigError) as caught:
            with_number(name, section, key, value, listed=listed)
        assert str(caught.value).startswith(f"{section}.{key} is "), value
        assert "; give " in str(caught.value), value


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trainings.lr=3", "unknown section [trainings]; did you mean 'training'?"),
        ("training.lrr=3", "unknown key training.lrr; did you mean 'lr'?"),
        ("training.lr=fast", "training.lr is 'fast'; give a number above 0"),
    ],
)
def test_a_bad_override_names_the_setting(setting, message):
    section, key, value = parse_setting(setting)
    with pytest.raises(ConfigError) as caught:
        make_config(**{section: {key: value}})
    assert message in str(caught.value)


@pytest.mark.parametrize("setting", ["lr=3", "training.lr", "lr", "=3", ""])
def test_an_override_of_another_form_names_the_flag(setting):
    with pytest.raises(click.UsageError) as caught:
        parse_setting(setting)
    assert str(caught.value).startswith(f"--set {setting}: expected section.key=value")


SEMINAR = [name for name in recipe_names() if name.startswith("seminar-")]


def test_a_recipe_named_as_a_model_is_of_that_model():
    assert load_recipe("bag").model.name == "bag"
    assert set(recipe_names()) == {*SEMINAR, *FAMILIES, "small", "large"}


def test_recipes_say_the_seminars_settings():
    assert len(SEMINAR) == 5
    for name in SEMINAR:
        recipe = load_recipe(name)
        assert recipe.training.seed == 0xDEAD
        assert (recipe.training.lr, recipe.training.batch_size, recipe.training.epochs) == (1e-2, 32, 1)
        assert recipe.training.max_grad_norm == (2 if name == "seminar-cnn" else 1)
        assert not recipe.data.lowercase
        assert not recipe.model.mask_padding
        assert recipe.data.max_length == 128
        assert recipe.model.embedding == ("pretrained" if name.endswith(("vectors", "frozen")) else "random")


def test_a_missing_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'seminar-gru'"):
        load_recipe("seminar-grru")


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_a_recipe_that_cannot_be_read_is_one_sentence(tmp_path, ending):
    path = tmp_path / f"deep.{ending}"
    path.write_text({"json": "[" * 100_000, "toml": "a = " + "[" * 100_000}[ending])
    with pytest.raises(ConfigError, match=rf"deep\.{ending}: .*; give .* with the tables data, model"):
        load_recipe(str(path))
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        load_recipe(f"{'x' * 300}.{ending}")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_recipe(str(tmp_path))


def test_a_recipe_file_may_be_toml_or_the_config_of_a_model(tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text("[training]\nepochs = 7\n")
    assert load_recipe(str(toml)).training.epochs == 7
    saved = tmp_path / "config.json"
    saved.write_text(json.dumps({"id2label": {}, **changed(make_config(), ["training.epochs=9"]).to_dict()}))
    assert load_recipe(str(saved)).training.epochs == 9
    old = load_recipe(str(Path(__file__).parents[1] / "data" / "artifact-v1" / "config.json"))
    assert (old.model.bidirectional, old.model.with_linear, old.training.dropout, old.training.storage) == (
        False, False, 0.0, "float32",
    )  # fmt: skip
    assert old.beside is None
    toml.write_text("[training]\nepochs = -7\n")
    with pytest.raises(ConfigError, match=r"mine\.toml: training\.epochs is -7"):
        load_recipe(str(toml))
    toml.write_text("epochs = = 7")
    with pytest.raises(ConfigError, match=r"mine\.toml: .*give a TOML file"):
        load_recipe(str(toml))
