"""The bag from a CSV to a saved model, whole process, beside fastText from its text file to its saved model.

Expected before measuring: Python and numpy 0.1 s, the CSV 0.15, tokens 0.15, five epochs 0.4, the folder 0.1, so
about 1.0 s; fastText 3 to 4 s, of which 1 s is parsing, and 91.7-91.9 % for both.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/bag.py ../shared/data/ag_news
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from peers import fasttext_train
from results import write_result
from rubrica.data.dataset import read_dataset
from rubrica.predict.classifier import load

SEEDS = (0, 1, 2, 3, 4)


def seconds_of(command, **options):
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, **options)
    return time.perf_counter() - started


def main():
    import fasttext

    data = Path(sys.argv[1])
    dataset = read_dataset(data)
    test = dataset.splits["test"]
    rows = {"rubrica bag": [], "fastText": []}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        fasttext_train.write_texts(dataset.splits["train"], folder / "train.txt")
        lines = [fasttext_train.line(text) + "\n" for text in test.texts]
        for seed in SEEDS:
            ours, theirs = folder / f"ours-{seed}", folder / f"theirs-{seed}.bin"
            command = [Path(sys.executable).with_name("rubrica"), "train", data / "train.csv", "--model", "bag"]
            command += ["--out", ours, "--seed", str(seed)]
            # A cache of its own: nothing is kept from an earlier run.
            seconds = seconds_of(command, env={"PATH": "/usr/bin:/bin", "RUBRICA_CACHE": str(folder / f"cache-{seed}")})
            scores = load(ours).evaluate(test.texts, test.labels)
            size = sum(path.stat().st_size for path in ours.iterdir())
            rows["rubrica bag"].append((seconds, scores.accuracy, size))
            script = [sys.executable, fasttext_train.__file__, folder / "train.txt", theirs, str(seed)]
            seconds = seconds_of(script)
            answers = fasttext_train.predict(fasttext.load_model(str(theirs)), lines)
            wanted = [label.replace(" ", "_") for label in test.labels]
            accuracy = float(np.mean([a == b for a, b in zip(answers, wanted, strict=True)]))
            rows["fastText"].append((seconds, accuracy, theirs.stat().st_size))
            print(seed, *(f"{name} {row[-1][0]:.2f} s {row[-1][1]:.4f}" for name, row in rows.items()), flush=True)
    ratios = [theirs[0] / ours[0] for ours, theirs in zip(rows["rubrica bag"], rows["fastText"], strict=True)]
    table = []
    for name, runs in rows.items():
        seconds, accuracy, sizes = zip(*runs, strict=True)
        table.append(
            {
                "system": name,
                "seconds": seconds,
                "seconds_median": float(np.median(seconds)),
                "accuracy": accuracy,
                "accuracy_mean": float(np.mean(accuracy)),
                "accuracy_std": float(np.std(accuracy, ddof=1)),
                "megabytes": sizes[-1] / 1e6,
            }
        )
    write_result(
        "bag",
        {
            "data": "75,870-row subset of AG News train, official test",
            "seeds": SEEDS,
            "rows": table,
            "ratio": float(np.median(ratios)),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
        },
    )


if __name__ == "__main__":
    main()
