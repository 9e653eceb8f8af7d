"""RNN, GRU, LSTM and minimal GRU: read a text word by word, from one end or both, and pool the states.

The formulas are those of `networks/cells.py` and `networks/mingru.py`. What a word adds to the gates is computed once
per distinct word of a call. Gates go by (r, z, n) and (i, f, g, o) in torch, by (z, r, h) and (i, o, f, c) in ONNX;
torch applies r to the product with the state, which ONNX calls `linear_before_reset`.

Letters: N texts, T steps, B texts of a batch, E numbers in a word vector, H hidden units.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import mingru, recurrent, runs
from rubrica.models.family import Floats, Inputs, NetworkFamily, Shapes, Sizes, Tensors
from rubrica.models.graph import Graph, add_words, compared, drop_padding, pool, sum_over_time
from rubrica.models.reading import read_words, threads_for

_GATES = {"rnn": 1, "gru": 3, "lstm": 4, "mingru": 2}
_GATE_ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}  # ONNX's gates by their place in torch


class Recurrent(NetworkFamily, frozen=True, kw_only=True):
    """A recurrent network; its name is that of its cell."""

    bidirectional: bool = True
    """Read each text from its end too, with parameters of its own."""
    init: Literal["torch", "uniform01"] = "torch"
    """Recurrent parameters start from U(-1/sqrt(H), 1/sqrt(H)) as in torch, or from U[0, 1) as in the seminar."""

    @property
    def directions(self) -> tuple[str, ...]:
        """How torch names the parameters of each direction of reading."""
        return ("l0", "l0_reverse") if self.bidirectional else ("l0",)

    def shapes(self, sizes: Sizes) -> Shapes:
        """See `Family.shapes`."""
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
        parts = []
        for i, way in enumerate(self.directions):
            reading = runs.Reading(self.name, self.pooling, rows, starts, lengths, reverse=i == 1)
            u = tensors["attention.weight"][i] if self.pooling == "attention" else None
            read = self._read_minimal if self.name == "mingru" else self._read
            parts.append(read(tensors, vectors, reading, way, u))
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    def _read(self, tensors: Tensors, vectors: Floats, reading: runs.Reading, way: str, u: Floats | None) -> Floats:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w_ih, w_hh, b_ih, b_hh = (tensors[f"cell.{name}_{way}"] for name in names)
        threads = threads_for(len(reading.rows))
        projected = recurrent.project(self.name, vectors, w_ih, b_ih, threads=threads)
        return recurrent.forward(reading, projected, w_hh, b_hh, u, threads=threads)[0]

    def _read_minimal(
        self, tensors: Tensors, vectors: Floats, reading: runs.Reading, way: str, u: Floats | None
    ) -> Floats:
        weight, bias, threads = (
            tensors[f"cell.weight_ih_{way}"],
            tensors[f"cell.bias_ih_{way}"],
            threads_for(len(reading.rows)),
        )
        gates = mingru.make_gates(vectors, weight, bias, threads=threads)
        if u is None:
            return mingru.forward(reading, gates, self.hidden_size, threads=threads)[0]
        return runs.attend_runs(mingru.states(reading, gates, self.hidden_size, threads=threads), reading.lengths, u)

    def add_to_graph(self, graph: Graph, tensors: Tensors) -> str:
        """See `Family.add_to_graph`."""
        x, parts = add_words(graph, tensors), []
        for i, way in enumerate(self.directions):
            read = _flip(graph, x, masked=self.mask_padding) if i else x
            walk = _minimal if self.name == "mingru" else add_recurrence
            states = walk(graph, tensors, read, self.name, self.hidden_size, way)
            if self.pooling == "attention":
                u = graph.constant(f"attention.{way}", tensors["attention.weight"][i][:, None])
                parts.append(_attend(graph, states, u, masked=self.mask_padding))
            else:
                parts.append(pool(graph, states, "lengths" if self.mask_padding else None, self.pooling))
        return graph.add("Concat", *parts, axis=1)


def add_recurrence(graph: Graph, tensors: Tensors, x: str, name: str, hidden_size: int, way: str) -> str:
    """States (T, B, H) of vectors (T, B, E) in the order of reading, by the parameters of one of `DIRECTIONS`."""

    def by_onnx(parameter: str) -> NDArray[Any]:
        gates = np.split(tensors[f"cell.{parameter}_{way}"], len(_GATE_ORDER[name]))
        return np.concatenate([gates[i] for i in _GATE_ORDER[name]])

    parameters = [graph.constant(f"cell.{key}_{way}", by_onnx(key)[None]) for key in ("weight_ih", "weight_hh")]
    biases = np.concatenate([by_onnx("bias_ih"), by_onnx("bias_hh")])
    parameters.append(graph.constant(f"cell.bias_{way}", biases[None]))
    extra = {"linear_before_reset": 1} if name == "gru" else {}
    states = graph.add(name.upper(), x, *parameters, hidden_size=hidden_size, **extra)  # (T, 1, B, H)
    return graph.add("Squeeze", states, graph.constant("direction", [1]))


def _flip(graph: Graph, x: str, *, masked: bool) -> str:
    """Vectors (T, B, E) with each text's own steps, or all of them, in the opposite order."""
    if masked:
        return graph.add("ReverseSequence", x, "lengths", time_axis=0, batch_axis=1)
    minus_one, first = graph.constant("minus_ones", [-1]), graph.constant("before_all", [np.iinfo(np.int64).min])
    return graph.add("Slice", x, minus_one, first, graph.constant("axis_0", [0]), minus_one)


def _attend(graph: Graph, states: str, u: str, *, masked: bool) -> str:
    """The mean (B, H) of states (T, B, H) by the softmax of their products with u (H, 1)."""
    scores = graph.add("MatMul", states, u)
    if not masked:
        return sum_over_time(graph, graph.add("Mul", graph.add("Softmax", scores, axis=0), states))
    lowest = graph.constant("lowest", float(np.finfo(np.float32).min))
    own = graph.add("Where", compared(graph, "Less", states, "lengths"), scores, lowest)
    weights = graph.add("Softmax", own, axis=0)
    return sum_over_time(graph, drop_padding(graph, graph.add("Mul", weights, states), "lengths"))


def _minimal(graph: Graph, tensors: Tensors, x: str, _: str, hidden_size: int, way: str) -> str:
    """As `add_recurrence`, for the minimal GRU: a loop over the steps, which ONNX calls Scan."""
    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    gates = []
    for half, gate in enumerate("zn"):
        units = slice(half * hidden_size, (half + 1) * hidden_size)
        weight = graph.constant(f"cell.weight_{gate}_{way}", tensors[f"cell.weight_ih_{way}"][units].T)
        bias = graph.constant(f"cell.bias_{gate}_{way}", tensors[f"cell.bias_ih_{way}"][units])
        gates.append(graph.add("Add", graph.add("MatMul", x, weight), bias))
    stay = graph.add("Sigmoid", graph.add("Neg", gates[0]))
    new = graph.add("Mul", graph.add("Sigmoid", gates[0]), gates[1])
    names = ["before", "stay", "new"]
    values = {name: helper.make_tensor_value_info(name, types.FLOAT, None) for name in (*names, "after", "state")}
    step = [
        helper.make_node("Mul", ["before", "stay"], ["kept"]),
        helper.make_node("Add", ["kept", "new"], ["after"]),
        helper.make_node("Identity", ["after"], ["state"]),
    ]
    body = helper.make_graph(step, "step", [values[name] for name in names], [values["after"], values["state"]])
    texts = graph.add("Slice", graph.add("Shape", x), graph.constant("from_1", [1]), graph.constant("to_2", [2]))
    shape = graph.add("Concat", texts, graph.constant("size", [hidden_size]), axis=0)
    start = graph.add("ConstantOfShape", shape)
    return graph.add(
        "Scan", start, stay, new, outputs=(f"last_state_{way}", f"states_{way}"), body=body, num_scan_inputs=2
    )
