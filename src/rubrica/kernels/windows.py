"""A convolution over the words of texts with relu and pooling: ids of words in, one row a text out.

What a word adds to a window at each of its K places is the same for every occurrence, so it is made once per distinct
word (`project`), and a window is the sum of K such pieces. A text has a window at each place where a whole one fits,
and one that ends with it where none fits; no window is computed for padding. `native/windows.cpp` computes it and
its derivatives in float32; the forward pass stands here in plain numpy too, in any float type.

Letters: B texts, U distinct words, E numbers in a word vector, F filters, K places of a window, N windows of all texts.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import call
from rubrica.kernels.recurrent import Floats
from rubrica.kernels.runs import add_gradients, pool_runs


class Texts(NamedTuple):
    """A batch, and how its windows are pooled.

    Args:
        pooling: "max" or "average" of a text's own windows, or "average_max", both side by side.
        rows: Which distinct word each token is, int32.
        starts: (B,), where each text's first token stands among them, int64.
        lengths: (B,), tokens of each text, int64; a text without tokens has features of zeros.
    """

    pooling: str
    rows: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


def project(vectors: Floats, weight: Floats, *, threads: int = 1) -> Floats:
    """What each distinct word adds to a window at each of its places, one row a word, in the order `forward` reads.

    Args:
        vectors: (U, E).
        weight: (F, E, K), as in torch.
        threads: How many the native core may use; no result of this module depends on it.
    """
    filters, dim, places = weight.shape
    if not native.computes(vectors.dtype):
        return vectors @ weight.transpose(1, 2, 0).reshape(dim, places * filters)
    out = np.empty((len(vectors), call("windows_width", places, filters)), np.float32)
    call("windows_project", threads, len(vectors), dim, places, filters, vectors, weight, out)
    return out


def forward(
    texts: Texts, projected: Floats, bias: Floats, places: int, *, keep: bool = False, threads: int = 1
) -> tuple[Floats, NDArray[np.int32] | None]:
    """Features (B, F), and what `backward` needs if `keep` is set.

    Args:
        texts: The batch.
        projected: What `project` made of its distinct words.
        bias: (F,).
        places: K.
        keep: Whether `backward` will be called.
        threads: See `project`.
    """
    if texts.pooling == "average_max":
        average, _ = forward(texts._replace(pooling="average"), projected, bias, places, threads=threads)
        largest, best = forward(texts._replace(pooling="max"), projected, bias, places, keep=keep, threads=threads)
        return np.hstack([average, largest]), best
    if not native.computes(projected.dtype):
        return _forward_numpy(texts, projected, bias, places)
    batch, filters, maximum = len(texts.lengths), len(bias), texts.pooling == "max"
    features = np.empty((batch, filters), np.float32)
    width = projected.shape[1] // places
    best = np.empty((batch, width), np.int32) if keep and maximum else None
    call("windows_forward",
        maximum, threads, batch, places, filters,
        texts.rows, texts.starts, texts.lengths, projected, bias, features, best,
    )  # fmt: skip
    return features, best


def backward(
    texts: Texts,
    vectors: Floats,
    weight: Floats,
    bias: Floats,
    projected: Floats,
    kept: NDArray[np.int32] | None,
    d_features: Floats,
    *,
    trains: bool = True,
    threads: int = 1,
) -> tuple[Floats | None, Floats, Floats]:
    """Derivatives by `vectors` (None unless `trains`), `weight` and `bias`.

    Args:
        texts: Those of the forward pass.
        vectors: (U, E), those that were projected.
        weight: (F, E, K).
        bias: (F,).
        projected: What `project` made.
        kept: What the forward pass returned beside the features.
        d_features: The derivative by the features, (B, F).
        trains: Whether the vectors want theirs.
        threads: See `project`.
    """
    if texts.pooling == "average_max":
        return add_gradients(d_features, lambda pooling, d_part: backward(
            texts._replace(pooling=pooling), vectors, weight, bias, projected, kept, d_part,
            trains=trains, threads=threads,
        ))  # fmt: skip
    filters, dim, places = weight.shape
    d_vectors = np.empty_like(vectors) if trains else None
    d_weight, d_bias = np.empty_like(weight), np.empty_like(bias)
    call("windows_backward",
        texts.pooling == "max", threads, len(texts.lengths), places, filters, len(vectors), dim,
        texts.rows, texts.starts, texts.lengths, vectors, weight, bias, projected, kept, d_features,
        d_vectors, d_weight, d_bias,
    )  # fmt: skip
    return d_vectors, d_weight, d_bias


def _windows(texts: Texts, num_words: int, places: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The word at each place of each window (N, K), `num_words` behind a text's end; each text's windows, (B,)."""
    lengths = texts.lengths
    counts = np.where(lengths > 0, np.maximum(lengths - places + 1, 1), 0)
    owners = np.repeat(np.arange(len(lengths)), counts)
    steps = np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]
    offsets = steps[:, None] + np.arange(places)
    real = offsets < lengths[owners, None]
    words = np.full(real.shape, num_words)
    words[real] = texts.rows[(texts.starts[owners, None] + offsets)[real]]
    return words, counts


def _forward_numpy(texts: Texts, projected: Floats, bias: Floats, places: int) -> tuple[Floats, None]:
    words, counts = _windows(texts, len(projected), places)
    table = np.vstack([projected, np.zeros_like(projected[:1], shape=(1, projected.shape[1]))])
    pieces = table.reshape(len(table), places, len(bias))
    total = np.broadcast_to(bias, (len(words), len(bias))).copy()
    for k in range(places):
        total += pieces[words[:, k], k]
    return pool_runs(texts.pooling, np.maximum(total, 0), counts), None
