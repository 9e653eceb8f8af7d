"""Every source of random numbers that a library may draw from, set for a block and put back after it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Set the seeds of `random`, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries still draw from the global state)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """`seed_everything` for a block; after it all sources go on from where they were."""
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (as above)
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            seed_everything(seed)
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002
