"""Every source of random numbers that a library may draw from, set for a block and put back after it."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Set the seeds of `random`, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries still draw from the global state)
    torch.manual_seed(seed)


def random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of the sources that a training on this device draws from; bytes."""
    states = {"random": torch.get_rng_state()}
    if device.type == "cuda":
        states["random.cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(device: torch.device, states: Mapping[str, torch.Tensor]) -> None:
    """Let the sources go on from where they were.

    Raises:
        RuntimeError: If the bytes are no state.
    """
    torch.set_rng_state(states["random"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["random.cuda"], device)


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
