"""One process that answers: uvicorn with our application, and what the signals mean.

SIGTERM and SIGINT let what was accepted be answered, refuse what comes later, and end the process with 0. SIGHUP opens
each model anew.
"""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from rubrica.serve.app import App
from rubrica.serve.batches import Batches
from rubrica.serve.connections import connections_of
from rubrica.serve.limits import Limits
from rubrica.serve.logs import Log
from rubrica.serve.metrics import Metrics
from rubrica.serve.models import Models
from rubrica.serve.page import Page
from rubrica.serve.service import Service

_KEEP_ALIVE = 30  # seconds that a connection may rest between two requests
_FAREWELL = 0.25  # seconds in which clients that go on asking are told to close, before connections are cut
_LOOK = 0.1  # seconds between two looks for slow clients


class _Server(uvicorn.Server):
    """uvicorn without its signals: it would end the process by the signal instead of with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    models: Models,
    limits: Limits,
    listener: socket.socket,
    log: Log,
    key: str | None,
    page: Page,
    ready: Callable[[], None],
) -> None:
    """Answer at a listening socket until a signal ends it.

    Args:
        models: What answers.
        limits: What is taken.
        listener: Where requests come from.
        log: Where events go.
        key: What clients must send; None where anyone may ask.
        page: What the page at / shows beside the models.
        ready: Called when requests are taken.
    """
    metrics = Metrics()
    batches = Batches(limits.queue, limits.deadline, metrics.batches.observe)
    service = Service(models, limits, metrics, log, batches, page)
    app = App(service, key)
    config = _config(app, service)
    server = _Server(config)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        batches.start()
        for model in models.values():
            metrics.tell_model(model)
        tasks = [loop.create_task(_drop_late(server)), loop.create_task(_say_ready(server, ready))]

        def end() -> None:
            if not service.draining:
                service.draining = True
                log("draining")
                tasks.append(loop.create_task(_drain(server, app)))

        _on_signals(end, lambda: loop.run_in_executor(service.slow, service.reload))
        await server.serve(sockets=[listener])
        for task in tasks:
            task.cancel()
        batches.close()
        service.slow.shutdown(wait=False, cancel_futures=True)

    gc.collect()
    gc.freeze()  # the models stay; looking through them for garbage would hold answers up
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())
    log("ended")


def _config(app: App, service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        http=connections_of(service.limits, service.tell_refused),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )


def _on_signals(end: Callable[[], Any], reload: Callable[[], Any]) -> None:
    """Say what the signals do; they do it in the loop."""
    loop = asyncio.get_running_loop()
    for name, call in {"SIGTERM": end, "SIGINT": end, "SIGHUP": reload}.items():
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_, call=call: loop.call_soon_threadsafe(call))


async def _say_ready(server: uvicorn.Server, ready: Callable[[], None]) -> None:
    while not server.started:
        await asyncio.sleep(0.005)
    ready()


async def _drop_late(server: uvicorn.Server) -> None:
    """Give up the clients that are too slow."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_LOOK)
        for connection in list(server.server_state.connections):
            connection.drop_late(loop.time())  # type: ignore[union-attr]


async def _drain(server: uvicorn.Server, app: App) -> None:
    """Let what was accepted be answered, then end. Each answer has a deadline, so this does not take for ever."""
    await asyncio.sleep(_FAREWELL)
    while app.in_flight:
        await asyncio.sleep(0.01)
    server.should_exit = True
