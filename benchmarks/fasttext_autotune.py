"""Autotune beside fastText's own, in the same seconds: five seeds, P@1 on test, with and without a limit of the size.

Expected before measuring: equal on short questions within the spread (500 test texts: 1.4 points), and 0.5 points
better on news, where fastText has time for a handful of trials. fastText trains again behind its search; that time is
shown, and the bytes of the saved file. A side that finds nothing in the time, or nothing of the size, has null.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/fasttext_autotune.py 20 ../shared/data/trec6 ../shared/data/ag_news
"""

import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import rubrica.fasttext
from fasttext_lines import write_lines
from results import write_result
from rubrica.data.dataset import read_dataset

SEEDS = (0, 1, 2, 3, 4)
VALIDATED = 0.1  # of train
SIZES = ("", "1M")  # of the saved file; a model of ten numbers a row is 80 MB without a limit
THREADS = 12  # fastText 0.9.3 starts a tenth of its matrix per thread; with fewer than 10 it may meet NaN


def search(module, paths, settings):
    """P@1 on test, seconds and bytes of what a search finds; nothing if it finds nothing."""
    started = time.perf_counter()
    try:
        model = module.train_supervised(str(paths["train"]), **settings, verbose=0)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return None
    took = time.perf_counter() - started
    model.save_model(str(paths["model"]))
    return model.test(str(paths["test"]))[1], took, paths["model"].stat().st_size


def measure(dataset, size, seconds, folder):
    """What each side found with each seed."""
    import fasttext

    sides = {"rubrica": (rubrica.fasttext, {}), "fastText": (fasttext, {"thread": THREADS})}
    found = {name: [] for name in sides}
    paths = {name: folder / f"{name}.txt" for name in ("train", "valid", "test", "model")}
    train, test = dataset.splits["train"], dataset.splits["test"]
    write_lines(test, paths["test"])
    for seed in SEEDS:
        rows = random.Random(seed).sample(range(len(train.texts)), len(train.texts))
        cut = int(VALIDATED * len(rows))
        write_lines(train, paths["valid"], rows[:cut])
        write_lines(train, paths["train"], rows[cut:])
        settings = {"autotuneValidationFile": str(paths["valid"]), "autotuneDuration": seconds, "seed": seed}
        for name, (module, more) in sides.items():
            found[name].append(search(module, paths, settings | {"autotuneModelSize": size} | more))
        print(dataset.name, size, seed, {name: runs[-1] for name, runs in found.items()}, flush=True)
    return found


def main():
    seconds, table = int(sys.argv[1]), []
    for data in map(Path, sys.argv[2:]):
        dataset = read_dataset(data)
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(dataset, size, seconds, Path(folder))
            for name, runs in found.items():
                precisions, took, sizes = np.array([run for run in runs if run]).reshape(-1, 3).T
                row = {"data": data.name, "size": size, "trainer": name, "runs": runs}
                if len(took):
                    row |= {"mean": precisions.mean(), "seconds": took.max(), "bytes": int(sizes.max())}
                table.append(row)
    write_result("fasttext_autotune", {"seconds": seconds, "seeds": len(SEEDS), "rows": table})


if __name__ == "__main__":
    main()
