"""Looks inside a trained network: what its units do, and how much each word still counts.

All of it is computed by autograd in float64, on the layers as they are written out in `cells.py`, so that no kernel
stands between the figures and the formulas.

A unit's slope is the derivative of its function where the unit is, over the largest derivative that the function has:
1 - h^2 for a tanh, 4 s (1 - s) for a sigmoid. At a slope near 0 the unit is saturated: no gradient passes.

Letters: B texts, T steps that are read, S real tokens of all texts, E numbers in a word vector, H units of a layer,
F features of a text, C classes, U words in use.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from rubrica.models.family import NetworkFamily
from rubrica.models.storage import Tensors
from rubrica.networks.cells import Recurrent
from rubrica.networks.embedding import WordTable
from rubrica.networks.masking import Lengths, flip_texts, length_mask
from rubrica.networks.network import TextNetwork, torch_threads
from rubrica.networks.networks import build_network
from rubrica.networks.recurrent import RecurrentClassifier
from rubrica.scoring.task import Targets, Task

_GATES = {"gru": ("reset", "update", "new"), "lstm": ("input", "forget", "new", "output")}
"""The gates of a cell in torch's order; "new" is a tanh, the others are sigmoids."""


class Inside(NamedTuple):
    """What was seen of B texts."""

    lengths: NDArray[np.int64]
    """Real tokens of each text, (B,)."""
    features: NDArray[np.float64]
    """What the head sees, (B, F)."""
    slopes: dict[str, NDArray[np.float64]]
    """By gate and direction: the slope of each unit at each real token, (S, H)."""
    fired: dict[str, NDArray[np.float64]]
    """By layer of rectified units: the share of the places where each unit is above 0, (H,)."""
    to_words: NDArray[np.float64]
    """The length of the gradient of a text's loss by the word vector at each step, padding too, (B, T)."""
    memory: dict[str, NDArray[np.float64]]
    """By direction: the length of the gradient of a random sum of the last state's units by the word vector at each
    step, in the order of the text, (B, T). The last state is the one that the pooling "last" would look at."""
    by_layer: dict[str, float]
    """The length of the loss's gradient by a parameter, over the length of the parameter."""


def open_network(settings: NetworkFamily, tensors: Tensors, table: NDArray[Any], num_classes: int) -> TextNetwork:
    """A network with the weights of a model; all numbers have the type of the table.

    Args:
        settings: Which network.
        tensors: The weights by name; the word table and tensors of other members are left alone.
        table: The rows of the word table that are needed, (U, E).
        num_classes: C.
    """
    start = torch.from_numpy(table.copy())
    network = build_network(settings, start, num_classes)
    kept = {name: torch.from_numpy(np.array(tensors[name])) for name in network.state_dict() if name in tensors}
    network.load_state_dict(kept | {"embedding.weight": start}, strict=False)  # a model does not keep batch counts
    return network.eval()


def look_inside(
    network: TextNetwork,
    task: Task,
    ids: NDArray[np.int64],
    lengths: NDArray[np.int64],
    targets: Targets,
    *,
    masked: bool,
    seed: int = 0,
) -> Inside:
    """Read a batch as the network reads it, and look at what happens on the way.

    Args:
        network: Of float64.
        task: Its loss is differentiated.
        ids: Padded at the end, (B, T).
        lengths: Real tokens of each text, at least 1, (B,).
        targets: Of the B texts.
        masked: Whether the network is told the lengths; else it reads padding as words.
        seed: Of the random sum of the last state's units.
    """
    with torch_threads(1):
        return _look(network, task, ids, lengths, targets, masked=masked, seed=seed)


def _look(
    network: TextNetwork,
    task: Task,
    ids: NDArray[np.int64],
    lengths: NDArray[np.int64],
    targets: Targets,
    *,
    masked: bool,
    seed: int,
) -> Inside:
    read = torch.from_numpy(lengths) if masked else None
    rows, steps = ids.shape
    # Each token gets a vector of its own, so that each has a gradient of its own.
    vectors = network.embedding.weight.detach()[torch.from_numpy(ids.ravel())].requires_grad_()
    index = torch.arange(rows * steps).view(rows, steps)
    with _rectified(network) as seen:
        features = network.features(vectors, index, read)
    loss = task.torch_loss(F, network.head(features), torch.from_numpy(targets), None, 0.0) * rows
    names, parameters = zip(*_trained(network), strict=True)
    to_words, *found = torch.autograd.grad(loss, [vectors, *parameters], allow_unused=True)
    fired = {name: _share_above_zero(states) for name, states in seen}
    slopes, memory = dict[str, NDArray[Any]](), dict[str, NDArray[Any]]()
    if isinstance(network, RecurrentClassifier):
        inputs = vectors.detach().view(rows, steps, -1).transpose(0, 1)
        for direction in network.cell.directions:
            slopes |= _slopes(network.cell, inputs, direction, read)
            memory[direction] = _memory(network.cell, inputs, direction, read, seed)
    else:
        fired["features"] = _share_above_zero(features)
    return Inside(
        lengths,
        features.detach().numpy(),
        slopes,
        fired,
        to_words.view(rows, steps, -1).norm(dim=2).numpy(),
        memory,
        {
            name: _ratio(gradient, parameter, rows)
            for name, gradient, parameter in zip(names, found, parameters, strict=True)
        },
    )


def _trained(network: TextNetwork) -> list[tuple[str, nn.Parameter]]:
    return [pair for pair in network.named_parameters() if pair[1] is not network.embedding.weight]


def _ratio(gradient: Tensor | None, parameter: Tensor, rows: int) -> float:
    return 0.0 if gradient is None else float(gradient.norm() / rows / parameter.detach().norm().clamp(min=1e-12))


@contextmanager
def _rectified(network: TextNetwork) -> Iterator[list[tuple[str, Tensor]]]:
    """What the layers in front of a rectifier put out while the block runs, by their names."""
    seen: list[tuple[str, Tensor]] = []
    layers = [
        (name, layer)
        for name, layer in network.named_modules()
        if not isinstance(layer, nn.ModuleList | WordTable | Recurrent) and name.startswith(("norms", "mlp"))
    ]
    hooks = [
        layer.register_forward_hook(lambda _, __, states, name=name: seen.append((name, states)))
        for name, layer in layers
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _share_above_zero(states: Tensor) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = (states.detach() > 0).double().flatten(0, -2).mean(0).numpy()
    return shares


def _slopes(
    cell: Recurrent, x: Float[Tensor, "T B E"], direction: str, lengths: Lengths
) -> dict[str, NDArray[np.float64]]:
    """The slope of each gate's units at each real token, in the order of the reading."""
    if direction.endswith("reverse"):
        x = flip_texts(x, lengths)
    with torch.no_grad():
        states = cell.walk(x, direction)
        gates = _gates(cell, x, states, direction)
    real = torch.ones(x.shape[:2], dtype=torch.bool) if lengths is None else length_mask(lengths, len(x)).t()
    return {f"{name} {direction}": slope[real].numpy() for name, slope in gates.items()}


def _gates(
    cell: Recurrent, x: Float[Tensor, "T B E"], states: Float[Tensor, "T B H"], direction: str
) -> dict[str, Float[Tensor, "T B H"]]:
    """The slopes of a cell's gates, from its states."""
    if cell.name not in _GATES:  # the simplest has no gate beside its state; the minimal GRU's look at words alone
        if cell.name == "rnn":
            return {"state": 1 - states.square()}
        z = torch.sigmoid(F.linear(x, *cell.weights_of(direction)).chunk(2, dim=2)[0])
        return {"update": 4 * z * (1 - z)}
    w_ih, w_hh, b_ih, b_hh = cell.weights_of(direction)
    before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
    names = _GATES[cell.name]
    of_words = dict(zip(names, F.linear(x, w_ih, b_ih).chunk(len(names), dim=2), strict=True))
    of_states = dict(zip(names, F.linear(before, w_hh, b_hh).chunk(len(names), dim=2), strict=True))
    if cell.name == "gru":
        of_states["new"] = of_states["new"] * torch.sigmoid(of_words["reset"] + of_states["reset"])
    slopes = {}
    for name in names:
        total = of_words[name] + of_states[name]
        s = torch.sigmoid(total)
        slopes[name] = 1 - torch.tanh(total).square() if name == "new" else 4 * s * (1 - s)
    return slopes


def _memory(
    cell: Recurrent, x: Float[Tensor, "T B E"], direction: str, lengths: Lengths, seed: int
) -> NDArray[np.float64]:
    x = x.clone().requires_grad_()
    states = cell.walk(flip_texts(x, lengths) if direction.endswith("reverse") else x, direction)
    last = states[-1] if lengths is None else states[lengths - 1, torch.arange(x.shape[1])]
    draw = torch.from_numpy(np.random.default_rng(seed).normal(size=last.shape[1]))
    (gradient,) = torch.autograd.grad((last @ draw).sum(), x)
    norms: NDArray[np.float64] = gradient.norm(dim=2).t().numpy()
    return norms
