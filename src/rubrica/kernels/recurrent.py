"""RNN, GRU and LSTM over texts of different lengths with their pooling: ids of words in, one row a text out.

What the input adds to the gates is the same for every occurrence of a word, so it comes in once per distinct word
(`projected`) and `rows` says which word stands where. No step is computed for padding. Formulas, gate order and
parameters are those of `cells.py`; the derivatives are written out by hand (P. Werbos, "Backpropagation through
time", Proc. IEEE 78, 1990). `native/recurrent.cpp` does the same in float32; what follows is plain numpy, in any
float type, and what it is held to.

Letters: B texts, U distinct words, E numbers in a word vector, H hidden units, G gates. Texts are walked longest
first, so that those still running at step t are the first n of them.
"""

import threading
from collections import deque
from ctypes import c_int, c_int64, c_void_p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native

Floats = NDArray[np.floating[Any]]

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
CELLS = tuple(GATES)
POOLINGS = ("last", "max", "average")


class Reading(NamedTuple):
    """A batch, and how it is read.

    Args:
        cell: "rnn", "gru" or "lstm".
        pooling: "last", "max" or "average" of the states of a text's own tokens.
        rows: Which row of `projected` each token is, int32; a token that is no text's own is never looked at.
        starts: (B,), where each text's first token stands among them, int64.
        lengths: (B,), tokens of each text, int64; a text without tokens has features of zeros.
    """

    cell: str
    pooling: str
    rows: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


def project(cell: str, vectors: Floats, w_ih: Floats, b_ih: Floats, *, threads: int = 1) -> Floats:
    """W_ih x + b_ih of each distinct word, one row each, in whatever order of the units `forward` reads.

    Args:
        cell: "rnn", "gru" or "lstm".
        vectors: (U, E).
        w_ih: (G * H, E).
        b_ih: (G * H,).
        threads: How many the native core may use; the result does not depend on it.
    """
    if not _is_native(vectors):
        return vectors @ w_ih.T + b_ih
    number, hidden = CELLS.index(cell), len(b_ih) // GATES[cell]
    width = native.function("projected_width", c_int, c_int64)(number, hidden)
    out = _take(len(vectors) * width)[: len(vectors) * width].reshape(len(vectors), width)
    run = native.function("project", *[c_int] * 2, *[c_int64] * 3, *[c_void_p] * 4)
    run(number, threads, *vectors.shape, hidden, *addresses(vectors, w_ih, b_ih, out))
    return out


def forward(
    reading: Reading, projected: Floats, w_hh: Floats, b_hh: Floats, *, keep: bool = False, threads: int = 1
) -> tuple[Floats, Any]:
    """Features (B, H), and what `backward` needs if `keep` is set.

    Args:
        reading: The batch.
        projected: What `project` made of its distinct words.
        w_hh: (G * H, H).
        b_hh: (G * H,).
        keep: Whether `backward` will be called.
        threads: How many the native core may use; part of what bit-identical gradients depend on.
    """
    if not _is_native(projected):
        return _forward_numpy(reading, projected, w_hh, b_hh, keep=keep)
    cell, batch, hidden = CELLS.index(reading.cell), len(reading.lengths), w_hh.shape[1]
    features = np.empty((batch, hidden), np.float32)
    saved = best = None
    if keep:
        size = native.function("recurrent_saved", c_int, *[c_int64] * 2)
        saved = _take(size(cell, int(reading.lengths.sum()), hidden))
        if reading.pooling == "max":
            best = np.empty(native.function("recurrent_best", *[c_int64] * 2)(batch, hidden), np.int32)
    run = native.function("recurrent_forward", *[c_int] * 3, *[c_int64] * 3, *[c_void_p] * 9)
    run(
        cell, POOLINGS.index(reading.pooling), threads, batch, hidden, len(projected),
        *addresses(reading.rows, reading.starts, reading.lengths, projected, w_hh, b_hh, features, saved, best),
    )  # fmt: skip
    return features, (saved, best, threads)


def backward(
    reading: Reading,
    vectors: Floats,
    w_ih: Floats,
    w_hh: Floats,
    kept: Any,
    d_features: Floats,
    *,
    trains: bool = True,
) -> tuple[Floats | None, Floats, Floats, Floats, Floats]:
    """Derivatives by `vectors` (None unless `trains`), `w_ih`, `b_ih`, `w_hh` and `b_hh`.

    Args:
        reading: That of the forward pass.
        vectors: (U, E), those that were projected.
        w_ih: That of the projection.
        w_hh: That of the forward pass.
        kept: What the forward pass returned beside the features. It is used up: call this once.
        d_features: The derivative by the features, (B, H).
        trains: Whether the vectors want theirs.
    """
    if not _is_native(vectors):
        d_projected, d_w_hh, d_b_hh = _backward_numpy(reading, len(vectors), w_hh, kept, d_features)
        d_x = d_projected @ w_ih if trains else None
        return d_x, d_projected.T @ vectors, d_projected.sum(axis=0), d_w_hh, d_b_hh
    saved, best, threads = kept
    cell, (batch, hidden) = CELLS.index(reading.cell), d_features.shape
    d_vectors: Floats | None = np.empty_like(vectors) if trains else None
    d_w_ih, d_b_ih = np.empty_like(w_ih), np.empty(len(w_ih), np.float32)
    d_w_hh, d_b_hh = np.empty_like(w_hh), np.empty(len(w_hh), np.float32)
    run = native.function("recurrent_backward", *[c_int] * 3, *[c_int64] * 4, *[c_void_p] * 14)
    run(
        cell, POOLINGS.index(reading.pooling), threads, batch, hidden, *vectors.shape,
        *addresses(reading.rows, reading.starts, reading.lengths, vectors, w_ih, w_hh, saved, best, d_features),
        *addresses(d_vectors, d_w_ih, d_b_ih, d_w_hh, d_b_hh),
    )  # fmt: skip
    with _LOCK:
        _SPARE.append(saved)
    return d_vectors, d_w_ih, d_b_ih, d_w_hh, d_b_hh


def _is_native(array: Floats) -> bool:
    return array.dtype == np.float32 and native.library() is not None


# What earlier passes are done with. A training update needs millions of numbers, and the system would hand them out
# page by page again.
_SPARE: deque[NDArray[np.float32]] = deque(maxlen=4)
_LOCK = threading.Lock()


def _take(size: int) -> NDArray[np.float32]:
    """Room for at least `size` numbers that starts at a cache line: a vector that crosses two costs twice the time."""
    with _LOCK:
        for i, spare in enumerate(_SPARE):
            if len(spare) >= size:
                del _SPARE[i]
                return spare
    whole = np.empty(size + size // 4 + 16, np.float32)
    return whole[-whole.ctypes.data % 64 // 4 :]


def addresses(*arrays: NDArray[Any] | None) -> tuple[int | None, ...]:
    """Where arrays lie in memory, as a native function takes them."""
    for array in arrays:
        assert array is None or array.flags.c_contiguous  # a slip in this package, never a user's
    return tuple(None if array is None else array.ctypes.data for array in arrays)


class _Kept(NamedTuple):
    """What the numpy forward pass hands to the backward pass, one entry a step."""

    states: list[Floats]
    gates: list[tuple[Floats, ...]]
    best: NDArray[np.int64] | None


def _running(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """The texts, longest first, and how many of them run at each step."""
    order = np.argsort(-lengths, kind="stable")
    steps = np.arange(int(lengths.max(initial=0)))
    return order, (len(lengths) - np.searchsorted(lengths[order[::-1]], steps, side="right")).tolist()


def _sigmoid(x: Floats) -> Floats:
    power = np.exp(-np.abs(x))  # no overflow, and near either end what is missing to it keeps its digits
    side = power / (1 + power)
    return np.where(x < 0, side, 1 - side)


def _forward_numpy(
    reading: Reading, projected: Floats, w_hh: Floats, b_hh: Floats, *, keep: bool
) -> tuple[Floats, _Kept]:
    order, running = _running(reading.lengths)
    starts = reading.starts[order]
    hidden = w_hh.shape[1]
    h: Floats = np.zeros((len(order), hidden), projected.dtype)
    c: Floats = np.zeros_like(h)
    pooled, best = np.zeros_like(h), np.zeros(h.shape, np.int64)
    kept = _Kept([], [], best)
    for t, n in enumerate(running):
        x = projected[reading.rows[starts[:n] + t]]
        gates = h[:n] @ w_hh.T + b_hh
        values: tuple[Floats, ...]
        if reading.cell == "rnn":
            h = np.tanh(x + gates)
            values = ()
        elif reading.cell == "gru":
            r, z = np.split(_sigmoid(x[:, : 2 * hidden] + gates[:, : 2 * hidden]), 2, axis=1)
            h_n = gates[:, 2 * hidden :]
            new = np.tanh(x[:, 2 * hidden :] + r * h_n)
            h, values = (1 - z) * new + z * h[:n], (r, z, new, h_n)
        else:
            x_i, x_f, x_g, x_o = np.split(x + gates, 4, axis=1)
            i, f, g, o = _sigmoid(x_i), _sigmoid(x_f), np.tanh(x_g), _sigmoid(x_o)
            c = f * c[:n] + i * g
            h, values = o * np.tanh(c), (i, f, g, o, c, np.tanh(c))
        if keep:
            kept.states.append(h)
            kept.gates.append(values)
        _pool(reading.pooling, t, h, pooled[:n], best[:n])
        if reading.pooling == "last":
            ends = np.flatnonzero(reading.lengths[order[:n]] == t + 1)
            pooled[ends] = h[ends]
    if reading.pooling == "average":
        pooled /= np.maximum(reading.lengths[order], 1).astype(pooled.dtype)[:, None]
    features = np.empty_like(pooled)
    features[order] = pooled
    return features, kept


def _pool(pooling: str, t: int, h: Floats, pooled: Floats, best: NDArray[np.int64]) -> None:
    if pooling == "average":
        pooled += h
    elif pooling == "max":
        larger = (h > pooled) | (t == 0)
        pooled[larger] = h[larger]
        best[larger] = t


def _backward_numpy(
    reading: Reading, num_words: int, w_hh: Floats, kept: _Kept, d_features: Floats
) -> tuple[Floats, Floats, Floats]:
    order, running = _running(reading.lengths)
    starts, lengths, d_pooled = reading.starts[order], reading.lengths[order], d_features[order]
    d_projected, d_w_hh = np.zeros((num_words, len(w_hh)), w_hh.dtype), np.zeros_like(w_hh)
    d_b_hh = np.zeros(len(w_hh), w_hh.dtype)
    d_h, d_c = np.zeros_like(d_pooled), np.zeros_like(d_pooled)
    for t in range(len(running) - 1, -1, -1):
        n = running[t]
        before = kept.states[t - 1][:n] if t else np.zeros_like(kept.states[t])
        d = d_h[:n] + _unpool(reading.pooling, t, d_pooled[:n], lengths[:n], kept.best)
        if reading.cell == "rnn":
            d_gates = d_x = d * (1 - kept.states[t] ** 2)
            d_h[:n] = 0
        elif reading.cell == "gru":
            r, z, new, h_n = kept.gates[t]
            d_new = d * (1 - z) * (1 - new**2)
            d_r, d_z = d_new * h_n * r * (1 - r), d * (before - new) * z * (1 - z)
            d_gates, d_x = np.hstack([d_r, d_z, d_new * r]), np.hstack([d_r, d_z, d_new])
            d_h[:n] = d * z
        else:
            i, f, g, o, _, tanh_c = kept.gates[t]
            c_before = kept.gates[t - 1][4][:n] if t else np.zeros_like(tanh_c)
            by_c = d_c[:n] + d * o * (1 - tanh_c**2)
            d_gates = d_x = np.hstack(
                [by_c * g * i * (1 - i), by_c * c_before * f * (1 - f), by_c * i * (1 - g**2), d * tanh_c * o * (1 - o)]
            )
            d_c[:n] = by_c * f
            d_h[:n] = 0
        np.add.at(d_projected, reading.rows[starts[:n] + t], d_x)
        d_b_hh += d_gates.sum(axis=0)
        if t:
            d_h[:n] += d_gates @ w_hh
            d_w_hh += d_gates.T @ before
    return d_projected, d_w_hh, d_b_hh


def _unpool(
    pooling: str, t: int, d_pooled: Floats, lengths: NDArray[np.int64], best: NDArray[np.int64] | None
) -> Floats:
    if pooling == "last":
        return np.where((lengths == t + 1)[:, None], d_pooled, 0)
    if pooling == "average":
        return d_pooled / lengths.astype(d_pooled.dtype)[:, None]
    assert best is not None  # the forward pass always keeps it here
    return np.where(best[: len(lengths)] == t, d_pooled, 0)
