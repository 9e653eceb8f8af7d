"""From one state per step to one row per text: the last, the maximum, the average, or a learned mean over time.

With lengths, only a text's own steps count, so its features depend on nothing else in the batch; a text without
tokens has features of zeros. Without lengths all steps count, padding too, as in the seminar.

Letters: T steps, B texts, H numbers per state, F features of a text.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from rubrica.networks.masking import Lengths, length_mask

Pooling = Callable[[Float[Tensor, "T B H"], Lengths], Float[Tensor, "B F"]]


def pool_last(states: Float[Tensor, "T B H"], lengths: Lengths) -> Float[Tensor, "B H"]:
    """The state at each text's last token."""
    if lengths is None:
        return states[-1]
    last = (lengths - 1).clamp(min=0)
    features = states.gather(0, last[None, :, None].expand(1, -1, states.shape[2]))[0]
    return features.masked_fill((lengths == 0)[:, None], 0.0)


def pool_max(states: Float[Tensor, "T B H"], lengths: Lengths) -> Float[Tensor, "B H"]:
    """The largest value of each unit over the steps."""
    if lengths is None:
        return states.amax(0)
    padding = ~length_mask(lengths, states.shape[0]).t()[..., None]
    features = states.masked_fill(padding, -torch.inf).amax(0)
    return features.masked_fill((lengths == 0)[:, None], 0.0)


def pool_average(states: Float[Tensor, "T B H"], lengths: Lengths) -> Float[Tensor, "B H"]:
    """The mean value of each unit over the steps."""
    if lengths is None:
        return states.mean(0)
    padding = ~length_mask(lengths, states.shape[0]).t()[..., None]
    return states.masked_fill(padding, 0.0).sum(0) / lengths.clamp(min=1)[:, None]


def pool_average_max(states: Float[Tensor, "T B H"], lengths: Lengths) -> Float[Tensor, "B F"]:
    """The average and the maximum side by side, F = 2 H."""
    return torch.cat([pool_average(states, lengths), pool_max(states, lengths)], dim=1)


def pool_attention(states: Float[Tensor, "T B H"], lengths: Lengths, u: Float[Tensor, " H"]) -> Float[Tensor, "B H"]:
    """The mean by the softmax of u . h_t over the steps: a text decides which of its states count.

    Source: Z. Yang et al., "Hierarchical attention networks for document classification", NAACL 2016, without its
    hidden layer before the product with u.
    """
    scores = states @ u
    if lengths is None:
        return (scores.softmax(0)[..., None] * states).sum(0)
    real = length_mask(lengths, states.shape[0]).t()
    # Finite, so that a text without tokens has no NaN on its way to zero.
    weights = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(0) * real
    return (weights[..., None] * states.masked_fill(~real[..., None], 0.0)).sum(0)


POOLINGS: dict[str, Pooling] = {
    "last": pool_last,
    "max": pool_max,
    "average": pool_average,
    "average_max": pool_average_max,
}
"""The poolings without a parameter."""
