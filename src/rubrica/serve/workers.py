"""Several processes that answer at one address.

Each worker has a listening socket of its own, among which the system shares the connections out (SO_REUSEPORT). The
sockets belong to the first process, so connections that wait outlast a worker that dies. The first process loads no
model: it passes the signals on, and a new worker reads the models as they are then.
"""

import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from rubrica.errors import RubricaError

_BACKLOG = 2048
_PAUSE = 1.0  # seconds before a worker that died is replaced, so that one that always dies does not fill the log
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))

Work = Callable[[socket.socket, Callable[[], None]], None]
"""What a worker does: serve at a socket, and call when it is ready."""


def listen(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """Listening sockets of one address; port 0 takes a free one.

    Raises:
        RubricaError: If the address is not ours, or taken.
    """
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        first = _bound(family, address, shared=False)  # another server of this port is found here
        if count == 1:
            return [first]
        address = first.getsockname()
        first.close()
        return [_bound(family, address, shared=True) for _ in range(count)]
    except (OSError, OverflowError) as error:
        problem = getattr(error, "strerror", None) or error
        raise RubricaError(f"cannot listen at {host} port {port}: {problem}; give another --host or --port") from None


def _bound(family: int, address: object, *, shared: bool) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(address)  # type: ignore[arg-type]
    found.listen(_BACKLOG)
    return found


def run_workers(
    work: Work, sockets: Sequence[socket.socket], say: Callable[..., None], ready: Callable[[], None]
) -> bool:
    """Serve in a process for each socket until a signal ends them; returns whether one failed.

    Args:
        work: What each one does.
        sockets: Theirs.
        say: Called with an event and its fields, for the log.
        ready: Called when all take requests.
    """
    workers: dict[int, socket.socket] = {}
    ending = failed = False
    lifeline = os.pipe()

    def pass_on(number: int, _: object) -> None:
        nonlocal ending
        ending = ending or number != getattr(signal, "SIGHUP", None)
        if ending:
            for one in sockets:  # else connections would wait here for workers that have ended
                one.close()
        for process in list(workers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def start(place: socket.socket) -> bool:
        if ending:
            return False
        others = [one for one in sockets if one is not place]
        process, began = _start(work, place, others, lifeline)
        if began:
            workers[process] = place
            if ending:  # a signal came in the meantime
                os.kill(process, signal.SIGTERM)
        return began

    with tempfile.TemporaryDirectory(prefix="rubrica-serve-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        for number in _SIGNALS:
            signal.signal(number, pass_on)
        if all(map(start, sockets)):
            ready()
        elif not ending:  # the worker has said why
            failed = True
            pass_on(signal.SIGTERM, None)
        while workers:
            process, status = os.wait()
            place, code = workers.pop(process), os.waitstatus_to_exitcode(status)
            _forget(folder, process)
            if ending:
                failed = failed or code > 0
                continue
            say("worker_died", "error", worker=process, status=code)
            time.sleep(_PAUSE)
            while not ending and not start(place):
                time.sleep(_PAUSE)
    return failed


def _start(
    work: Work, place: socket.socket, others: Sequence[socket.socket], lifeline: tuple[int, int]
) -> tuple[int, bool]:
    """Start a worker and wait until it takes requests; returns its number, and whether it does."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        os.close(reader)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for one in others:
            one.close()
        os.close(lifeline[1])
        threading.Thread(target=_end_with_the_first, args=[lifeline[0]], daemon=True).start()
        _work_and_end(work, place, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        began = pipe.read(1) == b"1"
    if not began:
        os.waitpid(process, 0)
    return process, began


def _work_and_end(work: Work, place: socket.socket, pipe: int) -> NoReturn:
    """What a worker does. It does not return: what the first process has to clean up is not the worker's."""
    code = 1
    try:
        work(place, lambda: _say_ready(pipe))
        code = 0
    except RubricaError as error:
        sys.stderr.write(f"error: {error}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _end_with_the_first(lifeline: int) -> None:
    """End this worker when the first process has gone, even if it was killed: nothing comes through its pipe before."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _say_ready(pipe: int) -> None:
    os.write(pipe, b"1")
    os.close(pipe)


def _forget(folder: str, process: int) -> None:
    """Drop the gauges of a worker that has ended; its counters stay in the sums."""
    for path in Path(folder).glob(f"gauge_live*_{process}.db"):
        path.unlink()
