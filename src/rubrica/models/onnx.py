"""The networks as nodes of an ONNX graph, up to the features that the head sees.

Gates go by (r, z, n) and (i, f, g, o) in torch, by (z, r, h) and (i, o, f, c) in ONNX; torch applies r to the product
with the state, which ONNX calls `linear_before_reset`. Source: https://onnx.ai/onnx/operators/ (GRU, LSTM, RNN).

Letters: V words, E numbers in a word vector, T steps, B texts, H hidden units or filters, K tokens of a window.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.config.settings import ModelConfig
from rubrica.kernels import bag
from rubrica.models.forward import DIRECTIONS, Weights
from rubrica.models.storage import from_bfloat16, scale_name, take_rows

_GATE_ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}  # ONNX's gates by their place in torch
_BATCH_NORM_EPS = 1e-5  # torch's default, which the models keep


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


def add_features(graph: Graph, weights: Weights, config: ModelConfig) -> str:
    """What the head of a network sees, (B, F)."""
    masked = config.mask_padding
    if config.name == "bag":
        return _bag(graph, weights, config.word_ngrams)
    x = graph.add("Transpose", _look_up(graph, weights, "embedding.weight", "ids"), perm=[1, 0, 2])  # (T, B, E)
    lengths = "lengths"
    if config.name == "cnn" and config.kernel_sizes:
        return _windows(graph, weights, x, config, masked=masked)
    if config.name in ("cnn", "drnn"):
        if config.name == "cnn":
            x, lengths = _convolutions(graph, weights, x, masked=masked)
        else:
            x = _disconnected(graph, weights, x, config)
        return _pool(graph, x, lengths if masked else None, config.pooling)
    parts = []
    for i, way in enumerate(DIRECTIONS[config.bidirectional]):
        read = _flip(graph, x, masked=masked) if i else x
        if config.name == "mingru":
            states = _minimal(graph, weights, read, config.hidden_size, way)
        else:
            states = _recurrence(graph, weights, read, config.name, config.hidden_size, way)
        if config.pooling == "attention":
            u = graph.constant(f"attention.{way}", weights["attention.weight"][i][:, None])
            parts.append(_attend(graph, states, u, masked=masked))
        else:
            parts.append(_pool(graph, states, lengths if masked else None, config.pooling))
    return graph.add("Concat", *parts, axis=1)


def _look_up(graph: Graph, weights: Weights, name: str, rows: str) -> str:
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


def _bag(graph: Graph, weights: Weights, word_ngrams: int) -> str:
    """The mean (B, D) of the rows of a text's words and n-grams: `kernels/bag.py` once more, hash and all.

    The hash is arithmetic modulo 2^64, which is the same for numbers with a sign, and those ONNX multiplies.
    """
    types = graph.onnx.TensorProto
    zero, one, half = graph.constant("zero", 0), graph.constant("one", 1), graph.constant("half", 1 << 32)
    factor = graph.constant("factor", np.array(bag.MIX).astype(np.int64))
    num_buckets = len(weights["ngrams.weight"])
    x = graph.add("Transpose", _look_up(graph, weights, "embedding.weight", "ids"), perm=[1, 0, 2])
    total = _sum_over_time(graph, _drop_padding(graph, x, "lengths"))
    count = "lengths"
    numbers = graph.add("Add", "ids", one)
    mixed = graph.add("Mul", numbers, factor)
    for longer in range(1, word_ngrams if num_buckets else 1):
        # The numbers moved to the left: what falls off the end of a text is masked below.
        pads = graph.constant(f"pads_{longer}", [0, 0, 0, longer])
        shift, end = graph.constant(f"shift_{longer}", [longer]), graph.constant("end", [np.iinfo(np.int64).max])
        moved = graph.add("Slice", graph.add("Pad", numbers, pads), shift, end, graph.constant("axis_1", [1]))
        mixed = graph.add("Mul", graph.add("BitwiseXor", mixed, moved), factor)
        unsigned = graph.add("Cast", mixed, to=types.UINT64)
        upper = graph.add("BitShift", unsigned, graph.constant("bits", np.array(32, np.uint64)), direction="RIGHT")
        scaled = graph.add("Mul", graph.add("Cast", upper, to=types.INT64), graph.constant("num_buckets", num_buckets))
        rows = _look_up(graph, weights, "ngrams.weight", graph.add("Div", scaled, half))
        whole = graph.add("Max", graph.add("Sub", "lengths", graph.constant(f"longer_{longer}", longer)), zero)
        x = graph.add("Transpose", rows, perm=[1, 0, 2])
        total = graph.add("Add", total, _sum_over_time(graph, _drop_padding(graph, x, whole)))
        count = graph.add("Add", count, whole)
    column = graph.add("Unsqueeze", graph.add("Max", count, one), graph.constant("axis_1", [1]))
    return graph.add("Div", total, graph.add("Cast", column, to=types.FLOAT))


def _sum_over_time(graph: Graph, x: str) -> str:
    return graph.add("ReduceSum", x, graph.constant("axis_0", [0]), keepdims=0)


def _recurrence(graph: Graph, weights: Weights, x: str, name: str, hidden_size: int, way: str) -> str:
    """States (T, B, H) of vectors (T, B, E) in the order of reading, by the parameters of one of `DIRECTIONS`."""

    def by_onnx(parameter: str) -> NDArray[Any]:
        gates = np.split(weights[f"cell.{parameter}_{way}"], len(_GATE_ORDER[name]))
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
        return _sum_over_time(graph, graph.add("Mul", graph.add("Softmax", scores, axis=0), states))
    lowest = graph.constant("lowest", float(np.finfo(np.float32).min))
    own = graph.add("Where", _compared(graph, "Less", states, "lengths"), scores, lowest)
    weights = graph.add("Softmax", own, axis=0)
    return _sum_over_time(graph, _drop_padding(graph, graph.add("Mul", weights, states), "lengths"))


def _minimal(graph: Graph, weights: Weights, x: str, hidden_size: int, way: str) -> str:
    """As `_recurrence`, of the minimal GRU: a loop over the steps, which ONNX calls Scan."""
    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    gates = []
    for half, gate in enumerate("zn"):
        units = slice(half * hidden_size, (half + 1) * hidden_size)
        weight = graph.constant(f"cell.weight_{gate}_{way}", weights[f"cell.weight_ih_{way}"][units].T)
        bias = graph.constant(f"cell.bias_{gate}_{way}", weights[f"cell.bias_ih_{way}"][units])
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


def _disconnected(graph: Graph, weights: Weights, x: str, config: ModelConfig) -> str:
    """The linear layer (T, B, H) on a gru over the K words up to each one, of vectors (T, B, E)."""
    zero, one, window = graph.constant("zero", 0), graph.constant("one", 1), config.window
    shape = graph.add("Shape", x)
    count = graph.add("Gather", shape, zero, axis=0)
    ends = graph.add("Unsqueeze", graph.add("Range", zero, count, one), graph.constant("axis_0", [0]))  # (1, T)
    starts = graph.add("Max", graph.add("Sub", ends, graph.constant("before", window - 1)), zero)
    column = graph.constant("in_window", np.arange(window)[:, None])
    places = graph.add("Min", graph.add("Add", starts, column), graph.add("Sub", count, one))  # (K, T)
    by_window = graph.add("Gather", x, places, axis=0)  # (K, T, B, E)
    flat = graph.add("Reshape", by_window, graph.constant("flat", [window, -1, config.embedding_dim]))
    states = _recurrence(graph, weights, flat, "gru", config.hidden_size, "l0")  # (K, T * B, H)
    counts = graph.add("Slice", shape, graph.constant("axis_0", [0]), graph.constant("two", [2]))  # T, B
    unflat = graph.add(
        "Concat", graph.constant("width", [window]), counts, graph.constant("size", [config.hidden_size]), axis=0
    )
    states = graph.add("Reshape", states, unflat)
    is_last = graph.add("Equal", column, graph.add("Sub", ends, starts))  # (K, T)
    axes = graph.constant("last_axes", [2, 3])
    picked = graph.add("Where", graph.add("Unsqueeze", is_last, axes), states, graph.constant("nothing", 0.0))
    product = graph.add("MatMul", _sum_over_time(graph, picked), graph.constant("mlp.weight", weights["mlp.weight"].T))
    return graph.add("Relu", graph.add("Add", product, graph.constant("mlp.bias", weights["mlp.bias"])))


def _convolutions(graph: Graph, weights: Weights, x: str, *, masked: bool) -> tuple[str, str]:
    """The last features (T, B, H) of vectors (T, B, E), and how many of the steps each text still has."""
    lengths = "lengths"
    x = graph.add("Transpose", _drop_padding(graph, x, lengths) if masked else x, perm=[1, 2, 0])  # (B, E, T)
    block = 0
    while f"convs.{block}.weight" in weights:
        conv = [
            graph.constant(f"convs.{block}.{name}", weights[f"convs.{block}.{name}"]) for name in ("weight", "bias")
        ]
        x = graph.add("Conv", x, *conv, kernel_shape=[3], strides=[2], pads=[1, 1])
        names = [f"norms.{block}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
        norm = [graph.constant(name, weights[name]) for name in names]
        x = graph.add("Relu", graph.add("BatchNormalization", x, *norm, epsilon=_BATCH_NORM_EPS))
        if masked:
            more = graph.add("Add", lengths, graph.constant("one", 1))
            lengths = graph.add("Div", more, graph.constant("two", 2))
            steps_first = graph.add("Transpose", x, perm=[2, 0, 1])
            x = graph.add("Transpose", _drop_padding(graph, steps_first, lengths), perm=[1, 2, 0])
        block += 1
    return graph.add("Transpose", x, perm=[2, 0, 1]), lengths


def _windows(graph: Graph, weights: Weights, x: str, config: ModelConfig, *, masked: bool) -> str:
    """Features (B, widths * H) of vectors (T, B, E): each width's filters over each text's own windows."""
    zero, one = graph.constant("zero", 0), graph.constant("one", 1)
    lengths = "lengths"
    if masked:
        x = _drop_padding(graph, x, lengths)
    else:  # every text is as long as the longest
        steps = graph.add("Gather", graph.add("Shape", x), zero, axis=0)
        lengths = graph.add("Expand", steps, graph.add("Shape", lengths))
    x = graph.add("Transpose", x, perm=[1, 2, 0])  # (B, E, T)
    features = []
    for i, places in enumerate(config.kernel_sizes):
        conv = [graph.constant(f"convs.{i}.{name}", weights[f"convs.{i}.{name}"]) for name in ("weight", "bias")]
        states = graph.add("Relu", graph.add("Conv", x, *conv, kernel_shape=[places], pads=[0, places - 1]))
        less = graph.add("Sub", lengths, graph.constant(f"less_{places}", places - 1))
        # As many windows as fit, one where none does, and none in a text without words.
        counts = graph.add("Min", graph.add("Max", less, one), lengths)
        features.append(_pool(graph, graph.add("Transpose", states, perm=[2, 0, 1]), counts, config.pooling))
    return graph.add("Concat", *features, axis=1)


def _compared(graph: Graph, operator: str, x: str, lengths: str) -> str:
    """Whether each step of x (T, B, H) is `operator` ("Less", "Equal") to the text's number in `lengths`; (T, B, 1)."""
    zero, one = graph.constant("zero", 0), graph.constant("one", 1)
    count = graph.add("Gather", graph.add("Shape", x), zero, axis=0)
    steps = graph.add("Unsqueeze", graph.add("Range", zero, count, one), graph.constant("axis_1", [1]))
    mask = graph.add(operator, steps, graph.add("Unsqueeze", lengths, graph.constant("axis_0", [0])))
    return graph.add("Unsqueeze", mask, graph.constant("axis_2", [2]))


def _drop_padding(graph: Graph, x: str, lengths: str) -> str:
    return graph.add("Where", _compared(graph, "Less", x, lengths), x, graph.constant("nothing", 0.0))


def _pool(graph: Graph, states: str, lengths: str | None, pooling: str) -> str:
    """Features (B, F) of states (T, B, H); zeros where a text has no tokens."""
    if pooling == "average_max":
        both = [_pool(graph, states, lengths, one) for one in ("average", "max")]
        return graph.add("Concat", *both, axis=1)
    if lengths is None and pooling == "last":
        return graph.add("Gather", states, graph.constant("minus_one", -1), axis=0)
    time = graph.constant("axis_0", [0])
    if lengths is None:
        return graph.add("ReduceMax" if pooling == "max" else "ReduceMean", states, time, keepdims=0)
    nothing = graph.constant("nothing", 0.0)
    column = graph.add("Unsqueeze", lengths, graph.constant("axis_1", [1]))  # (B, 1)
    if pooling == "max":
        real = _compared(graph, "Less", states, lengths)
        lowest = graph.constant("lowest", float(np.finfo(np.float32).min))
        largest = graph.add("ReduceMax", graph.add("Where", real, states, lowest), time, keepdims=0)
        return graph.add("Where", graph.add("Greater", column, graph.constant("zero", 0)), largest, nothing)
    if pooling == "last":  # of a text without tokens no step is the last: the sum is 0
        last = graph.add("Sub", lengths, graph.constant("one", 1))
        picked = graph.add("Where", _compared(graph, "Equal", states, last), states, nothing)
        return _sum_over_time(graph, picked)
    total = _sum_over_time(graph, _drop_padding(graph, states, lengths))
    count = graph.add("Max", column, graph.constant("one", 1))
    return graph.add("Div", total, graph.add("Cast", count, to=graph.onnx.TensorProto.FLOAT))
