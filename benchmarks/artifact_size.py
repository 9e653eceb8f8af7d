"""What a model folder weighs, and what it costs in accuracy to make it smaller: AG News, the default gru, 5 seeds.

Claim: the default folder is under 8 MB, and under 2 MB after `rubrica quantize --max-size 2M`, for at most 0.2 points.

Every form is made of the same training in float32, which the points are counted from; a default training rounds to
int8 in the same way (tests/learning/test_training.py). The order of `quantize` was chosen on a part of train
(docs/decisions.md); test is read once here. Expected, from there: bfloat16 and int8 0.0 points, 2 MB (4 bits, two
fifths of words and features) -0.1, 1 MB -0.2, 500 kB -0.5; opening the default folder 8 ms, most of it the sha256 of
6 MB.

    python benchmarks/artifact_size.py ../shared/data/ag_news
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import rubrica
from results import write_result
from rubrica.artifact.folder import load_artifact, save_artifact
from rubrica.cli.units import parse_size
from rubrica.data.dataset import read_dataset
from rubrica.export.shrink import folder_sizes, shrink, store
from rubrica.learning.train import train
from rubrica.models.config import make_config

SEEDS = (0, 1, 2, 3, 4)
OPENINGS = 20
FORMS = {
    "`--set training.storage=float32`": lambda model: model,
    "`export --bf16` of it": lambda model: store(model, "bfloat16"),
    "the default, int8": lambda model: store(model, "int8"),
    **{
        f"`quantize --max-size {size}`": lambda model, size=size: shrink(model, parse_size(size))
        for size in ("2M", "1M", "500k")
    },
}


def open_ms(folder):
    """Milliseconds to open a folder whose files are in the page cache, median; with its sha256."""
    seconds = []
    for _ in range(OPENINGS):
        started = time.perf_counter()
        rubrica.load(folder)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))


def main():
    dataset = read_dataset(sys.argv[1])
    test = dataset.splits["test"]
    rows = {
        name: {"form": name, "bytes": [], "words": [], "features": [], "accuracy": [], "open_ms": []} for name in FORMS
    }
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as home:
            trained = Path(home) / "trained"
            train(dataset, out=trained, config=make_config(training={"seed": seed, "storage": "float32"}))
            for number, (name, change) in enumerate(FORMS.items()):
                folder = save_artifact(change(load_artifact(trained)), Path(home) / str(number))
                model = rubrica.load(folder)
                row = rows[name]
                row["bytes"].append(sum(folder_sizes(folder).values()))
                row["words"].append(len(model.artifact.vocab.words))
                row["features"].append(len(model.artifact.tensors["linear.keys"]))
                row["accuracy"].append(model.evaluate(test.texts, test.labels).accuracy)
                row["open_ms"].append(open_ms(folder))
                row["storage"] = model.artifact.storage
                print(seed, name, row["bytes"][-1], row["words"][-1], f"{row['accuracy'][-1]:.4f}", flush=True)
    whole = np.array(rows["`--set training.storage=float32`"]["accuracy"])
    for row in rows.values():
        points = 100 * (np.array(row["accuracy"]) - whole)
        row |= {
            "accuracy_mean": float(np.mean(row["accuracy"])),
            "accuracy_std": float(np.std(row["accuracy"], ddof=1)),
            "points_mean": float(points.mean()),
            "points_std": float(points.std(ddof=1)),
            "points_worst": float(points.min()),
        }
    write_result(
        "artifact_size",
        {"seeds": SEEDS, "data": "75,870-row subset of AG News train, official test", "rows": list(rows.values())},
    )


if __name__ == "__main__":
    main()
