"""The document at /openapi.json, made of the table of routes and the shapes. It loads nothing from anywhere."""

import inspect
from collections.abc import Sequence
from typing import Any

import msgspec

from rubrica import __version__
from rubrica.serve.limits import Limits
from rubrica.serve.routes import ROUTES, Route
from rubrica.serve.shapes import ErrorAnswer, request_shapes

_FAULTS = {
    400: "The request is no HTTP, or its body no JSON.",
    401: "The key is missing or wrong.",
    404: "There is no such model or label.",
    405: "The path takes another method.",
    408: "The client took too long to send its request.",
    409: "The model cannot be explained by this method.",
    413: "The body is too large.",
    415: "The body is no JSON, or packed in an unknown way.",
    422: "The body has another shape, or is beyond a limit.",
    431: "The head of the request is too large.",
    500: "The model failed.",
    503: "The server is overloaded or shuts down.",
    504: "The deadline has passed.",
}
_WITHOUT_BODY = (400, 401, 404, 405, 408, 431, 500, 503)


def document(limits: Limits, names: Sequence[str]) -> bytes:
    """The document of a server with these limits and models, as JSON."""
    bodies = request_shapes(limits, names)
    types = [ErrorAnswer, *(route.answer for route in ROUTES if route.answer), *bodies]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {repr(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    error = {"application/json": {"schema": by_type[repr(ErrorAnswer)]}}
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        answer = by_type[repr(route.answer)] if route.answer else None
        body = by_type[repr(getattr(bodies, route.body))] if route.body else None
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, answer, body, error, names)
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "rubrica serve", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }
    return msgspec.json.encode(whole)


def _operation(route: Route, answer: Any, body: Any, error: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    content = {"application/json": {"schema": answer}} if answer else {route.kind: {"schema": {"type": "string"}}}
    responses = {"200": {"description": "The answer.", "content": content}}
    for status in _FAULTS if body else _WITHOUT_BODY:
        responses[str(status)] = {"description": _FAULTS[status], "content": error}
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__ + ("" if route.path.count("/") < 2 else "_" + route.path.split("/")[1]),
        "summary": inspect.getdoc(route.handler),
        "responses": responses,
    }
    if not route.always:
        operation["security"] = [{}, {"key": []}]
    if "{name}" in route.path:
        schema = {"type": "string", "enum": list(names)}
        operation["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": schema}]
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation
