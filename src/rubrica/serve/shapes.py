"""What requests and answers look like, in JSON: the shapes that clients of other servers know already.

`/predict` has the shape of Hugging Face's inference servers, `/v1/classify` that of vLLM, and `/v2/...` is the Open
Inference Protocol (https://github.com/kserve/open-inference-protocol). The same classes check requests, write answers
and describe both in /openapi.json.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from rubrica.serve.limits import Limits

_NAMES_MOST = 64  # labels that /explain explains at once; each costs as much as the answer

Name = Annotated[str, Meta(max_length=256)]


class Parameters(Struct, forbid_unknown_fields=True):
    """How many labels `/predict` gives: the K most probable ones; without `top_k` the answer alone."""

    top_k: Annotated[float, Meta(ge=1, multiple_of=1)] | None = None  # in JSON 2.0 is a whole number, too


class ExplainParameters(Struct, forbid_unknown_fields=True):
    """What `/explain` explains (by default the answer), and how."""

    labels: Annotated[list[Name], Meta(max_length=_NAMES_MOST)] = []
    method: Literal["exact", "leave-one-out"] | None = None
    beliefs: bool = False


class Score(Struct):
    """A label and its probability; no label where the model abstains."""

    label: str | None
    score: float


class Classified(Struct, omit_defaults=True):
    """The answer to a text. `labels` is there where a text may have several; `label` is the most probable of them."""

    index: int
    label: str | None
    probs: list[float]
    num_classes: int
    labels: list[str] | UnsetType = UNSET


class Usage(Struct):
    """The words of the texts, between white space."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class ClassifyAnswer(Struct):
    """What `/v1/classify` answers."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[Classified]
    usage: Usage


class Tensor(Struct):
    """A tensor of the Open Inference Protocol, its numbers or strings row by row."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class InferAnswer(Struct, omit_defaults=True):
    """What `/v2/models/NAME/infer` answers."""

    model_name: str
    outputs: list[Tensor]
    id: str | None = None


class TensorMetadata(Struct):
    """A tensor that a model takes or gives; -1 is any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct):
    """What `/v2/models/NAME` answers; column i of `probabilities` is label i."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    labels: list[str]


class ServerMetadata(Struct):
    """What `/v2` answers."""

    name: str
    version: str
    extensions: list[str]
    models: list[str]


class ModelReady(Struct):
    """Whether a model is ready."""

    name: str
    ready: bool


class Live(Struct):
    """Whether the server runs."""

    live: bool


class Ready(Struct):
    """Whether the server takes requests."""

    ready: bool


class ErrorText(Struct):
    """A word for programs and a sentence for people."""

    code: str
    message: str


class ErrorAnswer(Struct):
    """The one shape of an error."""

    error: ErrorText


class Requests(NamedTuple):
    """The shapes of the bodies that a server takes; they depend on its limits."""

    predict: type[Struct]
    classify: type[Struct]
    infer: type[Struct]
    explain: type[Struct]


def request_shapes(limits: Limits, names: Sequence[str]) -> Requests:
    """The shapes of requests to a server with these limits and models; with one model alone, they need not name it."""
    longest = None if limits.cut else limits.chars
    text: Any = Annotated[str, Meta(max_length=longest)] if longest else str
    many: Any = Annotated[list[text], Meta(max_length=limits.texts)]
    # An unknown name has its own answer, so only the document lists the names.
    name: Any = Annotated[Name, Meta(extra_json_schema={"enum": list(names)})]
    model: list[Any] = [("model", name)] if len(names) > 1 else [("model", name | None, None)]
    output = defstruct("InferOutput", [("name", Literal["label", "probabilities"]), ("parameters", dict[str, Any], {})])
    tensor = defstruct(
        "InferInput",
        [
            ("name", Name),
            ("shape", Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1, max_length=2)]),
            ("datatype", Literal["BYTES"]),
            ("data", many),
            ("parameters", dict[str, Any], {}),
        ],
        forbid_unknown_fields=True,
    )
    shapes: dict[str, list[Any]] = {
        "PredictRequest": [("inputs", text | many), *model, ("parameters", Parameters | None, None)],
        "ClassifyRequest": [("input", text | many), *model],
        "InferRequest": [
            ("inputs", Annotated[list[tensor], Meta(min_length=1, max_length=1)]),  # type: ignore[valid-type]
            ("id", Name | None, None),
            ("parameters", dict[str, Any], {}),
            ("outputs", Annotated[list[output], Meta(max_length=2)], []),  # type: ignore[valid-type]
        ],
        "ExplainRequest": [("inputs", text), *model, ("parameters", ExplainParameters | None, None)],
    }
    return Requests(*(defstruct(name, fields, forbid_unknown_fields=True) for name, fields in shapes.items()))
