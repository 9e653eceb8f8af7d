"""The seminar's five experiments from the command to the report, beside the seminar's code as written.

Claim: `rubrica seminar` is at least 60 times faster. Ours is the whole process, once, without any cache: it reads the
texts and 1,193,514 x 50 vectors (the size of glove-twitter-50), trains five networks as the seminar does, scores them,
saves them and writes the report. Theirs is the updates alone (`tests/literal.py`: the whole table, torch's dense Adam,
a Python loop over time), extrapolated from 20 updates of each experiment to its epoch; reading, splitting the texts and
the test come free to them. The update of `gru-frozen` is measured frozen and thawed.

Expected before measuring, on 2 cores: theirs 0.35 s an update, 2,371 updates and five experiments: 66 minutes. Ours
3 ms an update and 10 s for what is around: 45 s, so 90 times.

    python benchmarks/seminar_whole.py ../shared/data/ag_news     # about two minutes; writes results/seminar_whole.json
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from results import write_result
from rubrica.config import load_recipe
from rubrica.data import read_dataset
from rubrica.kernels import native
from rubrica.seminar import EXPERIMENTS
from seminar_step import made_up_vectors

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from literal import LITERAL, literal_ids, literal_update, pad

UPDATES, WARM_UP, BATCH = 20, 2, 32


def write_binary(vectors, path):
    """Word2vec's binary format."""
    with path.open("wb") as file:
        file.write(f"{len(vectors.words)} {vectors.dim}\n".encode())
        for word, row in zip(vectors.words, vectors.matrix, strict=True):
            file.write(word.replace(" ", "_").encode() + b" " + row.tobytes() + b"\n")


def update_seconds(name, table, ids, targets, *, frozen):
    """Seconds of each update as written, on random batches of the texts."""
    recipe = load_recipe(f"seminar-{name}")
    model = LITERAL[name][0](table, recipe.model.hidden_size).train()
    model.embedding.weight.data[:] = table
    model.embedding.weight.requires_grad = not frozen
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.training.lr)
    seconds = []
    for start in range(0, BATCH * (WARM_UP + UPDATES), BATCH):
        started = time.perf_counter()
        batch = slice(start, start + BATCH)
        literal_update(model, optimizer, pad(ids[batch]), targets[batch], LITERAL[name][1])
        seconds.append(time.perf_counter() - started)
    return seconds[WARM_UP:]


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "mini-news"
    dataset = read_dataset(path)
    vectors, train = made_up_vectors(dataset), dataset.splits["train"]
    with tempfile.TemporaryDirectory() as folder:
        write_binary(vectors, Path(folder) / "vectors.bin")
        options = ["--data", path, "--vectors", f"{folder}/vectors.bin", "--out", f"{folder}/out"]
        environment = os.environ | {"RUBRICA_CACHE": f"{folder}/cache"}
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "rubrica", "seminar", *options], env=environment, check=True)
        ours = time.perf_counter() - started
    print(f"ours, the whole process: {ours:.1f} s", flush=True)
    chosen = np.random.default_rng(0).permutation(len(train.texts))[: BATCH * (WARM_UP + UPDATES)]
    ids = literal_ids([train.texts[i] for i in chosen], vectors.words)
    targets = torch.tensor([dataset.labels.index(train.labels[i]) for i in chosen])
    num_updates = -(-len(train.texts) // BATCH)
    rows, total = [], 0.0
    for name in EXPERIMENTS:
        frozen = min(load_recipe(f"seminar-{name}").training.freeze_steps, num_updates)
        seconds = 0.0
        for count, is_frozen in ((frozen, True), (num_updates - frozen, False)):
            if count:
                times = update_seconds(name, torch.from_numpy(vectors.matrix), ids, targets, frozen=is_frozen)
                seconds += count * float(np.median(times))
                milliseconds = {f"{kind.__name__}_ms": float(kind(times)) * 1e3 for kind in (np.median, np.min, np.max)}
                part = {"experiment": name, "frozen": is_frozen, "updates": count, "measured": len(times)}
                rows.append(part | milliseconds)
        total += seconds
        print(f"as written, {name:12} {seconds / 60:5.1f} min", flush=True)
    print(f"as written {total / 60:.1f} min, ours {ours:.1f} s: {total / ours:.0f} times")
    settings = {"data": path.rstrip("/").rpartition("/")[2], "texts": len(train.texts), "kernels": native.describe()}
    result = {"ours_s": ours, "as_written_s": total, "ratio": total / ours, "table": list(vectors.matrix.shape)}
    write_result("seminar_whole", {**settings, **result, "rows": rows})


if __name__ == "__main__":
    main()
