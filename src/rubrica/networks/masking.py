"""Which positions of a padded batch hold a real token, and its texts from their last token to their first."""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor


def length_mask(lengths: Int[Tensor, " B"], num_steps: int) -> Bool[Tensor, "B T"]:
    """True at the real tokens of a batch that is padded at the end.

    >>> length_mask(torch.tensor([2, 0]), num_steps=3).tolist()
    [[True, True, False], [False, False, False]]
    """
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def flip_texts(x: Shaped[Tensor, "T B *rest"], lengths: Int[Tensor, " B"] | None) -> Shaped[Tensor, "T B *rest"]:
    """Each text's own steps in the opposite order, what lies behind them left alone; without lengths all are its own.

    >>> flip_texts(torch.tensor([[1, 4], [2, 0], [3, 0]]), torch.tensor([3, 1])).tolist()
    [[3, 4], [2, 0], [1, 0]]
    """
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(len(x), device=x.device)[:, None]
    steps = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x[steps, torch.arange(x.shape[1], device=x.device)]
