"""A search with torch: the defaults are those of `rubrica train`, and every kind of family can be judged."""

import sys

import pytest

import rubrica
from made_searches import LONG, dataset, plain
from rubrica.tuning.parts import judge, make_parts
from rubrica.tuning.space import Space
from rubrica.tuning.tune import run_tuning


def test_without_a_better_trial_the_model_is_that_of_train():
    data = dataset(*plain(60))
    found = run_tuning(data, seconds=LONG, trials=1, seed=2)
    alone = rubrica.train(data, config=rubrica.make_config(training={"seed": 2}))
    assert found.rows[0]["settings"] == {"model.name": "gru"}
    assert found.model.config == alone.config
    tensors, others = found.model.artifact.tensors, alone.artifact.tensors
    assert all(tensors[name].tobytes() == others[name].tobytes() for name in tensors | others)


@pytest.mark.parametrize("number", range(len(Space().first())))
def test_each_of_the_first_trials_can_be_judged(number):
    space = Space()
    params = space.first()[number]
    proposal = space.propose(lambda name, kind, usual: params[name])
    part = make_parts(dataset(*plain(60)), 0).part(0)
    config = proposal.config(48, 2).replace(training={"epochs": 1})
    found = judge(part, config, None, size=1e9)
    assert found.hits.shape == (len(part.rows), 2)
    assert found.size > 0


def test_python_finds_torch_or_does_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = run_tuning(dataset(*plain(60)), seconds=LONG, trials=1)
    assert found.model.config.model.name == "linear"
