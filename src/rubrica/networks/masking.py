"""Which positions of a padded batch hold a real token, and its texts from their last token to their first.

Letters: B texts, T tokens of the longest text, U distinct words, E numbers in a word vector, F features of a text.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

Ids = Int[Tensor, "B T"]
Vectors = Float[Tensor, "U E"]
Features = Float[Tensor, "B F"]
Lengths = Int[Tensor, " B"] | None
"""Tokens of each text; with None padding is read as words."""


def length_mask(lengths: Int[Tensor, " B"], num_steps: int) -> Bool[Tensor, "B T"]:
    """True at the real tokens of a batch that is padded at the end.

    >>> length_mask(torch.tensor([2, 0]), num_steps=3).tolist()
    [[True, True, False], [False, False, False]]
    """
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def drop_padding(x: Float[Tensor, "B T F"], lengths: Lengths) -> Float[Tensor, "B T F"]:
    """Zeros behind each text's end."""
    return x if lengths is None else x * length_mask(lengths, x.shape[1])[..., None]


def flip_texts(x: Shaped[Tensor, "T B *rest"], lengths: Lengths) -> Shaped[Tensor, "T B *rest"]:
    """Each text's own steps in the opposite order; its padding stays where it is.

    >>> flip_texts(torch.tensor([[1, 4], [2, 0], [3, 0]]), torch.tensor([3, 1])).tolist()
    [[3, 4], [2, 0], [1, 0]]
    """
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(len(x), device=x.device)[:, None]
    steps = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x[steps, torch.arange(x.shape[1], device=x.device)]
