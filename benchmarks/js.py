"""Texts a second of rubrica.js on one thread of Node, and how long a model takes to load; Python's own speed beside it.

The texts are AG News's test texts, each once a round; Python labels them on one thread too. The first round warms up
and is dropped; the figures are medians. The answers must be Python's. Where the machine does something else beside, the
texts of a second of processor time say more than the texts of a second.

Expected before measuring, on one core of the machine of the README's figures. A text has 240 characters: some 900
n-grams, each two hashes of 8 ns and a row that is seldom in a cache, and what is left is small: linear 45 us, so
20 thousand. The default reads 45 tokens from both ends, 90 steps of 12,300 products at 4 a cycle, 110 us, and as much
again for sigmoids, sums, pooling and the linear model: 200 us, so 5 thousand. A folder of 2 MB loads in 0.1 s.

    RUBRICA_THREADS=1 python benchmarks/js.py ../shared/data/ag_news
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from results import write_result
from rubrica import load
from rubrica.artifact.folder import save_artifact
from rubrica.data.dataset import read_dataset
from rubrica.export.shrink import folder_sizes, shrink
from rubrica.learning.train import train_dataset
from rubrica.models.config import make_config

ROUNDS = 5
SCRIPT = Path(__file__).with_name("js.mjs")
CONFIGS = {"linear": make_config(model={"name": "linear"}), "default": make_config()}


def measure(folder, texts):
    """The speed of both sides, and how often they give the same label."""
    command = [shutil.which("node"), SCRIPT, folder, str(ROUNDS)]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    answers, figures = map(json.loads, done.stdout.splitlines())
    model, seconds, cpu = load(folder), [], []
    for _ in range(ROUNDS + 1):
        started, used = time.perf_counter(), time.process_time()
        ours = model.predict(texts)
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    return {
        "megabytes": sum(folder_sizes(folder).values()) / 1e6,
        "texts_per_second": median(figures["texts_per_second"][1:]),
        "least_most": [min(figures["texts_per_second"][1:]), max(figures["texts_per_second"][1:])],
        "texts_per_cpu_second": median(figures["texts_per_cpu_second"][1:]),
        "load_seconds": median(figures["load_seconds"][1:]),
        "python_texts_per_second": len(texts) / median(seconds[1:]),
        "python_texts_per_cpu_second": len(texts) / median(cpu[1:]),
        "same_label": sum(map(str.__eq__, answers, ours)) / len(ours),
        "node": figures["node"],
    }


def main(data):
    """Train, write folders and measure each."""
    dataset, found = read_dataset(data), {}
    texts = list(dataset.splits["test"].texts)
    with tempfile.TemporaryDirectory() as place:
        for name, config in CONFIGS.items():
            artifact = train_dataset(dataset, None, config)[1]
            models = {name: artifact} | ({f"{name}, 2 MB": shrink(artifact, 2e6)} if name == "default" else {})
            for title, model in models.items():
                found[title] = measure(save_artifact(model, Path(place) / title), texts)
                print(title, found[title], file=sys.stderr)
    write_result("js", {"texts": len(texts), "rounds": ROUNDS, "models": found})


if __name__ == "__main__":
    main(sys.argv[1])
