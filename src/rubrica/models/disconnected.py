"""A GRU that starts anew in a window at each word, a linear layer, pooling over time: the disconnected network.

Source and departures: `networks/drnn.py`. A window is to the recurrent kernel just another text, which ends at a word.

Letters: N texts, T steps, B texts of a batch, E numbers in a word vector, H hidden units, K tokens of a window.
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta

from rubrica.kernels import recurrent, runs
from rubrica.models.family import Floats, Inputs, NetworkFamily, Shapes, Sizes
from rubrica.models.graph import Graph, add_words, count_steps, pool, sum_over_time
from rubrica.models.reading import read_words, threads_for
from rubrica.models.recurrent import add_recurrence
from rubrica.models.storage import Tensors
from rubrica.text.batching import iter_rows

_TEXTS = 256  # read together; more only cost memory


class Disconnected(NetworkFamily, frozen=True, kw_only=True):
    """A network of windows that a GRU reads."""

    unfit: ClassVar[tuple[str, ...]] = ("attention",)

    window: Annotated[int, Meta(ge=1, le=1024)] = 15
    """K, the words that a state knows: those up to its own."""
    init: Literal["torch", "uniform01"] = "torch"
    """See `Recurrent.init`."""

    def shapes(self, sizes: Sizes) -> Shapes:
        dim, hidden, gates = self.embedding_dim, self.hidden_size, 3 * self.hidden_size
        return {
            "embedding.weight": (sizes.vocab_size, dim),
            "mlp.weight": (hidden, hidden),
            "mlp.bias": (hidden,),
            "cell.weight_ih_l0": (gates, dim),
            "cell.bias_ih_l0": (gates,),
            "cell.weight_hh_l0": (gates, hidden),
            "cell.bias_hh_l0": (gates,),
            "head.weight": (sizes.num_classes, self.num_features),
            "head.bias": (sizes.num_classes,),
        }

    def features(self, tensors: Tensors, inputs: Inputs) -> Floats:
        """The pooled output of the linear layer, (N, F)."""
        vectors, rows, starts, lengths = read_words(tensors, inputs, masked=self.mask_padding)
        of_words = tensors["cell.weight_ih_l0"], tensors["cell.bias_ih_l0"]
        of_states = tensors["cell.weight_hh_l0"], tensors["cell.bias_hh_l0"]
        projected = recurrent.project("gru", vectors, *of_words, threads=threads_for(len(rows)))
        features = np.empty((len(lengths), tensors["head.weight"].shape[1]), vectors.dtype)
        for texts in iter_rows(np.arange(len(lengths)), _TEXTS):
            counts = lengths[texts]
            owners = np.repeat(np.arange(len(texts)), counts)
            ends = np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]
            sizes = np.minimum(ends + 1, self.window)
            reading = runs.Reading("gru", "last", rows, starts[texts][owners] + ends + 1 - sizes, sizes)
            states = recurrent.forward(reading, projected, *of_states, threads=threads_for(int(sizes.sum())))[0]
            states = np.maximum(states @ tensors["mlp.weight"].T + tensors["mlp.bias"], 0)
            features[texts] = runs.pool_runs(self.pooling, states, counts)
        return features

    def add_to_graph(self, graph: Graph) -> str:
        x, lengths = add_words(graph, masked=self.mask_padding)
        return pool(graph, self._add_windows(graph, x), lengths, self.pooling)

    def _add_windows(self, graph: Graph, x: str) -> str:
        """The linear layer (T, B, H) on a gru over the K words up to each one, of vectors (T, B, E)."""
        count, window = count_steps(graph, x), self.window
        ends = graph.add("Unsqueeze", graph.add("Range", 0, count, 1), [0])  # (1, T)
        starts = graph.add("Max", graph.add("Sub", ends, window - 1), 0)
        column = graph.constant("in_window", np.arange(window)[:, None])
        places = graph.add("Min", graph.add("Add", starts, column), graph.add("Sub", count, 1))  # (K, T)
        by_window = graph.add("Gather", x, places, axis=0)  # (K, T, B, E)
        flat = graph.add("Reshape", by_window, [window, -1, self.embedding_dim])
        states = add_recurrence(graph, flat, "gru", self.hidden_size, "l0")  # (K, T * B, H)
        shape = graph.add("Concat", [window], graph.add("Shape", x, start=0, end=2), [self.hidden_size], axis=0)
        states = graph.add("Reshape", states, shape)  # (K, T, B, H)
        is_last = graph.add("Unsqueeze", graph.add("Equal", column, graph.add("Sub", ends, starts)), [2, 3])
        picked = sum_over_time(graph, graph.add("Where", is_last, states, 0.0))
        product = graph.add("MatMul", picked, graph.constant("mlp.weight", graph.tensors["mlp.weight"].T))
        return graph.add("Relu", graph.add("Add", product, *graph.weights("mlp.bias")))
