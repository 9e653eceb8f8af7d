"""The command `rubrica serve`."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica.cli.page import named_paths, page_options, read_examples
from rubrica.cli.units import parse_seconds
from rubrica.errors import ConfigError, RubricaError, require

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from rubrica.serve.limits import Limits
    from rubrica.serve.logs import Style

_KEY = "RUBRICA_API_KEY"
_FIELDS = {"max_body": "body", "max_texts": "texts", "max_chars": "chars", "client_timeout": "patience"}
_HERE = ("127.0.0.1", "::1", "localhost")


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--host", default="127.0.0.1", help="Address to listen at; 0.0.0.0 lets other machines ask.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="Port to listen at; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, help="Number of processes that answer.")
@click.option("--abstain-below", type=click.FloatRange(0, 1), metavar="P", help="Give no label less probable than P.")
@click.option("--max-body", type=click.IntRange(1, 1 << 30), default=1 << 20, help="Bytes of a request, unpacked too.")
@click.option("--max-texts", type=click.IntRange(1, 100_000), default=256, help="Number of texts in a request.")
@click.option("--max-chars", type=click.IntRange(1, 10_000_000), default=20_000, help="Number of characters in a text.")
@click.option("--cut", is_flag=True, help="Cut longer texts instead of refusing them; X-Rubrica-Cut counts them.")
@click.option("--deadline", type=parse_seconds, default="5s", metavar="TIME", help="Time in which to answer.")
@click.option(
    "--client-timeout", type=parse_seconds, default="10s", metavar="TIME",
    help="Time for a client to send its request, and to take its answer.",
)  # fmt: skip
@click.option("--queue", type=click.IntRange(1, 1_000_000), default=4096, help="Number of texts that may wait.")
@click.option("--connections", type=click.IntRange(1, 100_000), default=1000, help="Connections of a worker at once.")
@click.option("--api-key-file", type=Path, help=f"File with the key that clients must send.  [default: {_KEY}]")
@click.option("--log", "log_format", type=click.Choice(["json", "text"]), default="json", help="Form of the log.")
@page_options
@click.pass_context
def serve(
    context: click.Context,
    /,
    models: tuple[str, ...],
    host: str,
    port: int,
    workers: int,
    api_key_file: Path | None,
    log_format: str,
    examples: str | None,
    report: Path | None,
    **limits: Any,
) -> None:
    """Answer over HTTP with each MODEL: a model folder, a fastText file, or NAME=PATH.

    Open its address in a browser: the page there shows what the models read. POST /predict takes {"inputs": "a text"}
    or a list of texts; vLLM and the Open Inference Protocol have routes of their own, and GET /openapi.json lists all.
    SIGTERM ends the server when it has answered what it accepted; SIGHUP opens the models anew.
    """
    from rubrica.export.browser import read_report
    from rubrica.serve.limits import Limits
    from rubrica.serve.logs import Style, log_now
    from rubrica.serve.workers import listen, run_workers

    if workers > 1 and not hasattr(os, "fork"):
        raise click.UsageError("--workers needs a system that can fork; leave it out")
    bounds = Limits(**{_FIELDS.get(name, name): value for name, value in limits.items()})
    if bounds.queue < bounds.texts:
        raise click.UsageError("--queue is below --max-texts, so the largest request would always be refused")
    style = Style(log_format == "json", quiet=bool(context.find_root().params.get("quiet")))
    paths, key = named_paths(models), _read_key(api_key_file)
    page = read_examples(examples), read_report(report) if report else None
    sockets = listen(host, port, workers)
    port = sockets[0].getsockname()[1]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def ready() -> None:
        log_now(style, "ready", address=address, workers=workers)
        if key is None and host not in _HERE:
            log_now(style, "open", "warning", problem="anybody who reaches this address can ask; give --api-key-file")

    work = partial(_work, paths, bounds, style, key, page)
    if workers == 1:
        work(sockets[0], ready)
    elif run_workers(work, sockets, partial(log_now, style), ready):
        sys.exit(1)


def _work(
    models: dict[str, Path],
    limits: "Limits",
    style: "Style",
    key: str | None,
    page: tuple[tuple[str, ...], bytes | None],
    listener: "socket.socket",
    ready: "Callable[[], None]",
) -> None:
    """Open the models and answer in this process."""
    for module in ("uvicorn", "httptools", "prometheus_client"):
        require(module, "serve")
    from rubrica.serve.logs import Log
    from rubrica.serve.models import open_models
    from rubrica.serve.page import Page
    from rubrica.serve.server import serve as answer

    found = open_models(models, limits.abstain_below)
    log = Log(style)
    try:
        answer(found, limits, listener, log, key, Page(*page), ready)
    finally:
        log.close()


def _read_key(file: Path | None) -> str | None:
    """The key that clients must send; None where anyone may ask."""
    key = os.environ.get(_KEY)
    if file is not None:
        try:
            key = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RubricaError(f"{file}: no key can be read ({getattr(error, 'strerror', None) or error})") from None
    if key is not None and not (key.isascii() and key.isprintable() and key.strip()):
        raise ConfigError("the key is empty, or has characters that no header can have; give ASCII letters and digits")
    return key
