"""RNN, GRU and LSTM over texts of different lengths, with pooling: ids of words in, one row of features per text out.

What the input adds to the gates is the same for every occurrence of a word, so it comes in once per distinct word
(`projected`) and `rows` says which word stands where. No step is computed for padding. `networks/cells.py`
has the formulas, the order of the gates and the names of the parameters. `native/recurrent.cpp` computes the features
and their derivatives in float32; the derivatives are written out by hand (P. Werbos, "Backpropagation through time",
Proc. IEEE 78, 1990). This module also has the forward pass in plain numpy, in any float type.

Letters: B texts, U distinct words, E numbers in a word vector, H hidden units, G gates, F features of a text: 2 H where
average and maximum stand side by side, else H.
"""

import threading
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import call
from rubrica.kernels.runs import Floats, Reading, attend_runs, pool_runs

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
CELLS = tuple(GATES)
_KEPT = 1 << 26  # bytes of projected words that are kept for the next call, at the most
_TEXTS = 1024  # the numpy twin holds the states of this many at a time
POOLINGS = ("last", "max", "average", "average_max", "attention")
STATES = "states"
"""In place of a pooling: row i of the features is the state at token i of `Reading.rows`; no text's token has zeros."""
_OUTPUTS = (*POOLINGS, STATES)


def project(cell: str, vectors: Floats, w_ih: Floats, b_ih: Floats, *, threads: int = 1) -> Floats:
    """W_ih x + b_ih of each distinct word, one row each, in whatever order of the units `forward` reads.

    Of vectors (U, E), w_ih (G * H, E) and b_ih (G * H,). The result does not depend on the number of threads that the
    native core may use.
    """
    if not native.computes(vectors.dtype):
        return vectors @ w_ih.T + b_ih
    number, hidden = CELLS.index(cell), len(b_ih) // GATES[cell]
    width = call("projected_width", number, hidden)
    out = _take(len(vectors) * width)[: len(vectors) * width].reshape(len(vectors), width)
    call("project", number, threads, *vectors.shape, hidden, vectors, w_ih, b_ih, out)
    return out


def give_back(projected: Floats) -> None:
    """Let a later call have the memory of what `project` made; nothing reads it from now on."""
    if isinstance(projected.base, np.ndarray) and native.computes(projected.dtype) and projected.nbytes <= _KEPT:
        with _LOCK:
            _SPARE.append(_from_cache_line(projected.base))


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
    """Features (B, F), for `STATES` (tokens, H), and what `backward` needs if `keep` is set.

    `projected` is what `project` made of the distinct words; the parameters have the shapes (G * H, H) and (G * H,),
    and u (H,) is the attention's vector, where the pooling is one. The number of threads that the native core may use
    is part of what bit-identical gradients depend on.
    """
    if not native.computes(projected.dtype):
        assert not keep  # only the native core has a way back, ...
        assert reading.pooling != STATES  # ... and states one by one
        return _forward_numpy(reading, projected, w_hh, b_hh, u), None
    batch, hidden, makes_states = len(reading.lengths), w_hh.shape[1], reading.pooling == STATES
    rows = len(reading.rows) if makes_states else batch
    features = (np.zeros if makes_states else np.empty)((rows, reading.num_features(hidden)), np.float32)
    saved = best = None
    if keep:
        saved = _take(call("recurrent_saved", *_numbers(reading)[:2], batch, int(reading.lengths.sum()), hidden))
        if reading.pooling in ("max", "average_max"):
            best = np.empty(call("recurrent_best", batch, hidden), np.int32)
    call("recurrent_forward",
        *_numbers(reading), threads, batch, hidden, len(projected),
        *reading.tokens, projected, w_hh, b_hh, u,
        features, saved, best,
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
) -> list[Floats | None]:
    """Derivatives by `vectors` (None unless `trains`), `w_ih`, `w_hh`, `b_ih`, `b_hh`, and `u` if there is one.

    `kept` comes from `forward` with `keep` on the same arrays. It is used up: call this once. `d_features` (B, F) is
    the derivative by the features.
    """
    saved, best, threads = kept
    d_vectors = np.empty_like(vectors) if trains else None
    d_w_ih, d_w_hh = np.empty_like(w_ih), np.empty_like(w_hh)
    d_b_ih, d_b_hh = np.empty(len(w_ih), np.float32), np.empty(len(w_hh), np.float32)
    d_u = None if u is None else np.empty_like(u)
    call("recurrent_backward",
        *_numbers(reading), threads, len(reading.lengths), w_hh.shape[1], *vectors.shape,
        *reading.tokens, vectors, w_ih, w_hh, u, saved, best,
        d_features, d_vectors, d_w_ih, d_b_ih, d_w_hh, d_b_hh, d_u,
    )  # fmt: skip
    with _LOCK:
        _SPARE.append(saved)
    return [d_vectors, d_w_ih, d_w_hh, d_b_ih, d_b_hh, *([] if d_u is None else [d_u])]


def _numbers(reading: Reading) -> tuple[int, int, bool]:
    """Cell, pooling and direction as the native core counts them."""
    return CELLS.index(reading.cell), _OUTPUTS.index(reading.pooling), reading.reverse


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
    return _from_cache_line(np.empty(size + size // 4 + 16, np.float32))


def _from_cache_line(whole: NDArray[np.float32]) -> NDArray[np.float32]:
    return whole[-whole.ctypes.data % 64 // 4 :]


def _sigmoid(x: Floats) -> Floats:
    power = np.exp(-np.abs(x))  # never overflows, and results near 0 keep their digits
    side = power / (1 + power)
    return np.where(x < 0, side, 1 - side)


def _forward_numpy(reading: Reading, projected: Floats, w_hh: Floats, b_hh: Floats, u: Floats | None) -> Floats:
    features = np.empty((len(reading.lengths), reading.num_features(w_hh.shape[1])), projected.dtype)
    for first in range(0, len(features), _TEXTS):
        here = slice(first, first + _TEXTS)
        part = reading._replace(starts=reading.starts[here], lengths=reading.lengths[here])
        states = _states_numpy(part, projected, w_hh, b_hh)
        lengths = part.lengths
        features[here] = pool_runs(part.pooling, states, lengths) if u is None else attend_runs(states, lengths, u)
    return features


def _states_numpy(reading: Reading, projected: Floats, w_hh: Floats, b_hh: Floats) -> Floats:
    """The state after each step, text after text."""
    hidden = w_hh.shape[1]
    states = np.empty((int(reading.lengths.sum()), hidden), projected.dtype)
    h: Floats = np.zeros((len(reading.lengths), hidden), projected.dtype)
    c = h
    for places, words in reading.steps():
        n, x = len(places), projected[words]
        gates = h[:n] @ w_hh.T + b_hh
        if reading.cell == "rnn":
            h = np.tanh(x + gates)
        elif reading.cell == "gru":
            r, z = np.split(_sigmoid(x[:, : 2 * hidden] + gates[:, : 2 * hidden]), 2, axis=1)
            new = np.tanh(x[:, 2 * hidden :] + r * gates[:, 2 * hidden :])
            h = (1 - z) * new + z * h[:n]
        else:
            i, f, g, o = np.split(x + gates, 4, axis=1)
            c = _sigmoid(f) * c[:n] + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
        states[places] = h
    return states
