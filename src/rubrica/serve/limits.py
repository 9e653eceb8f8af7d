"""What a server takes from a client, and how it says no.

The list is of OWASP API4:2023, "Unrestricted Resource Consumption".
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a server; each is a flag of `rubrica serve`.

    Args:
        body: Bytes of a request's body, as it is sent and after it is unpacked.
        texts: Texts of a request.
        chars: Characters of a text.
        cut: Cut longer texts instead of refusing them.
        deadline: Seconds from the moment a request has arrived whole until it must be answered.
        queue: Texts that wait or are being answered.
        patience: Seconds in which a client must have sent its whole request, and must take its answer.
        connections: Connections at once.
        abstain_below: See `Classifier.predict`.
    """

    body: int = 1 << 20
    texts: int = 256
    chars: int = 20_000
    cut: bool = False
    deadline: float = 5.0
    queue: int = 4096
    patience: float = 10.0
    connections: int = 1000
    abstain_below: float | None = None


class Refused(Exception):  # noqa: N818 - most refusals are the client's errors, not ours
    """A request that is not answered. The message never repeats what the client sent.

    Args:
        status: The HTTP status.
        code: One word for programs.
        message: One sentence for people.
        headers: More headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers

    def to_json(self) -> dict[str, Any]:
        """The one shape of an error."""
        return {"error": {"code": self.code, "message": str(self)}}


SOON = (b"retry-after", b"1")


def overloaded() -> Refused:
    """The refusal of a server that has enough to do."""
    return Refused(503, "overloaded", "the server has as much work as it takes; try again in a second", SOON)


def draining() -> Refused:
    """The refusal of a server that is about to end."""
    return Refused(
        503, "shutting_down", "the server is shutting down; try another one", SOON, (b"connection", b"close")
    )
