"""Where the numbers of an update are computed: the kernels on the CPU, torch elsewhere. Chosen once a training.

A backend holds the optimizer: Adam on the network's parameters, Adam on the rows of its word table, and one limit on
the length of their common gradient.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.config.groups import AdamTraining, Training
from rubrica.corpus.corpus import Split
from rubrica.environment import processes
from rubrica.errors import ConfigError
from rubrica.kernels.learn import Lesson
from rubrica.learning.device_split import MOST_IDS, Batch, DeviceBatch, DeviceSplit
from rubrica.models.config import Config
from rubrica.networks.embedding import KernelAdam, TableAdam, clip_scale, common_norm, uses_kernels
from rubrica.networks.network import TextNetwork
from rubrica.networks.team import add_up, local_device
from rubrica.scoring.task import Rows, Task
from rubrica.text.batching import iter_rows, pad_batch

_EVALUATED = 256  # texts scored at a time; larger batches only cost memory


class Backend(ABC):
    """How a network, which is on its device, learns from a batch."""

    counts: float = 1.0
    """What the loss of a batch counts: less than 1 for a part of a batch that processes share."""
    norm: Tensor
    """The length of the last step's gradient before it was clipped; on the device."""

    def __init__(self, network: TextNetwork, config: Config, task: Task) -> None:
        settings = config.training
        assert isinstance(settings, AdamTraining)  # the way that every network is trained in
        self.network, self.task, self.settings = network, task, settings
        self.masked = config.model.masks_padding
        weight = network.embedding.weight
        self.device = weight.device
        self.parameters = [parameter for parameter in network.parameters() if parameter is not weight]
        self.table = TableAdam(network.embedding, settings.lr, dense=settings.dense_updates)

    def send(self, split: Split, batches: Sequence[Rows], steps: Sequence[int]) -> Iterator[Rows | DeviceBatch]:
        """The batches of an epoch, where `differentiate` reads them; `steps` is the least length of each, padded."""
        return iter(batches)

    @abstractmethod
    def set_lr(self, lr: float) -> None:
        """Set the size of the next steps."""

    @abstractmethod
    def gradients(self) -> list[Tensor]:
        """Where the gradients are; the last is that of the word vectors, unless the table is frozen."""

    @abstractmethod
    def step(self) -> None:
        """Move all parameters by their gradients, and drop the gradients."""

    @abstractmethod
    def moments(self) -> dict[str, Tensor]:
        """What the optimizer keeps of past updates, by names; the tensors themselves."""

    def differentiate(self, split: Split, batch: Rows | DeviceBatch) -> Float[Tensor, "2"]:
        """Put the gradients of a batch where the optimizer finds them, by autograd; returns loss and accuracy."""
        least = 1 if self.network.part is None else self.network.part.steps
        there = batch.gather() if isinstance(batch, DeviceBatch) else to_tensors(split, batch, self.device, least)
        ids, lengths, targets, weights = there
        logits = self.network(ids, lengths if self.masked else None, self.settings.dropout)
        loss = self.task.torch_loss(F, logits, targets, weights, self.settings.label_smoothing)
        loss.backward(torch.full_like(loss, self.counts))
        hits = self.task.torch_hits(logits.detach(), targets)
        return torch.stack([loss.detach(), hits.to(loss.dtype).mean()])


class KernelBackend(Backend):
    """On the CPU: the kernels of `kernels/`, and torch for what they do not know."""

    def __init__(self, network: TextNetwork, config: Config, task: Task) -> None:
        super().__init__(network, config, task)
        self.adam = KernelAdam(self.parameters, self.settings.lr)

    def set_lr(self, lr: float) -> None:
        self.table.lr = self.adam.lr = lr

    def gradients(self) -> list[Tensor]:
        return [self.adam.gradient, *(vectors.grad for vectors in self.table.trained() if vectors.grad is not None)]

    def differentiate(self, split: Split, batch: Rows | DeviceBatch) -> Float[Tensor, "2"]:
        """In one kernel, where there is one for the network and the loss."""
        if isinstance(batch, DeviceBatch) or not (self.network.learns and self.task.loss_in_kernel):
            return super().differentiate(split, batch)
        weights = None if split.weights is None else split.weights[batch]
        settings = self.settings
        lesson = Lesson(split.targets[batch], self.adam.arrays, self.adam.gradients, settings.label_smoothing, weights)
        scores = self.network.learn(split.tokens, batch, lesson, masked=self.masked, dropout=settings.dropout)
        if self.counts < 1:
            for gradient in self.gradients():
                gradient.mul_(self.counts)
        return scores

    def step(self) -> None:
        norm = common_norm(self.gradients())
        self.norm, scale = torch.tensor(norm), clip_scale(norm, self.settings.max_grad_norm)
        self.adam.step(scale)
        self.table.step(scale)

    def moments(self) -> dict[str, Tensor]:
        return self.adam.moments() | self.table.moments()


class TorchBackend(Backend):
    """On an accelerator, and where the native core cannot compute: torch alone."""

    def __init__(self, network: TextNetwork, config: Config, task: Task) -> None:
        super().__init__(network, config, task)
        network.join_weights()
        self.adam = torch.optim.Adam(self.parameters, lr=self.settings.lr, fused=True)
        self.there: DeviceSplit | None = None

    def send(self, split: Split, batches: Sequence[Rows], steps: Sequence[int]) -> Iterator[Rows | DeviceBatch]:
        if len(split.tokens.ids) > MOST_IDS:
            return iter(batches)
        if self.there is None:
            self.there = DeviceSplit(split, self.device)
        else:
            self.there.read(split.tokens.ids)
        return self.there.send(batches, steps)

    def set_lr(self, lr: float) -> None:
        self.table.lr = self.adam.param_groups[0]["lr"] = lr

    def gradients(self) -> list[Tensor]:
        moved = [*self.parameters, *self.table.trained()]
        return [tensor.grad for tensor in moved if tensor.grad is not None]

    def step(self) -> None:
        moved = [*self.parameters, *self.table.trained()]
        self.norm = nn.utils.clip_grad_norm_(moved, self.settings.max_grad_norm)
        self.adam.step()
        self.table.step()
        self.adam.zero_grad()

    def moments(self) -> dict[str, Tensor]:
        found = self.table.moments()
        for number, parameter in enumerate(self.parameters):
            state = self.adam.state[parameter]
            if not state:  # as torch makes it at the first step
                zeros = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                state.update(zeros, step=torch.zeros((), device=parameter.device))
            found |= {f"adam.{number}.{name}": tensor for name, tensor in state.items()}
        return found


def as_array(tensor: Tensor) -> NDArray[Any]:
    """The numbers of a tensor; on the CPU its own memory."""
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array


def choose_backend(network: TextNetwork, config: Config, task: Task) -> Backend:
    """The kernels where they can compute, else torch."""
    kind = KernelBackend if uses_kernels(network.embedding.weight) else TorchBackend
    return kind(network, config, task)


def to_tensors(split: Split, rows: Rows, device: torch.device, least: int = 1) -> Batch:
    """A batch on the device, padded to `least` tokens at least."""
    ids, lengths = pad_batch(split.tokens, rows, least)
    weights = None if split.weights is None else torch.from_numpy(split.weights[rows]).to(device)
    there = [torch.from_numpy(array).to(device) for array in (ids, lengths, split.targets[rows])]
    return there[0], there[1], there[2], weights


@torch.inference_mode()
def compute_logits(network: TextNetwork, split: Split, rows: Rows, config: Config) -> NDArray[np.float32]:
    """Logits of the given texts, one row each, in their order, in evaluation mode.

    Without masks the batch size is part of the result, since padding is read as words.
    """
    was_training = network.training
    network.eval()
    order, batch_size, masked = np.arange(len(rows)), config.training.batch_size, config.model.masks_padding
    if masked:  # then a text may be read in any company: with texts of similar length
        order, batch_size = np.argsort(split.tokens.lengths_of(rows), kind="stable"), max(batch_size, _EVALUATED)
    number, count = processes()
    result, device = network.head.weight.new_zeros(len(rows), network.head.out_features), network.head.weight.device
    for batch in list(iter_rows(order, batch_size))[number::count]:  # the other processes read the others
        ids, lengths, _, _ = to_tensors(split, rows[batch], device)
        result[torch.from_numpy(batch).to(device)] = network(ids, lengths if masked else None)
    add_up(result)
    network.train(was_training)
    return as_array(result)


def choose_device(settings: Training) -> torch.device:
    """The device that the settings name; `auto` is an accelerator if torch sees one, else the CPU.

    Raises:
        ConfigError: If torch knows no such device, or this machine has none.
    """
    assert isinstance(settings, AdamTraining)
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and local_device():
        name = f"cuda:{local_device()}"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ConfigError(f"training.device is {name!r} ({reason}); give cpu, cuda or auto") from None
