"""A model as an ONNX graph, checked in onnxruntime before a file is made of it.

Inputs: `ids` int64 (B, T), the words of each text, then 0 up to the longest; `lengths` int64 (B,), how many words each
text has, 0 for an empty text. Outputs: `logits` and `probabilities`, float32 (B, C). Any B and T from 1 fit. The graph
does not turn a text into ids: this takes the vocabulary and the few settings in the metadata, see docs/artifact.md. A
table that is stored in fewer bytes stays so in the graph (4-bit codes in a byte each).

Each family in `models/` writes its own nodes. torch's exporter does not serve: it keeps the number of steps of the one
text that it was shown, instead of a loop over the text.

Letters: V words, E numbers in a word vector, T steps, B texts, H hidden units or filters, C classes.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rubrica.artifact.folder import Artifact
from rubrica.errors import ArtifactError, RubricaError, require
from rubrica.files import check_place, written_whole
from rubrica.models.family import HEAD, Floats, Inputs
from rubrica.models.graph import Graph
from rubrica.models.storage import store_tensors
from rubrica.text.tokenizer import token_pattern
from rubrica.text.vocab import PAD_ID, TokenIds

OPSET = 18  # of 2022, the first whose BitwiseXor hashes n-grams; onnxruntime reads it since 1.14
IR_VERSION = 8  # the file version of this operator set
_MAX_BYTES = 2_000_000_000  # protobuf's limit for one file is 2^31
_CHECKED_BATCHES = (1, 2, 3, 17, 64)
_CHECKED_STEPS = (1, 2, 3, 4, 5, 8, 31, 64, 128)
TOLERANCE = 1e-5
_STEADY = TOLERANCE / 4  # our own float32 is nearer to float64 than this, unless a network multiplies rounding errors
_UNSTEADY_TEXTS = 0.1  # the share of texts that may differ in such a network; in a trained seminar-gru 4 % do


class Differences(NamedTuple):
    """How far float32 is from the same network in float64, over the texts of the check.

    Probabilities count as they are, logits relative to their size above 1. Not a number is infinitely far.
    """

    onnx: float  # the largest difference in onnxruntime
    ours: float  # the largest difference in our own runtime
    share: float  # the share of texts that onnxruntime answers with a difference above `TOLERANCE`

    @property
    def passed(self) -> bool:
        """No text may differ; in a network whose float32 is unsteady anywhere, few may."""
        return self.share <= (0 if self.ours <= _STEADY else _UNSTEADY_TEXTS)


def build_model(artifact: Artifact) -> Any:
    """The `onnx.ModelProto` of a model, not yet checked.

    Raises:
        MissingExtraError: If onnx is not installed.
        RubricaError: If the model is a linear one, or has one beside its network.
    """
    config, task = artifact.config, artifact.task
    if config.beside is not None:
        raise RubricaError(
            f"the model is {config.title}, and a linear model has no ONNX form, since ONNX cannot hash a text; "
            "copy the folder instead, or train a network alone: --set model.with_linear=false"
        )
    graph = Graph(require("onnx", "onnx"), artifact.tensors)
    graph.add("Gemm", config.model.add_to_graph(graph), *graph.weights(*HEAD), transB=1, name="logits")
    operator, attributes = task.onnx_operator
    graph.add(operator, "logits", name="probabilities", **attributes)

    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    value = helper.make_tensor_value_info
    inputs = [value("ids", types.INT64, ["batch", "length"]), value("lengths", types.INT64, ["batch"])]
    outputs = [value(name, types.FLOAT, ["batch", task.num_classes]) for name in ("logits", "probabilities")]
    constants = list(graph.constants.values())
    body = helper.make_graph(graph.nodes, f"rubrica {config.model.name}", inputs, outputs, constants)
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rubrica"
    )
    # What a program needs beside `vocab.txt` to turn texts into ids and answers into labels; each value is JSON.
    metadata = {
        "labels": task.labels,
        "thresholds": task.thresholds,
        "lowercase": config.data.lowercase,
        "split_unspaced": artifact.vocab.split_unspaced,
        "max_length": config.data.max_length,
        "token_pattern": token_pattern(artifact.vocab.split_unspaced),
        "unknown_id": artifact.vocab.unknown_id,
        "mask_padding": config.model.masks_padding,
    }
    helper.set_model_props(model, {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()})
    return model


def checked_onnx(artifact: Artifact, path: Path) -> tuple[bytes, Differences]:
    """A model as the content of an ONNX file, and what the check saw; nothing is written to `path` yet.

    Raises:
        ArtifactError: If the graph answers differently from our own runtime, is too large, or `path` is taken.
        MissingExtraError: If onnx or onnxruntime is not installed.
        RubricaError: See `build_model`.
    """
    vocab = path.with_suffix(".vocab.txt")
    if path.suffix != ".onnx":
        raise ArtifactError(path, "give an output file that ends in .onnx")
    if path.exists() or vocab.exists():
        raise ArtifactError(path if path.exists() else vocab, "is there already; give a new file, or remove it")
    if (size := sum(tensor.nbytes for tensor in artifact.tensors.values())) > _MAX_BYTES:
        raise ArtifactError(path, f"the weights take {size / 1e9:.1f} GB, an ONNX file holds 2; quantize the model")
    check_place(path, ArtifactError)
    content = build_model(artifact).SerializeToString()
    differences = check(artifact, content)
    if not differences.passed:
        found = f"onnxruntime's answers are off by {differences.onnx:.1e} (ours by {differences.ours:.1e})"
        expected = f"expected {TOLERANCE} at most; try another version of onnxruntime"
        raise ArtifactError(path, f"not written: {found}, {expected}")
    return content, differences


def write_onnx(artifact: Artifact, path: Path, content: bytes) -> Path:
    """Write what `checked_onnx` made, and the words beside it (`NAME.vocab.txt`); returns the file of words.

    Raises:
        ArtifactError: If a file cannot be written; then neither is there.
    """
    vocab = path.with_suffix(".vocab.txt")
    with written_whole(path, ArtifactError) as model, written_whole(vocab, ArtifactError) as words:
        model.write_bytes(content)
        words.write_bytes(artifact.vocab.to_bytes())
    return vocab


def check(artifact: Artifact, content: bytes) -> Differences:
    """Run a graph in onnxruntime on many batches of random words and lengths."""
    onnxruntime = require("onnxruntime", "onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    exact = {name: tensor.astype(np.float64) for name, tensor in store_tensors(artifact.tensors, "float32").items()}
    probable = artifact.task.probabilities
    model, draw = artifact.config.model, np.random.default_rng(0)
    theirs, ours = [], []
    for texts, steps in product(_CHECKED_BATCHES, _CHECKED_STEPS):
        ids = draw.integers(0, len(artifact.vocab.words), (texts, steps))
        lengths = draw.integers(0, steps + 1, texts)
        lengths[-1] = steps
        real = np.arange(steps) < lengths[:, None]
        ids[~real] = PAD_ID
        tokens = TokenIds(ids[real].astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))
        inputs = Inputs(tokens, (), texts)  # where padding is read as words, these texts are one batch
        expected, logits = model.logits(exact, inputs), model.logits(artifact.tensors, inputs)
        both = np.hstack([expected, probable(expected)])
        ours.append(_apart(both, logits, probable(logits)))
        theirs.append(_apart(both, *session.run(["logits", "probabilities"], {"ids": ids, "lengths": lengths})))
    found, own = np.concatenate(theirs), np.concatenate(ours)
    return Differences(float(found.max()), float(own.max()), float((found > TOLERANCE).mean()))


def _apart(expected: Floats, logits: Floats, probabilities: Floats) -> Floats:
    """The largest difference of each text (B,) from logits and probabilities side by side, see `Differences`."""
    exact, probable = np.hsplit(expected, 2)
    relative = np.abs(logits - exact) / np.maximum(1, np.abs(exact))
    apart = np.hstack([relative, np.abs(probabilities - probable)])
    return np.where(np.isnan(apart), np.inf, apart).max(axis=1)
