"""The hub: a stand-in on this machine answers what the real libraries ask; then it goes away."""

import hashlib
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rubrica.data.reachable import is_reachable

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FEATURES = {
    "label": {"names": ["World", "Sports"], "_type": "ClassLabel"},
    "text": {"dtype": "string", "_type": "Value"},
}
CONFIGS = b"---\nconfigs:\n- config_name: one\n  data_files: 1.csv\n- config_name: two\n  data_files: 2.csv\n---\n"


def shard(**columns):
    stream = io.BytesIO()
    notes = {"huggingface": json.dumps({"info": {"features": {name: FEATURES[name] for name in columns}}})}
    pq.write_table(pa.table(columns).replace_schema_metadata(notes), stream)
    return stream.getvalue()


REPOS = {
    "fancyzhx/ag_news": {
        "data/train-00000-of-00002.parquet": shard(text=["a", "b"], label=[1, 0]),
        "data/train-00001-of-00002.parquet": shard(text=["null"], label=[1]),
        "data/test-00000-of-00001.parquet": shard(text=["d"], label=[0]),
    },
    "me/texts": {"train.parquet": shard(text=["no labels here"])},
    "me/configs": {"README.md": CONFIGS, "1.csv": b"text,label\na,x\n", "2.csv": b"text,label\nb,7\n"},
}


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of the hub's API that `huggingface_hub` uses to find and download the files of a data set."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"{}", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value):
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self):
        asked = unquote(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        parts = unquote(urlsplit(self.path).path).removeprefix("/api").strip("/").split("/")
        repo, verb, path = "/".join(parts[1:3]), "".join(parts[3:4]), "/".join(parts[5:])
        files = REPOS.get(repo, {})
        listing = [
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in files.items()
        ]
        if parts[0] != "datasets" or not files:
            self.answer(404, X_Error_Code="RepoNotFound")
        elif verb == "resolve" and path in files:
            etag = f'"{hashlib.sha1(files[path]).hexdigest()}"'
            self.answer(200, files[path], ETag=etag, X_Repo_Commit=COMMIT)
        elif verb == "resolve":
            self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        elif verb == "tree":
            folders = {name.rpartition("/")[0] for name in files if "/" in name} if not path else set()
            found = [file for file in listing if file["path"].rpartition("/")[0] == path]
            self.answer_json(found + [{"type": "directory", "path": name, "oid": COMMIT} for name in folders])
        elif verb == "paths-info":
            self.answer_json([file for file in listing if file["path"] in asked])
        else:
            self.answer_json({"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})

    do_HEAD = do_POST = do_GET  # noqa: N815


READ = """
import dataclasses, json, sys, time
from rubrica.data.dataset import read_dataset
from rubrica.errors import DataError

for name in sys.argv[1:]:
    start = time.perf_counter()
    try:
        answer = dataclasses.asdict(read_dataset(name))
    except DataError as error:
        answer = str(error)
    print(json.dumps([answer, time.perf_counter() - start]))
"""


def read_in_another_process(folder, endpoint, *names, **variables):
    """The answers, by name, of a process that knows no other hub: both libraries read the address at import."""
    mine = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | mine | variables
    command = [sys.executable, "-c", READ, *names]
    result = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder, check=False)
    assert result.returncode == 0, result.stderr
    return dict(zip(names, map(json.loads, result.stdout.splitlines()), strict=True)), result.stderr


@pytest.fixture(scope="module")
def readings(tmp_path_factory):
    """What is read while the hub is there, and then, with what was downloaded, while it is not."""
    folder = tmp_path_factory.mktemp("hf-home")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    names = ["ag_news", "me/configs:two", "me/configs", "me/configs:three", "me/texts", "me/absent"]
    online = read_in_another_process(folder, endpoint, *names)
    server.shutdown()
    server.server_close()
    return online, read_in_another_process(folder, endpoint, "ag_news", "me/configs:two", "me/absent"), endpoint


@pytest.mark.parametrize("network", [0, 1], ids=["online", "from the cache"])
def test_a_hub_data_set_has_the_classes_of_its_card(readings, network):
    dataset, _ = readings[network][0]["ag_news"]
    assert dataset.pop("form")["text_columns"] == []
    assert dataset.pop("suffix") == ""
    assert dataset == {
        "name": "ag_news",
        "splits": {
            "train": {"texts": ["a", "b", "null"], "labels": ["Sports", "World", "Sports"], "soft": None},
            "test": {"texts": ["d"], "labels": ["World"], "soft": None},
        },
        "text_columns": ["text"],
        "label_column": "label",
        "task": {"labels": ["World", "Sports"]},
    }
    found = readings[network][0]["me/configs:two"][0]["splits"]["train"]
    assert found == {"texts": ["b"], "labels": ["7"], "soft": None}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("me/absent", "me/absent: no such file here, and the hub says: Dataset 'me/absent' doesn't exist"),
        ("me/configs", "Config name is missing"),
        ("me/configs:three", "BuilderConfig 'three' not found. Available: ['one', 'two']"),
        ("me/texts", 'me/texts: no column for labels; columns are "text"; pass --label-column'),
    ],
)
def test_what_the_hub_does_not_have(readings, name, what):
    message, _ = readings[0][0][name]
    assert what in message
    assert "\n" not in message


def test_without_a_network_the_answer_comes_at_once(readings):
    _, (answers, log), endpoint = readings
    message, seconds = answers["me/absent"]
    assert message == (
        f"me/absent: no such file here, {endpoint} does not answer, and the set was not downloaded before; "
        "where there is a network run: hf download --repo-type dataset me/absent --local-dir DIR; then pass DIR"
    )
    assert seconds < 5  # the libraries' own tries take 23
    assert "Retrying" not in log
    assert f"ag_news: {endpoint} does not answer; read from the local cache" in log


def test_the_reason_is_named_where_the_user_wants_no_network(tmp_path):
    answers, _ = read_in_another_process(tmp_path, "http://hub.invalid", "me/absent", HF_HUB_OFFLINE="1")
    assert "no such file here, HF_HUB_OFFLINE is set, and the set was not" in answers["me/absent"][0]


def test_a_server_or_a_proxy_takes_connections_or_not(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert is_reachable(f"http://{address}")
        monkeypatch.setenv("http_proxy", address)
        assert is_reachable("http://hub.invalid")
    assert not is_reachable("http://hub.invalid")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert not is_reachable(f"http://{address}")


def test_a_name_that_is_never_looked_up_does_not_hold_us(monkeypatch):
    released = threading.Event()

    def hang(*args, **options):
        released.wait(10)
        raise OSError

    monkeypatch.setattr("rubrica.data.reachable.socket.create_connection", hang)
    start = time.perf_counter()
    assert not is_reachable("http://hub.invalid", seconds=0.05)
    assert time.perf_counter() - start < 5
    released.set()
