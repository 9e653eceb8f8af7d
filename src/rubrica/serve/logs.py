"""The log of a server: one line an event on stderr, as JSON or as text. No line holds a text or an address's query.

A thread writes the lines. So a reader of stderr that is slow, or stands still, does not stop the server.
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from time import time
from typing import Any, NamedTuple

import msgspec

_EVERY = 0.2  # seconds between two writes; one call for each line would take as long as an answer
_WHOLE = 4096  # bytes that a pipe takes whole; more might be mixed with those of another worker
_MOST = 50_000  # lines that wait to be written; more are dropped, and counted


class Style(NamedTuple):
    """How to log.

    Args:
        as_json: Lines of JSON instead of text.
        quiet: Only errors.
    """

    as_json: bool = True
    quiet: bool = False


class Log:
    """The lines that wait to be written, and the thread that writes them."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self._lines: deque[dict[str, Any]] = deque()
        self._dropped = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, name="rubrica-log", daemon=True)
        self._thread.start()

    def __call__(self, event: str, /, level: str = "info", **fields: Any) -> None:
        """Log an event with its fields; those that are None are left out."""
        if self.style.quiet and level != "error":
            return
        if len(self._lines) >= _MOST:
            self._dropped += 1
            return
        self._lines.append({"time": time(), "level": level, "event": event, **fields})

    def close(self) -> None:
        """Write what is left, for at most a second."""
        self._ended.set()
        self._thread.join(1)

    def _write(self) -> None:
        while not self._ended.wait(_EVERY):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        if dropped := self._dropped:
            self._dropped = 0
            self._lines.append({"time": time(), "level": "error", "event": "lines_dropped", "lines": dropped})
        while self._lines:
            some = [self._lines.popleft() for _ in range(min(1000, len(self._lines)))]
            _write_out(self.style, some)


def log_now(style: Style, event: str, level: str = "info", **fields: Any) -> None:
    """Log an event at once and without a thread, as a process must that will fork."""
    if not style.quiet or level == "error":
        _write_out(style, [{"time": time(), "level": level, "event": event, **fields}])


def _write_out(style: Style, lines: Sequence[dict[str, Any]]) -> None:
    encode = msgspec.json.encode if style.as_json else _as_text
    with contextlib.suppress(OSError):  # nobody reads stderr any more
        part = b""
        for line in lines:
            data = encode(_told(line)) + b"\n"
            if len(part) + len(data) > _WHOLE:
                _write_all(part)
                part = b""
            part += data
        _write_all(part)


def _write_all(data: bytes) -> None:
    while data:
        data = data[os.write(2, data) :]


def _told(line: dict[str, Any]) -> dict[str, Any]:
    """A line with its time in words and without empty fields."""
    moment = datetime.fromtimestamp(line["time"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {key: value for key, value in (line | {"time": moment}).items() if value is not None}


def _as_text(line: dict[str, Any]) -> bytes:
    time, level, event = line.pop("time"), line.pop("level"), line.pop("event")
    fields = " ".join(f"{key}={value}" for key, value in line.items())
    return f"{time} {level} {event} {fields}".rstrip().encode("utf-8", "backslashreplace")
