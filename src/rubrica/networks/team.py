"""Processes that train one network together, as torchrun starts them.

Each process has the whole network, and learns from its own texts of every batch. What a batch must know as a whole is
here: how long its longest text is, which numbers dropout draws, and the statistics of a batch normalization. With it,
the processes learn what one process would, but for rounding.

Letters: B texts of a process, F features of a text.
"""

import os
import signal
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rubrica.environment import processes


class Part(NamedTuple):
    """The texts of a batch that a process has.

    Args:
        first: The place of the first of them.
        total: Texts of the whole batch.
        steps: Tokens of its longest text, at least 1.
    """

    first: int
    total: int
    steps: int


def join_team() -> None:
    """Meet the other processes; Ctrl-C ends all of them from then on, since none can go on alone."""
    if dist.is_initialized():
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def team() -> tuple[int, int]:
    """The number of this process in the team, and how many there are; 0 and 1 where there is none."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def add_up(numbers: Tensor) -> None:
    """Numbers of all processes in place of this one's."""
    if team()[1] > 1:
        dist.all_reduce(numbers)


def local_device() -> int:
    """The accelerator of this process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", 0)) if processes()[1] > 1 else 0


def dropped(features: Float[Tensor, "B F"], share: float, part: Part | None) -> Float[Tensor, "B F"]:
    """Dropout. Of a batch that is shared, each process draws for all texts, and takes what is drawn for its own."""
    if part is None or not share:
        return F.dropout(features, share)
    drawn = F.dropout(features.new_ones(part.total, features.shape[1]), share)
    return features * drawn[part.first : part.first + len(features)]


def normalized(norm: nn.Module, x: Float[Tensor, "N F"], part: Part | None) -> Float[Tensor, "N F"]:
    """Batch normalization, by the statistics of the whole batch where it is shared."""
    if part is None or not norm.training:
        return norm(x)
    assert isinstance(norm, nn.BatchNorm1d)
    sums = _sum_everywhere(torch.cat([x.sum(0), x.new_full((1,), len(x))]))
    count = sums[-1].detach()
    mean = sums[:-1] / count
    variance = _sum_everywhere((x - mean).square().sum(0)) / count
    with torch.no_grad():
        norm.get_buffer("running_mean").lerp_(mean, norm.momentum or 0.0)
        norm.get_buffer("running_var").lerp_(variance * (count / (count - 1)), norm.momentum or 0.0)
        norm.get_buffer("num_batches_tracked").add_(1)
    return (x - mean) * (variance + norm.eps).rsqrt() * norm.weight + norm.bias


def _sum_everywhere(numbers: Float[Tensor, " F"]) -> Float[Tensor, " F"]:
    from torch.distributed.nn.functional import all_reduce  # with a derivative; late: it warns where there is no team

    return all_reduce(numbers)  # type: ignore[no-untyped-call]
