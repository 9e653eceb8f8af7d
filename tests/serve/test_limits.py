"""Each limit, from outside: what is beyond it is refused in one shape, which never repeats what was sent."""

import contextlib
import gzip
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving import ONE, SEVERAL, ask, events, head, predict, send_raw, serving


def refusal(server, *request):
    status, _, answer = ask(server, *request)
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"code", "message"}
    return status, answer["error"]["code"]


def test_it_listens_on_this_machine_alone(server):
    status, _, _ = ask(server, "GET", "/healthz")
    assert status == 200
    assert server.process.args[-1] == "0"
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", server.port), timeout=1):
        pass


def test_sizes(strict):
    assert len(predict(strict, ["a" * 50] * 3)) == 3
    assert refusal(strict, "POST", "/predict", {"inputs": "a" * 51}) == (422, "invalid_request")
    assert refusal(strict, "POST", "/predict", {"inputs": ["a"] * 4}) == (422, "invalid_request")
    assert refusal(strict, "POST", "/predict", {"inputs": "é" * 3000}) == (413, "body_too_large")
    assert refusal(strict, "POST", "/explain", {"inputs": "a" * 51}) == (422, "invalid_request")
    assert refusal(strict, "POST", "/v1/classify", {"input": ["a"] * 4}) == (422, "invalid_request")


def test_a_body_without_a_length_is_counted_while_it_streams(strict):
    chunks = b"".join(b"%x\r\n%b\r\n" % (500, b" " * 500) for _ in range(5))
    request = b"POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer, _ = send_raw(strict, request + chunks + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_packed_bodies_are_counted_unpacked(strict):
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    body = gzip.compress(json.dumps({"inputs": "the cup"}).encode())
    assert ask(strict, "POST", "/predict", body, packed)[0] == 200
    assert refusal(strict, "POST", "/predict", gzip.compress(b" " * 2001), packed) == (413, "body_too_large")
    bomb = gzip.compress(b" " * 10**6)
    assert len(bomb) < 2000
    assert refusal(strict, "POST", "/predict", bomb, packed) == (413, "body_too_large")
    assert refusal(strict, "POST", "/predict", body[:-3], packed) == (400, "invalid_gzip")
    assert refusal(strict, "POST", "/predict", body + body, packed) == (400, "invalid_gzip")
    assert refusal(strict, "POST", "/predict", b"{}", packed) == (400, "invalid_gzip")
    packed["Content-Encoding"] = "br"
    assert refusal(strict, "POST", "/predict", body, packed) == (415, "unsupported_encoding")


def test_cut_says_how_many_texts_it_cut(tmp_path):
    with serving(ONE, "--max-chars", 7, "--cut", folder=tmp_path) as server:
        _, headers, cut = ask(server, "POST", "/predict", {"inputs": ["the cup goal", "oil"]})
        assert headers["x-rubrica-cut"] == "1"
        _, headers, short = ask(server, "POST", "/predict", {"inputs": ["the cup", "oil"]})
        assert "x-rubrica-cut" not in headers
        assert cut == short


def test_slow_clients_are_dropped(strict):
    for sent in (b"", b"POST /predict HTTP/1.1\r\nHost: a\r\n", head(30) + b'{"inputs": '):
        answer, seconds = send_raw(strict, sent, 5)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_slow"
        assert seconds < 2


def test_what_never_reached_a_route_is_counted(strict):
    send_raw(strict, b"no HTTP\r\n\r\n")
    assert 'rubrica_requests_total{route="other",status="400"} ' in ask(strict, "GET", "/metrics")[2]


def test_a_client_that_drips_is_dropped(strict):
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as client:
        client.sendall(head(1000))
        client.settimeout(0.02)
        answer = b""
        while not answer and time.monotonic() - began < 5:
            client.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                answer = client.recv(100)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 3


def test_a_client_that_takes_no_answer_is_dropped(tmp_path):
    body = json.dumps({"inputs": ["a b c"] * 256, "parameters": {"top_k": 3}}).encode()
    request = head(len(body)) + body
    with serving(ONE, "--client-timeout", "0.5s", folder=tmp_path) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            began = time.monotonic()
            with pytest.raises((ConnectionError, TimeoutError)):
                _send_for_ever(client, request)
            assert time.monotonic() - began < 5
        assert ask(server, "GET", "/healthz")[0] == 200


def _send_for_ever(client, request):
    while True:
        client.sendall(request)


def test_a_full_queue_is_refused_and_says_when_to_come_back(tmp_path):
    texts = ["the cup goal " * 150] * 40
    with serving(SEVERAL, "--queue", 40, "--max-texts", 40, folder=tmp_path) as server:
        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda _: ask(server, "POST", "/predict", {"inputs": texts}), range(64)))
        refused = [headers["retry-after"] for status, headers, _ in answers if status == 503]
        assert {status for status, _, _ in answers} == {200, 503}
        assert set(refused) == {"1"}
        assert len(predict(server, texts)) == 40


def test_a_late_answer_is_given_up(tmp_path):
    texts = ["the cup goal " * 1500] * 256
    limits = ["--deadline", "0.05s", "--max-body", 10**7, "--queue", 10**5]
    with serving(SEVERAL, *limits, folder=tmp_path) as server:
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda _: ask(server, "POST", "/predict", {"inputs": texts}), range(8)))
        late = [answer["error"]["code"] for status, _, answer in answers if status != 200]
        assert set(late) == {"deadline_exceeded"}


def test_an_endless_head_is_refused(strict):
    answer, _ = send_raw(strict, b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 100_000)
    assert answer.startswith(b"HTTP/1.1 431 ") or not answer  # a reset may overtake the answer


def test_more_connections_than_the_limit_are_refused(strict):
    rest = [socket.create_connection(("127.0.0.1", strict.port)) for _ in range(20)]
    try:
        answer, _ = send_raw(strict, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 5)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
    finally:
        for connection in rest:
            connection.close()
    time.sleep(0.3)
    assert ask(strict, "GET", "/healthz")[0] == 200


def test_a_key_is_asked_for(tmp_path):
    key = tmp_path / "key"
    key.write_text("a-long-key\n")
    with serving(ONE, "--api-key-file", key, folder=tmp_path, env={"RUBRICA_API_KEY": "another"}) as server:
        assert refusal(server, "POST", "/predict", {"inputs": "a"}) == (401, "unauthorized")
        for wrong in ("Bearer another", "Bearer a-long-ke", "a-long-key", "Bearer \xff"):
            answer = ask(server, "POST", "/predict", {"inputs": "a"}, {"Authorization": wrong})
            assert (answer[0], answer[1]["www-authenticate"]) == (401, "Bearer")
        assert ask(server, "POST", "/predict", {"inputs": "a"}, {"Authorization": "Bearer a-long-key"})[0] == 200
        assert refusal(server, "GET", "/metrics") == (401, "unauthorized")
        assert ask(server, "GET", "/healthz")[0] == 200
        assert "a-long-key" not in server.log.read_text()


def test_other_bodies_than_json_are_refused(server):
    plain = {"Content-Type": "text/plain"}  # what a foreign page in a browser may send without being asked
    assert refusal(server, "POST", "/predict", b'{"inputs": "a"}', plain) == (415, "unsupported_type")


MALFORMED = {
    "empty": b"",
    "no JSON": b"a text",
    "half": b'{"inputs": "a',
    "deep": b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep parameters": b'{"inputs": "a", "parameters": ' + b'{"a":' * 50_000,
    "NaN": b'{"inputs": NaN}',
    "number": b'{"inputs": 1}',
    "null": b'{"inputs": null}',
    "object": b'{"inputs": {"a": 1}}',
    "mixed": b'{"inputs": ["a", 1]}',
    "broken UTF-8": b'{"inputs": "\xff\xfe"}',
    "overlong UTF-8": b'{"inputs": "\xc0\x80"}',
    "half a surrogate": b'{"inputs": "\\ud800"}',
    "byte order mark": b'\xef\xbb\xbf{"inputs": "a"}',
    "unknown key": b'{"inputs": "a", "secret_key": 1}',
    "two values": b'{"inputs": "a"} {"inputs": "a"}',
    "zero": b'{"inputs": "a", "parameters": {"top_k": 0}}',
    "text": b'{"inputs": "a", "parameters": {"top_k": "1"}}',
    "unknown model": b'{"inputs": "a", "model": "../../secret_key"}',
    "list": b"[]",
    "huge number": b'{"inputs": "a", "model": "one", "parameters": {"top_k": -1e400}}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies_are_the_clients_fault(server, name):
    began = time.monotonic()
    status, _, answer = ask(server, "POST", "/predict", MALFORMED[name], {"Content-Type": "application/json"})
    assert 400 <= status < 500
    assert time.monotonic() - began < 1
    assert "secret_key" not in json.dumps(answer)


def test_texts_with_any_character_are_answered(server):
    assert len(predict(server, ["\0", "\0" * 1000, "\u202e", "\U0010ffff", "\ufffe"], model="several")) == 5


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_refused(strict, data):
    answer, seconds = send_raw(strict, data, 5)
    assert answer[:10] == b"HTTP/1.1 4"
    assert seconds < 2
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_nothing_of_this_has_failed_inside(server, strict):
    for one in (server, strict):
        assert ask(one, "GET", "/healthz")[0] == 200
        assert not events(one, "failed")
