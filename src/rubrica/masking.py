"""Which positions of a padded batch hold a real token."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def length_mask(lengths: Int[Tensor, " B"], num_steps: int) -> Bool[Tensor, "B T"]:
    """True at the real tokens of a batch that is padded at the end.

    >>> length_mask(torch.tensor([2, 0]), num_steps=3).tolist()
    [[True, True, False], [False, False, False]]
    """
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]
