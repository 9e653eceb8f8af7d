"""The seminar's five experiments from the command to the report, beside the seminar's code as written.

Claim: `rubrica seminar` is at least 60 times faster. Ours is the whole process, without any cache: it reads the
texts and 1,193,514 x 50 vectors (the size of glove-twitter-50), trains five networks as the seminar does, scores them,
saves them and writes the report. Theirs is the updates alone (`tests/literal.py`: the whole table, torch's dense Adam,
a Python loop over time), extrapolated from 20 updates of each experiment to its epoch; reading, splitting the texts and
the test come free to them. The update of `gru-frozen` is measured frozen and thawed. Five pairs, in turn.

Expected before measuring, on 2 cores: theirs 0.35 s an update, 2,371 updates and five experiments: 66 minutes. Ours
3 ms an update and 10 s for what is around: 45 s, so 90 times.

    python benchmarks/seminar_whole.py ../shared/data/ag_news     # eight minutes; writes results/seminar_whole.json
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
from rubrica.data.dataset import read_dataset
from rubrica.models.config import load_recipe
from rubrica.seminar.experiments import EXPERIMENTS
from seminar_step import made_up_vectors

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from literal import LITERAL, literal_ids, literal_update, pad

UPDATES, WARM_UP, BATCH = 20, 2, 32
PAIRS = 5


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


def whole_process(path, vectors):
    """Seconds of `rubrica seminar`, which finds nothing that an earlier run left."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--data", path, "--vectors", vectors, "--out", f"{folder}/out"]
        environment = os.environ | {"RUBRICA_CACHE": f"{folder}/cache"}
        started = time.perf_counter()
        command = [sys.executable, "-m", "rubrica", "-q", "seminar", *options]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def as_written(vectors, num_texts, ids, targets):
    """Seconds of an epoch of each experiment, from 20 updates of each kind."""
    num_updates = -(-num_texts // BATCH)
    seconds = {}
    for name in EXPERIMENTS:
        frozen = min(load_recipe(f"seminar-{name}").training.freeze_steps, num_updates)
        seconds[name] = sum(
            count
            * float(np.median(update_seconds(name, torch.from_numpy(vectors.matrix), ids, targets, frozen=is_frozen)))
            for count, is_frozen in ((frozen, True), (num_updates - frozen, False))
            if count
        )
    return seconds


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "mini-news"
    dataset = read_dataset(path)
    vectors, train = made_up_vectors(dataset), dataset.splits["train"]
    chosen = np.random.default_rng(0).permutation(len(train.texts))[: BATCH * (WARM_UP + UPDATES)]
    ids = literal_ids([train.texts[i] for i in chosen], vectors.words)
    targets = torch.from_numpy(dataset.task.encode([train.labels[i] for i in chosen]))
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        write_binary(vectors, Path(folder) / "vectors.bin")
        for _ in range(PAIRS):
            ours.append(whole_process(path, f"{folder}/vectors.bin"))
            theirs.append(as_written(vectors, len(train.texts), ids, targets))
            total = sum(theirs[-1].values())
            print(f"ours {ours[-1]:.1f} s, as written {total / 60:.1f} min: {total / ours[-1]:.0f} times", flush=True)
    totals = [sum(seconds.values()) for seconds in theirs]
    ratios = [total / seconds for total, seconds in zip(totals, ours, strict=True)]
    result = {
        "data": path.rstrip("/").rpartition("/")[2],
        "texts": len(train.texts),
        "table": list(vectors.matrix.shape),
        "pairs": PAIRS,
        "updates_measured": UPDATES,
        "ours_s": float(np.median(ours)),
        "as_written_s": float(np.median(totals)),
        "ratio": float(np.median(ratios)),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "as_written_by_experiment_s": {name: float(np.median([s[name] for s in theirs])) for name in EXPERIMENTS},
    }
    write_result("seminar_whole", result)


if __name__ == "__main__":
    main()
