"""Output that any program and any terminal can read, whatever the locale says."""

import codecs
import io
import sys

_ESCAPES = "rubrica-escapes"
_ASCII = "rubrica_ascii"


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""What is written for characters that an encoding lacks: `\uXXXX`, in two halves where JSON needs two."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    escapes = (f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True))
    return "".join(escapes), error.end


def _find_ascii(name: str) -> codecs.CodecInfo | None:
    """ASCII under another name: click replaces a terminal's stream of the usual name by one in UTF-8."""
    if name != _ASCII:
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode, known.decode, incrementalencoder=known.incrementalencoder, name=_ASCII,
        incrementaldecoder=known.incrementaldecoder,
    )  # fmt: skip


def make_printable() -> None:
    """Let stdout and stderr print every character.

    A file and a pipe get UTF-8, since other programs expect it of JSON and CSV. A terminal keeps its own
    encoding, since it could not show another, and gets escapes for the rest. They keep JSON valid.
    """
    codecs.register_error(_ESCAPES, _escape)
    codecs.register(_find_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where a caller has put another object in its place
            own = codecs.lookup(stream.encoding).name
            shown = {"ascii": _ASCII}.get(own, own)
            stream.reconfigure(encoding=shown if stream.isatty() else "utf-8", errors=_ESCAPES)
