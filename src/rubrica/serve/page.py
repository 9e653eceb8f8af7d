"""The page at /: its files, the report that it links, and page.json, which tells it who answers."""

from functools import cache
from typing import NamedTuple

from rubrica.export.page import about_model, page_json, web_files
from rubrica.serve.limits import Limits
from rubrica.serve.models import Models

Header = tuple[bytes, bytes]

_KINDS = {".html": b"text/html", ".css": b"text/css", ".js": b"text/javascript"}
_OF_THE_BROWSER = "reader.js"  # what reads a model where no server does
_AT_ONCE = 256  # texts of a file that the page asks about together, so that its bar moves


class Page(NamedTuple):
    """What the page shows beside the models.

    Args:
        examples: Texts to try.
        report: A report as HTML.
    """

    examples: tuple[str, ...] = ()
    report: bytes | None = None


class Whole(NamedTuple):
    """An answer that is no JSON, with the headers that say what it is."""

    body: bytes
    headers: tuple[Header, ...]


def html(body: bytes, kind: bytes = _KINDS[".html"]) -> Whole:
    """A file for a browser. A page has its rules in a `meta`, where it cannot forbid others to frame it."""
    rules = ((b"content-security-policy", b"frame-ancestors 'none'"), (b"x-content-type-options", b"nosniff"))
    return Whole(body, ((b"content-type", kind + b"; charset=utf-8"), (b"cache-control", b"no-cache"), *rules))


@cache
def page_files() -> dict[str, Whole]:
    """The files of the page by their paths; index.html is at /."""
    files = [path for path in web_files("page") if path.name != _OF_THE_BROWSER]
    return {f"/{path.name}".removesuffix("index.html"): html(path.read_bytes(), _KINDS[path.suffix]) for path in files}


def to_json(page: Page, models: Models, limits: Limits, *, locked: bool) -> bytes:
    """What the page reads first. A link cannot send a key, so behind one no report is linked."""
    about = [about_model(name, model.classifier.artifact, model.size) for name, model in models.items()]
    report = "report.html" if page.report is not None and not locked else None
    return page_json(about, page.examples, report, min(_AT_ONCE, limits.texts))
