"""A convolution over the words of texts with relu and pooling: ids of words in, one row a text out.

What a word adds to a window at each of its K places is the same for every occurrence, so it is made once per distinct
word (`project`), and a window is the sum of K such pieces. A text has a window at each place where a whole one fits,
and one that ends with it where none fits; no window is computed for padding. `native/windows.cpp` computes it and
its derivatives in float32; the forward pass stands here in plain numpy too, in any float type.

Letters: B texts, U distinct words, E numbers in a word vector, F filters, K places of a window, N windows of all texts.
"""

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import call
from rubrica.kernels.runs import Floats, Gradients, Reading, add_gradients, pool_runs


def project(vectors: Floats, weight: Floats, *, threads: int = 1) -> Floats:
    """What each distinct word adds to a window at each of its places, one row a word, in the order `forward` reads.

    Of vectors (U, E) and weight (F, E, K), as in torch. No result of this module depends on the number of threads that
    the native core may use.
    """
    filters, dim, places = weight.shape
    if not native.computes(vectors.dtype):
        return vectors @ weight.transpose(1, 2, 0).reshape(dim, places * filters)
    out = np.empty((len(vectors), call("windows_width", places, filters)), np.float32)
    call("windows_project", threads, len(vectors), dim, places, filters, vectors, weight, out)
    return out


def forward(
    reading: Reading, projected: Floats, bias: Floats, places: int, *, keep: bool = False, threads: int = 1
) -> tuple[Floats, NDArray[np.int32] | None]:
    """Features (B, F), and what `backward` needs if `keep` is set.

    `projected` is what `project` made of the distinct words, `bias` has (F,) numbers, and `places` is K. The pooling is
    "max", "average" or "average_max".
    """
    if not native.computes(projected.dtype):
        return _forward_numpy(reading, projected, bias, places)
    if reading.pooling == "average_max":
        average, _ = forward(reading._replace(pooling="average"), projected, bias, places, threads=threads)
        largest, best = forward(reading._replace(pooling="max"), projected, bias, places, keep=keep, threads=threads)
        return np.hstack([average, largest]), best
    batch, maximum = len(reading.lengths), reading.pooling == "max"
    features = np.empty((batch, len(bias)), np.float32)
    best = np.empty((batch, projected.shape[1] // places), np.int32) if keep and maximum else None
    sizes = (batch, places, len(bias))
    call("windows_forward", maximum, threads, *sizes, *reading.tokens, projected, bias, features, best)
    return features, best


def backward(
    reading: Reading,
    vectors: Floats,
    weight: Floats,
    bias: Floats,
    projected: Floats,
    kept: NDArray[np.int32] | None,
    d_features: Floats,
    *,
    trains: bool = True,
    threads: int = 1,
) -> Gradients:
    """Derivatives by `vectors` (None unless `trains`), `weight` and `bias`, from `d_features` (B, F).

    `kept` comes from `forward` with `keep` on the same arrays.
    """
    if reading.pooling == "average_max":
        return add_gradients(d_features, lambda pooling, d_part: backward(
            reading._replace(pooling=pooling), vectors, weight, bias, projected, kept, d_part,
            trains=trains, threads=threads,
        ))  # fmt: skip
    filters, dim, places = weight.shape
    d_vectors = np.empty_like(vectors) if trains else None
    d_weight, d_bias = np.empty_like(weight), np.empty_like(bias)
    call("windows_backward",
        reading.pooling == "max", threads, len(reading.lengths), places, filters, len(vectors), dim,
        *reading.tokens, vectors, weight, bias, projected, kept, d_features,
        d_vectors, d_weight, d_bias,
    )  # fmt: skip
    return d_vectors, d_weight, d_bias


def _forward_numpy(reading: Reading, projected: Floats, bias: Floats, places: int) -> tuple[Floats, None]:
    lengths = reading.lengths
    counts = np.where(lengths > 0, np.maximum(lengths - places + 1, 1), 0)  # windows of each text
    owners = np.repeat(np.arange(len(lengths)), counts)
    steps = np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]
    offsets = steps[:, None] + np.arange(places)
    real = offsets < lengths[owners, None]
    words = np.full(real.shape, len(projected))  # (N, K); behind a text's end a word of zeros
    words[real] = reading.rows[(reading.starts[owners, None] + offsets)[real]]
    pieces = np.pad(projected, ((0, 1), (0, 0))).reshape(-1, places, len(bias))
    total = np.tile(bias, (len(words), 1))
    for k in range(places):
        total += pieces[words[:, k], k]
    return pool_runs(reading.pooling, np.maximum(total, 0), counts), None
