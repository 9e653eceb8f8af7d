"""Time and memory as the corpus grows: 1, 10 and 100 times AG News, each size in a process of its own.

A text is one of AG News with one word left out and two words exchanged, by a seeded draw: new texts, no new words (but
what occurs once in AG News occurs ten times in ten of it, and is then no longer too rare for the vocabulary). Texts are
made when a stretch of them is asked for; the seconds that takes stand apart and are not counted.

Memory is the anonymous part of the resident set (RssAnon, sampled every 10 ms): what the system cannot take back
without swap. Pages of the mapped file of ids are counted apart; the system drops them when it needs the room. Here
free memory holds all of that file; where it does not, an epoch waits for the disk, and this was not measured.

Expected before measuring: numbering 1.5 us a text at any size; an epoch of the bag 0.6 us a text, at 100 times some
1.1 as much, since each text's ids then come from memory and not from the processor's cache; memory the same at 10 and
at 100 times but for about 60 bytes a text: where it starts, its class, its label, the rows of train, their order.

    python benchmarks/growth.py ../shared/data/ag_news
"""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from results import write_result
from rubrica.corpus.corpus import build_corpus
from rubrica.data.dataset import Dataset, Examples, read_dataset
from rubrica.learning.training import train_corpus
from rubrica.models.config import load_recipe, with_known

RUNS = (("bag", 1), ("bag", 10), ("bag", 100), ("gru", 1), ("gru", 10))
EPOCHS = {("bag", 1): 10}  # else 1; an epoch of 0.05 s would show the first touch of new memory, not the training
REPEATS = 3
SEED = 0


class Noisy(Sequence):
    """Some texts, many times over, no two times alike; `seconds` were spent on making them."""

    def __init__(self, texts, times):
        self.texts, self.times, self.seconds = texts, times, 0.0

    def __len__(self):
        return len(self.texts) * self.times

    def __getitem__(self, index):
        started = time.perf_counter()
        rows = range(*index.indices(len(self)))
        draws = np.random.default_rng([SEED, rows.start]).random((len(rows), 3)).tolist()
        made = []
        for row, (first, second, left_out) in zip(rows, draws, strict=True):
            words = self.texts[row % len(self.texts)].split(" ")
            i, j = int(first * len(words)), int(second * len(words))
            words[i], words[j] = words[j], words[i]
            del words[int(left_out * len(words))]
            made.append(" ".join(words))
        self.seconds += time.perf_counter() - started
        return made


class Repeated(Sequence):
    """Some labels, many times over."""

    def __init__(self, labels, times):
        self.labels, self.times = labels, times

    def __len__(self):
        return len(self.labels) * self.times

    def __getitem__(self, index):
        return [self.labels[row % len(self.labels)] for row in range(*index.indices(len(self)))]


class Memory:
    """The most anonymous and mapped memory since the last look, in bytes."""

    def __init__(self):
        self.peaks = [0, 0]
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while True:
            self.sample()
            time.sleep(0.01)

    def sample(self):
        """Look once."""
        sizes = re.findall(r"Rss(?:Anon|File):\s+(\d+) kB", Path("/proc/self/status").read_text())
        self.peaks = [max(peak, 1024 * int(size)) for peak, size in zip(self.peaks, sizes, strict=True)]

    def since(self):
        """The peaks, anonymous and mapped; from now on they count anew."""
        self.sample()
        peaks, self.peaks = self.peaks, [0, 0]
        self.sample()
        return peaks


def measure(data, model, times):
    """One size: what `rubrica train` does between reading and saving."""
    epochs = EPOCHS.get((model, times), 1)
    recipe = load_recipe({"gru": "small"}.get(model, model))
    config = with_known(recipe, {"epochs": epochs, "adversarial": 0.0})
    source = read_dataset(data)
    train = source.splits["train"]
    texts = Noisy(train.texts, times)
    examples = Examples(texts, Repeated(train.labels, times))
    dataset = Dataset("noisy", {"train": examples}, ("text",), "label", source.task)
    memory = Memory()
    before = memory.since()[0]
    started = time.perf_counter()
    corpus = build_corpus(dataset, None, config.data)
    numbering = time.perf_counter() - started - texts.seconds
    numbering_peaks = memory.since()
    metrics = train_corpus(corpus, None, config, title=model).metrics
    training_peaks = memory.since()
    tokens = corpus.splits["train"].tokens
    return {
        "model": model,
        "times": times,
        "texts": len(tokens),
        "ids": len(tokens.ids),
        "words": len(corpus.vocab.words),
        "making_us": 1e6 * texts.seconds / len(texts),
        "numbering_us": 1e6 * numbering / len(texts),
        "epoch_us": 1e6 * metrics["train_seconds"] / metrics["train_texts"] / epochs,
        "anon_before": before,
        "anon_numbering": numbering_peaks[0],
        "anon_training": training_peaks[0],
        "mapped_peak": max(numbering_peaks[1], training_peaks[1]),
        "id_file_bytes": tokens.ids.nbytes if isinstance(tokens.ids, np.memmap) else 0,
        "validation_accuracy": metrics["validation"]["accuracy"],
    }


def main():
    if len(sys.argv) > 2:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
        return
    runs = {key: [] for key in RUNS}
    for repeat in range(REPEATS):
        for model, times in RUNS:
            command = [sys.executable, __file__, sys.argv[1], model, str(times)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            runs[model, times].append(json.loads(output))
            print(repeat, output, end="", flush=True)
    rows = []
    for (model, _), found in runs.items():
        row = {key: float(np.median([run[key] for run in found])) if key != "model" else model for key in found[0]}
        for name in ("numbering_us", "epoch_us"):
            # Against the smallest size of the same repeat, which ran a minute before or after.
            ratios = [run[name] / least[name] for run, least in zip(found, runs[model, 1], strict=True)]
            row[f"{name[:-3]}_ratio"] = float(np.median(ratios))
            row[f"{name[:-3]}_ratio_min"], row[f"{name[:-3]}_ratio_max"] = min(ratios), max(ratios)
        rows.append(row)
    bag = {row["times"]: row for row in rows if row["model"] == "bag"}
    grown = (bag[100]["anon_training"] - bag[10]["anon_training"]) / (bag[100]["texts"] - bag[10]["texts"])
    data = "75,870-row subset of AG News train, repeated with noise"
    write_result("growth", {"data": data, "repeats": REPEATS, "rows": rows, "anon_bytes_per_text": grown})


if __name__ == "__main__":
    main()
