"""The table of word vectors, and Adam on the rows of it that a batch uses.

A batch holds a thousand distinct words, the table forty thousand. On the CPU the rows are therefore taken out, each
word once: what the network does to a word's vector alone is done once per distinct word, the gradient exists for
these rows only, and so does the work of the optimizer. On an accelerator, where the whole table is a few
microseconds' work and the number of distinct words would have to be waited for, the table is used as it is.

Letters: V words, E numbers in a word vector, U distinct words of a batch, B texts, T tokens.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.kernels import native
from rubrica.kernels.rows import BETA1, BETA2, EPSILON, adam_rows, distinct, square_sum, take_words
from rubrica.text.vocab import TokenIds


def uses_kernels(tensor: Tensor) -> bool:
    """Whether the kernels of `kernels/` compute with it: float32 on the CPU, where the native core is there.

    Torch computes everything else, as on an accelerator. Tests replace this function to try that way on the CPU.
    """
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and native.library() is not None


class WordTable(nn.Module):
    """Word vectors by id.

    Args:
        weight: The table's start, (V, E). Whether it trains is for the training to say.
    """

    def __init__(self, weight: Float[Tensor, "V E"]) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.words: Int[Tensor, " U"] | None = None
        self.vectors: Float[Tensor, "U E"] | None = None
        self.shift: Float[Tensor, "U E"] | None = None
        """What is added to the vectors, and to no row of the table, while `loop.update` looks for what confuses."""
        self.own: Int[Tensor, " U"] | None = None
        """Which of the words that have a gradient are in this process's part of a batch; None where all are."""

    def forward(self, ids: Int[Tensor, "B T"]) -> tuple[Float[Tensor, "U E"], Int[Tensor, "B T"]]:
        """Vectors, and which of them stands where. The gradient of the last call is kept for `TableAdam`."""
        if not uses_kernels(self.weight):
            self.words = ids.flatten()
            object.__setattr__(self, "vectors", self.weight)  # else torch takes the table for one more parameter
            return self._shifted(self.weight), ids
        words, index = distinct(ids.numpy(), len(self.weight))
        self.words = torch.from_numpy(words)
        # numpy takes them on this one thread; torch would wake another, which the kernels then wait for.
        self.vectors = torch.from_numpy(self.weight.detach().numpy()[words])
        if torch.is_grad_enabled() and self.weight.requires_grad:
            self.vectors.requires_grad_()
        return self._shifted(self.vectors), torch.from_numpy(index)

    def _shifted(self, vectors: Float[Tensor, "U E"]) -> Float[Tensor, "U E"]:
        return vectors if self.shift is None else vectors + self.shift

    def take(
        self, texts: TokenIds, rows: NDArray[np.int64], *, masked: bool, least: int = 1
    ) -> tuple[NDArray[np.floating[Any]], NDArray[np.int32], NDArray[np.int64]]:
        """On the CPU: vectors (U, E), which of them stands where, text after text, and the texts' lengths.

        `rows` (B,) are the texts of the batch. Unless they are masked, all are padded to the longest, and to `least`.
        """
        starts, lengths = texts.offsets[rows], texts.lengths_of(rows)
        steps = 0 if masked else max(least, int(lengths.max(initial=0)))
        words, index, vectors = take_words(texts.ids, starts, lengths, self.weight.detach().numpy(), steps=steps)
        self.words, self.vectors = torch.from_numpy(words), torch.from_numpy(vectors)
        self.vectors.requires_grad_(self.weight.requires_grad)
        read = vectors if self.shift is None else vectors + self.shift.numpy()
        return read, index, lengths if masked else np.full(len(rows), steps, np.int64)


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
        self.num_steps = np.zeros((), np.int64)
        self.steps_on_device = table.weight.new_zeros(())

    def moments(self) -> dict[str, Tensor]:
        """The averages of past gradients and of their squares, (V, E) each, and the numbers of steps."""
        steps = {"table.steps": torch.from_numpy(self.num_steps), "table.steps_on_device": self.steps_on_device}
        return {"table.first": self.first, "table.second": self.second} | steps

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
        if uses_kernels(weight):
            self.num_steps += 1
            adam_rows(
                weight.numpy(), self.first.numpy(), self.second.numpy(), words.numpy(), gradient.numpy(),
                step=int(self.num_steps), lr=self.lr, dense=self.dense, scale=scale, threads=native.num_threads(),
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

    It lays them in one piece of memory, and their gradients too, so that a step is one call for all of them; what
    `parameter` and `parameter.grad` show is in these pieces from then on.

    Args:
        parameters: What it moves, all of one type.
        lr: Step size.
    """

    def __init__(self, parameters: Sequence[Tensor], lr: float) -> None:
        self.parameters, self.lr, self.num_steps = parameters, lr, np.zeros((), np.int64)
        numbers = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self.gradient = torch.zeros_like(numbers)
        sizes = [parameter.numel() for parameter in parameters]
        places = zip(torch.split(numbers, sizes), torch.split(self.gradient, sizes), strict=True)
        for parameter, (place, gradient) in zip(parameters, places, strict=True):
            parameter.data, parameter.grad = place.view(parameter.shape), gradient.view(parameter.shape)
        self.arrays = [parameter.detach().numpy() for parameter in parameters]
        self.gradients = [parameter.grad.numpy() for parameter in parameters if parameter.grad is not None]
        # To the kernel all of them are a table of one row.
        self.row, self.row_gradient = numbers.numpy()[None], self.gradient.numpy()[None]
        self.first, self.second = np.zeros_like(self.row), np.zeros_like(self.row)

    def moments(self) -> dict[str, Tensor]:
        """The averages of past gradients and of their squares, (1, N) each, and the number of steps."""
        arrays = {"adam.first": self.first, "adam.second": self.second, "adam.steps": self.num_steps}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def step(self, scale: float = 1.0) -> None:
        """Move every parameter by its gradient times `scale`, and set that to zero."""
        self.num_steps += 1
        adam_rows(
            self.row, self.first, self.second, _FIRST_ROW, self.row_gradient,
            step=int(self.num_steps), lr=self.lr, dense=False, scale=scale,
        )  # fmt: skip
        self.row_gradient.fill(0)


_FIRST_ROW = np.zeros(1, np.int64)


def common_norm(gradients: Sequence[Tensor]) -> float:
    """The L2 norm of all gradients together, on the CPU."""
    return math.sqrt(sum(square_sum(gradient.contiguous().numpy()) for gradient in gradients))


def clip_scale(norm: float, max_norm: float) -> float:
    """What to multiply gradients of this L2 norm with, so that it is at most `max_norm`, as torch does."""
    return min(1.0, max_norm / (norm + 1e-6))
