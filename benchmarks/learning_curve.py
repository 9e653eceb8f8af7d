"""The learning curve's forecast from a fifth of the texts beside the truth at all of them.

The truth is the error of the linear model in cross-validation on all of train; the forecast has seen a fifth of train,
drawn at random. The grid of curves and its noise were chosen on trec6 and AG News; the other three judge them.

Expected before measuring: within a point where the fifth has 1,000 texts or more; trec6, whose fifth has 1,090 short
questions in six classes, is the hardest.

    python benchmarks/learning_curve.py
"""

from pathlib import Path

import numpy as np

from results import write_result
from rubrica.data.dataset import read_dataset
from rubrica.insight.data_checks.more_labels import forecast, measure
from rubrica.learning.crossval import Features

DATA = Path(__file__).parents[2] / "shared" / "data"
NAMES = ("trec6", "ag_news", "lenta_headlines_ru", "reuters21578", "sms_spam")
SEEDS = (1, 2, 3, 4, 5)
PART = 5


def main():
    rows = []
    for name in NAMES:
        data = read_dataset(DATA / name)
        train = data.splits["train"]
        features = Features.read(data.task, train.texts, data.task.encode(train.labels))
        everything = np.arange(len(train.texts))
        truth = measure(features, everything)
        for seed in SEEDS:
            part = np.sort(np.random.default_rng(seed).choice(len(everything), len(everything) // PART, replace=False))
            curve = measure(features, part, seed)
            found = forecast(curve, [truth.sizes[-1]])
            rows.append({
                "data": name, "seed": seed, "texts": len(part), "sizes": curve.sizes.tolist(),
                "errors": curve.errors.tolist(), "truth": float(truth.errors[-1]), "forecast": float(found.errors[0]),
                "low": float(found.low[0]), "high": float(found.high[0]),
            })  # fmt: skip
            row = rows[-1]
            off = 100 * (row["forecast"] - row["truth"])
            print(f"{name} {seed}: {100 * row['forecast']:.2f} ({100 * row['low']:.2f} to {100 * row['high']:.2f})"
                  f" truth {100 * row['truth']:.2f}, off {off:+.2f}", flush=True)  # fmt: skip
    write_result("learning_curve", {"rows": rows})


if __name__ == "__main__":
    main()
