"""The one training loop. Every variation of a training is a value of its config.

Source of the recipe: Adam (D. Kingma and J. Ba, 2015, https://arxiv.org/abs/1412.6980) on the cross-entropy, the
gradient's norm clipped (R. Pascanu et al., 2013, https://arxiv.org/abs/1211.5063), the best epoch kept by its
validation loss. Adversarial training (T. Miyato, A. Dai and I. Goodfellow, 2017, https://arxiv.org/abs/1605.07725)
departs from its source: the distinct words of a batch are moved, not each text's own, and the length of the move is
the whole batch's; the two losses count alike.

Letters: N texts, B texts of a batch, T tokens, U distinct words of a batch, E numbers in a word vector.
"""

import copy
import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.config.settings import Config, TrainingConfig
from rubrica.corpus.corpus import Split
from rubrica.errors import ConfigError
from rubrica.files import make_array
from rubrica.learning.device_split import MOST_IDS, DeviceBatch, DeviceSplit
from rubrica.learning.freezing import build_schedule
from rubrica.learning.history import History
from rubrica.learning.progress import progress_bar
from rubrica.networks.bptt import join_weights
from rubrica.networks.cells import GRU, LSTM, RNN
from rubrica.networks.cnn import ConvClassifier
from rubrica.networks.embedding import KernelAdam, TableAdam, WordTable, clip_scale, on_cpu
from rubrica.networks.recurrent import RecurrentClassifier
from rubrica.text.batching import iter_rows, pad_batch, similar_batches
from rubrica.text.vocab import TokenIds

log = logging.getLogger(__name__)

WINDOW = 50  # updates that a shown or recorded training loss is averaged over
_LEAST_WEIGHT = 1e-30  # of a batch: where no text counts, its loss is 0 and not 0/0
_DROPPED = 1 << 20  # ids at a time: some MB
_EVALUATED = 256  # texts scored at a time; larger batches only cost memory


def fit(
    model: nn.Module,
    split: Split,
    rows: NDArray[np.int64],
    config: Config,
    *,
    unknown_id: int = 0,
    validate: Callable[[], tuple[float, float]] | None = None,
    title: str = "train",
    stop_at: float = math.inf,
) -> History:
    """Train a model in place.

    With `validate` it ends with the weights of the epoch that had the lowest validation loss. Ctrl-C ends the
    training, not the program: what was learned until then is kept in the same way.

    Args:
        model: A network of `rubrica.models`, on its device.
        split: Texts and targets.
        rows: Which of them to train on, (N,).
        config: The settings; `training` and `model.mask_padding` are read.
        unknown_id: What a dropped word is read as.
        validate: Returns loss and accuracy on held-out texts; called after each epoch.
        title: What the progress bar is called.
        stop_at: When to end as by Ctrl-C, on the clock of `time.perf_counter`.
    """
    settings = config.training
    steps_per_epoch = -(-len(rows) // settings.batch_size)
    total = settings.epochs * steps_per_epoch
    if settings.max_steps:
        total = min(total, settings.max_steps)
    freezing = build_schedule(settings, steps_per_epoch)
    log.info("%s: %s", title, freezing)
    optimizer = Optimizer(model, config)
    history = History()
    best_loss, best_state, epochs_since_best = float("inf"), None, 0
    torch_threads = torch.get_num_threads()
    if optimizer.on_cpu and not isinstance(model, ConvClassifier):  # the one whose sums are torch's
        # What is left to torch is tiny, and each time its threads meet, the kernels' threads wait for a core.
        torch.set_num_threads(1)
    stays = optimizer.on_cpu or len(split.tokens.ids) > MOST_IDS
    device_split = None if stays else DeviceSplit(split, optimizer.device)
    waiting: list[Tensor] = []  # loss and accuracy of updates that the device may still be computing
    model.train()
    note, started = "", time.perf_counter()
    try:
        with progress_bar(title, total, stop_at) as advance:
            for epoch in range(-(-total // steps_per_epoch)):
                batches = _batches(split, rows, config, epoch)[: total - len(history.losses)]
                seen = _drop_words(split, unknown_id, settings, epoch)
                if device_split and seen is not split:
                    device_split.read(seen.tokens.ids)
                for batch in device_split.send(batches) if device_split else batches:
                    step = len(history.losses) + len(waiting)
                    freezing.apply(optimizer.table.table, step)
                    optimizer.set_lr(lr_at((step + 0.5) / total, settings))
                    waiting.append(update(model, optimizer, seen, batch, config))
                    if (step + 1) % WINDOW == 0 or step == 0:
                        _collect(waiting, history)
                        loss, accuracy = fmean(history.losses[-WINDOW:]), fmean(history.accuracies[-WINDOW:])
                        history.record(epoch, loss=loss, accuracy=accuracy)
                        note = f"loss {loss:.4f} accuracy {accuracy:.4f}"
                    advance(note)
                _collect(waiting, history)
                if validate is None:
                    continue
                now = time.perf_counter()
                history.train_seconds, started = history.train_seconds + now - started, now
                loss, accuracy = validate()
                started = time.perf_counter()
                log.info("%s: epoch %d, validation loss %.4f accuracy %.4f", title, epoch + 1, loss, accuracy)
                history.record(epoch, validation_loss=loss, validation_accuracy=accuracy)
                epochs_since_best += 1
                if loss < best_loss:
                    best_loss, best_state, epochs_since_best = loss, copy.deepcopy(model.state_dict()), 0
                if settings.patience and epochs_since_best >= settings.patience:
                    break
    except KeyboardInterrupt:
        _collect(waiting, history)
        history.interrupted = True
        kept = "the best epoch's" if best_state else "the last"
        log.warning("%s: interrupted after %d updates; %s weights are kept", title, len(history.losses), kept)
    finally:
        torch.set_num_threads(torch_threads)
    history.train_seconds += time.perf_counter() - started
    if best_state is not None:
        model.load_state_dict(best_state)
    return history


class Optimizer:
    """Adam on the network, Adam on its word table, and one limit on the length of their common gradient.

    Args:
        model: A network of `rubrica.models`.
        config: The settings; `training` is read.
    """

    def __init__(self, model: nn.Module, config: Config) -> None:
        settings = config.training
        table = model.get_submodule("embedding")
        assert isinstance(table, WordTable)  # every network of ours holds one
        self.parameters = [parameter for parameter in model.parameters() if parameter is not table.weight]
        self.device, self.on_cpu = table.weight.device, on_cpu(table.weight)
        self.network: KernelAdam | torch.optim.Adam
        if self.on_cpu:
            self.network = KernelAdam(self.parameters, settings.lr)
        else:
            for module in model.modules():
                if isinstance(module, RNN | GRU | LSTM):
                    join_weights(module)
            self.network = torch.optim.Adam(self.parameters, lr=settings.lr, fused=True)
        self.table = TableAdam(table, settings.lr, dense=settings.dense_updates)
        self.max_grad_norm = settings.max_grad_norm

    def set_lr(self, lr: float) -> None:
        """Set the size of the next steps."""
        self.table.lr = lr
        if isinstance(self.network, KernelAdam):
            self.network.lr = lr
        else:
            self.network.param_groups[0]["lr"] = lr

    def gradients(self) -> list[Tensor]:
        """Where the gradients are: that of the word vectors last, which a frozen table has none of."""
        if isinstance(self.network, KernelAdam):
            of_network = [self.network.gradient]
        else:
            of_network = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        return [*of_network, *(vectors.grad for vectors in self.table.trained() if vectors.grad is not None)]

    def step(self) -> None:
        """Move all parameters by their gradients, and drop these."""
        if isinstance(self.network, KernelAdam):
            scale = clip_scale(self.gradients(), self.max_grad_norm)
            self.network.step(scale)
            self.table.step(scale)
            return
        nn.utils.clip_grad_norm_([*self.parameters, *self.table.trained()], self.max_grad_norm)
        self.network.step()
        self.table.step()
        self.network.zero_grad()


def lr_at(done: float, settings: TrainingConfig) -> float:
    """The step size when a share of all updates is done: it rises, and then stays or falls to 0."""
    if done < settings.warmup:
        return settings.lr * done / settings.warmup
    return settings.lr * ((1 - done) / (1 - settings.warmup) if settings.decay == "linear" else 1.0)


def update(
    model: nn.Module, optimizer: Optimizer, split: Split, batch: NDArray[np.int64] | DeviceBatch, config: Config
) -> Float[Tensor, "2"]:
    """One step of the optimizer on the texts of a batch; returns their loss and accuracy before it."""
    scores = _differentiate(model, optimizer, split, batch, config)
    if config.training.adversarial and optimizer.table.trained():
        _add_adversarial(model, optimizer, split, batch, config)
    optimizer.step()
    return scores


def _add_adversarial(
    model: nn.Module, optimizer: Optimizer, split: Split, batch: NDArray[np.int64] | DeviceBatch, config: Config
) -> None:
    """Make the gradients the mean of what they are and of those with word vectors that are moved to raise the loss."""
    kept = [gradient.clone() for gradient in optimizer.gradients()]
    for gradient in optimizer.gradients():
        gradient.zero_()
    way = kept[-1]  # (U, E), the steepest
    table = optimizer.table.table
    table.shift = way * (config.training.adversarial / way.norm().clamp(min=_LEAST_WEIGHT))
    try:
        _differentiate(model, optimizer, split, batch, config)
    finally:  # after Ctrl-C, too: the model goes on to be scored
        table.shift = None
    for gradient, plain in zip(optimizer.gradients(), kept, strict=True):
        gradient.add_(plain).mul_(0.5)


def _differentiate(
    model: nn.Module, optimizer: Optimizer, split: Split, batch: NDArray[np.int64] | DeviceBatch, config: Config
) -> Float[Tensor, "2"]:
    """Put the gradients of a batch where the optimizer finds them; returns loss and accuracy."""
    network, smoothing, dropout = optimizer.network, config.training.label_smoothing, config.training.dropout
    one = split.targets.ndim == 1  # class of a text, which the kernel can
    if isinstance(network, KernelAdam) and isinstance(model, RecurrentClassifier) and model.learns and one:
        # All that is written out below, in one kernel.
        assert not isinstance(batch, DeviceBatch)
        return model.learn(
            split.tokens, batch, split.targets[batch], network.arrays, network.gradients,
            masked=config.model.mask_padding, smoothing=smoothing, dropout=dropout,
            text_weights=None if split.weights is None else split.weights[batch],
        )  # fmt: skip
    ids, lengths, targets = to_tensors(model, split, batch, config)
    logits = model(ids, lengths, dropout)
    weights = None
    if split.weights is not None:
        weights = batch.weights() if isinstance(batch, DeviceBatch) else torch.from_numpy(split.weights[batch])
    loss = mean_loss(logits, targets, weights, smoothing)
    loss.backward()  # type: ignore[no-untyped-call]
    found = logits.detach()
    right = (found.argmax(dim=1) == targets) if targets.ndim == 1 else ((found >= 0) == targets).all(dim=1)
    return torch.stack([loss.detach(), right.to(loss.dtype).mean()])


def mean_loss(
    logits: Float[Tensor, "B C"], targets: Tensor, weights: Float[Tensor, " B"] | None, smoothing: float
) -> Float[Tensor, ""]:
    """The weighted mean over texts of -log p(class), or of the sum over labels where targets are a matrix (B, C).

    Smoothing gives a share of a target to all classes alike; of a label that is a question of its own, to yes and no.
    """
    if targets.ndim == 2:
        wanted = targets.to(logits.dtype) * (1 - smoothing) + smoothing / 2
        losses = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(dim=1)
    elif weights is None:
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)
    else:
        losses = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    if weights is None:
        return losses.mean()
    return (weights.to(losses) * losses).sum() / weights.sum().clamp(min=_LEAST_WEIGHT)


def _batches(split: Split, rows: NDArray[np.int64], config: Config, epoch: int) -> Sequence[NDArray[np.int64]]:
    """The batches of an epoch: they depend on seed and epoch alone, whatever was drawn before."""
    generator = np.random.default_rng([config.training.seed, epoch])
    order = make_array(len(rows), np.int64)
    order[:] = rows
    generator.shuffle(order)
    if not config.training.similar_lengths:
        return list(iter_rows(order, config.training.batch_size))
    return similar_batches(order, split.tokens, config.training.batch_size, generator)


def _drop_words(split: Split, unknown_id: int, settings: TrainingConfig, epoch: int) -> Split:
    """The split as an epoch reads it: some words, anew in each, are unknown ones (which so learn what to mean)."""
    if not settings.word_dropout:
        return split
    generator = np.random.default_rng([settings.seed, epoch, 1])  # the batches' with a 1
    ids = make_array(len(split.tokens.ids), np.int32)
    for first in range(0, len(ids), _DROPPED):
        part = split.tokens.ids[first : first + _DROPPED]
        dropped = generator.random(len(part), np.float32) < settings.word_dropout
        ids[first : first + _DROPPED] = np.where(dropped, np.int32(unknown_id), part)
    return replace(split, tokens=TokenIds(ids, split.tokens.offsets))


def _collect(waiting: list[Tensor], history: History) -> None:
    """Wait for the updates under way and take their losses into the history."""
    if waiting:
        losses, accuracies = torch.stack(waiting).cpu().double().unbind(1)
        history.losses.extend(losses.tolist())
        history.accuracies.extend(accuracies.tolist())
        history.steps = len(history.losses)
        waiting.clear()


@torch.inference_mode()
def compute_logits(model: nn.Module, split: Split, rows: NDArray[np.int64], config: Config) -> NDArray[np.float32]:
    """Logits of the given texts, one row each, in their order, in evaluation mode.

    Without masks the batch size is part of the result, since padding is read as words.
    """
    was_training = model.training
    model.eval()
    order, batch_size = np.arange(len(rows)), config.training.batch_size
    if config.model.mask_padding:  # then a text may be read in any company: those of similar length
        order, batch_size = np.argsort(split.tokens.lengths_of(rows), kind="stable"), max(batch_size, _EVALUATED)
    logits = []
    for batch in iter_rows(order, batch_size):
        ids, lengths, _ = to_tensors(model, split, rows[batch], config)
        logits.append(model(ids, lengths))
    model.train(was_training)
    result = torch.cat(logits).cpu().numpy()
    result[order] = result.copy()
    return result


def to_tensors(
    model: nn.Module, split: Split, batch: NDArray[np.int64] | DeviceBatch, config: Config
) -> tuple[Int[Tensor, "B T"], Int[Tensor, " B"] | None, Tensor]:
    """Padded ids, lengths and targets of a batch on the model's device; no lengths where padding is read as words."""
    if isinstance(batch, DeviceBatch):  # it is there already
        ids_there, lengths_there, targets = batch.gather()
        return ids_there, lengths_there if config.model.mask_padding else None, targets
    device = next(model.parameters()).device
    ids, lengths = pad_batch(split.tokens, batch)
    known_lengths = torch.from_numpy(lengths).to(device) if config.model.mask_padding else None
    return torch.from_numpy(ids).to(device), known_lengths, torch.from_numpy(split.targets[batch]).to(device)


def seed_everything(seed: int) -> None:
    """Set every source of random numbers that a library of ours may draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries still draw from the global state)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """`seed_everything` for a block; after it all sources go on from where they were."""
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (as above)
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            seed_everything(seed)
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is an accelerator if torch sees one, else the CPU.

    Raises:
        ConfigError: If torch knows no such device, or this machine has none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ConfigError(f"training.device is {name!r} ({reason}); give cpu, cuda or auto") from None
