"""The example of docs/serving.md answers by Ray Serve what the model answers."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from made_models import make
from rubrica import load

pytest.importorskip("ray.serve", reason="make ray installs Ray and runs these tests")
pytestmark = pytest.mark.ray

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
START = """
from ray import serve
serve.start(http_options={{"host": "127.0.0.1", "port": {port}}})
"""
ASK = """
import json, sys
from urllib.request import Request, urlopen
for text in json.loads(sys.argv[1]):
    request = Request("http://127.0.0.1:{port}/", json.dumps({{"inputs": text}}).encode())
    print(urlopen(request).read().decode())
serve.shutdown()
"""


def test_the_example_answers(tmp_path):
    (example,) = re.findall(r"^```python\n([^`]*from ray import serve[^`]*)^```", PAGE.read_text(), re.MULTILINE)
    make("gru")[0].save(tmp_path / "news-model")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    texts = ["a b", "b c d", ""]
    script = START.format(port=port) + example + ASK.format(port=port)
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(texts)], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}, check=False,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[[")]
    wanted = load(tmp_path / "news-model").scored(texts)
    assert [[label for label, _ in row] for row in found] == [[label for label, _ in row] for row in wanted], (
        done.stderr
    )
    for row, right in zip(found, wanted, strict=True):
        assert [share for _, share in row] == pytest.approx([share for _, share in right])
