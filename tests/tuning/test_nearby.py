"""Changes of the best settings: few at a time, within their ranges, not tried before."""

import numpy as np

from rubrica.config.ranges import Between, OneOf, Times
from rubrica.tuning.nearby import _moved, nearby
from rubrica.tuning.space import Space


def test_few_settings_change_and_all_are_changed_in_the_end():
    space, generator = Space(vectors=("potion",)), np.random.default_rng(0)
    best = space.first()[0]
    changed = set()
    for _ in range(300):
        found = nearby(space, best, [best], generator)
        own = {name for name in best.keys() & found.keys() if best[name] != found[name]}
        assert 1 <= len(own) <= 3
        proposal = space.propose(lambda name, kind, usual, found=found: found[name])
        proposal.config(5000, 6)
        changed |= own
    assert changed == best.keys() - {"family"}


def test_a_choice_brings_the_settings_that_belong_to_it():
    space, generator = Space(vectors=("potion",)), np.random.default_rng(0)
    best = space.first()[0]
    found = [nearby(space, best, [best], generator) for _ in range(200)]
    alone = [params for params in found if not params["Recurrent.model.with_linear"]]
    assert alone
    assert not any("beside" in name for params in alone for name in params)
    with_vectors = [params for params in found if params["Recurrent.vectors"]]
    assert all(params["Recurrent.training.freeze_steps"] == 300 for params in with_vectors)
    back = [nearby(space, alone[0], [alone[0]], generator) for _ in range(200)]
    assert any("Recurrent.beside.cost" in params for params in back)


def test_what_was_tried_is_not_tried_again():
    space = Space(families=("linear",))
    best = space.first()[0]
    tried = [best]
    for number in range(40):
        found = nearby(space, best, tried, np.random.default_rng(number))
        assert found not in tried
        tried.append(found)


def test_moves_stay_in_their_range():
    generator = np.random.default_rng(1)
    for kind, value in (
        (Between(1, 3), 3),
        (Between(0.0, 0.3), 0.0),
        (Between(32, 192, log=True), 64),
        (Times(0.5, 2), 1.0),
    ):
        moved = [_moved(kind, value, generator) for _ in range(200)]
        assert all(kind.low <= each <= kind.high for each in moved)
        assert {type(each) for each in moved} == {type(value)}
        assert len(set(moved)) > 1
    assert {_moved(OneOf((0, 1, 2)), 1, generator) for _ in range(50)} == {0, 2}
    assert _moved(OneOf((5,)), 5, generator) == 5
