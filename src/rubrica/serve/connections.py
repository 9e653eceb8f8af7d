"""A connection of uvicorn's that loses its patience.

uvicorn has no limit on the size and time of a request's head, the time of its body, and the time in which a client
takes its answer.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rubrica.serve.limits import Limits, Refused, overloaded

_HEAD = 1 << 16  # bytes of a head that is not complete; others take 8 to 64 KB

_SLOW = Refused(408, "too_slow", "the request did not arrive in time")
_LONG = Refused(431, "head_too_large", "the head of the request is too large")
_BROKEN = Refused(400, "invalid_http", "this is no HTTP request")


class Connection(HttpToolsProtocol):
    """A client's connection.

    Args:
        limits: How patient it is.
        tell: Is told what is refused here, before the application sees it.
        uvicorn: What uvicorn gives to each connection.
    """

    def __init__(self, limits: Limits, tell: Callable[[Refused], None], **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.limits, self.tell = limits, tell
        self.send_by = self.take_by = math.inf
        """Until when the client must have sent its request, and taken its answer, on the loop's clock."""
        self._head = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request; of too many connections, refuse this one."""
        super().connection_made(transport)
        self.send_by = self.loop.time() + self.limits.patience
        if len(self.connections) > self.limits.connections:
            self._refuse(overloaded())

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        if self._head >= 0 and self.parser is not None:
            self._head += len(data)
            if self._head > _HEAD:
                self._refuse(_LONG)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.send_by, self._head = self.loop.time() + self.limits.patience, 0

    def on_headers_complete(self) -> None:
        """The head of a request is there."""
        super().on_headers_complete()
        self._head = -1

    def on_message_complete(self) -> None:
        """A request is there."""
        super().on_message_complete()
        self.send_by = math.inf

    def pause_writing(self) -> None:
        """The client does not take its answer as fast as it is written."""
        super().pause_writing()
        self.take_by = self.loop.time() + self.limits.patience

    def resume_writing(self) -> None:
        """The client has taken most of its answer."""
        super().resume_writing()
        self.take_by = math.inf

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nobody uses; one whose client has not taken its answer yet, at once."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the shape of all errors; uvicorn calls this."""
        self._refuse(_BROKEN)

    def drop_late(self, now: float) -> None:
        """Give the client up if it has been too slow."""
        if now > self.take_by:
            self.transport.abort()
        elif now > self.send_by:
            self.send_by = math.inf
            self._refuse(_SLOW)

    def _refuse(self, refusal: Refused) -> None:
        """Say what is wrong and hang up; in the middle of an answer, just hang up."""
        if self.transport.is_closing():
            return
        self.tell(refusal)
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()
            return
        body = msgspec.json.encode(refusal.to_json())
        lines = [STATUS_LINE[refusal.status], b"content-type: application/json\r\nconnection: close\r\n"]
        lines += [b"%b: %b\r\n" % header for header in refusal.headers]
        self.transport.write(b"".join([*lines, b"content-length: %d\r\n\r\n" % len(body), body]))
        self.transport.close()


def connections_of(limits: Limits, tell: Callable[[Refused], None]) -> Any:
    """What makes a connection, for uvicorn."""
    return partial(Connection, limits, tell)
