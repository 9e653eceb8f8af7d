"""The table of word vectors, and Adam on the rows of it that a batch uses.

A batch holds a thousand distinct words, the table forty thousand. On the CPU the rows are therefore taken out, each
word once: what the network does to a word's vector alone is done once per distinct word, the gradient exists for
these rows only, and so does the work of the optimizer. On an accelerator, where the whole table is a few
microseconds' work and the number of distinct words would have to be waited for, the table is used as it is.

Letters: V words, E numbers in a word vector, U distinct words of a batch, B texts, T tokens.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rubrica.kernels import native
from rubrica.kernels.rows import BETA1, BETA2, EPSILON, adam_rows, distinct, square_sum


def on_cpu(tensor: Tensor) -> bool:
    """Whether the kernels of `kernels/` compute with it. The tests send the CPU the accelerator's way here."""
    return tensor.device.type == "cpu"


class WordTable(nn.Module):
    """Word vectors by id.

    Args:
        weight: The table's start, (V, E). Whether it trains is decided by `freezing.py`.
    """

    def __init__(self, weight: Float[Tensor, "V E"]) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.words: Int[Tensor, " U"] | None = None
        self.vectors: Float[Tensor, "U E"] | None = None

    def forward(self, ids: Int[Tensor, "B T"]) -> tuple[Float[Tensor, "U E"], Int[Tensor, "B T"]]:
        """Vectors, and which of them stands where. The gradient of the last call is kept for `TableAdam`."""
        if not on_cpu(ids):
            self.words, self.vectors = ids.flatten(), self.weight
            return self.weight, ids
        words, index = distinct(ids.numpy(), len(self.weight))
        self.words = torch.from_numpy(words)
        # numpy takes them on this one thread; torch would wake another, which the kernels then wait for.
        self.vectors = torch.from_numpy(self.weight.detach().numpy()[words])
        if torch.is_grad_enabled() and self.weight.requires_grad:
            self.vectors.requires_grad_()
        return self.vectors, torch.from_numpy(index)


class TableAdam:
    """Adam on a `WordTable`.

    Args:
        table: The table; its last forward pass says which rows were used.
        lr: Step size.
        dense: Every row takes every step, as Adam is defined: the average of its past gradients goes on to move a
            row whose word is not in the batch. Without it ("lazy Adam") only the rows in the batch move.
    """

    def __init__(self, table: WordTable, lr: float, *, dense: bool) -> None:
        self.table, self.lr, self.dense = table, lr, dense
        self.first, self.second = torch.zeros_like(table.weight), torch.zeros_like(table.weight)
        self.num_steps = 0
        self.steps_on_device = table.weight.new_zeros(())

    def trained(self) -> list[Tensor]:
        """What holds the gradient, for clipping; nothing while the table is frozen."""
        vectors = self.table.vectors
        return [] if vectors is None or not vectors.requires_grad else [vectors]

    @torch.no_grad()
    def step(self, scale: float = 1.0) -> None:
        """Move the table by the gradient of its last forward pass, times `scale`, and drop that gradient."""
        words, vectors, weight = self.table.words, self.table.vectors, self.table.weight
        if words is None or vectors is None or vectors.grad is None:
            return
        gradient, vectors.grad, self.table.vectors = vectors.grad, None, None
        if on_cpu(weight):
            self.num_steps += 1
            adam_rows(
                weight.numpy(), self.first.numpy(), self.second.numpy(), words.numpy(), gradient.numpy(),
                step=self.num_steps, lr=self.lr, dense=self.dense, scale=scale, threads=native.num_threads(),
            )  # fmt: skip
            return
        # Every row is computed, and without `dense` only the used ones are written: nothing waits for the device. The
        # steps are counted there too, so that the same commands are right at every step.
        self.steps_on_device += 1
        used = torch.ones(len(weight), 1, dtype=torch.bool, device=weight.device)
        if not self.dense:
            used = torch.zeros_like(used).index_fill_(0, words, value=True)
        first = torch.lerp(self.first, gradient, 1 - BETA1)
        second = BETA2 * self.second + (1 - BETA2) * gradient.square()
        change = first / (second / _weight_so_far(BETA2, self.steps_on_device)).sqrt().add_(EPSILON)
        self.first.copy_(torch.where(used, first, self.first))
        self.second.copy_(torch.where(used, second, self.second))
        weight.sub_(torch.where(used, change, 0.0) * (self.lr / _weight_so_far(BETA1, self.steps_on_device)))


def _weight_so_far(beta: float, steps: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """1 - beta^steps, which Adam divides its averages by, without the difference of two nearly equal numbers."""
    return -torch.expm1(steps * math.log(beta))


class KernelAdam:
    """Adam on whole parameters on the CPU, by the same kernel as the table's.

    Args:
        parameters: What it moves.
        lr: Step size.
    """

    def __init__(self, parameters: Sequence[Tensor], lr: float) -> None:
        self.parameters, self.lr, self.num_steps = parameters, lr, 0
        # A parameter is a table of one row; these arrays are the parameters' own memory.
        self.rows = [parameter.detach().view(1, -1).numpy() for parameter in parameters]
        self.moments = [(np.zeros_like(row), np.zeros_like(row)) for row in self.rows]

    def step(self, scale: float = 1.0) -> None:
        """Move every parameter that has a gradient by it, times `scale`, and drop it."""
        self.num_steps += 1
        for parameter, row, (first, second) in zip(self.parameters, self.rows, self.moments, strict=True):
            if parameter.grad is not None:
                gradient = parameter.grad.contiguous().numpy().reshape(1, -1)
                adam_rows(
                    row, first, second, _FIRST_ROW, gradient, step=self.num_steps, lr=self.lr, dense=False, scale=scale
                )
                parameter.grad = None


_FIRST_ROW = np.zeros(1, np.int64)


def clip_scale(tensors: Sequence[Tensor], max_norm: float) -> float:
    """What to multiply gradients on the CPU with, so that their common L2 norm is at most `max_norm`, as torch does."""
    norm = math.sqrt(sum(square_sum(tensor.grad.contiguous().numpy()) for tensor in tensors if tensor.grad is not None))
    return min(1.0, max_norm / (norm + 1e-6))
