"""What is tried: the defaults first, only what a family has, within its ranges."""

import numpy as np
import pytest

from rubrica.config.groups import DataSettings
from rubrica.config.ranges import Between, OneOf, Times
from rubrica.config.schema import fields_of
from rubrica.models.config import make_config, read_recipe
from rubrica.models.families import FAMILIES, SEARCHED
from rubrica.tuning.space import Space, searchable


def of(params):
    return lambda name, kind, usual: params[name]


def drawn(generator):
    """A `Choose` that draws anywhere in the ranges, and at their ends."""

    def choose(name, kind, usual):
        if isinstance(kind, OneOf):
            return kind.values[generator.integers(len(kind.values))]
        value = generator.choice([kind.low, kind.high, generator.uniform(kind.low, kind.high)])
        whole = isinstance(kind, Between) and isinstance(kind.low, int)
        return int(value) if whole else float(value)

    return choose


@pytest.mark.parametrize("name", SEARCHED)
def test_every_range_is_of_a_setting_and_holds_its_default(name):
    default = make_config(model={"name": name})
    groups = {"model": FAMILIES[name], "training": FAMILIES[name].training, "data": DataSettings}
    for section, kind in groups.items():
        for key, among in kind.searched.items():
            usual = getattr(getattr(default, section), key)
            assert key in fields_of(kind)
            if isinstance(among, Times):
                assert usual == 0  # what the training chooses
                assert among.low < 1 < among.high
            elif isinstance(among, OneOf):
                assert usual in among.values
            else:
                assert among.low <= usual <= among.high


def test_the_first_trial_has_the_defaults():
    for families in (SEARCHED, ("linear", "bag")):
        space = Space(families, ("potion",), seed=7)
        proposal = space.propose(of(space.first()[0]))
        assert proposal.config(5000, 6) == make_config(model={"name": families[0]}, training={"seed": 7})
        assert proposal.vectors is None
        assert proposal.changes == {"model.name": families[0]}


def test_what_comes_first_asks_each_question_once():
    space = Space(vectors=("potion",), long_texts=True)
    found = [space.propose(of(params)) for params in space.first()]
    assert len({str(proposal) for proposal in found}) == len(found)
    assert found[1].vectors == "potion"
    assert {proposal.tables["model"]["name"] for proposal in found} >= {"gru", "linear", "bag"}
    assert any(proposal.changes.get("data.max_length") == 512 for proposal in found)
    large = make_config(**read_recipe("large") | {"training": {"seed": 0}}).replace(model={"embedding": "pretrained"})
    assert large in [proposal.config(5000, 6) for proposal in found]
    assert not any("512" in str(Space(vectors=()).propose(of(p)).changes) for p in Space(vectors=()).first())


def test_every_proposal_is_a_configuration():
    generator, space = np.random.default_rng(0), Space(vectors=("potion", "glove"))
    families, vectors = set(), set()
    for _ in range(300):
        proposal = space.propose(drawn(generator))
        config = proposal.config(int(generator.integers(10, 100_000)), 6)
        families.add(config.model.name)
        vectors.add(proposal.vectors)
        assert proposal.vectors is None or config.model.reads_words
        assert (config.beside is None) == config.model.stands_alone
        assert proposal.vectors is None or "data.min_count" not in proposal.changes
    assert families == set(SEARCHED)
    assert vectors == {None, "potion", "glove"}


def test_a_factor_multiplies_what_the_training_would_choose():
    space = Space()
    params = space.first()[0] | {"Recurrent.training.epochs": 1.5, "Recurrent.training.batch_size": 0.5}
    proposal = space.propose(of(params))
    few, many = (proposal.config(count, 6).training for count in (8000, 50_000))
    assert (few.batch_size, many.batch_size) == (16, 32)
    assert (few.epochs, many.epochs) == (round(1.5 * 4), round(1.5 * 3))
    assert proposal.changes == {"model.name": "gru", "training.epochs": "x 1.50", "training.batch_size": "x 0.50"}


def test_without_torch_there_are_no_networks():
    assert searchable(SEARCHED, torch=False) == ("linear", "bag")
    assert searchable(SEARCHED, torch=True) == SEARCHED
