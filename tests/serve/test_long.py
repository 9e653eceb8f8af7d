"""What takes minutes: many malformed requests, and a server that answers for a long time in the same memory."""

import json
import random
import re
import threading
import time
from pathlib import Path

import pytest

from serving import ONE, SEVERAL, TEXTS, ask, head, load, predict, send_raw, serving

pytestmark = pytest.mark.slow

_MALFORMED, _CLIENTS = 100_000, 8
_SECONDS, _FIRST = 600, 60
_GROWTH = 1.05


def kibibytes(server):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())[1])


GOOD = [
    json.dumps({"inputs": TEXTS, "model": "one", "parameters": {"top_k": 2}}).encode(),
    json.dumps({"inputs": [{"name": "a", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}).encode(),
]


def mutated(draw):
    """A good request with some bytes changed, taken out or put in; sometimes with a head that is wrong, too."""
    body = bytearray(draw.choice(GOOD))
    for _ in range(draw.randint(1, 6)):
        place = draw.randrange(len(body))
        body[place : place + draw.randint(0, 4)] = draw.randbytes(draw.randint(0, 4))
    path = draw.choice(["/predict", "/v1/classify", "/explain", "/v2/models/one/infer"])
    request = bytearray(head(len(body), path, "Connection: close\r\n") + bytes(body))
    if draw.random() < 0.3:
        place = draw.randrange(len(request) - len(body))
        request[place : place + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
    return bytes(request)


def test_malformed_requests_never_fail_or_hang(tmp_path):
    statuses, slowest = {}, []

    def send(seed):
        draw = random.Random(seed)
        longest = 0
        for _ in range(_MALFORMED // _CLIENTS):
            answer, seconds = send_raw(server, mutated(draw))
            status = answer[9:12]  # none where the head asks for nothing that can be answered
            statuses[status] = statuses.get(status, 0) + 1
            longest = max(longest, seconds)
        slowest.append(longest)

    with serving(f"one={ONE}", f"several={SEVERAL}", "--client-timeout", "0.3s", folder=tmp_path) as server:
        threads = [threading.Thread(target=send, args=[seed]) for seed in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(slowest) == _CLIENTS
        assert not [status for status in statuses if status[:1] not in (b"2", b"4")]
        assert max(slowest) < 10
        assert ask(server, "GET", "/healthz")[0] == 200


def test_memory_does_not_grow(tmp_path):
    """After ten minutes of good and malformed requests as after the first."""
    draw, before, began = random.Random(0), None, time.monotonic()
    with serving(f"one={ONE}", "--client-timeout", "2s", folder=tmp_path) as server, load(server, 8) as found:
        while (spent := time.monotonic() - began) < _SECONDS:
            send_raw(server, mutated(draw))
            predict(server, TEXTS)
            if before is None and spent >= _FIRST:
                before = kibibytes(server)
        assert kibibytes(server) < _GROWTH * before
    assert set(found) == {200}
