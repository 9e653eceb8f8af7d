"""The ASGI application: finds the route, checks the request, and answers each fault in one shape.

There is no framework in between: an answer takes some ten microseconds of a model, and a framework several times that.
"""

import hmac
import itertools
import os
import re
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import msgspec

from rubrica.serve.bodies import GoneError, Receive, check_type, decode, read_body
from rubrica.serve.limits import Refused, draining
from rubrica.serve.openapi import document
from rubrica.serve.page import Header, Whole
from rubrica.serve.routes import find_route
from rubrica.serve.service import Request, Service
from rubrica.serve.shapes import request_shapes

Send = Callable[[Any], Awaitable[None]]

_READ = {
    b"x-request-id", b"traceparent", b"content-type", b"content-encoding", b"content-length", b"authorization",
}  # fmt: skip
_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context, version 00
_JSON: tuple[Header, ...] = ((b"content-type", b"application/json"),)
_GONE = 499  # what others log for a client that hung up

_encode = msgspec.json.encode


class App:
    """Answers requests.

    Args:
        service: What all requests share.
        key: What clients must send as `Authorization: Bearer KEY`; None where anyone may ask.
    """

    def __init__(self, service: Service, key: str | None) -> None:
        self.service, self.in_flight, service.locked = service, 0, key is not None
        self._wanted = None if key is None else b"Bearer " + key.encode()
        shapes = request_shapes(service.limits, list(service.models))
        self._decoders = {name: msgspec.json.Decoder(shape) for name, shape in shapes._asdict().items()}
        service.document = document(service.limits, list(service.models))
        self._ids, self._prefix = itertools.count(1), os.urandom(6).hex()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it is."""
        began = perf_counter()
        headers = {name: value for name, value in scope["headers"] if name in _READ}
        sent = headers.get(b"x-request-id", b"")
        request = Request(sent.decode() if _ID.fullmatch(sent) else f"{self._prefix}-{next(self._ids)}", scope["path"])
        more: tuple[Header, ...] = ()
        path, self.in_flight = "other", self.in_flight + 1
        try:
            route, request.name = find_route(scope["method"], scope["path"])
            path = route.path
            answer = await self._answer(route, request, headers, receive)
            status, kind = 200, answer.headers if type(answer) is Whole else _JSON
        except Refused as refusal:
            answer, status, kind, more = refusal.to_json(), refusal.status, _JSON, refusal.headers
        except GoneError:
            self._tell(request, scope["method"], path, _GONE, began, headers)
            return
        except Exception as error:
            fault = Refused(500, "internal", "the server failed; its log says more under this request's X-Request-Id")
            answer, status, kind = fault.to_json(), 500, _JSON
            self.service.log("failed", "error", id=request.id, error=type(error).__name__, problem=_place(error))
        finally:
            self.in_flight -= 1
        body = answer.body if type(answer) is Whole else answer if type(answer) is bytes else _encode(answer)
        start = [*kind, (b"content-length", b"%d" % len(body)), (b"x-request-id", request.id.encode()), *more]
        if request.cut:
            start.append((b"x-rubrica-cut", b"%d" % request.cut))
        if b"traceparent" in headers and _TRACE.fullmatch(headers[b"traceparent"]):
            start.append((b"traceparent", headers[b"traceparent"]))
        await send({"type": "http.response.start", "status": status, "headers": start})
        await send({"type": "http.response.body", "body": body})
        self._tell(request, scope["method"], path, status, began, headers)

    async def _answer(self, route: Any, request: Request, headers: dict[bytes, bytes], receive: Receive) -> Any:
        if not route.always:
            if self._wanted is not None and not hmac.compare_digest(headers.get(b"authorization", b""), self._wanted):
                challenge = (b"www-authenticate", b"Bearer")
                raise Refused(401, "unauthorized", "send the server's key as Authorization: Bearer KEY", challenge)
            if self.service.draining:
                raise draining()
        if route.body is None:
            return await route.handler(self.service, request, None)
        check_type(headers)
        body = await read_body(receive, headers, self.service.limits.body)
        return await route.handler(self.service, request, decode(self._decoders[route.body], body))

    def _tell(
        self, request: Request, method: str, path: str, status: int, began: float, headers: dict[bytes, bytes]
    ) -> None:
        """Count and log a request; its path is the table's, not what the client sent."""
        seconds = perf_counter() - began
        self.service.metrics.tell_request(path, status, seconds)
        trace = headers.get(b"traceparent")
        self.service.log(
            "request", id=request.id, method=method, path=path, status=status, ms=round(seconds * 1000, 3),
            model=request.model, texts=request.texts,
            traceparent=trace.decode() if trace and _TRACE.fullmatch(trace) else None,
        )  # fmt: skip


def _place(error: BaseException) -> str:
    """Where an unforeseen error was raised; its own message may hold a text."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{os.path.basename(frame.tb_frame.f_code.co_filename)} line {frame.tb_lineno}" if frame else ""  # noqa: PTH119
