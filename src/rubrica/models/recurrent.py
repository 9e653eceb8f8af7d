"""RNN, GRU, LSTM and minimal GRU: read a text word by word, from one end or both, and pool the states.

The formulas are those of `networks/cells.py` and `networks/mingru.py`. What a word adds to the gates is computed once
per distinct word of a call. Gates go by (r, z, n) and (i, f, g, o) in torch, by (z, r, h) and (i, o, f, c) in ONNX;
torch applies r to the product with the state, which ONNX calls `linear_before_reset`.

Letters: N texts, T steps, B texts of a batch, E numbers in a word vector, H hidden units.
"""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rubrica.config.ranges import OneOf, Range
from rubrica.kernels import mingru, recurrent, runs
from rubrica.models.family import Floats, Inputs, NetworkFamily, Shapes, Sizes
from rubrica.models.graph import LOWEST, Graph, add_words, compared, pool, sum_over_time
from rubrica.models.reading import read_words, threads_for
from rubrica.models.storage import Tensors

_GATES = {**recurrent.GATES, "mingru": 2}
_GATE_ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}  # ONNX's gates by their place in torch


class Recurrent(NetworkFamily, frozen=True, kw_only=True):
    """A recurrent network; its name is that of its cell."""

    searched: ClassVar[dict[str, Range]] = NetworkFamily.searched | {
        "bidirectional": OneOf((False, True)),
        "pooling": OneOf(("average_max", "max")),
    }

    bidirectional: bool = True
    """Read each text from its end too, with parameters of its own."""
    init: Literal["torch", "uniform01"] = "torch"
    """Recurrent parameters start from U(-1/sqrt(H), 1/sqrt(H)) as in torch, or from U[0, 1) as in the seminar."""

    @property
    def directions(self) -> tuple[str, ...]:
        """How torch names the parameters of each direction of reading."""
        return ("l0", "l0_reverse") if self.bidirectional else ("l0",)

    @property
    def can_foresee(self) -> bool:
        return self.name in recurrent.CELLS

    def shapes(self, sizes: Sizes) -> Shapes:
        gates = _GATES[self.name] * self.hidden_size
        shapes: Shapes = {"embedding.weight": (sizes.vocab_size, self.embedding_dim)}
        for way in self.directions:
            shapes |= {f"cell.weight_ih_{way}": (gates, self.embedding_dim), f"cell.bias_ih_{way}": (gates,)}
            if self.name != "mingru":
                shapes |= {f"cell.weight_hh_{way}": (gates, self.hidden_size), f"cell.bias_hh_{way}": (gates,)}
        if self.pooling == "attention":
            shapes["attention.weight"] = (len(self.directions), self.hidden_size)
        features = len(self.directions) * self.num_features
        return shapes | {"head.weight": (sizes.num_classes, features), "head.bias": (sizes.num_classes,)}

    def features(self, tensors: Tensors, inputs: Inputs) -> Floats:
        """Pooled states of each direction side by side, (N, F)."""
        vectors, rows, starts, lengths = read_words(tensors, inputs, masked=self.mask_padding)
        threads, parts = threads_for(len(rows)), []
        for i, way in enumerate(self.directions):
            reading = runs.Reading(self.name, self.pooling, rows, starts, lengths, reverse=i == 1)
            u = tensors["attention.weight"][i] if self.pooling == "attention" else None
            of_words = tensors[f"cell.weight_ih_{way}"], tensors[f"cell.bias_ih_{way}"]
            if self.name != "mingru":
                projected = recurrent.project(self.name, vectors, *of_words, threads=threads)
                of_states = tensors[f"cell.weight_hh_{way}"], tensors[f"cell.bias_hh_{way}"]
                parts.append(recurrent.forward(reading, projected, *of_states, u, threads=threads)[0])
                recurrent.give_back(projected)
                continue
            gates = mingru.make_gates(vectors, *of_words, threads=threads)
            if u is None:
                parts.append(mingru.forward(reading, gates, self.hidden_size, threads=threads)[0])
            else:
                states = mingru.states(reading, gates, self.hidden_size, threads=threads)
                parts.append(runs.attend_runs(states, lengths, u))
        return np.hstack(parts)

    def add_to_graph(self, graph: Graph) -> str:
        x, lengths = add_words(graph, masked=self.mask_padding)
        parts = []
        for i, way in enumerate(self.directions):
            read = graph.add("ReverseSequence", x, lengths, time_axis=0, batch_axis=1) if i else x
            if self.name == "mingru":
                states = _add_minimal(graph, read, self.hidden_size, way)
            else:
                states = add_recurrence(graph, read, self.name, self.hidden_size, way)
            if self.pooling == "attention":
                u = graph.constant(f"attention.{way}", graph.tensors["attention.weight"][i][:, None])
                parts.append(_attend(graph, states, u, lengths))
            else:
                parts.append(pool(graph, states, lengths, self.pooling))
        return graph.add("Concat", *parts, axis=1)


def add_recurrence(graph: Graph, x: str, name: str, hidden_size: int, way: str) -> str:
    """States (T, B, H) of vectors (T, B, E) in the order of reading, by the parameters of a direction."""

    def by_onnx(parameter: str) -> NDArray[Any]:
        gates = np.split(graph.tensors[f"cell.{parameter}_{way}"], _GATES[name])
        return np.concatenate([gates[i] for i in _GATE_ORDER[name]])

    parameters = [graph.constant(f"cell.{key}_{way}", by_onnx(key)[None]) for key in ("weight_ih", "weight_hh")]
    biases = np.concatenate([by_onnx("bias_ih"), by_onnx("bias_hh")])
    parameters.append(graph.constant(f"cell.bias_{way}", biases[None]))
    extra = {"linear_before_reset": 1} if name == "gru" else {}
    states = graph.add(name.upper(), x, *parameters, hidden_size=hidden_size, **extra)  # (T, 1, B, H)
    return graph.add("Squeeze", states, [1])


def _attend(graph: Graph, states: str, u: str, lengths: str) -> str:
    """The mean (B, H) of states (T, B, H) by the softmax of their products with u (H, 1)."""
    is_own = compared(graph, "Less", states, lengths)
    scores = graph.add("Where", is_own, graph.add("MatMul", states, u), LOWEST)
    weighed = graph.add("Mul", graph.add("Softmax", scores, axis=0), states)
    return sum_over_time(graph, graph.add("Where", is_own, weighed, 0.0))


def _add_minimal(graph: Graph, x: str, hidden_size: int, way: str) -> str:
    """As `add_recurrence`, for the minimal GRU: a loop over the steps, which ONNX calls Scan."""
    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    weight = graph.constant(f"cell.weight_{way}", graph.tensors[f"cell.weight_ih_{way}"].T)
    gates = graph.add("Add", graph.add("MatMul", x, weight), *graph.weights(f"cell.bias_ih_{way}"))
    z, candidate = (graph.add("Slice", gates, [first], [first + hidden_size], [2]) for first in (0, hidden_size))
    stay = graph.add("Sigmoid", graph.add("Neg", z))
    new = graph.add("Mul", graph.add("Sigmoid", z), candidate)
    before, stays, news, after, state = (
        helper.make_tensor_value_info(name, types.FLOAT, None) for name in ("before", "stay", "new", "after", "state")
    )
    step = [
        helper.make_node("Mul", ["before", "stay"], ["kept"]),
        helper.make_node("Add", ["kept", "new"], ["after"]),
        helper.make_node("Identity", ["after"], ["state"]),
    ]
    body = helper.make_graph(step, "step", [before, stays, news], [after, state])
    shape = graph.add("Concat", graph.add("Shape", x, start=1, end=2), [hidden_size], axis=0)
    outputs = (f"last_state_{way}", f"states_{way}")
    start = graph.add("ConstantOfShape", shape)
    return graph.add("Scan", start, stay, new, outputs=outputs, body=body, num_scan_inputs=2)
