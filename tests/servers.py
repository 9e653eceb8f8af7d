"""Servers on this machine that data are read from: one that speaks as S3 does, and a plain one of the web."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from rubrica.data.reachable import is_reachable
from stand_in import stand_in

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


@contextmanager
def s3_server():
    """moto's server in a process of its own; yields its address."""
    with served("-m", "moto.server", "-H", "127.0.0.1", "-p") as address:
        yield address


@contextmanager
def folder_server(folder):
    """Python's own server of the files of a folder, in a process of its own; yields its address."""
    with served("-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder)) as address:
        yield address


@contextmanager
def served(*arguments):
    """A server by Python's command with these arguments, and a free port behind them."""
    port = closed_port()
    server = subprocess.Popen(
        [sys.executable, *arguments, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(3000):
            if server.poll() is not None:
                raise RuntimeError(f"the server of {arguments} has ended")
            if is_reachable(address, 0.5):
                break
            time.sleep(0.01)
        yield address
    finally:
        server.kill()
        server.wait()


def closed_port():
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def pages(contents):
    """A server of the web with these bytes by their paths; yields its address."""
    with stand_in(lambda path: (found := contents.get(path.partition("?")[0])) and (found, len(found))) as address:
        yield address
