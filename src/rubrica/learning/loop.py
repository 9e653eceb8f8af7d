"""The one training loop of networks. Every variation of a training is a value of its settings.

Source of the recipe: Adam (D. Kingma and J. Ba, 2015, https://arxiv.org/abs/1412.6980) on the cross-entropy, the
gradient's norm clipped (R. Pascanu et al., 2013, https://arxiv.org/abs/1211.5063), the best epoch kept by its
validation loss. Adversarial training (T. Miyato, A. Dai and I. Goodfellow, 2017, https://arxiv.org/abs/1605.07725)
departs from its source: it moves the distinct words of a batch instead of each text's own, and the length of the move
is taken over the whole batch; the two losses count alike.

Letters: U distinct words of a batch, E numbers in a word vector.
"""

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from jaxtyping import Float
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from rubrica import __version__
from rubrica.corpus.corpus import Split
from rubrica.environment import processes
from rubrica.kernels import native
from rubrica.learning import together
from rubrica.learning.backend import Backend, as_array, choose_backend
from rubrica.learning.checkpoint import Saved, State
from rubrica.learning.job import History, Job
from rubrica.learning.schedule import batches_of, describe_thawing, drop_words, lr_at, thaw_step
from rubrica.learning.seeds import random_states, set_random_states
from rubrica.networks.network import TextNetwork
from rubrica.progress import Advance, progress_bar
from rubrica.scoring.report import Report

log = logging.getLogger(__name__)

WINDOW = 50  # updates that a shown or recorded training loss is averaged over
_NUMBERS = ("losses", "accuracies", "norms")  # lists of the history, in the order in which an update gives them
_LEAST_NORM = 1e-30  # of a gradient that is nothing


def fit(network: TextNetwork, job: Job, validate: Callable[[], Report] | None = None) -> History:
    """Train a network in place, on its device.

    `validate` scores the network on held-out texts after each epoch. With it the network ends with the weights of the
    epoch that had the lowest validation loss. Ctrl-C or the job's deadline ends the training, not the program: what was
    learned until then is kept in the same way.
    """
    run = _Run(network, choose_backend(network, job.config, job.task), job)
    log.info("%s: %s", job.title, describe_thawing(run.thaw_step))
    network.train()
    try:
        with network.threads_of_torch(), progress_bar(job.title, job.total_steps, run.history.steps) as advance:
            for epoch in run.epochs(advance):
                if validate is not None:
                    began = time.perf_counter()
                    run.judged(epoch, run.history.validated(job.title, epoch, validate()))
                    run.started += time.perf_counter() - began
                job.stage.offer(run.state, is_last=run.place.epoch >= run.num_epochs)
    except KeyboardInterrupt:
        run.collect()
        run.history.interrupted = True
    run.history.train_seconds = time.perf_counter() - run.started
    if run.history.interrupted:
        kept = "the best epoch's" if run.best else "the last"
        log.warning("%s: stopped after %d updates; %s weights are kept", job.title, run.history.steps, kept)
    if run.best:
        network.load_state_dict(run.best)
    return run.history


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    """Where a training is.

    Args:
        history: What it did so far; losses and accuracies are among the tensors.
        epoch: The number of the epoch.
        batches: How many batches of the epoch are done.
        best_loss: The lowest validation loss; None before the first.
        best_epoch: The epoch that it was found after.
    """

    history: History
    epoch: Annotated[int, Meta(ge=0)] = 0
    batches: Annotated[int, Meta(ge=0)] = 0
    best_loss: float | None = None
    best_epoch: int = -1


class _Run:
    """The updates of a training, and what is known of them."""

    def __init__(self, network: TextNetwork, backend: Backend, job: Job) -> None:
        self.network, self.backend, self.job, self.settings = network, backend, job, backend.settings
        self.place, self.best = _Place(History()), dict[str, Tensor]()
        self.waiting: list[Tensor] = []  # loss, accuracy, norm of updates that the device may still be computing
        self.thaw_step = thaw_step(self.settings, job.steps_per_epoch)
        self.num_epochs = -(-job.total_steps // job.steps_per_epoch)
        self.started = time.perf_counter()
        if saved := job.stage.take():
            self._go_on(saved)
        if processes()[1] > 1:
            together.check_same(self._what())

    def _what(self) -> dict[str, Any]:
        """What all processes of a team must have alike."""
        split, job = self.job.split, self.job
        texts: list[NDArray[Any]] = [job.rows_of(0), split.tokens.lengths, split.tokens.ids, split.targets]
        return {
            "Rubrica": __version__,
            "kind of processor": native.describe(),
            "settings": json.dumps(job.config.to_dict(), sort_keys=True),
            "texts": together.digest(texts if split.weights is None else [*texts, split.weights]),
            "start": together.digest(as_array(tensor) for tensor in self.network.state_dict().values()),
            "update to go on from": self.history.steps,
        }

    @property
    def history(self) -> History:
        """What the training did."""
        return self.place.history

    def epochs(self, advance: Advance) -> Iterator[int]:
        """Train from `place` on, which moves along; yields the number of each epoch when it is done."""
        job, place, total, note = self.job, self.place, self.job.total_steps, ""
        for epoch in range(place.epoch, self.num_epochs):
            batches = batches_of(job.split, job.rows_of(epoch), self.settings, epoch)
            batches = batches[: total - epoch * job.steps_per_epoch][place.batches :]
            seen = drop_words(job.split, job.corpus.vocab.unknown_id, self.settings, epoch)
            for batch in together.send(self.backend, seen, batches):
                step = self.history.steps + len(self.waiting)
                self.backend.table.table.requires_grad_(step >= self.thaw_step)
                self.backend.set_lr(lr_at((step + 0.5) / total, self.settings))
                scores = update(self.backend, seen, batch, twice=step % max(1, self.settings.adversarial_every) == 0)
                self.waiting.append(torch.cat([scores, self.backend.norm.to(scores)[None]]))
                place.batches += 1
                if (step + 1) % WINDOW == 0 or step == 0:
                    self.collect()
                    found = self.history.recent(WINDOW, self.settings.max_grad_norm)
                    self.history.record(epoch, **found)
                    note = f"loss {found['loss']:.4f} accuracy {found['accuracy']:.4f}"
                    job.stage.offer(self.state)
                advance(note)
                if job.deadline.passed:
                    self.collect()
                    self.history.interrupted = True
                    return
            self.collect()
            place.epoch, place.batches = epoch + 1, 0
            yield epoch
            if place.epoch > epoch + 1:  # it was the last
                return

    def judged(self, epoch: int, loss: float) -> None:
        """Keep the weights if their validation loss is the lowest; end the training if none was for long."""
        place = self.place
        lowest = math.inf if place.best_loss is None else place.best_loss
        if loss < lowest:  # NaN never is
            place.best_loss, place.best_epoch, self.best = loss, epoch, copy.deepcopy(self.network.state_dict())
        if self.settings.patience and epoch - place.best_epoch >= self.settings.patience:
            place.epoch = self.num_epochs

    def state(self) -> State:
        """All that a training needs to go on from here."""
        history = History(records=self.history.records, steps=self.history.steps)
        history.train_seconds = time.perf_counter() - self.started
        numbers = {name: getattr(self.history, name) for name in _NUMBERS}
        place = msgspec.structs.replace(self.place, history=history)
        arrays = {name: np.array(values, np.float64) for name, values in numbers.items()}
        return State(place, arrays | {name: as_array(tensor) for name, tensor in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        """What a state holds of the device."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        return tensors | self.backend.moments() | random_states(self.backend.device)

    def _go_on(self, saved: Saved) -> None:
        self.place = place = saved.place(_Place)
        if not 0 <= self.history.steps <= self.job.total_steps:
            raise saved.broken(f"{self.history.steps} updates, expected {self.job.total_steps} at most")
        if place.best_loss is not None:
            self.best = copy.deepcopy(self.network.state_dict())
        tensors = self._tensors()
        numbers = dict(zip(_NUMBERS, np.empty((len(_NUMBERS), self.history.steps)), strict=True))
        arrays = {name: as_array(tensor) for name, tensor in tensors.items()}
        saved.fill(arrays | numbers)
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(arrays[name]))
        try:
            set_random_states(self.backend.device, tensors)
        except RuntimeError as error:
            raise saved.broken(f"random state: {error}") from None
        for name, values in numbers.items():
            setattr(self.history, name, values.tolist())
        self.started -= self.history.train_seconds

    def collect(self) -> None:
        """Wait for the updates under way and take their losses into the history."""
        if self.waiting:
            for name, values in zip(_NUMBERS, torch.stack(self.waiting).cpu().double().unbind(1), strict=True):
                getattr(self.history, name).extend(values.tolist())
            self.history.steps = len(self.history.losses)
            self.waiting.clear()


def update(backend: Backend, split: Split, batch: together.Batch, *, twice: bool = True) -> Float[Tensor, "2"]:
    """One step of the optimizer on the texts of a batch; returns their loss and accuracy before it.

    `twice` learns them with moved word vectors, too, if the settings say so.
    """
    scores = together.differentiate(backend, split, batch)
    if twice and backend.settings.adversarial and backend.table.trained():
        _add_adversarial(backend, split, batch)
    backend.step()
    return scores


def _add_adversarial(backend: Backend, split: Split, batch: together.Batch) -> None:
    """Make the gradients the mean of what they are and of those with word vectors that are moved to raise the loss."""
    kept = [gradient.clone() for gradient in backend.gradients()]
    for gradient in backend.gradients():
        gradient.zero_()
    way = kept[-1]  # (U, E), the steepest
    table = backend.table.table
    shift = way * (backend.settings.adversarial / way.norm().clamp(min=_LEAST_NORM))
    table.shift = shift if table.own is None else shift[table.own]
    try:
        together.differentiate(backend, split, batch)
    finally:  # after Ctrl-C, too: the model goes on to be scored
        table.shift = table.own = None
    for gradient, plain in zip(backend.gradients(), kept, strict=True):
        gradient.add_(plain).mul_(0.5)
