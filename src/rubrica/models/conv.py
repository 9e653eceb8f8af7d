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
from rubrica.models.family import Floats, Inputs, NetworkFamily, Shapes, Sizes
from rubrica.models.graph import Graph, add_words, drop_padding, pool
from rubrica.models.reading import batches, read_words, threads_for, tokens_of
from rubrica.models.storage import Tensors, take_rows
from rubrica.text.batching import pad_batch

_BATCH_NORM_EPS = 1e-5  # torch's default, which the networks keep
BLOCKS, PLACES = 3, 3  # the seminar's convolutions, and the places of their windows


class Convolutional(NetworkFamily, frozen=True, kw_only=True):
    """A network of convolutions."""

    unfit: ClassVar[tuple[str, ...]] = ("last", "attention")

    kernel_sizes: tuple[Annotated[int, Meta(ge=1, le=1024)], ...] = ()
    """Widths of the convolutions in tokens, side by side (Kim's are 3, 4, 5), with hidden_size filters each. Without
    any the network is the seminar's, of three layers."""

    def shapes(self, sizes: Sizes) -> Shapes:
        dim, hidden = self.embedding_dim, self.hidden_size
        shapes: Shapes = {"embedding.weight": (sizes.vocab_size, dim)}
        for i, size in enumerate(self.kernel_sizes):
            shapes |= {f"convs.{i}.weight": (hidden, dim, size), f"convs.{i}.bias": (hidden,)}
        for block, width in enumerate([] if self.kernel_sizes else [dim, *[hidden] * (BLOCKS - 1)]):
            shapes |= {f"convs.{block}.weight": (hidden, width, PLACES), f"convs.{block}.bias": (hidden,)}
            shapes |= dict.fromkeys(_norm(block), (hidden,))
        features = self.num_features * (len(self.kernel_sizes) or 1)
        return shapes | {"head.weight": (sizes.num_classes, features), "head.bias": (sizes.num_classes,)}

    def features(self, tensors: Tensors, inputs: Inputs) -> Floats:
        """The pooled filters, (N, F)."""
        if self.kernel_sizes:
            return self._read_widths(tensors, inputs)
        tokens, head = tokens_of(inputs), tensors["head.weight"]
        features = np.empty((len(tokens), head.shape[1]), head.dtype)
        for rows in batches(inputs, masked=self.mask_padding):
            ids, lengths = pad_batch(tokens, rows)
            if not self.mask_padding:
                lengths[:] = ids.shape[1]
            features[rows] = self._convolve(tensors, ids, lengths)
        return features

    def _convolve(self, tensors: Tensors, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
        """The seminar's features (B, F) of ids (B, T)."""
        x: Floats = take_rows(tensors, "embedding.weight", ids) * _real(lengths, ids.shape[1])
        for block in range(BLOCKS):
            kernel = tensors[f"convs.{block}.weight"]  # (H, E, 3)
            padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
            steps = (x.shape[1] + 1) // 2
            # The window at step t holds tokens 2t-1, 2t, 2t+1: one product for each place.
            pieces = [padded[:, k : k + 2 * steps - 1 : 2] @ kernel[:, :, k].T for k in range(PLACES)]
            x = pieces[0] + pieces[1] + pieces[2] + tensors[f"convs.{block}.bias"]
            weight, bias, mean, variance = (tensors[name] for name in _norm(block))
            x = (x - mean) / np.sqrt(variance + np.float32(_BATCH_NORM_EPS))
            lengths = (lengths + 1) // 2
            x = np.maximum(x * weight + bias, 0) * _real(lengths, steps)
        # The layout decides in which order numbers are added. It is the one that stored models were scored with.
        states = x.transpose(1, 0, 2).copy("C" if self.mask_padding else "K")
        average = states.sum(axis=0) / np.maximum(lengths, 1).astype(x.dtype)[:, None]
        pooled = {"average": average, "max": states.max(axis=0)}  # after the relu nothing is below the padding's zeros
        return np.hstack([pooled[name] for name in self.pooling.split("_")])

    def _read_widths(self, tensors: Tensors, inputs: Inputs) -> Floats:
        vectors, rows, starts, lengths = read_words(tensors, inputs, masked=self.mask_padding)
        reading, threads = Reading("cnn", self.pooling, rows, starts, lengths), threads_for(len(rows))
        features = []
        for i, places in enumerate(self.kernel_sizes):
            weight, bias = (tensors[f"convs.{i}.{name}"] for name in ("weight", "bias"))
            projected = windows.project(vectors, weight, threads=threads)
            features.append(windows.forward(reading, projected, bias, places, threads=threads)[0])
        return np.hstack(features)

    def add_to_graph(self, graph: Graph) -> str:
        x, lengths = add_words(graph, masked=self.mask_padding)
        if self.kernel_sizes:
            return self._add_widths(graph, x, lengths)
        for block in range(BLOCKS):
            conv = graph.weights(f"convs.{block}.weight", f"convs.{block}.bias")
            x = graph.add("Transpose", drop_padding(graph, x, lengths), perm=[1, 2, 0])  # (B, E, T)
            x = graph.add("Conv", x, *conv, kernel_shape=[PLACES], strides=[2], pads=[1, 1])
            x = graph.add("BatchNormalization", x, *graph.weights(*_norm(block)), epsilon=_BATCH_NORM_EPS)
            x = graph.add("Transpose", graph.add("Relu", x), perm=[2, 0, 1])
            lengths = graph.add("Div", graph.add("Add", lengths, 1), 2)
        return pool(graph, x, lengths, self.pooling)

    def _add_widths(self, graph: Graph, x: str, lengths: str) -> str:
        """Features (B, widths * H) of vectors (T, B, E): each width's filters over each text's own windows."""
        x = graph.add("Transpose", drop_padding(graph, x, lengths), perm=[1, 2, 0])  # (B, E, T)
        features = []
        for i, places in enumerate(self.kernel_sizes):
            conv = graph.weights(f"convs.{i}.weight", f"convs.{i}.bias")
            states = graph.add("Relu", graph.add("Conv", x, *conv, kernel_shape=[places], pads=[0, places - 1]))
            # As many windows as fit, one where none does, and none in a text without words.
            counts = graph.add("Min", graph.add("Max", graph.add("Sub", lengths, places - 1), 1), lengths)
            features.append(pool(graph, graph.add("Transpose", states, perm=[2, 0, 1]), counts, self.pooling))
        return graph.add("Concat", *features, axis=1)


def _norm(block: int) -> list[str]:
    return [f"norms.{block}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]


def _real(lengths: NDArray[np.int64], num_steps: int) -> NDArray[np.bool_]:
    """True at the steps of real tokens, (B, T, 1)."""
    return (np.arange(num_steps) < lengths[:, None])[..., None]
