"""The table of routes: what each takes and gives. The document at /openapi.json is made of it."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from rubrica.serve import service, shapes
from rubrica.serve.limits import Refused
from rubrica.serve.metrics import CONTENT_TYPE
from rubrica.serve.page import page_files

Handler = Callable[[service.Service, service.Request, Any], Awaitable[Any]]

_MODELS = "/v2/models/"


class Route(NamedTuple):
    """A method and a path.

    Args:
        method: GET or POST.
        path: With {name} where the name of a model stands.
        handler: What answers.
        answer: The shape of the answer; None of one that has another form.
        body: The field of `shapes.Requests` that its body has; None without a body.
        kind: The media type of the answer.
        always: It needs no key and answers while the server shuts down.
    """

    method: str
    path: str
    handler: Handler
    answer: Any = None
    body: str | None = None
    kind: str = "application/json"
    always: bool = False


ROUTES = (
    Route("POST", "/predict", service.predict, list[list[shapes.Score]], "predict"),
    Route("POST", "/v1/classify", service.classify, shapes.ClassifyAnswer, "classify"),
    Route("POST", "/explain", service.explain, dict[str, Any], "explain"),
    Route("GET", "/v2", service.server_metadata, shapes.ServerMetadata),
    Route("GET", "/v2/health/live", service.is_alive, shapes.Live, always=True),
    Route("GET", "/v2/health/ready", service.is_ready, shapes.Ready, always=True),
    Route("GET", "/v2/models/{name}", service.model_metadata, shapes.ModelMetadata),
    Route("GET", "/v2/models/{name}/ready", service.model_ready, shapes.ModelReady),
    Route("POST", "/v2/models/{name}/infer", service.infer, shapes.InferAnswer, "infer"),
    Route("GET", "/page.json", service.page_json, dict[str, Any]),
    Route("GET", "/report.html", service.report, kind="text/html"),
    Route("GET", "/healthz", service.is_alive, shapes.Live, always=True),
    Route("GET", "/readyz", service.is_ready, shapes.Ready, always=True),
    Route("GET", "/metrics", service.metrics, kind=CONTENT_TYPE),
    Route("GET", "/openapi.json", service.openapi, dict[str, Any]),
    Route("GET", "/", service.page_file, kind="text/html", always=True),
)
_BY_PATH: dict[str, dict[str, Route]] = {}
for _route in ROUTES:
    _BY_PATH.setdefault(_route.path, {})[_route.method] = _route


def find_route(method: str, path: str) -> tuple[Route, str | None]:
    """The route of a request, and the name of the model in its path.

    Raises:
        Refused: If there is no such path, or it has another method.
    """
    found, name = _BY_PATH.get(path), None
    if found is None and path.startswith(_MODELS):
        name, slash, rest = path.removeprefix(_MODELS).partition("/")
        found = _BY_PATH.get(f"{_MODELS}{{name}}{slash}{rest}") if name else None
    if found is None and path in page_files():
        found = _BY_PATH["/"]
    if found is None:
        raise Refused(404, "not_found", "there is no such path; GET /openapi.json lists the paths")
    if (route := found.get(method)) is None:
        allowed = ", ".join(found)
        raise Refused(405, "method_not_allowed", f"this path takes {allowed}", (b"allow", allowed.encode()))
    return route, name
