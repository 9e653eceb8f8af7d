"""Seeds of every generator, for good or for a block."""

import random
from contextlib import suppress

import numpy as np
import torch

from rubrica.learning.seeds import seed_everything, seeded


def test_a_seed_holds_for_its_block_alone():
    def drawn():
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002

    seed_everything(7)
    of_seven = drawn()
    seed_everything(3)
    first, second = drawn(), drawn()
    seed_everything(3)
    assert drawn() == first
    with suppress(ZeroDivisionError), seeded(7):
        assert drawn() == of_seven
        1 / 0  # noqa: B018 (an error leaves as well)
    assert drawn() == second
