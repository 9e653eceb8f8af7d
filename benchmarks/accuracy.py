"""The table of accuracy: our defaults beside peers, every data set of ../shared, each cell in a process of its own.

Ours is `rubrica train DATA` and the seed, nothing else; on English also with the potion table. Peers stand in
`peers/`, with what was tuned and how; they choose on the same tenth of train as ours. Test is read once a cell. Where a
text has several labels, the figure is micro-F1. Seconds are of the whole process: train, test, and for a peer its
tuning.

Known before this script was written (fastText / TF-IDF + SVM): AG News 91.9 / 92.2, trec6 89.4 / 89.2, sms_spam
98.7 / 98.4, lenta 71.6 / 74.2, reuters21578 82.9 / 84.9. Expected: tuning gives either up to half a point.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/accuracy.py                        # all of it; Ctrl-C loses only the cell that runs
    python benchmarks/accuracy.py --resume               # only the cells that are not there yet
    python benchmarks/accuracy.py --data trec6 --side rubrica --seeds 1

Cells that the flags leave out stay in the file if the versions are the same. Each says which machine made it: accuracy
hardly depends on that, and seconds are only shown of the machine that made most cells of AG News. --resume does not see
that our code has changed: after a change run `--side rubrica`.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

import rubrica
from results import load_result, save_result
from rubrica.environment import processor
from sureness import expected_calibration_error, selective_accuracy

SHARED = Path(__file__).parents[2] / "shared"
PEERS = Path(__file__).parent / "peers"
POTION = str(SHARED / "vectors" / "potion-base-4m")
FEW = 1000  # texts of `ag_news_1000`

ENGLISH = ("ag_news", "trec6", "sms_spam", "reuters21578", "ag_news_1000")
DATA = ("ag_news", "trec6", "sms_spam", "lenta_headlines_ru", "reuters21578", "ag_news_1000")

# Name, flags of `rubrica train`, data sets.
ONE_WAY = ("--set", "model.bidirectional=false")
ALONE = (*ONE_WAY, "--set", "model.with_linear=false")
OURS = (
    ("rubrica", (), DATA),
    ("rubrica, potion vectors", ("--vectors", POTION), ENGLISH),
    ("rubrica, large", ("--size", "large"), ("ag_news",)),
    ("rubrica, large, potion vectors", ("--size", "large", "--vectors", POTION), ("ag_news",)),
    ("rubrica, linear", ("--model", "linear"), DATA),
    ("rubrica, rnn, one direction, alone", ("--model", "rnn", *ALONE), ("ag_news",)),
    ("rubrica, gru, one direction, alone", ("--model", "gru", *ALONE), ("ag_news",)),
)
# Name, script and its first arguments, its last arguments, data sets.
THEIRS = (
    ("fastText, bigrams", ("fasttext_bigrams.py",), (), DATA),
    ("TF-IDF + linear SVM", ("tfidf_linear.py", "svm"), (), DATA),
    ("TF-IDF + logistic regression", ("tfidf_linear.py", "logistic"), (), DATA),
    ("model2vec, fine-tuned potion", ("model2vec_finetune.py",), (POTION,), ENGLISH),
)
NEEDS = {"fasttext_bigrams.py": "fasttext", "model2vec_finetune.py": "model2vec"}


class CellError(Exception):
    """A cell came to no figure; the message is what its process said last."""


def prepare(data, seed, folder):
    """The folder of a data set; for `ag_news_1000` a new one, with a thousand stratified texts drawn by the seed."""
    if data != "ag_news_1000":
        return SHARED / "data" / data
    source, target = SHARED / "data" / "ag_news", Path(folder) / data
    target.mkdir()
    with (source / "train.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    chosen, _ = train_test_split(rows, train_size=FEW, random_state=seed, stratify=[row[0] for row in rows])
    with (target / "train.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *chosen])
    (target / "test.csv").symlink_to((source / "test.csv").resolve())
    return target


def run_process(command, folder):
    """Seconds and stdout of a process that keeps nothing of an earlier one."""
    started = time.perf_counter()
    cache = os.environ | {"RUBRICA_CACHE": str(Path(folder) / "cache")}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=cache)
    if done.returncode:
        raise CellError((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
    return time.perf_counter() - started, done.stdout


def our_cell(data, seed, flags, folder):
    """Train, and read the scores on test that the model folder holds; how sure it was, from the folder, as users do."""
    out, source = Path(folder) / "model", prepare(data, seed, folder)
    command = [Path(sys.executable).with_name("rubrica"), "train", source, "--out", out, "--seed", seed, *flags]
    seconds, _ = run_process(command, folder)
    scores = json.loads((out / "metrics.json").read_text())["test"]
    cell = {key: scores[key] for key in ("accuracy", "micro_f1", "macro_f1") if key in scores}
    if data == "reuters21578":
        if "micro_f1" not in scores:
            raise CellError("metrics.json has no micro_f1 of test: several labels a text were taken for one")
        cell.pop("accuracy", None)  # of whole sets of labels
    else:
        model = rubrica.load(out)
        with (source / "test.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        probabilities = model.predict_proba([row["text"] for row in rows])
        targets = np.array([model.labels.index(row["label"]) for row in rows])
        cell["ece"] = expected_calibration_error(probabilities, targets, bins=15)
        cell["accuracy_of_sure"] = selective_accuracy(probabilities, targets, abstain=0.1)
    return cell | {"seconds": seconds, "machine": processor()}


def their_cell(data, seed, first, last, folder):
    """What the adapter prints."""
    source = prepare(data, seed, folder)
    seconds, printed = run_process([sys.executable, PEERS / first[0], *first[1:], source, seed, *last], folder)
    return json.loads(printed.splitlines()[-1]) | {"seconds": seconds, "machine": processor()}


def timed_by(cells):
    """The machine that made most cells of AG News, whose seconds are compared."""
    machines = [cell["machine"] for (_, data, _), cell in cells.items() if data == "ag_news"]
    return max(machines, key=machines.count, default=processor())


def summarize(cells):
    """One row a side and data set, with mean and spread over the seeds."""
    rows, machine = {}, timed_by(cells)
    for (side, data, seed), cell in sorted(cells.items(), key=lambda item: item[0][2]):
        rows.setdefault((side, data), {"side": side, "data": data, "runs": []})["runs"].append({"seed": seed} | cell)
    order = [name for name, *_ in OURS + THEIRS]
    for row in rows.values():
        for key in ("accuracy", "micro_f1", "macro_f1", "ece", "accuracy_of_sure"):
            if values := [run[key] for run in row["runs"] if key in run]:
                row[f"{key}_mean"] = float(np.mean(values))
                row[f"{key}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        here = [run["seconds"] for run in row["runs"] if run["machine"] == machine]
        row["seconds_median"] = float(np.median(here)) if here else None
    return sorted(rows.values(), key=lambda row: (DATA.index(row["data"]), order.index(row["side"])))


def load_cells():
    """The cells of an earlier run with these versions, of sides and data that are still asked for."""
    known = {(side, data) for side, *_, datasets in OURS + THEIRS for data in datasets}
    result, cells = load_result("accuracy"), {}
    for row in result.get("rows", []):
        for run in row["runs"] if (row["side"], row["data"]) in known else []:
            cell = {"machine": result["machine"]} | run
            cells[row["side"], row["data"], cell.pop("seed")] = cell
    return cells


def save_cells(cells):
    seeds = sorted({seed for _, _, seed in cells})
    data = "ag_news: 75,870-row subset of AG News train; ag_news_1000: 1,000 of them; official tests of ../shared/data"
    save_result("accuracy", {"seeds": seeds, "data": data, "timed_by": timed_by(cells), "rows": summarize(cells)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="0 to N - 1")
    parser.add_argument("--data", action="append", choices=DATA, help="only this data set; may be given again")
    parser.add_argument("--side", action="append", metavar="TEXT", help="only sides whose name holds it; likewise")
    parser.add_argument("--resume", action="store_true", help="keep the cells that are there")
    given = parser.parse_args()
    sides = [(name, our_cell, (flags,), datasets) for name, flags, datasets in OURS]
    for name, first, last, datasets in THEIRS:
        if (module := NEEDS.get(first[0])) and find_spec(module) is None:
            print(f"{name}: left out, {module} is not installed (pip install -c constraints.txt '.[bench]')")
            continue
        sides.append((name, their_cell, (first, last), datasets))
    cells = load_cells()
    todo = [
        (name, data, seed, make, more)
        for seed in range(given.seeds)  # outermost: an interrupted run still has every row
        for data in given.data or DATA
        for name, make, more, datasets in sides
        if data in datasets and any(text in name for text in given.side or [""])
        if not (given.resume and (name, data, seed) in cells)
    ]
    failed = 0
    for i, (name, data, seed, make, more) in enumerate(todo):
        print(f"[{i + 1}/{len(todo)}] {data}, {name}, seed {seed}: ", end="", flush=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                cell = make(data, seed, *more, folder)
        except CellError as error:
            failed += 1
            print(f"failed: {error}", flush=True)
            continue
        cells[name, data, seed] = cell
        save_cells(cells)
        figures = (f"{key} {cell[key]:.4f}" for key in ("accuracy", "micro_f1", "macro_f1", "ece") if key in cell)
        print(*figures, f"{cell['seconds']:.1f} s", cell.get("setting", ""), flush=True)
    print(f"{len(todo) - failed} cells made, {failed} failed; benchmarks/results/accuracy.json has {len(cells)}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\ninterrupted; go on with --resume")
        sys.exit(130)
