"""A server of ours in a process of its own, and what a client does with it: requests, raw bytes, a load of many."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

DATA = Path(__file__).parent / "data"
ONE, SEVERAL = DATA / "artifact-v2", DATA / "artifact-v4"
TEXTS = ["the cup goal", "oil prices climb", "", "\0", "é 😀 a", "unknown words only", "cup " * 200]
_PATIENCE = 30  # seconds for a start or an end on a busy machine


@contextlib.contextmanager
def serving(*arguments, env=None, folder):
    """`rubrica serve` with these arguments at a free port; what it logs goes to a file of the folder."""
    log = Path(folder) / f"log-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "rubrica", "serve", *map(str, arguments), "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file, env=os.environ | (env or {}))
    server = SimpleNamespace(process=process, log=log)
    try:
        server.port = int(wait_for(server, "ready")["address"].rpartition(":")[2])
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def events(server, name=None):
    """What the server has logged, or of that the events of one name."""
    whole = server.log.read_text(encoding="utf-8").rpartition("\n")[0]  # the last line may be half written
    lines = [json.loads(line) for line in whole.split("\n") if line[:1] == "{"]
    return [line for line in lines if name in (None, line["event"])]


def wait_for(server, name, count=1, *, alone=False):
    """The latest event of a name, when there are `count` of them; `alone`, after the first process has gone, too."""
    for _ in range(_PATIENCE * 50):
        if len(found := events(server, name)) >= count:
            return found[-1]
        if server.process.poll() is not None and not alone:
            break
        time.sleep(0.02)
    raise AssertionError(f"no {name}: {server.log.read_text(encoding='utf-8')[-2000:]}")


def ask(server, method, path, body=None, headers=()):
    """Status, headers and body of an answer; a body that is not bytes is sent as JSON, and JSON is read."""
    headers = dict(headers)
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | headers
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, json.loads(data) if found["content-type"] == "application/json" else data.decode()
    finally:
        connection.close()


def predict(server, texts, **more):
    status, _, answer = ask(server, "POST", "/predict", {"inputs": texts, **more})
    assert status == 200, answer
    return answer


def send_raw(server, data, seconds=_PATIENCE):
    """The first answer to some bytes, less where the server hangs up or the time is over; and how long it took."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as client:
        client.sendall(data)
        found = b""
        try:
            while not _is_whole(found) and (part := client.recv(1 << 16)):
                found += part
        except (TimeoutError, ConnectionResetError):
            pass
    return found, time.monotonic() - began


def _is_whole(answer):
    start, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", start)
    return bool(end and length) and len(body) >= int(length[1])


def head(length, path="/predict", more=""):
    """The head of a request with a body of this length."""
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{more}\r\n".encode()


@contextlib.contextmanager
def load(server, clients=8):
    """Clients that ask one request after the other; yields what they got: a status each, or the name of an error."""
    found, ended = [], threading.Event()

    def run():
        body = json.dumps({"inputs": TEXTS[:2]}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE)
        with contextlib.closing(connection):
            ask_on(connection, body)

    def ask_on(connection, body):
        while not ended.is_set():
            sent = False
            try:
                connection.connect() if connection.sock is None else None
                connection.request("POST", "/predict", body)
                sent = True
                answer = connection.getresponse()
                answer.read()
                found.append(answer.status)
                if answer.status != 200:
                    return
            except (OSError, http.client.HTTPException) as error:
                found.append(f"{type(error).__name__} {'of a request' if sent else 'of a connection'}")
                return

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join()
