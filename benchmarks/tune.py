"""What a search for settings is worth: `rubrica tune` beside `rubrica train`, and beside fastText's autotune at 1 MB.

Each row is a data set and a seed; the official test splits, scored once a side. All sides get the same texts of train.
fastText's autotune learns nine tenths of them and judges by the other tenth, in the same seconds, for the same size.
Where a text may have several labels it learns one against all, and the judging tenth chooses one threshold for all.
Its seconds are of the whole call, with the training behind the search.

Expected before measuring, 5 minutes: trec6 and lenta a few tenths of a point better than the default, reuters21578 the
same, since a training takes half a minute there. At 1 MB ours is ahead of fastText on lenta by 4 points, on
reuters21578 by 3, on trec6 by 1.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/tune.py ../shared/data          # 4 hours; Ctrl-C loses only the cell that runs
    python benchmarks/tune.py ../shared/data 20 trec6   # with 20 seconds, and one data set
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

import rubrica
from fasttext_lines import labels_of, words_of, write_lines
from results import load_result, save_result, write_result
from rubrica.data.dataset import read_dataset
from rubrica.models.config import make_config
from rubrica.scoring.metrics import f1_score
from rubrica.scoring.report import main_score

DATA = ("trec6", "lenta_headlines_ru", "reuters21578")
SEEDS = range(5)
SECONDS = 300
SIZE = 1_000_000
JUDGED = 0.1  # of train, for fastText
THRESHOLDS = np.arange(1, 50) / 50
THREADS = 12  # fastText 0.9.3 starts a tenth of its matrix per thread; with fewer than 10 it may meet NaN


def default(dataset, seed, seconds):
    """`rubrica train`, without a limit of the time."""
    return rubrica.train(dataset, config=make_config(training={"seed": seed})).artifact.metrics


def tuned(dataset, seed, seconds):
    return rubrica.tune(dataset, seconds=seconds, seed=seed).artifact.metrics


def tuned_small(dataset, seed, seconds):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        metrics = rubrica.tune(dataset, seconds=seconds, seed=seed, size=SIZE, out=out).artifact.metrics
        return metrics | {"bytes": sum(path.stat().st_size for path in out.iterdir())}


def fasttext_small(dataset, seed, seconds):
    """The search of fastText itself; nothing where it finds nothing in the time."""
    import fasttext

    train, test, lists = dataset.splits["train"], dataset.splits["test"], not dataset.task.has_confusion
    rows = np.random.default_rng(seed).permutation(len(train.texts))
    cut = int(JUDGED * len(rows))
    judged, learned = (part.tolist() for part in (rows[:cut], rows[cut:]))
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / name for name in ("learned.txt", "judged.txt", "model.ftz")}
        write_lines(train, paths["learned.txt"], learned)
        write_lines(train, paths["judged.txt"], judged)
        settings = {"loss": "ova"} if lists else {}
        try:
            model = fasttext.train_supervised(
                str(paths["learned.txt"]), autotuneValidationFile=str(paths["judged.txt"]),
                autotuneDuration=int(seconds), autotuneModelSize=f"{SIZE // 1_000_000}M", seed=seed,
                thread=THREADS, verbose=0, **settings,
            )  # fmt: skip
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return None
        model.save_model(str(paths["model.ftz"]))
        size = paths["model.ftz"].stat().st_size
    threshold = None
    if lists:
        answered = [counts(model, train, judged, value) for value in THRESHOLDS]
        threshold = THRESHOLDS[int(np.argmax([f1_score(*found) for found in answered]))]
    score = float(f1_score(*counts(model, test, range(len(test.texts)), threshold)))
    return {"test": {"score": score}, "bytes": size}


def counts(model, examples, rows, threshold):
    """Labels that are right, answered, and there; the best label of a text is answered, or all above a threshold."""
    lines = [words_of(examples.texts[row]) + "\n" for row in rows]
    answers, _ = model.f.multilinePredict(lines, 1 if threshold is None else -1, threshold or 0.0, "strict")
    pairs = [
        (set(found), set(labels_of(examples.labels[row]).split())) for found, row in zip(answers, rows, strict=True)
    ]
    return np.array([(len(found & there), len(found), len(there)) for found, there in pairs]).sum(axis=0)


SIDES = {"default": default, "tuned": tuned, "tuned, 1 MB": tuned_small, "fastText autotune, 1 MB": fasttext_small}


def measure(side, dataset, seed, seconds):
    """The score on test, the seconds, and what the side says of itself; None where it finds nothing."""
    began = time.perf_counter()
    metrics = SIDES[side](dataset, seed, seconds)
    if metrics is None:
        return None
    test = metrics["test"]
    found = {"score": test["score"] if "score" in test else main_score(test), "seconds": time.perf_counter() - began}
    found |= {name: test[name] for name in ("macro_f1",) if name in test}
    return found | {name: metrics[name] for name in ("bytes", "tuning") if name in metrics}


def main():
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    kept = load_result("tune")
    runs = kept.get("runs", {}) if kept.get("seconds") == seconds else {}
    for name in sys.argv[3:] or DATA:
        dataset = read_dataset(folder / name)
        of_data = runs.setdefault(name, {})
        for seed in SEEDS:
            done = of_data.setdefault(str(seed), {})
            for side in SIDES:
                if side not in done:
                    done[side] = measure(side, dataset, seed, seconds)
                    print(name, seed, side, done[side], flush=True)
                    save_result("tune", {"seconds": seconds, "runs": runs})
        for side in SIDES:
            scores = [100 * done[side]["score"] for done in of_data.values() if done[side]]
            if len(scores) > 1:
                print(f"{name}, {side}: {fmean(scores):.2f} ± {stdev(scores):.2f}, {len(scores)} seeds", flush=True)
    write_result("tune", {"seconds": seconds, "runs": runs})


if __name__ == "__main__":
    main()
