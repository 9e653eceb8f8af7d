"""Accuracy on test over the seconds of a whole training, from a file to a saved model; a point a model and budget.

Ours: `rubrica train train.csv` in a process of its own, nothing kept of an earlier run. fastText: from its prepared
text file; SVM: from the CSV to the fitted model (nothing is saved, and its test is not counted). What a peer's budget
leaves open is chosen on our validation part beforehand, off the clock: fastText's learning rate, the SVM's C. Every
seed goes through all points in turn, so a slow minute of the machine falls on all alike. A point is the median of the
seconds and the mean of the accuracies.

Expected: our bag is the upper edge from one second on, up to what a bag can reach (91.9 %); the SVM's 92.2 at nine
seconds stands above it.

    python benchmarks/accuracy_over_time.py              # writes the JSON, and docs/accuracy_over_time.png
    python benchmarks/accuracy_over_time.py --plot       # the plot alone, from the JSON
    python benchmarks/accuracy_over_time.py --quick      # trec6, one seed, into build/: does it work
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import rubrica
from peers import fasttext_train, trial
from results import RESULTS, save_result
from rubrica.corpus.held_out import hold_out
from rubrica.data.dataset import Examples, read_dataset
from rubrica.scoring.tasks import task_of

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
PEERS = Path(__file__).parent / "peers"
POTION = str(SHARED / "vectors" / "potion-base-4m")


def named(epochs):
    return f"{epochs} epoch{'s' if epochs > 1 else ''}"


# Curve, and of each of its points the name and the flags of `rubrica train`.
OURS = {
    "rubrica": [("1 epoch", ("--epochs", "1")), ("2 epochs", ("--epochs", "2")), ("default", ())],
    "rubrica, potion vectors": [
        ("1 epoch", ("--vectors", POTION, "--epochs", "1")),
        ("default", ("--vectors", POTION)),
    ],
    "rubrica linear": [("default", ("--model", "linear"))],
    "rubrica bag": [(named(n), ("--model", "bag", "--epochs", str(n))) for n in (1, 2, 5)],
}
FASTTEXT_EPOCHS, FASTTEXT_LR = (1, 2, 5, 10), (0.1, 0.25, 0.5, 1.0)
SVM_C = (0.1, 0.25, 0.5, 1.0)
# Okabe and Ito's colours, which most eyes tell apart; peers are dashed.
COLORS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#D55E00", "#000000")


def seconds_of(command, **options):
    started = time.perf_counter()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return time.perf_counter() - started, done.stdout


def our_point(source, test, seed, flags, folder):
    """Seconds of the process, accuracy of the folder it left."""
    command = [Path(sys.executable).with_name("rubrica"), "train", source / "train.csv", "--out", folder / "model"]
    environment = os.environ | {"RUBRICA_CACHE": str(folder / "cache")}
    seconds, _ = seconds_of([*command, "--seed", seed, *flags], env=environment)
    return seconds, rubrica.load(folder / "model").evaluate(test.texts, test.labels).accuracy


def fasttext_point(path, test, seed, epochs, lr, folder):
    """The same of fastText; no seconds and 0 where it stops with "Encountered NaN"."""
    import fasttext

    script = [sys.executable, fasttext_train.__file__, path, folder / "model.bin", seed, epochs, lr]
    started = time.perf_counter()
    done = subprocess.run(list(map(str, script)), capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        if "Encountered NaN" in done.stderr:
            return None, 0.0
        sys.exit(done.stderr)
    model = fasttext.load_model(str(folder / "model.bin"))
    answers = fasttext_train.predict(model, [fasttext_train.line(text) + "\n" for text in test.texts])
    wanted = [label.replace(" ", "_") for label in test.labels]
    return seconds, float(np.mean([a == b for a, b in zip(answers, wanted, strict=True)]))


def fasttext_rates(train, seed, folder):
    """The learning rate of each number of epochs that is best on the validation part."""
    task = task_of(sorted(set(train.labels)), lists=False)
    targets = task.encode(train.labels)
    parts = hold_out(task, targets, min(trial.VALIDATION_FRACTION, trial.MOST_HELD / len(targets)), seed)
    kept, held = (Examples([train.texts[i] for i in part], [train.labels[i] for i in part]) for part in parts)
    fasttext_train.write_texts(kept, folder / "kept.txt")
    return {
        epochs: max(
            FASTTEXT_LR, key=lambda lr: fasttext_point(folder / "kept.txt", held, seed, epochs, lr, folder)[1]
        )
        for epochs in FASTTEXT_EPOCHS
    }  # fmt: skip


def svm_point(source, seed, setting):
    """The same of the SVM, and the setting; without one it is tuned."""
    script = [sys.executable, PEERS / "tfidf_linear.py", "svm", source, seed]
    seconds, printed = seconds_of(script + (["--setting", json.dumps(setting)] if setting else []))
    found = json.loads(printed.splitlines()[-1])
    return seconds - found["test_seconds"], found["accuracy"], found["setting"]


def measure(source, seeds):
    """All points: curve, name, seconds and accuracy of every seed."""
    dataset = read_dataset(source)
    test, points = dataset.splits["test"], {}

    def keep(curve, name, seconds, accuracy):
        point = points.setdefault((curve, name), {"curve": curve, "point": name, "seconds": [], "accuracy": []})
        point["seconds"].append(seconds)
        point["accuracy"].append(accuracy)
        print(f"{curve}, {name}: {seconds:.2f} s {accuracy:.4f}", flush=True)

    with tempfile.TemporaryDirectory() as kept:
        path = Path(kept) / "train.txt"
        fasttext_train.write_texts(dataset.splits["train"], path)
        rates = fasttext_rates(dataset.splits["train"], 0, Path(kept))
        setting = svm_point(source, 0, None)[2]
        print("chosen on validation:", rates, setting, flush=True)
        for seed in range(seeds):
            for curve, budgets in OURS.items():
                for name, flags in budgets:
                    with tempfile.TemporaryDirectory() as folder:
                        keep(curve, name, *our_point(source, test, seed, flags, Path(folder)))
            for epochs, lr in rates.items():
                seconds, accuracy = fasttext_point(path, test, seed, epochs, lr, Path(kept))
                if seconds is not None:
                    keep("fastText, bigrams", f"{named(epochs)}, lr {lr}", seconds, accuracy)
            keep("TF-IDF + linear SVM", f"C {setting['C']}", *svm_point(source, seed, setting)[:2])
    for point in points.values():
        point["seconds_median"] = float(np.median(point["seconds"]))
        point["accuracy_mean"] = float(np.mean(point["accuracy"]))
    return list(points.values())


def plot(result, path):
    """A line a curve, through its budgets in their order; time is logarithmic, since budgets are."""
    from matplotlib.figure import Figure

    curves = {}
    for point in result["rows"]:
        curves.setdefault(point["curve"], []).append((point["seconds_median"], 100 * point["accuracy_mean"]))
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for color, (curve, points) in zip(COLORS, curves.items(), strict=False):
        style = {"color": color, "label": curve, "linewidth": 1.8, "markersize": 6}
        axes.plot(*zip(*points, strict=True), "o-" if curve in OURS else "s--", **style)
    axes.set_xscale("log")
    seconds = [point["seconds_median"] for point in result["rows"]]
    ticks = [
        tick for tick in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if min(seconds) / 2 < tick < 2 * max(seconds)
    ]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("seconds of the whole training, two cores, from a file to a saved model (logarithmic)")
    axes.set_ylabel("accuracy on test, %")
    axes.set_title(f"{result['data']}: accuracy over training time", loc="left", fontsize=11)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="0 to N - 1")
    parser.add_argument("--plot", action="store_true", help="only plot what was measured before")
    parser.add_argument("--quick", action="store_true", help="trec6, one seed, into build/")
    given = parser.parse_args()
    if given.quick:
        target = ROOT / "build"
        target.mkdir(exist_ok=True)
        result = {"data": "trec6", "rows": measure(SHARED / "data" / "trec6", 1)}
        plot(result, target / "accuracy_over_time.png")
        return
    if given.plot:
        result = json.loads((RESULTS / "accuracy_over_time.json").read_text())
    else:
        rows = measure(SHARED / "data" / "ag_news", given.seeds)
        seeds = list(range(given.seeds))
        result = save_result("accuracy_over_time", {"data": "AG News, 75,870 texts", "seeds": seeds, "rows": rows})
    plot(result, ROOT / "docs" / "accuracy_over_time.png")


if __name__ == "__main__":
    main()
