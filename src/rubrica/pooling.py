"""From one state per step to one per text: the last, the maximum or the average over time.

With lengths, only a text's own steps count, so its features depend on nothing else in the batch; a text without
tokens has features of zeros. Without lengths all steps count, padding too, as in the seminar.

Letters: T steps, B texts, H numbers per state.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rubrica.masking import length_mask

Pooling = Callable[[Float[Tensor, "T B H"], Int[Tensor, " B"] | None], Float[Tensor, "B H"]]


def pool_last(states: Float[Tensor, "T B H"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B H"]:
    """The state at each text's last token."""
    if lengths is None:
        return states[-1]
    last = (lengths - 1).clamp(min=0)
    features = states.gather(0, last[None, :, None].expand(1, -1, states.shape[2]))[0]
    return features.masked_fill((lengths == 0)[:, None], 0.0)


def pool_max(states: Float[Tensor, "T B H"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B H"]:
    """The largest value of each unit over the steps."""
    if lengths is None:
        return states.amax(0)
    padding = ~length_mask(lengths, states.shape[0]).t()[..., None]
    features = states.masked_fill(padding, -torch.inf).amax(0)
    return features.masked_fill((lengths == 0)[:, None], 0.0)


def pool_average(states: Float[Tensor, "T B H"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B H"]:
    """The mean value of each unit over the steps."""
    if lengths is None:
        return states.mean(0)
    padding = ~length_mask(lengths, states.shape[0]).t()[..., None]
    return states.masked_fill(padding, 0.0).sum(0) / lengths.clamp(min=1)[:, None]


POOLINGS: dict[str, Pooling] = {"last": pool_last, "max": pool_max, "average": pool_average}
