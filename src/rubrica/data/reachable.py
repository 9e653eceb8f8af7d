"""Whether a server takes connections: asked before a library tries a download many times over.

Without a network, `datasets` tries six times in 23 seconds, and looking up a name may take half a minute. One question
with a time limit lets the caller turn to what is on the disk, or say at once what to do.
"""

import socket
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def is_reachable(url: str, seconds: float = 3.0) -> bool:  # a slow mobile network answers within one second
    """Whether the server of an address, or the proxy on the way to it, takes a connection in time."""
    # Ten milliseconds that a local file need not wait for.
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if (proxy := getproxies().get(parts.scheme)) and not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        address = (parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443))
    except ValueError:  # the port is none
        return False
    try:
        in_time(lambda: socket.create_connection(address, timeout=seconds).close(), seconds)
    except OSError:
        return False
    return True


def in_time(call: Callable[[], T], seconds: float) -> T:
    """What a call returns, or raises; Ctrl-C ends the waiting.

    Raises:
        TimeoutError: If it has no outcome in time. It goes on, and nobody hears of it.
    """
    from threading import Thread

    results, faults = list[T](), list[Exception]()

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            faults.append(error)

    # In a thread, since looking up a name has no time limit of its own.
    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if faults:
        raise faults[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    return results[0]
