"""A split whose ids lie on the accelerator, where batches are gathered from the numbers of their rows.

What the host sends is one run of row numbers an epoch. No step copies a batch or asks the device for a number, so
the host runs ahead of it and the device waits for nothing but its own work.

Letters: N texts, B texts of a batch, T tokens of its longest text.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from rubrica.corpus.corpus import Split
from rubrica.text.vocab import PAD_ID

MOST_IDS = 1 << 28  # 1 GB of them; a split with more stays with the host, which pads and sends its batches

Targets = Int[Tensor, " B"] | UInt8[Tensor, "B C"]
Batch = tuple[Int[Tensor, "B T"], Int[Tensor, " B"], Targets, Float[Tensor, " B"] | None]
"""Padded ids, lengths, targets and weights of some texts; None where all texts count alike."""


class DeviceSplit:
    """A split whose ids, targets and weights lie on a device."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.lengths = split.tokens.lengths
        # One padding id after all others: what a batch needs after a text's end is read there.
        self.ids = torch.full((len(split.tokens.ids) + 1,), PAD_ID, dtype=torch.int32, device=device)
        self.read(split.tokens.ids)
        self.offsets = torch.from_numpy(split.tokens.offsets).to(device)
        self.targets = torch.from_numpy(split.targets).to(device)
        self.weights = None if split.weights is None else torch.from_numpy(split.weights).to(device)

    def read(self, ids: NDArray[np.int32]) -> None:
        """Take in other ids of the same number of tokens."""
        self.ids[:-1].copy_(torch.from_numpy(ids))

    def send(self, batches: Sequence[NDArray[np.int64]], steps: Sequence[int]) -> "Iterator[DeviceBatch]":
        """The batches of an epoch, given as the rows of each, sent in one piece; `steps` are the least T of each."""
        if not batches:  # a training that goes on from the end of an epoch
            return
        rows = torch.from_numpy(np.concatenate(batches)).to(self.ids.device)
        parts = torch.split(rows, [len(batch) for batch in batches])
        for part, batch, least in zip(parts, batches, steps, strict=True):
            longest = int(self.lengths[batch].max(initial=0))  # the host knows it; to ask would be to wait
            yield DeviceBatch(self, part, max(least, longest))


class DeviceBatch(NamedTuple):
    """Some texts of a split on a device.

    Args:
        rows: Which of its texts, on the same device.
        num_steps: T, at least the tokens of the longest text, and at least 1.
    """

    split: DeviceSplit
    rows: Int[Tensor, " B"]
    num_steps: int

    def gather(self) -> Batch:
        """The batch as `batching.pad_batch` makes it on the host."""
        ids, offsets, weights = self.split.ids, self.split.offsets, self.split.weights
        starts, ends = offsets[self.rows], offsets[self.rows + 1]
        places = starts[:, None] + torch.arange(self.num_steps, device=starts.device)
        places = torch.where(places < ends[:, None], places, len(ids) - 1)
        counts = None if weights is None else weights[self.rows]
        return ids[places].long(), ends - starts, self.split.targets[self.rows], counts
