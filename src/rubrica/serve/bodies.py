"""The body of a request: read within its limit, unpacked within its limit, and checked against its shape."""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from rubrica.serve.limits import Refused

Receive = Callable[[], Awaitable[Any]]


class GoneError(Exception):
    """The client has gone before its request was whole; nobody waits for an answer."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The bytes of a body, unpacked.

    Raises:
        Refused: If they are more than `limit` before or after they are unpacked, or packed in an unknown way.
        GoneError: If the client hangs up.
    """
    if int(headers.get(b"content-length") or 0) > limit:
        raise _too_large(limit)
    message = await receive()
    body = message.get("body", b"")
    if message.get("more_body") or message["type"] == "http.disconnect" or len(body) > limit:
        parts = [body]
        size = len(body)
        while message.get("more_body") and size <= limit:
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        if message["type"] == "http.disconnect":
            raise GoneError
        if size > limit:
            raise _too_large(limit)
        body = b"".join(parts)
    packing = headers.get(b"content-encoding")
    return body if packing is None else _unpack(body, packing.strip().lower(), limit)


def _unpack(body: bytes, packing: bytes, limit: int) -> bytes:
    if packing == b"identity":
        return body
    if packing != b"gzip":
        raise Refused(415, "unsupported_encoding", "send the body as it is, or with Content-Encoding: gzip")
    stream = zlib.decompressobj(wbits=31)  # 31: with gzip's own head
    try:
        whole = stream.decompress(body, limit + 1)  # a bomb is cut off here, before it needs more memory than this
    except zlib.error:
        whole = b""
    if len(whole) > limit:
        raise _too_large(limit)
    if not stream.eof or stream.unused_data:
        raise Refused(400, "invalid_gzip", "the body is no whole gzip stream, or more than one")
    return whole


def _too_large(limit: int) -> Refused:
    return Refused(413, "body_too_large", f"the body has more than {limit:,} bytes; send fewer texts at a time")


def check_type(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that says it is no JSON: a foreign page in a browser may send such bodies without being asked.

    Raises:
        Refused: If there is another Content-Type.
    """
    found = headers.get(b"content-type", b"application/json")
    if found != b"application/json" and found.partition(b";")[0].strip().lower() != b"application/json":
        raise Refused(415, "unsupported_type", "send JSON, with Content-Type: application/json")


def decode(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """The body as its shape.

    Raises:
        Refused: If it is no JSON, or has another shape.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        problem = str(error).replace("`", "")
        if "unknown field" in problem or "invalid enum" in problem.lower():  # these repeat what was sent
            problem = "a field or a value is not known here"
        raise Refused(422, "invalid_request", f"{problem}; see /openapi.json") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Refused(400, "invalid_json", "the body is no JSON in UTF-8, or too deep") from None
