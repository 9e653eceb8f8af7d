"""The one training loop of networks. Every variation of a training is a value of its settings.

Source of the recipe: Adam (D. Kingma and J. Ba, 2015, https://arxiv.org/abs/1412.6980) on the cross-entropy, the
gradient's norm clipped (R. Pascanu et al., 2013, https://arxiv.org/abs/1211.5063), the best epoch kept by its
validation loss. Adversarial training (T. Miyato, A. Dai and I. Goodfellow, 2017, https://arxiv.org/abs/1605.07725)
departs from its source: it moves the distinct words of a batch instead of each text's own, and the length of the move
is taken over the whole batch; the two losses count alike.

Letters: U distinct words of a batch, E numbers in a word vector.
"""

import copy
import logging
import time
from collections.abc import Callable, Iterator
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from rubrica.corpus.corpus import Split
from rubrica.learning.backend import Backend, choose_backend
from rubrica.learning.device_split import DeviceBatch
from rubrica.learning.job import History, Job
from rubrica.learning.progress import Advance, progress_bar
from rubrica.learning.schedule import batches_of, describe_thawing, drop_words, lr_at, thaw_step
from rubrica.networks.network import TextNetwork
from rubrica.scoring.report import Report
from rubrica.scoring.task import Rows

log = logging.getLogger(__name__)

WINDOW = 50  # updates that a shown or recorded training loss is averaged over
_LEAST_NORM = 1e-30  # of a gradient that is nothing


def fit(network: TextNetwork, job: Job, validate: Callable[[], Report] | None = None) -> History:
    """Train a network in place, on its device.

    `validate` scores the network on held-out texts after each epoch. With it the network ends with the weights of the
    epoch that had the lowest validation loss. Ctrl-C or the job's deadline ends the training, not the program: what was
    learned until then is kept in the same way.
    """
    backend = choose_backend(network, job.config, job.task)
    run, patience = _Run(backend, job), backend.settings.patience
    log.info("%s: %s", job.title, describe_thawing(run.thaw_step))
    best_loss, best_epoch, best_weights = float("inf"), -1, dict[str, Any]()
    network.train()
    started = time.perf_counter()
    try:
        with network.torch_threads(), progress_bar(job.title, job.total_steps) as advance:
            for epoch in run.epochs(advance):
                if validate is None:
                    continue
                began = time.perf_counter()
                loss = run.history.validated(job.title, epoch, validate())
                started += time.perf_counter() - began
                if loss < best_loss:
                    best_loss, best_epoch, best_weights = loss, epoch, copy.deepcopy(network.state_dict())
                if patience and epoch - best_epoch >= patience:
                    break
    except KeyboardInterrupt:
        run.collect()
        run.history.interrupted = True
    run.history.train_seconds = time.perf_counter() - started
    if run.history.interrupted:
        kept = "the best epoch's" if best_weights else "the last"
        log.warning("%s: stopped after %d updates; %s weights are kept", job.title, run.history.steps, kept)
    if best_weights:
        network.load_state_dict(best_weights)
    return run.history


class _Run:
    """The updates of a training and their losses."""

    def __init__(self, backend: Backend, job: Job) -> None:
        self.backend, self.job, self.settings = backend, job, backend.settings
        self.history = History()
        self.waiting: list[Tensor] = []  # loss and accuracy of updates that the device may still be computing
        self.thaw_step = thaw_step(self.settings, job.steps_per_epoch)

    def epochs(self, advance: Advance) -> Iterator[int]:
        """Train; yields the number of each epoch when it is done."""
        job, total, note = self.job, self.job.total_steps, ""
        for epoch in range(-(-total // job.steps_per_epoch)):
            batches = batches_of(job.split, job.rows, self.settings, epoch)[: total - self.history.steps]
            seen = drop_words(job.split, job.corpus.vocab.unknown_id, self.settings, epoch)
            for batch in self.backend.send(seen, batches):
                step = self.history.steps + len(self.waiting)
                self.backend.table.table.requires_grad_(step >= self.thaw_step)
                self.backend.set_lr(lr_at((step + 0.5) / total, self.settings))
                self.waiting.append(update(self.backend, seen, batch))
                if (step + 1) % WINDOW == 0 or step == 0:
                    self.collect()
                    loss, accuracy = fmean(self.history.losses[-WINDOW:]), fmean(self.history.accuracies[-WINDOW:])
                    self.history.record(epoch, loss=loss, accuracy=accuracy)
                    note = f"loss {loss:.4f} accuracy {accuracy:.4f}"
                advance(note)
                if job.deadline.passed:
                    self.collect()
                    self.history.interrupted = True
                    return
            self.collect()
            yield epoch

    def collect(self) -> None:
        """Wait for the updates under way and take their losses into the history."""
        if self.waiting:
            losses, accuracies = torch.stack(self.waiting).cpu().double().unbind(1)
            self.history.losses.extend(losses.tolist())
            self.history.accuracies.extend(accuracies.tolist())
            self.history.steps = len(self.history.losses)
            self.waiting.clear()


def update(backend: Backend, split: Split, batch: Rows | DeviceBatch) -> Float[Tensor, "2"]:
    """One step of the optimizer on the texts of a batch; returns their loss and accuracy before it."""
    scores = backend.differentiate(split, batch)
    if backend.settings.adversarial and backend.table.trained():
        _add_adversarial(backend, split, batch)
    backend.step()
    return scores


def _add_adversarial(backend: Backend, split: Split, batch: Rows | DeviceBatch) -> None:
    """Make the gradients the mean of what they are and of those with word vectors that are moved to raise the loss."""
    kept = [gradient.clone() for gradient in backend.gradients()]
    for gradient in backend.gradients():
        gradient.zero_()
    way = kept[-1]  # (U, E), the steepest
    table = backend.table.table
    table.shift = way * (backend.settings.adversarial / way.norm().clamp(min=_LEAST_NORM))
    try:
        backend.differentiate(split, batch)
    finally:  # after Ctrl-C, too: the model goes on to be scored
        table.shift = None
    for gradient, plain in zip(backend.gradients(), kept, strict=True):
        gradient.add_(plain).mul_(0.5)
