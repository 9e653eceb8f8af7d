"""The minimal GRU over texts of different lengths with pooling: ids of words in, one row of features per text out.

Its gates depend on the word alone, so they are made once per distinct word (`make_gates`), and a step is two products
and a sum. `networks/mingru.py` has the formulas and the names of the parameters. `native/mingru.cpp` computes the
features and their derivatives in float32. This module also has the forward pass in plain numpy, in any float type.

Letters: B texts, U distinct words, E numbers in a word vector, H hidden units, N tokens of all texts.
"""

from typing import Any

import numpy as np

from rubrica.kernels import native
from rubrica.kernels.border import call
from rubrica.kernels.recurrent import POOLINGS
from rubrica.kernels.runs import Floats, Gradients, Reading, add_gradients, pool_runs


def make_gates(vectors: Floats, weight: Floats, bias: Floats, *, threads: int = 1) -> Floats:
    """1 - z, z and n of each distinct word, one row each, for `forward`.

    Of vectors (U, E), weight (2 H, E), z before n, and bias (2 H,). No result of this module depends on the number of
    threads that the native core may use.
    """
    hidden = len(bias) // 2
    if not native.computes(vectors.dtype):
        z, new = np.split(vectors @ weight.T + bias, 2, axis=1)
        power = np.exp(-np.abs(z))  # no overflow, and the smaller side keeps its digits
        small, large = power / (1 + power), 1 / (1 + power)
        return np.stack([np.where(z < 0, large, small), np.where(z < 0, small, large), new], axis=1)
    padded = call("windows_width", 1, hidden)
    gates = np.empty((len(vectors), 3, padded), np.float32)
    call("mingru_gates", threads, *vectors.shape, hidden, vectors, weight, bias, gates)
    return gates


def forward(
    reading: Reading, gates: Floats, hidden: int, *, keep: bool = False, threads: int = 1
) -> tuple[Floats, Any]:
    """Features (B, H), and what `backward` needs if `keep` is set; `gates` are from `make_gates`, and `hidden` is H."""
    if not native.computes(gates.dtype):
        found = _states_numpy(reading, gates)
        return pool_runs(reading.pooling, found, reading.lengths), found
    if reading.pooling == "average_max":  # a walk costs little beside the gates: one for each
        average, of_average = forward(reading._replace(pooling="average"), gates, hidden, keep=keep, threads=threads)
        largest, of_largest = forward(reading._replace(pooling="max"), gates, hidden, keep=keep, threads=threads)
        return np.hstack([average, largest]), {"average": of_average, "max": of_largest}
    batch, width = len(reading.lengths), gates.shape[2]
    features = np.empty((batch, hidden), np.float32)
    walked = np.empty((int(reading.lengths.sum()), width), np.float32) if keep else None
    best = np.empty((batch, width), np.int32) if keep else None
    call("mingru_forward",
        POOLINGS.index(reading.pooling), reading.reverse, threads, batch, hidden,
        *reading.tokens, gates, features, walked, best,
    )  # fmt: skip
    return features, (walked, best)


def states(reading: Reading, gates: Floats, hidden: int, *, threads: int = 1) -> Floats:
    """The state after each step, (N, H), text after text; arguments as in `forward`."""
    kept = forward(reading._replace(pooling="last"), gates, hidden, keep=True, threads=threads)[1]
    return kept[0][:, :hidden] if isinstance(kept, tuple) else kept


def backward(
    reading: Reading,
    vectors: Floats,
    weight: Floats,
    gates: Floats,
    kept: Any,
    d_features: Floats,
    *,
    trains: bool = True,
    threads: int = 1,
) -> Gradients:
    """Derivatives by `vectors` (None unless `trains`), `weight` and `bias`, from `d_features` (B, H).

    `kept` comes from `forward` with `keep` on the same arrays.
    """
    if reading.pooling == "average_max":
        return add_gradients(d_features, lambda pooling, d_part: backward(
            reading._replace(pooling=pooling), vectors, weight, gates, kept[pooling], d_part,
            trains=trains, threads=threads,
        ))  # fmt: skip
    d_vectors = np.empty_like(vectors) if trains else None
    d_weight, d_bias = np.empty_like(weight), np.empty(len(weight), np.float32)
    call("mingru_backward",
        POOLINGS.index(reading.pooling), reading.reverse, threads, *d_features.shape, *vectors.shape,
        *reading.tokens, vectors, weight, gates, *kept, d_features,
        d_vectors, d_weight, d_bias,
    )  # fmt: skip
    return d_vectors, d_weight, d_bias


def _states_numpy(reading: Reading, gates: Floats) -> Floats:
    """The state after each step, (N, H), text after text."""
    states = np.zeros((int(reading.lengths.sum()), gates.shape[2]), gates.dtype)
    for t, (places, words) in enumerate(reading.steps()):
        stay, z, new = gates[words].transpose(1, 0, 2)
        states[places] = z * new
        if t:
            states[places] += stay * states[places - 1]
    return states
