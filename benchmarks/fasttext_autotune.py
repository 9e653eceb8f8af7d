"""Autotune beside fastText's own, in the same seconds: five seeds, F1 on test.

Expected before measuring: equal on short questions within the spread (500 test texts: 1.4 points), and 0.5 points
better on news, where fastText has time for a handful of trials. fastText trains again behind its search; that time is
shown.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/fasttext_autotune.py 20 ../shared/data/trec6 ../shared/data/ag_news
"""

import random
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import rubrica.fasttext
from results import write_result
from rubrica.data.dataset import read_dataset

SEEDS = (0, 1, 2, 3, 4)
VALIDATED = 0.1  # of train
THREADS = 12  # fastText 0.9.3 starts a tenth of its matrix per thread; with fewer than 10 it may meet NaN


def write_lines(split, path, rows):
    lines = []
    for i in rows:
        words = re.sub(r"([^\w\s])", r" \1 ", split.texts[i].lower()).split()
        lines.append(f"__label__{split.labels[i].replace(' ', '_')} {' '.join(words)}\n")
    path.write_text("".join(lines), encoding="utf-8")


def main():
    import fasttext

    seconds = int(sys.argv[1])
    table = []
    for data in map(Path, sys.argv[2:]):
        dataset = read_dataset(data)
        train, test = dataset.splits["train"], dataset.splits["test"]
        found = {"rubrica": [], "fastText": []}
        with tempfile.TemporaryDirectory() as folder:
            paths = {name: Path(folder) / f"{name}.txt" for name in ("train", "valid", "test")}
            write_lines(test, paths["test"], range(len(test.texts)))
            for seed in SEEDS:
                rows = random.Random(seed).sample(range(len(train.texts)), len(train.texts))
                cut = int(VALIDATED * len(rows))
                write_lines(train, paths["valid"], rows[:cut])
                write_lines(train, paths["train"], rows[cut:])
                settings = {"autotuneValidationFile": str(paths["valid"]), "autotuneDuration": seconds, "seed": seed}
                for name, module, more in (
                    ("rubrica", rubrica.fasttext, {}), ("fastText", fasttext, {"thread": THREADS}),
                ):  # fmt: skip
                    started = time.perf_counter()
                    model = module.train_supervised(str(paths["train"]), **settings, **more, verbose=0)
                    took = time.perf_counter() - started
                    found[name].append((model.test(str(paths["test"]))[1], took))
                print(data.name, seed, *(f"{name} {row[-1][0]:.4f} {row[-1][1]:.1f} s" for name, row in found.items()))
        for name, runs in found.items():
            scores, took = np.array(runs).T
            row = {"data": data.name, "trainer": name, "f1": scores.tolist(), "mean": float(scores.mean())}
            table.append(row | {"seconds": float(took.mean())})
    write_result("fasttext_autotune", {"seconds": seconds, "seeds": len(SEEDS), "rows": table})


if __name__ == "__main__":
    main()
