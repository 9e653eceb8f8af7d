"""The networks' forward passes in plain numpy: ids in, logits out, no torch.

These are the formulas of `cells.py` and `models/` once more, without gradients; the tests hold them to torch's
probabilities. Weights go by the names that they have in the torch model.

Letters: T steps, B texts, E numbers in a word vector, H hidden units or filters, G gates, C classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.config import ModelConfig
from rubrica.quantization import take_rows

Floats = NDArray[np.floating[Any]]
Weights = dict[str, NDArray[Any]]

_BATCH_NORM_EPS = 1e-5  # torch's default, which the models keep


def logits(weights: Weights, config: ModelConfig, ids: NDArray[np.int64], lengths: NDArray[np.int64] | None) -> Floats:
    """Logits (B, C) of a padded batch.

    Args:
        weights: The tensors of an artifact.
        config: Which network they belong to.
        ids: (B, T), T at least 1.
        lengths: Tokens of each text, (B,); None reads padding as words.
    """
    if config.name == "cnn":
        states, lengths = _convolutions(weights, ids, lengths)
    else:
        x: Floats = take_rows(weights, "embedding.weight", ids.T)  # (T, B, E)
        x_gates = x @ weights["cell.weight_ih_l0"].T + weights["cell.bias_ih_l0"]
        states = _STATES[config.name](x_gates, weights["cell.weight_hh_l0"].T, weights["cell.bias_hh_l0"])
    return _POOLINGS[config.pooling](states, lengths) @ weights["head.weight"].T + weights["head.bias"]


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * x))  # the same function, without overflow in exp


def _rnn_states(x_gates: Floats, w_hh: Floats, b_hh: Floats) -> Floats:
    states = np.empty_like(x_gates)
    h = np.zeros_like(x_gates[0])
    for t, x_gate in enumerate(x_gates):
        h = states[t] = np.tanh(x_gate + h @ w_hh + b_hh)
    return states


def _gru_states(x_gates: Floats, w_hh: Floats, b_hh: Floats) -> Floats:
    hidden = w_hh.shape[0]
    states = np.empty_like(x_gates[..., :hidden])
    h = np.zeros_like(states[0])
    for t, x_gate in enumerate(x_gates):
        h_gate = h @ w_hh + b_hh
        r, z = np.split(_sigmoid(x_gate[:, : 2 * hidden] + h_gate[:, : 2 * hidden]), 2, axis=1)
        n = np.tanh(x_gate[:, 2 * hidden :] + r * h_gate[:, 2 * hidden :])
        h = states[t] = n + z * (h - n)
    return states


def _lstm_states(x_gates: Floats, w_hh: Floats, b_hh: Floats) -> Floats:
    hidden = w_hh.shape[0]
    states = np.empty_like(x_gates[..., :hidden])
    h = c = np.zeros_like(states[0])
    for t, x_gate in enumerate(x_gates):
        i, f, g, o = np.split(x_gate + h @ w_hh + b_hh, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = states[t] = _sigmoid(o) * np.tanh(c)
    return states


_STATES = {"rnn": _rnn_states, "gru": _gru_states, "lstm": _lstm_states}


def _convolutions(
    weights: Weights, ids: NDArray[np.int64], lengths: NDArray[np.int64] | None
) -> tuple[Floats, NDArray[np.int64] | None]:
    """The CNN's last features (T, B, H), and how many of the steps each text still has."""
    x: Floats = take_rows(weights, "embedding.weight", ids)  # (B, T, E)
    if lengths is not None:
        x = x * _real(lengths, x.shape[1]).T[..., None]
    block = 0
    while f"convs.{block}.weight" in weights:
        kernel = weights[f"convs.{block}.weight"]  # (H, E, 3)
        padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        steps = (x.shape[1] + 1) // 2
        # The window at step t holds tokens 2t-1, 2t, 2t+1; one product per place in the window.
        windows = [padded[:, k : k + 2 * steps - 1 : 2] @ kernel[:, :, k].T for k in range(3)]
        x = windows[0] + windows[1] + windows[2] + weights[f"convs.{block}.bias"]
        mean, variance = weights[f"norms.{block}.running_mean"], weights[f"norms.{block}.running_var"]
        x = (x - mean) / np.sqrt(variance + np.float32(_BATCH_NORM_EPS))
        x = np.maximum(x * weights[f"norms.{block}.weight"] + weights[f"norms.{block}.bias"], 0)
        if lengths is not None:
            lengths = (lengths + 1) // 2
            x = x * _real(lengths, steps).T[..., None]
        block += 1
    return x.transpose(1, 0, 2), lengths


def _real(lengths: NDArray[np.int64], num_steps: int) -> NDArray[np.bool_]:
    """True at the steps of real tokens, (T, B)."""
    return np.arange(num_steps)[:, None] < lengths


def _pool_last(states: Floats, lengths: NDArray[np.int64] | None) -> Floats:
    if lengths is None:
        return states[-1]
    features = states[np.maximum(lengths - 1, 0), np.arange(len(lengths))]
    return np.where((lengths == 0)[:, None], 0, features)


def _pool_max(states: Floats, lengths: NDArray[np.int64] | None) -> Floats:
    if lengths is None:
        return states.max(axis=0)
    features = np.where(_real(lengths, len(states))[..., None], states, -np.inf).max(axis=0)
    return np.where((lengths == 0)[:, None], 0, features).astype(states.dtype)


def _pool_average(states: Floats, lengths: NDArray[np.int64] | None) -> Floats:
    if lengths is None:
        return states.mean(axis=0)
    total = (states * _real(lengths, len(states))[..., None]).sum(axis=0)
    return total / np.maximum(lengths, 1).astype(states.dtype)[:, None]


_POOLINGS = {"last": _pool_last, "max": _pool_max, "average": _pool_average}
