"""What a server answers: a function for each route, over the models, the batches and the counters that they share."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import UNSET

from rubrica import __version__
from rubrica.errors import RubricaError
from rubrica.serve import shapes
from rubrica.serve.batches import Batches, too_late
from rubrica.serve.limits import Limits, Refused, overloaded
from rubrica.serve.logs import Log
from rubrica.serve.metrics import CONTENT_TYPE, Metrics
from rubrica.serve.models import Model, Models, reload_models
from rubrica.serve.page import Page, Whole, html, page_files, to_json

_EXPLAINING = 16  # explanations that wait; each may take as long as a thousand answers
_EXTENSIONS: list[str] = []  # of the Open Inference Protocol


@dataclass(slots=True)
class Request:
    """What is known of a request beside its body.

    Args:
        id: Its X-Request-Id, or a new one.
        name: The model in its path.
        texts: How many texts it has.
        cut: How many of them were cut.
        model: The name of the model that answers it.
        path: The path that it asks for.
    """

    id: str
    path: str
    name: str | None = None
    texts: int | None = None
    cut: int = 0
    model: str | None = None


@dataclass
class Service:
    """What all requests of a process share."""

    models: Models
    limits: Limits
    metrics: Metrics
    log: Log
    batches: Batches
    page: Page
    locked: bool = False
    """Whether clients must send a key."""
    document: bytes = b""
    """What /openapi.json answers."""
    draining: bool = False
    explaining: int = 0
    slow: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "rubrica-slow"))
    """The thread of what takes long: explanations, /metrics, reloads."""

    def find(self, request: Request, name: str | None) -> Model:
        """The model that a request names; where there is one alone, it need not.

        Raises:
            Refused: If it names none of ours.
        """
        if name is None:
            name = next(iter(self.models))
        model = self.models.get(name)
        if model is None:
            raise Refused(404, "model_not_found", "no model of this name answers here; GET /v2 lists the models")
        request.model = name
        return model

    def texts(self, request: Request, given: str | list[str]) -> list[str]:
        """The texts of a request, cut where that is wanted."""
        found = [given] if isinstance(given, str) else given
        request.texts = len(found)
        if self.limits.cut:
            most = self.limits.chars
            request.cut = sum(len(text) > most for text in found)
            if request.cut:
                return [text[:most] for text in found]
        return found

    def ask(
        self, model: Model, kind: Any, answer: Callable[..., Any], texts: list[str]
    ) -> asyncio.Future[Sequence[Any]]:
        """A row for each text, from a batch of requests that ask the same of the same model."""
        # A model that reads padding as words scores a text by its batch: each request gets one of its own.
        key = (model, kind) if model.scores_alone else object()
        return self.batches.ask(key, answer, texts)

    def tell_refused(self, refusal: Refused) -> None:
        """Count and log a request that was refused before its route was known."""
        self.metrics.requests.labels("other", str(refusal.status)).inc()
        self.log("refused", status=refusal.status, code=refusal.code)

    def reload(self) -> None:
        """Open all models anew, in the thread of what takes long."""
        for name, fault in reload_models(self.models, self.limits.abstain_below):
            if fault is None:
                self.metrics.tell_model(self.models[name])
                self.log("reloaded", model=name)
            else:
                self.log("reload_failed", "error", model=name, problem=fault, remedy="the old model goes on")
            self.metrics.reloads.labels(name, "failed" if fault else "done").inc()


async def predict(service: Service, request: Request, body: Any) -> Any:
    """Label texts: a list of labels with probabilities for each text."""
    model = service.find(request, body.model)
    k = body.parameters.top_k if body.parameters else None
    if k is not None:
        k = int(min(k, model.classifier.task.num_classes))
    texts = service.texts(request, body.inputs)
    return await service.ask(model, k, partial(_scored, service, model, k), texts)


def _scored(service: Service, model: Model, k: int | None, texts: list[str]) -> list[list[shapes.Score]]:
    below = service.limits.abstain_below if k is None else None
    rows = model.classifier.scored(texts, k=k, abstain_below=below)
    # Of a ranking only the first label is an answer.
    service.metrics.tell_answers(model, [[label for label, _ in (row if k is None else row[:1])] for row in rows])
    return [[shapes.Score(*pair) for pair in row] for row in rows]


async def classify(service: Service, request: Request, body: Any) -> Any:
    """Label texts, with the probability of every class, in the shape of vLLM."""
    model = service.find(request, body.model)
    texts = service.texts(request, body.input)
    words = sum(len(text.split()) for text in texts)
    rows = await service.ask(model, "all", partial(_full, service, model), texts)
    data = [_classified(place, answer, probabilities) for place, (answer, probabilities) in enumerate(rows)]
    usage = shapes.Usage(words, words)
    return shapes.ClassifyAnswer(f"classify-{request.id}", "list", int(time.time()), model.name, data, usage)


def _classified(place: int, answer: Any, probabilities: list[float]) -> shapes.Classified:
    if not isinstance(answer, list):
        return shapes.Classified(place, answer, probabilities, len(probabilities))
    best = answer[0] if answer else None
    return shapes.Classified(place, best, probabilities, len(probabilities), answer or UNSET)


def _full(service: Service, model: Model, texts: list[str]) -> list[tuple[Any, list[float]]]:
    """The answer to each text and the probability of each class."""
    logits, task = model.classifier.logits(texts), model.classifier.task
    answers = task.decide(logits, service.limits.abstain_below)
    if not task.gives_labels:  # the one label whose probability is the score
        answers = [label for (label,) in answers]
    service.metrics.tell_answers(model, [answer if isinstance(answer, list) else [answer] for answer in answers])
    return list(zip(answers, task.probabilities(logits).tolist(), strict=True))


async def infer(service: Service, request: Request, body: Any) -> Any:
    """Label texts by the Open Inference Protocol."""
    (given,) = body.inputs
    if given.shape not in ([len(given.data)], [len(given.data), 1]):
        raise Refused(422, "invalid_shape", "the shape of the tensor does not fit the number of its texts")
    model = service.find(request, request.name)
    rows = await service.ask(model, "all", partial(_full, service, model), service.texts(request, given.data))
    count, wanted = len(rows), [output.name for output in body.outputs] or ["label", "probabilities"]
    labels = [_one_string(answer) for answer, _ in rows]
    numbers = [number for _, row in rows for number in row]
    tensors = {
        "label": shapes.Tensor("label", "BYTES", [count], labels),
        "probabilities": shapes.Tensor("probabilities", "FP32", [count, model.classifier.task.num_classes], numbers),
    }
    return shapes.InferAnswer(model.name, [tensors[name] for name in wanted], body.id)


def _one_string(answer: Any) -> str:
    """An answer in an element of a tensor: of several labels, their list as JSON; of none, nothing."""
    return json.dumps(answer, ensure_ascii=False) if isinstance(answer, list) else answer or ""


async def explain(service: Service, request: Request, body: Any) -> Any:
    """Say why a model answers a text so, see `rubrica explain`."""
    model = service.find(request, body.model)
    (text,) = service.texts(request, body.inputs)
    asked = body.parameters or shapes.ExplainParameters()
    if not set(asked.labels) <= set(model.labels):
        raise Refused(
            404, "label_not_found", "the model does not know one of the labels; GET /v2/models/NAME lists them"
        )
    if service.explaining >= _EXPLAINING:
        raise overloaded()
    service.explaining += 1
    try:
        work = asyncio.get_running_loop().run_in_executor(service.slow, _explained, model, text, asked)
        return await asyncio.wait_for(work, service.limits.deadline)
    except TimeoutError:
        raise too_late() from None
    except RubricaError as error:
        raise Refused(409, "not_explained", str(error)) from None
    finally:
        service.explaining -= 1


def _explained(model: Model, text: str, asked: shapes.ExplainParameters) -> dict[str, Any]:
    from rubrica.insight.explanations.explain import explain_text  # late: an answer needs none of it
    from rubrica.insight.explanations.reading import Reader

    reader = Reader(model.classifier.artifact)
    return explain_text(reader, text, labels=asked.labels, method=asked.method, beliefs=asked.beliefs).to_json()


async def page_file(service: Service, request: Request, body: Any) -> Whole:
    """Show a page that says what the models read; its files come by the same way."""
    return page_files()[request.path]


async def page_json(service: Service, request: Request, body: Any) -> bytes:
    """Tell the page who answers."""
    return to_json(service.page, service.models, service.limits, locked=service.locked)


async def report(service: Service, request: Request, body: Any) -> Whole:
    """Show the report that the page links."""
    if service.page.report is None:
        raise Refused(404, "not_found", "this server has no report; --report FILE.html gives it one")
    return html(service.page.report)


async def is_alive(service: Service, request: Request, body: Any) -> Any:
    """Say whether the process runs."""
    return shapes.Live(live=True)


async def is_ready(service: Service, request: Request, body: Any) -> Any:
    """Say whether requests are taken: 503 while the server shuts down."""
    if service.draining:
        raise Refused(503, "shutting_down", "the server is shutting down")
    return shapes.Ready(ready=True)


async def metrics(service: Service, request: Request, body: Any) -> Whole:
    """Tell the counters to Prometheus."""
    service.metrics.queue.set(service.batches.waiting)
    page = await asyncio.get_running_loop().run_in_executor(service.slow, service.metrics.page)
    return Whole(page, ((b"content-type", CONTENT_TYPE.encode()),))


async def server_metadata(service: Service, request: Request, body: Any) -> Any:
    """Say what the server is, and which models it has."""
    return shapes.ServerMetadata("rubrica", __version__, _EXTENSIONS, list(service.models))


async def model_metadata(service: Service, request: Request, body: Any) -> Any:
    """Say what a model takes and gives."""
    model = service.find(request, request.name)
    outputs = [
        shapes.TensorMetadata("label", "BYTES", [-1]),
        shapes.TensorMetadata("probabilities", "FP32", [-1, len(model.labels)]),
    ]
    inputs = [shapes.TensorMetadata("text", "BYTES", [-1])]
    return shapes.ModelMetadata(model.name, [], "rubrica", inputs, outputs, model.labels)


async def model_ready(service: Service, request: Request, body: Any) -> Any:
    """Say whether a model is ready."""
    model = service.find(request, request.name)
    await is_ready(service, request, body)
    return shapes.ModelReady(model.name, ready=True)


async def openapi(service: Service, request: Request, body: Any) -> bytes:
    """Describe all routes for programs."""
    return service.document
