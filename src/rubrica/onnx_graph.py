"""A model as an ONNX graph, written node by node and checked in onnxruntime before a file is made of it.

Inputs: `ids` int64 (B, T), the words of each text and then 0 up to the longest, T at least 1; `lengths` int64 (B,),
the words of each text, 0 for a text without any. Outputs: `logits` and `probabilities`, float32 (B, C). B and T are
free. From text to ids is not in the graph: it takes the vocabulary and the few settings that lie in the metadata, see
docs/artifact.md. A table that is stored in fewer bytes is so in the graph, too (4-bit codes in a byte each).

torch's own exporter is not used: of a loop over a text it keeps the steps of the one text that it was shown.
Gates go by (r, z, n) and (i, f, g, o) in torch, by (z, r, h) and (i, o, f, c) in ONNX; torch applies r to the product
with the state, which ONNX calls `linear_before_reset`. Source: https://onnx.ai/onnx/operators/ (GRU, LSTM, RNN).

Letters: V words, E numbers in a word vector, T steps, B texts, H hidden units or filters, C classes.
"""

import json
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica import forward
from rubrica.artifact import Artifact
from rubrica.errors import ArtifactError, RubricaError, require
from rubrica.forward import Weights
from rubrica.kernels import bag
from rubrica.metrics import softmax
from rubrica.quantization import from_bfloat16, scale_name, store_tensors, take_rows
from rubrica.tokenizer import TOKEN_PATTERN
from rubrica.vocab import PAD_ID, TokenIds

OPSET = 18  # of 2022, the first whose BitwiseXor hashes n-grams; onnxruntime reads it since 1.14
IR_VERSION = 8  # the file version that goes with it
_GATE_ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}  # ONNX's gates by their place in torch
_BATCH_NORM_EPS = 1e-5  # torch's default, which the models keep
_MAX_BYTES = 2_000_000_000  # protobuf's limit for one file is 2^31
_CHECKED_BATCHES = (1, 2, 3, 17, 64)
_CHECKED_STEPS = (1, 2, 3, 4, 5, 8, 31, 64, 128)
TOLERANCE = 1e-5
_STEADY = TOLERANCE / 4  # our own float32 is nearer than this to float64, but for networks that multiply rounding
_UNSTEADY_TEXTS = 0.1  # the share of texts that may differ in such a network; of a trained seminar-gru 4 % do


class Differences(NamedTuple):
    """How far float32 is from the same network in float64, over the texts of the check.

    Probabilities count as they are, logits relative to their size above 1. Not a number is infinitely far.
    """

    onnx: float
    """The largest difference in onnxruntime."""
    ours: float
    """The largest difference in our own runtime."""
    share: float
    """The share of texts that onnxruntime answers with a difference above `TOLERANCE`."""

    @property
    def passed(self) -> bool:
        """No text may differ; of a network whose float32 is unsteady anywhere, nearly none."""
        return self.share <= (0 if self.ours <= _STEADY else _UNSTEADY_TEXTS)


class _Graph:
    """Nodes and constants in the making; every method returns the name of its result."""

    def __init__(self) -> None:
        self.onnx: Any = require("onnx", "onnx")
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = attributes.pop("name", f"{operator.lower()}_{len(self.nodes)}")
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, values: NDArray[Any] | list[int] | int | float) -> str:
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


def build_model(artifact: Artifact) -> Any:
    """The `onnx.ModelProto` of a model, not yet checked.

    Raises:
        MissingExtraError: If onnx is not installed.
        RubricaError: If it is a linear model.
    """
    if artifact.config.model.name == "linear":
        raise RubricaError("a linear model has no ONNX form, since ONNX cannot hash a text; copy its folder instead")
    graph, weights, config = _Graph(), artifact.tensors, artifact.config.model
    masked = config.mask_padding
    if config.name == "bag":
        features = _bag(graph, weights, config.word_ngrams)
    else:
        x = graph.add("Transpose", _look_up(graph, weights, "embedding.weight", "ids"), perm=[1, 0, 2])  # (T, B, E)
        lengths = "lengths"
        if config.name == "cnn":
            x, lengths = _convolutions(graph, weights, x, masked=masked)
        else:
            x = _recurrence(graph, weights, x, config.name, config.hidden_size)
        features = _pool(graph, x, lengths if masked else None, config.pooling)
    head = [graph.constant(name, weights[name]) for name in ("head.weight", "head.bias")]
    graph.add("Gemm", features, *head, transB=1, name="logits")
    graph.add("Softmax", "logits", axis=1, name="probabilities")

    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    inputs = [
        helper.make_tensor_value_info("ids", types.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("lengths", types.INT64, ["batch"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, types.FLOAT, ["batch", len(artifact.labels)])
        for name in ("logits", "probabilities")
    ]
    body = helper.make_graph(graph.nodes, f"rubrica {config.name}", inputs, outputs, list(graph.constants.values()))
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rubrica"
    )
    helper.set_model_props(model, metadata(artifact))
    return model


def metadata(artifact: Artifact) -> dict[str, str]:
    """What a program needs beside `vocab.txt` to make ids of a text and a label of an answer; each value is JSON."""
    data = artifact.config.data
    values = {
        "labels": artifact.labels,
        "lowercase": data.lowercase,
        "max_length": data.max_length,
        "token_pattern": TOKEN_PATTERN,
        "unknown_id": artifact.vocab.unknown_id,
        "mask_padding": artifact.config.model.mask_padding,
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def export_onnx(artifact: Artifact, path: Path) -> tuple[Path, Differences]:
    """Write a model as one ONNX file, and its words beside it (`NAME.vocab.txt`), after it passed the check.

    Returns:
        The file of words, and what the check saw.

    Raises:
        ArtifactError: If the graph answers differently from our own runtime, is too large, or cannot be written.
        MissingExtraError: If onnx or onnxruntime is not installed.
    """
    vocab = path.with_suffix(".vocab.txt")
    if path.suffix != ".onnx":
        raise ArtifactError(path, "give an output file that ends in .onnx")
    if path.exists() or vocab.exists():
        raise ArtifactError(path if path.exists() else vocab, "is there already; give a new file, or remove it")
    if (size := sum(tensor.nbytes for tensor in artifact.tensors.values())) > _MAX_BYTES:
        raise ArtifactError(path, f"the weights take {size / 1e9:.1f} GB, an ONNX file holds 2; quantize the model")
    content = build_model(artifact).SerializeToString()
    differences = check(artifact, content)
    if not differences.passed:
        raise ArtifactError(
            path,
            f"not written: onnxruntime's answers are off by {differences.onnx:.1e} (ours by {differences.ours:.1e}), "
            f"expected {TOLERANCE} at most; try another version of onnxruntime",
        )
    words = ("\n".join(artifact.vocab.words) + "\n").encode("utf-8", "surrogatepass")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            for target, data in ((vocab, words), (path, content)):
                (Path(folder) / target.name).write_bytes(data)
            for target in (vocab, path):  # whole files, and the model last
                (Path(folder) / target.name).replace(target)
    except OSError as error:
        raise ArtifactError(path, f"could not be written ({error.strerror}); give another output file") from None
    return vocab, differences


def check(artifact: Artifact, content: bytes) -> Differences:
    """Run a graph in onnxruntime on many batches of random words and lengths."""
    onnxruntime = require("onnxruntime", "onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    exact = {name: tensor.astype(np.float64) for name, tensor in store_tensors(artifact.tensors, "float32").items()}
    draw = np.random.default_rng(0)
    theirs, ours = [], []
    for texts, steps in product(_CHECKED_BATCHES, _CHECKED_STEPS):
        ids = draw.integers(0, len(artifact.vocab.words), (texts, steps))
        lengths = draw.integers(0, steps + 1, texts)
        lengths[-1] = steps
        real = np.arange(steps) < lengths[:, None]
        ids[~real] = PAD_ID
        tokens = TokenIds(ids[real].astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))
        # Where padding is read as words, these texts are one batch.
        config = replace(artifact.config, training=replace(artifact.config.training, batch_size=texts))
        expected = forward.logits(exact, config, tokens)
        logits = forward.logits(artifact.tensors, config, tokens)
        ours.append(_apart(expected, logits, softmax(logits)))
        theirs.append(_apart(expected, *session.run(["logits", "probabilities"], {"ids": ids, "lengths": lengths})))
    found, own = np.concatenate(theirs), np.concatenate(ours)
    return Differences(float(found.max()), float(own.max()), float((found > TOLERANCE).mean()))


def _apart(expected: forward.Floats, logits: forward.Floats, probabilities: forward.Floats) -> forward.Floats:
    """The largest difference of each text (B,), see `Differences`."""
    relative = np.abs(logits - expected) / np.maximum(1, np.abs(expected))
    apart = np.hstack([relative, np.abs(probabilities - softmax(expected))])
    return np.where(np.isnan(apart), np.inf, apart).max(axis=1)


def _look_up(graph: _Graph, weights: Weights, name: str, rows: str) -> str:
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


def _bag(graph: _Graph, weights: Weights, word_ngrams: int) -> str:
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


def _sum_over_time(graph: _Graph, x: str) -> str:
    return graph.add("ReduceSum", x, graph.constant("axis_0", [0]), keepdims=0)


def _recurrence(graph: _Graph, weights: Weights, x: str, name: str, hidden_size: int) -> str:
    """States (T, B, H) of vectors (T, B, E)."""

    def by_onnx(parameter: str) -> NDArray[Any]:
        gates = np.split(weights[f"cell.{parameter}_l0"], len(_GATE_ORDER[name]))
        return np.concatenate([gates[i] for i in _GATE_ORDER[name]])

    parameters = [graph.constant(f"cell.{key}", by_onnx(key)[None]) for key in ("weight_ih", "weight_hh")]
    biases = np.concatenate([by_onnx("bias_ih"), by_onnx("bias_hh")])
    parameters.append(graph.constant("cell.bias", biases[None]))
    extra = {"linear_before_reset": 1} if name == "gru" else {}
    states = graph.add(name.upper(), x, *parameters, hidden_size=hidden_size, **extra)  # (T, 1, B, H)
    return graph.add("Squeeze", states, graph.constant("direction", [1]))


def _convolutions(graph: _Graph, weights: Weights, x: str, *, masked: bool) -> tuple[str, str]:
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


def _compared(graph: _Graph, operator: str, x: str, lengths: str) -> str:
    """Whether each step of x (T, B, H) is `operator` ("Less", "Equal") to the text's number in `lengths`; (T, B, 1)."""
    zero, one = graph.constant("zero", 0), graph.constant("one", 1)
    count = graph.add("Gather", graph.add("Shape", x), zero, axis=0)
    steps = graph.add("Unsqueeze", graph.add("Range", zero, count, one), graph.constant("axis_1", [1]))
    mask = graph.add(operator, steps, graph.add("Unsqueeze", lengths, graph.constant("axis_0", [0])))
    return graph.add("Unsqueeze", mask, graph.constant("axis_2", [2]))


def _drop_padding(graph: _Graph, x: str, lengths: str) -> str:
    return graph.add("Where", _compared(graph, "Less", x, lengths), x, graph.constant("nothing", 0.0))


def _pool(graph: _Graph, states: str, lengths: str | None, pooling: str) -> str:
    """Features (B, H) of states (T, B, H); zeros where a text has no tokens."""
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
