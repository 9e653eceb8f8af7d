"""Twenty million rows through the commands: training a bag and a linear model, and a prediction; each beside a million.

The rows are made: a label and 4 to 24 words, of which one in three says something about the label; words are drawn by
Zipf's law from 50,000. 20 million of them are 2.2 GB. Each command runs in a process of its own. The bag's training and
the prediction of the large file are also killed, at the first checkpoint and at the third part, and run again: the
files must be equal to the files of the first run.

Memory is the anonymous part of the resident set (RssAnon), sampled every 50 ms: what the system cannot take back. Pages
of mapped files are not in it.

Expected before measuring, a row: reading 2 us, numbering 1 us, an epoch of the bag 0.3 us, a prediction 2 us; the
linear model learns from a random part of the rows, whose features fit into 2 GB. Memory stays below 1.5 GB.

    python benchmarks/large.py            # 20,000,000 rows; or another number
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from results import write_result

SMALL = 1_000_000
BLOCK = 500_000
LABELS = ("World", "Sports", "Business", "Sci/Tech")
WORDS, TELLING = 50_000, 200  # of the words, this many for each label tell it


def make(path, rows):
    """A CSV of rows, each block by a seed of its own."""
    words = pa.array(
        [f"w{i:x}ord" for i in range(WORDS)] + [f"{label[:3]}{i}" for label in LABELS for i in range(TELLING)]
    )
    shares = 1 / np.arange(1, WORDS + 1)
    edges = np.cumsum(shares / shares.sum())
    with path.open("wb") as file:
        for first in range(0, rows, BLOCK):
            rng = np.random.default_rng(first)
            count = min(BLOCK, rows - first)
            labels, lengths = rng.integers(len(LABELS), size=count), rng.integers(4, 25, size=count)
            drawn = np.searchsorted(edges, rng.random(lengths.sum())).clip(max=WORDS - 1)
            telling = rng.random(len(drawn)) < 1 / 3
            of_label = np.where(
                rng.random(len(drawn)) < 0.6, np.repeat(labels, lengths), rng.integers(4, size=len(drawn))
            )
            drawn = np.where(telling, WORDS + of_label * TELLING + rng.integers(TELLING, size=len(drawn)), drawn)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            texts = pc.binary_join(pa.ListArray.from_arrays(offsets, words.take(pa.array(drawn))), " ")
            table = pa.table({"label": pa.array(LABELS).take(pa.array(labels)), "text": texts})
            pa_csv.write_csv(table, file, pa_csv.WriteOptions(include_header=first == 0, quoting_style="needed"))


def run(arguments, cache, kill_at=None):
    """A command's seconds and its largest anonymous memory in bytes; killed when a file appears, if one is given."""
    started, peak = time.perf_counter(), 0
    command = [Path(sys.executable).with_name("rubrica"), *arguments]
    with (cache / "log").open("ab") as log:
        process = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", "RUBRICA_CACHE": str(cache)}, stderr=log)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if found := re.search(r"RssAnon:\s+(\d+) kB", status):
            peak = max(peak, 1024 * int(found[1]))
        if kill_at is not None and kill_at.exists():
            process.kill()
        time.sleep(0.05)
    if process.returncode != (0 if kill_at is None else -9):
        raise SystemExit((cache / "log").read_text()[-2000:])
    return time.perf_counter() - started, peak


def measure(folder, rows):
    """Make a file with this number of rows, and run each command on it."""
    data, cache, found = folder / f"rows-{rows}.csv", folder / f"cache-{rows}", []
    cache.mkdir()
    make(data, rows)
    for name, arguments in commands(folder, data, rows, "whole").items():
        seconds, peak = run(arguments, cache)
        row = {"command": name, "rows": rows, "bytes": data.stat().st_size, "seconds": seconds}
        found.append(row | {"us_a_row": 1e6 * seconds / rows, "peak_mb": peak / 1e6})
        print(found[-1], flush=True)
    with (folder / f"answers-whole-{rows}.jsonl").open("rb") as file:
        assert sum(1 for _ in file) == rows  # one answer for each text
    return found


def commands(folder, data, rows, run_name):
    """What is run; the bag of the whole run answers."""
    bag, answers = folder / f"bag-{run_name}-{rows}", folder / f"answers-{run_name}-{rows}.jsonl"
    table = {
        "bag": ["train", data, "--model", "bag", "--epochs", "1", "--out", bag, "--checkpoint-every", "1s"],
        "linear": ["train", data, "--model", "linear", "--epochs", "1", "--out", folder / f"linear-{run_name}-{rows}"],
        "predict": ["predict", folder / f"bag-whole-{rows}", data, "--out", answers],
    }
    return {name: list(map(str, arguments)) for name, arguments in table.items()}


def kill_and_go_on(folder, rows):
    """Kill two commands, run them again, and time both runs; the results must equal the results of `measure`."""
    data, cache, found = folder / f"rows-{rows}.csv", folder / f"cache-{rows}", []
    given = commands(folder, data, rows, "killed")
    places = {
        "bag": (folder / f"bag-killed-{rows}.checkpoint" / "checkpoint.json", "bag-{}-{}/model.safetensors"),
        "predict": (folder / f"answers-killed-{rows}.jsonl.unfinished" / "000002.jsonl", "answers-{}-{}.jsonl"),
    }
    for name, (place, result) in places.items():
        before, _ = run(given[name], cache, kill_at=place)
        after, peak = run(given[name], cache)
        whole, killed = ((folder / result.format(kind, rows)).read_bytes() for kind in ("whole", "killed"))
        assert whole == killed, name
        found.append({"command": name, "killed_after": before, "then": after, "peak_mb": peak / 1e6})
        print(found[-1], flush=True)
    return found


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000
    with tempfile.TemporaryDirectory(dir=".") as folder:
        folder = Path(folder).resolve()
        small, large = measure(folder, SMALL), measure(folder, rows)
        killed = kill_and_go_on(folder, rows)
    for row, least in zip(large, small, strict=True):
        row["ratio"] = row["us_a_row"] / least["us_a_row"]
    write_result("large", {"rows": [*small, *large], "killed": killed})


if __name__ == "__main__":
    main()
