"""An ONNX graph in the making, and the nodes that more than one family needs.

Source of the operators: https://onnx.ai/onnx/operators/.

Letters: E numbers in a word vector, T steps, B texts, H hidden units or filters, F features.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.models.storage import from_bfloat16, scale_name, take_rows


class Graph:
    """Nodes and constants in the making; every method returns the name of its (last) result."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One node; `name` is its result's, or `outputs` are all of its results'."""
        names = attributes.pop("outputs", [attributes.pop("name", f"{operator.lower()}_{len(self.nodes)}")])
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), list(names), **attributes))
        return names[-1]

    def constant(self, name: str, values: NDArray[Any] | list[int] | int | float) -> str:
        """A tensor that is part of the graph."""
        if isinstance(values, float):
            values = np.array(values, np.float32)
        elif not isinstance(values, np.ndarray):
            values = np.array(values, np.int64)
        if values.dtype == np.uint16:  # numpy's stand-in for bfloat16
            dtype = self.onnx.TensorProto.BFLOAT16
            tensor = self.onnx.helper.make_tensor(name, dtype, values.shape, values.tobytes(), raw=True)
        else:
            tensor = self.onnx.numpy_helper.from_array(np.asarray(values, order="C"), name)
        self.constants[name] = tensor
        return name


def look_up(graph: Graph, weights: Mapping[str, NDArray[Any]], name: str, rows: str) -> str:
    """Rows (B, T, E) of a table by their numbers (B, T)."""
    table, scale = weights[name], weights.get(scale_name(name))
    if table.dtype == np.uint8 and scale is not None:  # two codes a byte: ONNX gets one
        steps = from_bfloat16(scale)[:, None]
        table = np.rint(take_rows(weights, name, np.arange(len(table))) / np.where(steps > 0, steps, 1)).astype(np.int8)
    vectors = graph.add("Gather", graph.constant(name, table), rows)
    if table.dtype != np.float32:
        vectors = graph.add("Cast", vectors, to=graph.onnx.TensorProto.FLOAT)
    if scale is not None:
        scales = graph.add("Gather", graph.constant(scale_name(name), from_bfloat16(scale)[:, None]), rows)
        vectors = graph.add("Mul", vectors, scales)
    return vectors


def sum_over_time(graph: Graph, x: str) -> str:
    """The sum of x (T, B, H) over its steps, (B, H)."""
    return graph.add("ReduceSum", x, graph.constant("axis_0", [0]), keepdims=0)


def compared(graph: Graph, operator: str, x: str, lengths: str) -> str:
    """Whether each step of x (T, B, H) is `operator` ("Less", "Equal") to the text's number in `lengths`; (T, B, 1)."""
    zero, one = graph.constant("zero", 0), graph.constant("one", 1)
    count = graph.add("Gather", graph.add("Shape", x), zero, axis=0)
    steps = graph.add("Unsqueeze", graph.add("Range", zero, count, one), graph.constant("axis_1", [1]))
    mask = graph.add(operator, steps, graph.add("Unsqueeze", lengths, graph.constant("axis_0", [0])))
    return graph.add("Unsqueeze", mask, graph.constant("axis_2", [2]))


def drop_padding(graph: Graph, x: str, lengths: str) -> str:
    """X (T, B, H) with zeros behind the end of each text."""
    return graph.add("Where", compared(graph, "Less", x, lengths), x, graph.constant("nothing", 0.0))


def pool(graph: Graph, states: str, lengths: str | None, pooling: str) -> str:
    """Features (B, F) of states (T, B, H); zeros where a text has no tokens."""
    if pooling == "average_max":
        both = [pool(graph, states, lengths, one) for one in ("average", "max")]
        return graph.add("Concat", *both, axis=1)
    if lengths is None and pooling == "last":
        return graph.add("Gather", states, graph.constant("minus_one", -1), axis=0)
    time = graph.constant("axis_0", [0])
    if lengths is None:
        return graph.add("ReduceMax" if pooling == "max" else "ReduceMean", states, time, keepdims=0)
    nothing = graph.constant("nothing", 0.0)
    column = graph.add("Unsqueeze", lengths, graph.constant("axis_1", [1]))  # (B, 1)
    if pooling == "max":
        real = compared(graph, "Less", states, lengths)
        lowest = graph.constant("lowest", float(np.finfo(np.float32).min))
        largest = graph.add("ReduceMax", graph.add("Where", real, states, lowest), time, keepdims=0)
        return graph.add("Where", graph.add("Greater", column, graph.constant("zero", 0)), largest, nothing)
    if pooling == "last":  # of a text without tokens no step is the last: the sum is 0
        last = graph.add("Sub", lengths, graph.constant("one", 1))
        picked = graph.add("Where", compared(graph, "Equal", states, last), states, nothing)
        return sum_over_time(graph, picked)
    total = sum_over_time(graph, drop_padding(graph, states, lengths))
    count = graph.add("Max", column, graph.constant("one", 1))
    return graph.add("Div", total, graph.add("Cast", count, to=graph.onnx.TensorProto.FLOAT))


def add_words(graph: Graph, weights: Mapping[str, NDArray[Any]]) -> str:
    """The vectors (T, B, E) of the graph's input `ids`, time first."""
    return graph.add("Transpose", look_up(graph, weights, "embedding.weight", "ids"), perm=[1, 0, 2])
