"""The one training loop. Every variation of a training is a value of its config.

Source of the recipe: Adam (D. Kingma and J. Ba, 2015, https://arxiv.org/abs/1412.6980) on the cross-entropy, the
gradient's norm clipped (R. Pascanu et al., 2013, https://arxiv.org/abs/1211.5063), the best epoch kept by its
validation loss.

Letters: N texts, B texts of a batch, T tokens.
"""

import copy
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.batching import iter_rows, pad_batch
from rubrica.config import Config
from rubrica.corpus import Split
from rubrica.errors import ConfigError
from rubrica.freezing import build_schedule
from rubrica.progress import progress_bar

log = logging.getLogger(__name__)

WINDOW = 50  # updates that a shown or recorded training loss is averaged over


@dataclass(slots=True)
class History:
    """What a training did.

    Args:
        losses: The loss of every update.
        records: The lines of `metrics.jsonl`: averages over the last updates, and validation after each epoch.
        train_seconds: Seconds of the updates alone, without validation.
        interrupted: Whether Ctrl-C ended it.
    """

    losses: list[float] = field(default_factory=list)
    records: list[dict[str, float]] = field(default_factory=list)
    train_seconds: float = 0.0
    interrupted: bool = False


def fit(
    model: nn.Module,
    split: Split,
    rows: NDArray[np.int64],
    config: Config,
    *,
    validate: Callable[[], tuple[float, float]] | None = None,
    title: str = "train",
) -> History:
    """Train a model in place.

    With `validate` it ends with the weights of the epoch that had the lowest validation loss. Ctrl-C ends the
    training, not the program: what was learned until then is kept in the same way.

    Args:
        model: A network of `rubrica.models`, on its device.
        split: Texts and targets.
        rows: Which of them to train on, (N,).
        config: The settings; `training` and `model.mask_padding` are read.
        validate: Returns loss and accuracy on held-out texts; called after each epoch.
        title: What the progress bar is called.
    """
    settings = config.training
    steps_per_epoch = -(-len(rows) // settings.batch_size)
    freezing = build_schedule(settings, steps_per_epoch)
    log.info("%s: %s", title, freezing)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr, fused=True)
    history = History()
    recent: deque[tuple[float, float]] = deque(maxlen=WINDOW)
    best_loss, best_state, epochs_since_best = float("inf"), None, 0
    model.train()
    try:
        with progress_bar(title, settings.epochs * steps_per_epoch) as advance:
            for epoch in range(settings.epochs):
                started = time.perf_counter()
                # Each epoch's order depends on seed and epoch alone, whatever was drawn before.
                order = np.random.default_rng([settings.seed, epoch]).permutation(rows)
                for batch in iter_rows(order, settings.batch_size):
                    step = len(history.losses)
                    freezing.apply(model.get_submodule("embedding"), step)
                    recent.append(update(model, optimizer, split, batch, config))
                    history.losses.append(recent[-1][0])
                    now = time.perf_counter()
                    history.train_seconds, started = history.train_seconds + now - started, now
                    loss, accuracy = np.mean(recent, axis=0)
                    advance(f"loss {loss:.4f} accuracy {accuracy:.4f}")
                    if (step + 1) % WINDOW == 0 or step == 0:
                        history.records.append(_record(step, epoch, loss=loss, accuracy=accuracy))
                if validate is None:
                    continue
                loss, accuracy = validate()
                log.info("%s: epoch %d, validation loss %.4f accuracy %.4f", title, epoch + 1, loss, accuracy)
                history.records.append(_record(step, epoch, validation_loss=loss, validation_accuracy=accuracy))
                epochs_since_best += 1
                if loss < best_loss:
                    best_loss, best_state, epochs_since_best = loss, copy.deepcopy(model.state_dict()), 0
                if settings.patience and epochs_since_best >= settings.patience:
                    break
    except KeyboardInterrupt:
        history.interrupted = True
        kept = "the best epoch's" if best_state else "the last"
        log.warning("%s: interrupted after %d updates; %s weights are kept", title, len(history.losses), kept)
    if best_state is not None:
        model.load_state_dict(best_state)
    return history


def update(
    model: nn.Module, optimizer: torch.optim.Optimizer, split: Split, batch: NDArray[np.int64], config: Config
) -> tuple[float, float]:
    """One step of the optimizer on the texts of a batch; returns their loss and accuracy before it."""
    ids, lengths, targets = to_tensors(model, split, batch, config)
    logits = model(ids, lengths)
    loss = F.cross_entropy(logits, targets)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), config.training.max_grad_norm)
    optimizer.step()
    return loss.item(), (logits.argmax(dim=1) == targets).double().mean().item()


@torch.inference_mode()
def compute_logits(model: nn.Module, split: Split, rows: NDArray[np.int64], config: Config) -> NDArray[np.float32]:
    """Logits of the given texts, one row each, in their order, in evaluation mode.

    Without masks the batch size is part of the result, since padding is read as words.
    """
    was_training = model.training
    model.eval()
    logits = [
        model(ids, lengths).cpu()
        for batch in iter_rows(rows, config.training.batch_size)
        for ids, lengths, _ in [to_tensors(model, split, batch, config)]
    ]
    model.train(was_training)
    return torch.cat(logits).numpy()


def to_tensors(
    model: nn.Module, split: Split, batch: NDArray[np.int64], config: Config
) -> tuple[Int[Tensor, "B T"], Int[Tensor, " B"] | None, Int[Tensor, " B"]]:
    """Padded ids, lengths and targets of a batch on the model's device; no lengths where padding is read as words."""
    device = next(model.parameters()).device
    ids, lengths = pad_batch(split.tokens, batch)
    known_lengths = torch.from_numpy(lengths).to(device) if config.model.mask_padding else None
    return torch.from_numpy(ids).to(device), known_lengths, torch.from_numpy(split.targets[batch]).to(device)


def seed_everything(seed: int) -> None:
    """Set every source of random numbers that a library of ours may draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries still draw from the global state)
    torch.manual_seed(seed)


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


def _record(step: int, epoch: int, **values: float) -> dict[str, float]:
    return {"step": step + 1, "epoch": epoch + 1} | {name: round(float(value), 6) for name, value in values.items()}
