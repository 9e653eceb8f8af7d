"""How far the probabilities of rubrica.js are from Python's, for every family, in Node and in headless Chromium.

Claim: no probability differs by more than 1e-5 on 5,000 texts. 1,250 are test texts of each data set, and 1,250 are
made of the corners of Unicode. The models learn from 5,000 texts of the first data set, for one epoch.
The fastText model is one of fastText's own files.

Expected before measuring: sums in double precision against sums in single precision differ by some 1e-6.

    python benchmarks/js_equal.py MODEL.ftz ../shared/data/ag_news DATA DATA
"""

import json
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from itertools import cycle, islice
from pathlib import Path
from shutil import which

import numpy as np

import rubrica
from results import write_result
from rubrica.data.dataset import read_dataset
from rubrica.export.browser import export_web
from rubrica.models.config import make_config
from rubrica.models.families import FAMILIES

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from made_texts import made_texts
from static import Quiet

EACH, LEARNED = 1250, 5000
NODE = """
import { load } from "./web/rubrica.js";
let input = "";
for await (const chunk of process.stdin) input += chunk;
const model = await load("web/model");
console.log(JSON.stringify(model.probabilities(JSON.parse(input)).map((row) => [...row])));
"""
BROWSER = """async (texts) => {
  const { load } = await import("/rubrica.js");
  return JSON.stringify((await load("/model")).probabilities(JSON.parse(texts)).map((row) => [...row]));
}"""


def in_node(folder, texts):
    """The probabilities that Node finds, as JSON."""
    command = [which("node"), "--input-type=module", "-e", NODE]
    return subprocess.run(command, input=texts, cwd=folder, capture_output=True, text=True, check=True).stdout


def in_browser(browser, folder, texts):
    """The probabilities that a page finds, as JSON."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / "web")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/page.json")
    found = page.evaluate(BROWSER, texts)
    page.close()
    server.shutdown()
    return found


def folders_of(examples, file, place):
    """A model of each family, as a folder, and the fastText file, by name."""
    for name in FAMILIES:
        if name != "fasttext":
            epochs = {} if name == "linear" else {"epochs": 1}
            config = make_config(model={"name": name}, training=epochs)
            model = rubrica.train(examples.texts[:LEARNED], examples.labels[:LEARNED], config=config)
            model.save(place / f"{name}-model")
            yield name, place / f"{name}-model"
    yield "fasttext", Path(file)


def main(file, *data):
    """Train each family, write it for the web, and ask both sides."""
    from playwright.sync_api import sync_playwright

    datasets = [read_dataset(path) for path in data]
    texts = [text for dataset in datasets for text in islice(cycle(dataset.splits["test"].texts), EACH)]
    texts += made_texts(EACH)
    asked, found = json.dumps(texts), {}
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as place:
        path = next(filter(None, map(which, ("chromium", "google-chrome", "chrome"))))
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name, source in folders_of(datasets[0].splits["train"], file, Path(place)):
            folder = Path(place) / name
            folder.mkdir()
            export_web({"model": source}, folder / "web")
            ours = rubrica.load(source).predict_proba(texts)
            sides = {"node": in_node(folder, asked), "chromium": in_browser(browser, folder, asked)}
            found[name] = {side: float(np.abs(np.array(json.loads(rows)) - ours).max()) for side, rows in sides.items()}
            print(name, found[name], file=sys.stderr)
        browser.close()
    write_result("js_equal", {"texts": len(texts), "largest_difference": found})


if __name__ == "__main__":
    main(*sys.argv[1:])
