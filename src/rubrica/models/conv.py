"""Convolutions over word vectors: the seminar's three that halve the text, or Kim's of several widths side by side.

Sources and departures: `networks/cnn.py` and `networks/kim.py`.

Letters: N texts, T steps, B texts of a batch, E numbers in a word vector, H filters, K places of a window.
"""

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rubrica.kernels import windows
from rubrica.kernels.runs import Reading
from rubrica.models.family import Floats, Inputs, NetworkFamily, Shapes, Sizes, Tensors
from rubrica.models.graph import Graph, add_words, drop_padding, pool
from rubrica.models.reading import batches, read_words, threads_for, tokens_of
from rubrica.models.storage import take_rows
from rubrica.text.batching import pad_batch

_BATCH_NORM_EPS = 1e-5  # torch's default, which the networks keep
_PLACES = 3  # of the seminar's convolutions


class Convolutional(NetworkFamily, frozen=True, kw_only=True):
    """A network of convolutions."""

    unfit: ClassVar[tuple[str, ...]] = ("last", "attention")

    kernel_sizes: tuple[Annotated[int, Meta(ge=1, le=1024)], ...] = ()
    """Widths of the convolutions in tokens, side by side (Kim's are 3, 4, 5), with hidden_size filters each. Without
    any the network is the seminar's, of three layers."""

    def shapes(self, sizes: Sizes) -> Shapes:
        """See `Family.shapes`."""
        dim, hidden = self.embedding_dim, self.hidden_size
        shapes: Shapes = {"embedding.weight": (sizes.vocab_size, dim)}
        for i, size in enumerate(self.kernel_sizes):
            shapes |= {f"convs.{i}.weight": (hidden, dim, size), f"convs.{i}.bias": (hidden,)}
        for block, width in enumerate([] if self.kernel_sizes else [dim, hidden, hidden]):
            shapes |= {f"convs.{block}.weight": (hidden, width, _PLACES), f"convs.{block}.bias": (hidden,)}
            shapes |= {f"norms.{block}.{name}": (hidden,) for name in ("weight", "bias", "running_mean", "running_var")}
        features = self.num_features * (len(self.kernel_sizes) or 1)
        return shapes | {"head.weight": (sizes.num_classes, features), "head.bias": (sizes.num_classes,)}

    def features(self, tensors: Tensors, inputs: Inputs) -> Floats:
        """The pooled filters, (N, F)."""
        if self.kernel_sizes:
            return self._read_widths(tensors, inputs)
        features = np.empty((len(tokens_of(inputs)), tensors["head.weight"].shape[1]), tensors["head.weight"].dtype)
        for rows in batches(inputs, masked=self.mask_padding):
            ids, lengths = pad_batch(tokens_of(inputs), rows)
            states, real = _convolve(tensors, ids, lengths if self.mask_padding else None)
            features[rows] = _POOLINGS[self.pooling](states, real)
        return features

    def _read_widths(self, tensors: Tensors, inputs: Inputs) -> Floats:
        vectors, rows, starts, lengths = read_words(tensors, inputs, masked=self.mask_padding)
        reading, threads = Reading("cnn", self.pooling, rows, starts, lengths), threads_for(len(rows))
        features = []
        for i, places in enumerate(self.kernel_sizes):
            weight, bias = (tensors[f"convs.{i}.{name}"] for name in ("weight", "bias"))
            projected = windows.project(vectors, weight, threads=threads)
            features.append(windows.forward(reading, projected, bias, places, threads=threads)[0])
        return np.hstack(features)

    def add_to_graph(self, graph: Graph, tensors: Tensors) -> str:
        """See `Family.add_to_graph`."""
        x = add_words(graph, tensors)
        if self.kernel_sizes:
            return self._add_widths(graph, tensors, x)
        x, lengths = _add_convolutions(graph, tensors, x, masked=self.mask_padding)
        return pool(graph, x, lengths if self.mask_padding else None, self.pooling)

    def _add_widths(self, graph: Graph, tensors: Tensors, x: str) -> str:
        """Features (B, widths * H) of vectors (T, B, E): each width's filters over each text's own windows."""
        zero, one = graph.constant("zero", 0), graph.constant("one", 1)
        lengths = "lengths"
        if self.mask_padding:
            x = drop_padding(graph, x, lengths)
        else:  # every text is as long as the longest
            steps = graph.add("Gather", graph.add("Shape", x), zero, axis=0)
            lengths = graph.add("Expand", steps, graph.add("Shape", lengths))
        x = graph.add("Transpose", x, perm=[1, 2, 0])  # (B, E, T)
        features = []
        for i, places in enumerate(self.kernel_sizes):
            conv = [graph.constant(f"convs.{i}.{name}", tensors[f"convs.{i}.{name}"]) for name in ("weight", "bias")]
            states = graph.add("Relu", graph.add("Conv", x, *conv, kernel_shape=[places], pads=[0, places - 1]))
            less = graph.add("Sub", lengths, graph.constant(f"less_{places}", places - 1))
            # As many windows as fit, one where none does, and none in a text without words.
            counts = graph.add("Min", graph.add("Max", less, one), lengths)
            features.append(pool(graph, graph.add("Transpose", states, perm=[2, 0, 1]), counts, self.pooling))
        return graph.add("Concat", *features, axis=1)


def _add_convolutions(graph: Graph, tensors: Tensors, x: str, *, masked: bool) -> tuple[str, str]:
    """The last features (T, B, H) of vectors (T, B, E), and how many of the steps each text still has."""
    lengths = "lengths"
    x = graph.add("Transpose", drop_padding(graph, x, lengths) if masked else x, perm=[1, 2, 0])  # (B, E, T)
    block = 0
    while f"convs.{block}.weight" in tensors:
        conv = [
            graph.constant(f"convs.{block}.{name}", tensors[f"convs.{block}.{name}"]) for name in ("weight", "bias")
        ]
        x = graph.add("Conv", x, *conv, kernel_shape=[3], strides=[2], pads=[1, 1])
        names = [f"norms.{block}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
        norm = [graph.constant(name, tensors[name]) for name in names]
        x = graph.add("Relu", graph.add("BatchNormalization", x, *norm, epsilon=_BATCH_NORM_EPS))
        if masked:
            more = graph.add("Add", lengths, graph.constant("one", 1))
            lengths = graph.add("Div", more, graph.constant("two", 2))
            steps_first = graph.add("Transpose", x, perm=[2, 0, 1])
            x = graph.add("Transpose", drop_padding(graph, steps_first, lengths), perm=[1, 2, 0])
        block += 1
    return graph.add("Transpose", x, perm=[2, 0, 1]), lengths


def _convolve(
    tensors: Tensors, ids: NDArray[np.int64], lengths: NDArray[np.int64] | None
) -> tuple[Floats, NDArray[np.int64] | None]:
    """The CNN's last features (T, B, H), and how many of the steps each text still has."""
    x: Floats = take_rows(tensors, "embedding.weight", ids)  # (B, T, E)
    if lengths is not None:
        x = x * _real(lengths, x.shape[1]).T[..., None]
    block = 0
    while f"convs.{block}.weight" in tensors:
        kernel = tensors[f"convs.{block}.weight"]  # (H, E, 3)
        padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        steps = (x.shape[1] + 1) // 2
        # The window at step t holds tokens 2t-1, 2t, 2t+1; one product per place in the window.
        windows = [padded[:, k : k + 2 * steps - 1 : 2] @ kernel[:, :, k].T for k in range(3)]
        x = windows[0] + windows[1] + windows[2] + tensors[f"convs.{block}.bias"]
        mean, variance = tensors[f"norms.{block}.running_mean"], tensors[f"norms.{block}.running_var"]
        x = (x - mean) / np.sqrt(variance + np.float32(_BATCH_NORM_EPS))
        x = np.maximum(x * tensors[f"norms.{block}.weight"] + tensors[f"norms.{block}.bias"], 0)
        if lengths is not None:
            lengths = (lengths + 1) // 2
            x = x * _real(lengths, steps).T[..., None]
        block += 1
    return x.transpose(1, 0, 2), lengths


def _real(lengths: NDArray[np.int64], num_steps: int) -> NDArray[np.bool_]:
    """True at the steps of real tokens, (T, B)."""
    return np.arange(num_steps)[:, None] < lengths


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


def _pool_average_max(states: Floats, lengths: NDArray[np.int64] | None) -> Floats:
    return np.hstack([_pool_average(states, lengths), _pool_max(states, lengths)])


_POOLINGS = {"max": _pool_max, "average": _pool_average, "average_max": _pool_average_max}
