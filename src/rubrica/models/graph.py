"""An ONNX graph in the making, and the nodes that more than one family needs.

Source of the operators: https://onnx.ai/onnx/operators/.

Letters: E numbers in a word vector, T steps, B texts, H hidden units or filters, F features.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.models.storage import Tensors, from_bfloat16, scale_name, take_rows

LOWEST = float(np.finfo(np.float32).min)


class Graph:
    """Nodes and constants in the making; every method returns the name of its (last) result.

    Args:
        onnx: The library.
        tensors: The weights of the model.
    """

    def __init__(self, onnx: Any, tensors: Tensors) -> None:
        self.onnx, self.tensors = onnx, tensors
        self.nodes: list[Any] = []
        self.inputs: dict[str, list[str]] = {}
        self.constants: dict[str, Any] = {}

    def add(self, operator: str, *inputs: str | int | float | list[int], **attributes: Any) -> str:
        """One node; `name` is its result's, or `outputs` are all of its results'. Numbers become constants."""
        names = attributes.pop("outputs", [attributes.pop("name", f"{operator.lower()}_{len(self.nodes)}")])
        given = [value if isinstance(value, str) else self.constant(str(value), value) for value in inputs]
        self.nodes.append(self.onnx.helper.make_node(operator, given, list(names), **attributes))
        return names[-1]

    def input(self, name: str, *shape: str) -> str:
        """Whole numbers that the graph is given; the sizes in `shape` have names, and fit whatever comes."""
        self.inputs[name] = list(shape)
        return name

    def constant(self, name: str, values: NDArray[Any] | list[int] | int | float) -> str:
        """A tensor that is part of the graph."""
        if not isinstance(values, np.ndarray):
            values = np.array(values, np.float32 if isinstance(values, float) else np.int64)
        if values.dtype == np.uint16:  # numpy's stand-in for bfloat16
            dtype = self.onnx.TensorProto.BFLOAT16
            tensor = self.onnx.helper.make_tensor(name, dtype, values.shape, values.tobytes(), raw=True)
        else:
            tensor = self.onnx.numpy_helper.from_array(np.asarray(values, order="C"), name)
        self.constants[name] = tensor
        return name

    def weights(self, *names: str) -> list[str]:
        """Some of the model's tensors, as constants of the same names."""
        return [self.constant(name, self.tensors[name]) for name in names]


def look_up(graph: Graph, name: str, rows: str) -> str:
    """Rows (B, T, E) of a table by their numbers (B, T)."""
    table, scale = graph.tensors[name], graph.tensors.get(scale_name(name))
    if table.dtype == np.uint8 and scale is not None:  # two codes a byte: ONNX gets one
        steps = from_bfloat16(scale)[:, None]
        table = np.rint(take_rows(graph.tensors, name) / np.where(steps > 0, steps, 1)).astype(np.int8)
    vectors = graph.add("Gather", graph.constant(name, table), rows)
    if table.dtype != np.float32:
        vectors = graph.add("Cast", vectors, to=graph.onnx.TensorProto.FLOAT)
    if scale is not None:
        scales = graph.add("Gather", graph.constant(scale_name(name), from_bfloat16(scale)[:, None]), rows)
        vectors = graph.add("Mul", vectors, scales)
    return vectors


def add_words(graph: Graph, *, masked: bool = True) -> tuple[str, str]:
    """The vectors (T, B, E) of the input `ids`, time first, and how many steps each text has, (B,), from `lengths`.

    Where padding is read as words, every text is as long as the longest.
    """
    ids, lengths = graph.input("ids", "batch", "length"), graph.input("lengths", "batch")
    x = graph.add("Transpose", look_up(graph, "embedding.weight", ids), perm=[1, 0, 2])
    if masked:
        return x, lengths
    return x, graph.add("Expand", count_steps(graph, x), graph.add("Shape", lengths))


def count_steps(graph: Graph, x: str) -> str:
    """T of x (T, B, H), a scalar."""
    return graph.add("Gather", graph.add("Shape", x), 0, axis=0)


def sum_over_time(graph: Graph, x: str) -> str:
    """The sum of x (T, B, H) over its steps, (B, H)."""
    return graph.add("ReduceSum", x, [0], keepdims=0)


def compared(graph: Graph, operator: str, x: str, lengths: str) -> str:
    """Whether each step of x (T, B, H) is `operator` ("Less", "Equal") to the text's number in `lengths`; (T, B, 1)."""
    steps = graph.add("Unsqueeze", graph.add("Range", 0, count_steps(graph, x), 1), [1, 2])
    return graph.add(operator, steps, graph.add("Unsqueeze", lengths, [0, 2]))


def drop_padding(graph: Graph, x: str, lengths: str) -> str:
    """X (T, B, H) with zeros behind the end of each text."""
    return graph.add("Where", compared(graph, "Less", x, lengths), x, 0.0)


def pool(graph: Graph, states: str, lengths: str, pooling: str) -> str:
    """Features (B, F) of states (T, B, H); zeros where a text has no tokens."""
    if pooling == "average_max":
        return graph.add("Concat", *[pool(graph, states, lengths, one) for one in ("average", "max")], axis=1)
    if pooling == "last":  # of a text without tokens no step is the last: the sum is 0
        is_last = compared(graph, "Equal", states, graph.add("Sub", lengths, 1))
        return sum_over_time(graph, graph.add("Where", is_last, states, 0.0))
    column = graph.add("Unsqueeze", lengths, [1])  # (B, 1)
    if pooling == "max":
        own = graph.add("Where", compared(graph, "Less", states, lengths), states, LOWEST)
        return graph.add("Where", graph.add("Greater", column, 0), graph.add("ReduceMax", own, [0], keepdims=0), 0.0)
    count = graph.add("Cast", graph.add("Max", column, 1), to=graph.onnx.TensorProto.FLOAT)
    return graph.add("Div", sum_over_time(graph, drop_padding(graph, states, lengths)), count)
