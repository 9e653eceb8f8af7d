"""The folder of `rubrica export --web` answers in a page and in a worker of headless Chromium, from a static host."""

import json
import threading
from functools import partial
from http.server import ThreadingHTTPServer

import numpy as np
import pytest

from browser import launched
from rubrica import load
from rubrica.cli.main import rubrica as command
from static import Quiet

PAGE = "<!doctype html><meta charset=utf-8><title>A model</title>"
ASK = """async ({ path, texts }) => {
  const { load } = await import("/rubrica.js");
  const model = await load(path);
  return model.probabilities(texts).map((row) => [...row]);
}"""
# The files come as a page gets them that is opened from a disk: by name, as Blobs.
ASK_WITH_FILES = """async ({ path, texts }) => {
  const { load } = await import("/rubrica.js");
  const names = ["manifest.json", "config.json", "vocab.txt", "model.safetensors"];
  const blobs = await Promise.all(names.map(async (name) => [name, await (await fetch(`${path}/${name}`)).blob()]));
  const model = await load(new Map(blobs));
  return model.probabilities(texts).map((row) => [...row]);
}"""
ASK_WORKER = """({ path, texts }) => new Promise((resolve, reject) => {
  const worker = new Worker("/worker.js", { type: "module" });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
  worker.postMessage({ path, texts });
})"""
WORKER = """import { load } from "./rubrica.js";

onmessage = async ({ data: { path, texts } }) => {
  const model = await load(path);
  postMessage(model.probabilities(texts).map((row) => [...row]));
};
"""


@pytest.fixture
def serve():
    """A static host of a folder; gives its address."""
    servers = []

    def start(folder):
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_page_and_a_worker_answer_as_python(models, texts, tmp_path, serve):
    for number, name in enumerate(("linear", "gru and linear")):
        models[name].save(tmp_path / name)
        folder = tmp_path / f"web-{number}"
        command.main(["export", str(tmp_path / name), "--web", str(folder)], standalone_mode=False)
        (folder / "index.html").write_text(PAGE)
        (folder / "worker.js").write_text(WORKER)
        asked = [text for text in texts if json.loads(json.dumps(text)) == text and text.isprintable()][:60]
        expected = load(tmp_path / name).predict_proba(asked)
        with launched() as browser:
            page = browser.new_page()
            page.goto(f"{serve(folder)}/index.html")
            for script in (ASK, ASK_WITH_FILES, ASK_WORKER):
                found = page.evaluate(script, {"path": "/model", "texts": asked})
                np.testing.assert_allclose(np.array(found), expected, rtol=0, atol=1e-5)
