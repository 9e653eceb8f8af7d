"""RNN, GRU and LSTM over texts of different lengths with their pooling: ids of words in, one row a text out.

What the input adds to the gates is the same for every occurrence of a word, so it comes in once per distinct word
(`projected`) and `rows` says which word stands where. No step is computed for padding. Formulas, gate order and
parameters are those of `cells.py`; the derivatives are written out by hand (P. Werbos, "Backpropagation through
time", Proc. IEEE 78, 1990). `native/recurrent.cpp` does the same in float32; what follows is plain numpy, in any
float type, and what it is held to.

Letters: B texts, U distinct words, E numbers in a word vector, H hidden units, G gates, F features of a text: 2 H where
average and maximum stand side by side, else H. Texts are walked longest first, so that those still running at step t
are the first n of them.
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
POOLINGS = ("last", "max", "average", "average_max", "attention")


class Reading(NamedTuple):
    """A batch, and how it is read.

    Args:
        cell: "rnn", "gru" or "lstm".
        pooling: What is made of the states of a text's own tokens, one of `POOLINGS`; "average_max" is both side by
            side, "attention" their mean by the softmax over u . h_t with a learned u.
        rows: Which row of `projected` each token is, int32; a token that is no text's own is never looked at.
        starts: (B,), where each text's first token stands among them, int64.
        lengths: (B,), tokens of each text, int64; a text without tokens has features of zeros.
        reverse: Whether each text is read from its last token to its first.
    """

    cell: str
    pooling: str
    rows: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    reverse: bool = False

    def num_features(self, hidden: int) -> int:
        """F."""
        return 2 * hidden if self.pooling == "average_max" else hidden


def project(cell: str, vectors: Floats, w_ih: Floats, b_ih: Floats, *, threads: int = 1) -> Floats:
    """W_ih x + b_ih of each distinct word, one row each, in whatever order of the units `forward` reads.

    Args:
        cell: "rnn", "gru" or "lstm".
        vectors: (U, E).
        w_ih: (G * H, E).
        b_ih: (G * H,).
        threads: How many the native core may use; the result does not depend on it.
    """
    if not native.computes(vectors.dtype):
        return vectors @ w_ih.T + b_ih
    number, hidden = CELLS.index(cell), len(b_ih) // GATES[cell]
    width = native.function("projected_width", c_int, c_int64)(number, hidden)
    out = _take(len(vectors) * width)[: len(vectors) * width].reshape(len(vectors), width)
    run = native.function("project", *[c_int] * 2, *[c_int64] * 3, *[c_void_p] * 4)
    run(number, threads, *vectors.shape, hidden, *native.addresses(vectors, w_ih, b_ih, out))
    return out


def forward(
    reading: Reading,
    projected: Floats,
    w_hh: Floats,
    b_hh: Floats,
    u: Floats | None = None,
    *,
    keep: bool = False,
    threads: int = 1,
) -> tuple[Floats, Any]:
    """Features (B, F), and what `backward` needs if `keep` is set.

    Args:
        reading: The batch.
        projected: What `project` made of its distinct words.
        w_hh: (G * H, H).
        b_hh: (G * H,).
        u: The attention's vector, (H,), where the pooling is one.
        keep: Whether `backward` will be called.
        threads: How many the native core may use; part of what bit-identical gradients depend on.
    """
    if not native.computes(projected.dtype):
        return _forward_numpy(reading, projected, w_hh, b_hh, u, keep=keep)
    batch, hidden = len(reading.lengths), w_hh.shape[1]
    features = np.empty((batch, reading.num_features(hidden)), np.float32)
    saved = best = None
    if keep:
        size = native.function("recurrent_saved", *[c_int] * 2, *[c_int64] * 3)
        saved = _take(size(*_numbers(reading)[:2], batch, int(reading.lengths.sum()), hidden))
        if reading.pooling in ("max", "average_max"):
            best = np.empty(native.function("recurrent_best", *[c_int64] * 2)(batch, hidden), np.int32)
    run = native.function("recurrent_forward", *[c_int] * 4, *[c_int64] * 3, *[c_void_p] * 10)
    run(
        *_numbers(reading), threads, batch, hidden, len(projected),
        *native.addresses(reading.rows, reading.starts, reading.lengths, projected, w_hh, b_hh, u),
        *native.addresses(features, saved, best),
    )  # fmt: skip
    return features, (saved, best, threads)


def backward(
    reading: Reading,
    vectors: Floats,
    w_ih: Floats,
    w_hh: Floats,
    kept: Any,
    d_features: Floats,
    u: Floats | None = None,
    *,
    trains: bool = True,
) -> tuple[Floats | None, Floats, Floats, Floats, Floats, Floats | None]:
    """Derivatives by `vectors` (None unless `trains`), `w_ih`, `b_ih`, `w_hh`, `b_hh` and `u` (None without one).

    Args:
        reading: That of the forward pass.
        vectors: (U, E), those that were projected.
        w_ih: That of the projection.
        w_hh: That of the forward pass.
        kept: What the forward pass returned beside the features. It is used up: call this once.
        d_features: The derivative by the features, (B, F).
        u: That of the forward pass.
        trains: Whether the vectors want theirs.
    """
    if not native.computes(vectors.dtype):
        d_projected, d_w_hh, d_b_hh, d_u = _backward_numpy(reading, len(vectors), w_hh, kept, d_features)
        d_x = d_projected @ w_ih if trains else None
        return d_x, d_projected.T @ vectors, d_projected.sum(axis=0), d_w_hh, d_b_hh, d_u
    saved, best, threads = kept
    d_vectors: Floats | None = np.empty_like(vectors) if trains else None
    d_w_ih, d_b_ih = np.empty_like(w_ih), np.empty(len(w_ih), np.float32)
    d_w_hh, d_b_hh = np.empty_like(w_hh), np.empty(len(w_hh), np.float32)
    d_u = None if u is None else np.empty_like(u)
    run = native.function("recurrent_backward", *[c_int] * 4, *[c_int64] * 4, *[c_void_p] * 16)
    run(
        *_numbers(reading), threads, len(d_features), w_hh.shape[1], *vectors.shape,
        *native.addresses(reading.rows, reading.starts, reading.lengths, vectors, w_ih, w_hh, u, saved, best),
        *native.addresses(d_features, d_vectors, d_w_ih, d_b_ih, d_w_hh, d_b_hh, d_u),
    )  # fmt: skip
    with _LOCK:
        _SPARE.append(saved)
    return d_vectors, d_w_ih, d_b_ih, d_w_hh, d_b_hh, d_u


def _numbers(reading: Reading) -> tuple[int, int, bool]:
    """Cell, pooling and direction as the native core counts them."""
    return CELLS.index(reading.cell), POOLINGS.index(reading.pooling), reading.reverse


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


class _Kept(NamedTuple):
    """What the numpy forward pass hands to the backward pass, one entry a step."""

    states: list[Floats]
    gates: list[tuple[Floats, ...]]
    pooled: "_Pooled"


def _running(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """The texts, longest first, and how many of them run at each step."""
    order = np.argsort(-lengths, kind="stable")
    steps = np.arange(int(lengths.max(initial=0)))
    return order, (len(lengths) - np.searchsorted(lengths[order[::-1]], steps, side="right")).tolist()


def _words(reading: Reading, texts: NDArray[np.int64], t: int) -> NDArray[np.int32]:
    """The rows that these texts read at step t."""
    steps = reading.lengths[texts] - 1 - t if reading.reverse else t
    return reading.rows[reading.starts[texts] + steps]


def _sigmoid(x: Floats) -> Floats:
    power = np.exp(-np.abs(x))  # no overflow, and near either end what is missing to it keeps its digits
    side = power / (1 + power)
    return np.where(x < 0, side, 1 - side)


def _forward_numpy(
    reading: Reading, projected: Floats, w_hh: Floats, b_hh: Floats, u: Floats | None, *, keep: bool
) -> tuple[Floats, _Kept]:
    order, running = _running(reading.lengths)
    hidden = w_hh.shape[1]
    h: Floats = np.zeros((len(order), hidden), projected.dtype)
    c: Floats = np.zeros_like(h)
    pooled = _Pooled(reading.pooling, reading.lengths[order], np.zeros_like(h), u)
    kept = _Kept([], [], pooled)
    for t, n in enumerate(running):
        x = projected[_words(reading, order[:n], t)]
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
        pooled.add(t, h)
    features = np.empty((len(order), reading.num_features(hidden)), projected.dtype)
    features[order] = pooled.features()
    return features, kept


class _Pooled:
    """One row a text from the states of its steps, and the way back.

    Args:
        pooling: One of `POOLINGS`.
        lengths: Of the texts, longest first, (B,).
        zeros: (B, H).
        u: The attention's vector, (H,).
    """

    def __init__(self, pooling: str, lengths: NDArray[np.int64], zeros: Floats, u: Floats | None) -> None:
        self.pooling, self.lengths, self.u = pooling, lengths, u
        self.sum, self.max, self.last = zeros.copy(), zeros.copy(), zeros.copy()
        self.best = np.zeros(zeros.shape, np.int64)  # the step of each unit's maximum
        self.scores: list[Floats] = []
        self.highest, self.total = np.full(len(zeros), -np.inf, zeros.dtype), np.zeros(len(zeros), zeros.dtype)

    def add(self, t: int, h: Floats) -> None:
        """Take in the states of step t, (n, H)."""
        n = len(h)
        if self.pooling == "last":
            ends = np.flatnonzero(self.lengths[:n] == t + 1)
            self.last[ends] = h[ends]
        if self.pooling in ("average", "average_max"):
            self.sum[:n] += h
        if self.pooling in ("max", "average_max"):
            larger = (h > self.max[:n]) | (t == 0)
            self.max[:n][larger] = h[larger]
            self.best[:n][larger] = t
        if self.u is not None:  # a softmax over the steps so far; what was summed is scaled down to a larger score
            scores = h @ self.u
            highest = np.maximum(self.highest[:n], scores)
            old, new = np.exp(self.highest[:n] - highest), np.exp(scores - highest)
            self.highest[:n], self.total[:n] = highest, self.total[:n] * old + new
            self.sum[:n] = self.sum[:n] * old[:, None] + h * new[:, None]
            self.scores.append(scores)

    def features(self) -> Floats:
        """(B, F)."""
        counts = np.maximum(self.lengths, 1).astype(self.sum.dtype)[:, None]
        if self.pooling == "average_max":
            return np.hstack([self.sum / counts, self.max])
        if self.pooling == "attention":
            return self.sum / np.where(self.lengths > 0, self.total, 1)[:, None]
        return {"last": self.last, "max": self.max, "average": self.sum / counts}[self.pooling]

    def back(self, states: list[Floats], d_features: Floats) -> tuple[list[Floats], Floats | None]:
        """The derivatives by the states of each step, and by u."""
        hidden, d_u = self.sum.shape[1], None if self.u is None else np.zeros_like(self.u)
        d_sum, d_states = d_features / self.lengths.clip(1).astype(d_features.dtype)[:, None], []
        if self.u is not None:
            shares = [np.exp(e - self.highest[: len(e)]) / self.total[: len(e)] for e in self.scores]
            by_share = [(h * d_features[: len(h)]).sum(axis=1) for h in states]
            mean = np.zeros_like(self.total)
            for share, d in zip(shares, by_share, strict=True):
                mean[: len(d)] += share * d
        for t, h in enumerate(states):
            n = len(h)
            d = np.zeros_like(h)
            if self.pooling == "last":
                d += np.where((self.lengths[:n] == t + 1)[:, None], d_features[:n], 0)
            if self.pooling in ("average", "average_max"):
                d += d_sum[:n, :hidden]
            if self.pooling in ("max", "average_max"):
                d += np.where(self.best[:n] == t, d_features[:n, -hidden:], 0)
            if self.u is not None and d_u is not None:
                d_scores = shares[t] * (by_share[t] - mean[:n])
                d += shares[t][:, None] * d_features[:n] + d_scores[:, None] * self.u
                d_u += d_scores @ h
            d_states.append(d)
        return d_states, d_u


def _backward_numpy(
    reading: Reading, num_words: int, w_hh: Floats, kept: _Kept, d_features: Floats
) -> tuple[Floats, Floats, Floats, Floats | None]:
    order, running = _running(reading.lengths)
    d_states, d_u = kept.pooled.back(kept.states, d_features[order])
    d_projected, d_w_hh = np.zeros((num_words, len(w_hh)), w_hh.dtype), np.zeros_like(w_hh)
    d_b_hh = np.zeros(len(w_hh), w_hh.dtype)
    d_h, d_c = np.zeros((2, len(order), w_hh.shape[1]), w_hh.dtype)
    for t in range(len(running) - 1, -1, -1):
        n = running[t]
        before = kept.states[t - 1][:n] if t else np.zeros_like(kept.states[t])
        d = d_h[:n] + d_states[t]
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
        np.add.at(d_projected, _words(reading, order[:n], t), d_x)
        d_b_hh += d_gates.sum(axis=0)
        if t:
            d_h[:n] += d_gates @ w_hh
            d_w_hh += d_gates.T @ before
    return d_projected, d_w_hh, d_b_hh, d_u
