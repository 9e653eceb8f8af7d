"""Processes that train one network together, as torchrun starts them.

Each process has the whole network, and learns from its own texts of every batch. What a batch must know as a whole is
here: how long its longest text is, which numbers dropout draws, and the statistics of a batch normalization. With it,
the processes learn what one process would, but for rounding.

Letters: B texts of a process, F features of a text.
"""

import atexit
import os
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rubrica.environment import join_processes, processes
from rubrica.errors import ConfigError, RubricaError

_PATIENCE = timedelta(hours=2)  # a process may read large data, or download vectors, while the others wait


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
    """Meet the other processes of `environment.processes`, or those that the caller has met already.

    Raises:
        RubricaError: If they do not come.
    """
    if dist.is_initialized():
        join_processes(dist.get_rank(), dist.get_world_size())
        return
    number, count = processes()
    on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    if on_gpus:
        torch.cuda.set_device(local_device())
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo", rank=number, world_size=count, timeout=_PATIENCE
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise RubricaError(
            f"process {number} of {count} cannot meet the others ({reason}); start all with torchrun"
        ) from None
    atexit.register(_part)


def _part() -> None:
    """End the threads of Gloo before Python ends: one that outlives it now and then aborts the process."""
    if dist.is_initialized():
        dist.destroy_process_group()


def add_up(numbers: Tensor) -> None:
    """Add up a tensor over all processes, in place."""
    if processes()[1] > 1:
        dist.all_reduce(numbers)


def local_device() -> int:
    """The accelerator of this process among those that it sees.

    Raises:
        ConfigError: If another process has taken it.
    """
    if processes()[1] == 1:
        return 0
    own, count = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if count <= 1:  # each process may be shown its own
        return 0
    if own >= count:
        raise ConfigError(f"process {own} of this machine has no GPU, it has {count}; give --nproc-per-node {count}")
    return own


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


class _Sum(torch.autograd.Function):
    """The sum over all processes, and of its gradients too."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor) -> Tensor:
        total = numbers.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum_everywhere(numbers: Float[Tensor, " F"]) -> Float[Tensor, " F"]:
    return _Sum.apply(numbers)  # type: ignore[no-untyped-call]
