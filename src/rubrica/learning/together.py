"""One update by several processes: each learns from its part of a batch, and the gradients are added up.

All processes read the same texts and meet the same batches. A process differentiates the loss of its own part, times
the share that the part has in the loss of the batch. The sums are the gradients of the whole batch, the same in every
process to the bit, so each takes the same step. Of the word vectors only the rows of the batch are sent.

Letters: U distinct words of a process's part, W distinct words of the batch, E numbers in a word vector.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor

from rubrica.corpus.corpus import Split
from rubrica.errors import RubricaError
from rubrica.learning.backend import Backend
from rubrica.learning.device_split import DeviceBatch
from rubrica.networks.embedding import WordTable, uses_kernels
from rubrica.networks.team import Part, team
from rubrica.scoring.task import Rows


class Share(NamedTuple):
    """What a process has of a batch.

    Args:
        part: Which of the texts.
        rows: The texts.
        texts: Its share of them.
        loss: Its share of the loss, in which a text counts by its weight.
    """

    part: Part
    rows: Rows
    texts: float
    loss: float


class Shared(NamedTuple):
    """A share, and its texts as the backend sent them."""

    share: Share
    sent: Rows | DeviceBatch


Batch = Rows | DeviceBatch | Shared
"""What an update learns from."""


def send(backend: Backend, split: Split, batches: Sequence[Rows]) -> Iterator[Batch]:
    """The batches of an epoch, or what this process has of each.

    A batch of fewer texts than there are processes is not shared: all do the same work.
    """
    number, count = team()
    if count == 1:
        yield from backend.send(split, batches, [1] * len(batches))
        return
    shares = [_share_of(split, batch, number, count) if len(batch) >= count else None for batch in batches]
    rows = [batch if share is None else share.rows for share, batch in zip(shares, batches, strict=True)]
    steps = [1 if share is None else share.part.steps for share in shares]
    for share, sent in zip(shares, backend.send(split, rows, steps), strict=True):
        yield sent if share is None else Shared(share, sent)


def _share_of(split: Split, batch: Rows, number: int, count: int) -> Share:
    first, end = (len(batch) * turn // count for turn in (number, number + 1))
    rows, steps = batch[first:end], max(1, int(split.tokens.lengths_of(batch).max(initial=0)))
    share = loss = len(rows) / len(batch)
    if split.weights is not None:
        loss = float(split.weights[rows].sum() / split.weights[batch].sum())
    return Share(Part(first, len(batch), steps), rows, share, loss)


def differentiate(backend: Backend, split: Split, batch: Batch) -> Float[Tensor, "2"]:
    """`Backend.differentiate` of a batch, whether it is shared or not."""
    backend.table.table.own = None
    if not isinstance(batch, Shared):
        return backend.differentiate(split, batch)
    share, sent = batch
    backend.network.part, backend.counts = share.part, share.loss
    try:
        scores = backend.differentiate(split, sent)
    finally:
        backend.network.part, backend.counts = None, 1.0
    trained, gradients = backend.table.trained(), backend.gradients()
    dense = gradients[: len(gradients) - len(trained)]
    scores = torch.stack([scores[0] * share.loss, scores[1] * share.texts])
    sums = torch.cat([scores, *(gradient.flatten() for gradient in dense)])
    dist.all_reduce(sums)
    scores, *totals = torch.split(sums, [2, *(gradient.numel() for gradient in dense)])
    for gradient, total in zip(dense, totals, strict=True):
        gradient.copy_(total.view_as(gradient))
    if trained:
        _add_up_rows(backend.table.table)
    return scores


def _add_up_rows(table: WordTable) -> None:
    """The gradient of the rows of the batch (W, E) in place of the gradient of the part's rows (U, E)."""
    words, vectors = table.words, table.vectors
    assert words is not None
    assert vectors is not None
    on_cpu, gradient = uses_kernels(table.weight), vectors.grad
    assert gradient is not None
    own = words if on_cpu else torch.unique(words)  # elsewhere each token is in `words`, and the gradient is (V, E)
    everywhere = torch.unique(_gathered(own))
    here = torch.searchsorted(everywhere, own)
    total = gradient.new_zeros(len(everywhere), gradient.shape[1])
    total[here] = gradient if on_cpu else gradient[own]
    dist.all_reduce(total)
    table.words = everywhere
    if on_cpu:
        table.own, table.vectors = here, torch.empty_like(total, requires_grad=True)
        table.vectors.grad = total
    else:
        gradient[everywhere] = total


def _gathered(words: Int[Tensor, " U"]) -> Int[Tensor, " all"]:
    """The words of all processes, one after the other."""
    _, count = team()
    sizes = [words.new_zeros(1) for _ in range(count)]
    dist.all_gather(sizes, words.new_tensor([len(words)]))
    lengths = torch.cat(sizes).tolist()
    found = [words.new_empty(max(lengths)) for _ in range(count)]
    own = words.new_zeros(max(lengths))
    own[: len(words)] = words
    dist.all_gather(found, own)
    return torch.cat([part[:length] for part, length in zip(found, lengths, strict=True)])


def check_same(steps: int, device: torch.device) -> None:
    """Make sure that all processes begin at the same update.

    Raises:
        RubricaError: If they do not.
    """
    _, count = team()
    if count == 1:
        return
    found = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(count)]
    dist.all_gather(found, torch.full((1,), steps, dtype=torch.int64, device=device))
    places = sorted({int(step) for step in found})
    if len(places) > 1:
        raise RubricaError(
            f"the processes go on from different updates ({', '.join(map(str, places))}); all of them have to see the"
            " same OUT.checkpoint: put --out on a disk that the machines share, or remove the checkpoints"
        )
