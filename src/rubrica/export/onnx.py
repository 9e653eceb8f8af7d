"""A model as an ONNX graph, checked in onnxruntime before a file is made of it.

Inputs of a model that reads words: `ids` int64 (B, T), the words of each text, then 0 up to the longest; and `lengths`
int64 (B,), how many words each text has, 0 for an empty text. Inputs of a linear model, alone or beside a network:
`keys` and `counts` int64 (B, K), see `text.ngrams.Counts`. Outputs: `logits` and `probabilities`, float32 (B, C). Any
B, T and K from 1 fit.

ONNX cannot hash a text. `onnx_inputs` makes the inputs of texts, and another program makes them by the vocabulary and
the few settings in the metadata, see docs/artifact.md. A table that is stored in fewer bytes stays so in the graph
(4-bit codes in a byte each).

Each family in `models/` writes its own nodes. torch's exporter does not serve: it keeps the number of steps of the one
text that it was shown, instead of a loop over the text.

Letters: T steps, K n-grams, B texts, C classes.
"""

import json
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact
from rubrica.data.objects import column_of
from rubrica.errors import ArtifactError, require
from rubrica.files import check_place, written_whole
from rubrica.models.ensemble import Ensemble
from rubrica.models.family import Floats, GraphInputs, Inputs
from rubrica.models.graph import Graph
from rubrica.models.storage import WHOLE, store_tensors
from rubrica.text.batching import pad_batch
from rubrica.text.ngrams import CHARACTERS, Counts
from rubrica.text.strings import as_texts
from rubrica.text.vocab import TokenIds

OPSET = 18  # of 2022, the first whose BitwiseXor hashes n-grams; onnxruntime reads it since 1.14
IR_VERSION = 8  # the file version of this operator set
_MAX_BYTES = 2_000_000_000  # protobuf's limit for one file is 2^31
_CHECKED_BATCHES = (1, 2, 3, 17, 64)
_CHECKED_STEPS = (1, 2, 3, 4, 5, 8, 31, 64, 128)
_NGRAMS_PER_STEP = 4  # in the check; a text of news has some 10 different ones for each word
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
        RubricaError: If a family has no ONNX form.
    """
    config, task = artifact.config, artifact.task
    graph = Graph(require("onnx", "onnx"), artifact.tensors)
    graph.add("Sum", *[member.add_logits(graph) for member in config.members], name="logits")
    operator, attributes = task.onnx_operator
    graph.add(operator, "logits", name="probabilities", **attributes)

    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    value = helper.make_tensor_value_info
    inputs = [value(name, types.INT64, shape) for name, shape in graph.inputs.items()]
    outputs = [value(name, types.FLOAT, ["batch", task.num_classes]) for name in ("logits", "probabilities")]
    constants = list(graph.constants.values())
    body = helper.make_graph(graph.nodes, f"rubrica {config.title}", inputs, outputs, constants)
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rubrica"
    )
    # What a program needs beside `vocab.txt` to turn texts into inputs and answers into labels; each value is JSON.
    metadata: dict[str, Any] = {"labels": task.labels, "thresholds": task.thresholds}
    for member in config.members:
        metadata |= member.graph_settings(artifact.vocab, config.data)
    helper.set_model_props(model, {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()})
    return model


def onnx_inputs(artifact: Artifact, texts: Any) -> GraphInputs:
    """Turn N texts into the inputs of the model's ONNX file.

        session = onnxruntime.InferenceSession("model.onnx")
        (probabilities,) = session.run(["probabilities"], onnx_inputs(rubrica.load("model").artifact, texts))

    Raises:
        TypeError: As in `Classifier.predict`.
    """
    strings = as_texts(column_of(texts))
    inputs: GraphInputs = {}
    for member in artifact.config.members:
        inputs |= member.graph_inputs(strings, artifact.vocab, artifact.config.data)
    return inputs


def checked_onnx(artifact: Artifact, path: Path) -> tuple[bytes, Differences]:
    """A model as the content of an ONNX file, and what the check saw; nothing is written to `path` yet.

    Raises:
        ArtifactError: If the graph answers differently from our own runtime, is too large, or `path` is taken.
        MissingExtraError: If onnx or onnxruntime is not installed.
        RubricaError: See `build_model`.
    """
    if path.suffix != ".onnx":
        raise ArtifactError(path, "give an output file that ends in .onnx")
    for file in (path, path.with_suffix(".vocab.txt")):
        if file.exists():
            raise ArtifactError(file, "is there already; give a new file, or remove it")
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


def write_onnx(artifact: Artifact, path: Path, content: bytes) -> list[Path]:
    """Write what `checked_onnx` made, and beside it the words that the model looks up (`NAME.vocab.txt`), if any.

    Returns:
        The files.

    Raises:
        ArtifactError: If a file cannot be written; then neither is there.
    """
    vocab = path.with_suffix(".vocab.txt")
    beside = written_whole(vocab, ArtifactError) if artifact.num_words else nullcontext()
    with written_whole(path, ArtifactError) as model, beside as words:
        model.write_bytes(content)
        if words is not None:
            words.write_bytes(artifact.vocab.to_bytes())
    return [path] if words is None else [path, vocab]


def check(artifact: Artifact, content: bytes) -> Differences:
    """Run a graph in onnxruntime on many batches of random words, lengths and n-grams."""
    onnxruntime = require("onnxruntime", "onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    plain = store_tensors(artifact.tensors, "float32")
    exact = {name: tensor if name in WHOLE else tensor.astype(np.float64) for name, tensor in plain.items()}
    probable = artifact.task.probabilities
    models = [Ensemble(artifact.config, tensors) for tensors in (exact, artifact.tensors)]
    draw, draw_ngrams = np.random.default_rng(0), np.random.default_rng(1)
    known = artifact.tensors.get("linear.keys", np.zeros(1, np.uint32))
    theirs, ours = [], []
    for texts, steps in product(_CHECKED_BATCHES, _CHECKED_STEPS):
        tokens = _draw_tokens(draw, len(artifact.vocab.words), texts, steps)
        counts = _draw_counts(draw_ngrams, known, texts, _NGRAMS_PER_STEP * steps)
        ids, lengths = pad_batch(tokens, np.arange(texts))
        given = {"ids": ids, "lengths": lengths} | counts._asdict()
        inputs = Inputs(tokens, (), texts, counts)  # where padding is read as words, these texts are one batch
        expected, logits = (model.sum(inputs) for model in models)
        both = np.hstack([expected, probable(expected)])
        ours.append(_apart(both, logits, probable(logits)))
        answers = session.run(["logits", "probabilities"], {name: given[name] for name in names})
        theirs.append(_apart(both, *answers))
    found, own = np.concatenate(theirs), np.concatenate(ours)
    return Differences(float(found.max()), float(own.max()), float((found > TOLERANCE).mean()))


def _draw_tokens(draw: np.random.Generator, num_words: int, texts: int, steps: int) -> TokenIds:
    """Texts of random words. The last text has `steps` words; no text has more."""
    ids = draw.integers(0, num_words, (texts, steps))
    lengths = draw.integers(0, steps + 1, texts)
    lengths[-1] = steps
    return TokenIds(
        ids[np.arange(steps) < lengths[:, None]].astype(np.int32), np.concatenate([[0], np.cumsum(lengths)])
    )


def _draw_counts(draw: np.random.Generator, known: NDArray[np.uint32], texts: int, most: int) -> Counts:
    """Random n-grams: three in four have a key that is `known`, the others any; each is of words or of characters."""
    keys = np.where(
        draw.random((texts, most)) < 0.75, draw.choice(known, (texts, most)), draw.integers(0, 1 << 32, (texts, most))
    )
    counts = draw.geometric(0.7, (texts, most))
    counts[np.arange(most) >= draw.integers(0, most + 1, (texts, 1))] = 0
    return Counts(keys + CHARACTERS * draw.integers(0, 2, (texts, most)), counts)


def _apart(expected: Floats, logits: Floats, probabilities: Floats) -> Floats:
    """The largest difference of each text (B,) from logits and probabilities side by side, see `Differences`."""
    exact, probable = np.hsplit(expected, 2)
    relative = np.abs(logits - exact) / np.maximum(1, np.abs(exact))
    apart = np.hstack([relative, np.abs(probabilities - probable)])
    return np.where(np.isnan(apart), np.inf, apart).max(axis=1)
