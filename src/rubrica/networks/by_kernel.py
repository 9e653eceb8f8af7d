"""How autograd calls a kernel of `kernels/` that has a hand-written derivative."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from rubrica.kernels.runs import Floats, Reading
from rubrica.networks.masking import Lengths

WayBack = Callable[[Floats, bool], Sequence[Floats | None]]
Run = Callable[..., tuple[Floats, WayBack]]


def as_reading(cell: str, pooling: str, index: Int[Tensor, "B T"], lengths: Lengths) -> Reading:
    """A padded batch as the kernels read it."""
    rows, steps = index.shape
    known = np.full(rows, steps, np.int64) if lengths is None else lengths.numpy()
    return Reading(
        cell, pooling, index.to(torch.int32).flatten().numpy(), np.arange(rows, dtype=np.int64) * steps, known
    )


def by_kernel(run: Run, *tensors: Tensor) -> Float[Tensor, "B F"]:
    """What a kernel makes of tensors on the CPU, with their gradients.

    Args:
        run: Takes whether gradients are wanted, and the tensors as arrays. Returns the features, and the way back:
            from their gradient, and whether the first tensor is trained, to the gradients of the tensors.
        tensors: The word vectors first. A frozen table of them wants no gradient.
    """
    return _ByKernel.apply(run, *tensors)  # type: ignore[no-untyped-call]


class _ByKernel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: Run, *tensors: Tensor) -> Tensor:
        arrays = (tensor.detach().numpy() for tensor in tensors)
        features, ctx.way_back = run(any(ctx.needs_input_grad), *arrays)
        return torch.from_numpy(features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outputs: Tensor) -> Any:
        way_back, ctx.way_back = ctx.way_back, None  # it holds millions of numbers, and the graph may live on
        gradients = way_back(d_outputs[0].contiguous().numpy(), ctx.needs_input_grad[1])
        return None, *(None if gradient is None else torch.from_numpy(gradient) for gradient in gradients)
