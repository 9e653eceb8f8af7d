"""Texts a second from a list of str to labels on one thread, and from a file to labels on both cores.

The texts are AG News's training texts, each once. fastText gets them lower-cased and with punctuation split off
beforehand, which it needs and which is not counted; its batch call uses one thread. Both sides are run in turn in one
process, six pairs, the first of which warms up and is dropped.

Expected before measuring, one thread: fastText 80 to 110 thousand texts/s. bag: packing 0.2 us, tokens 1.0, rows
0.6, the rest 0.2, so 500 thousand. gru with 48 units: 47 tokens of 14 kFLOP at 40 GFLOP/s and as much again for its
gates, 25 us, so 40 thousand.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/predict.py ../shared/data/ag_news
"""

import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from peers import fasttext_train
from results import write_result
from rubrica.data.dataset import read_dataset
from rubrica.data.files import iter_lines
from rubrica.learning.train import train
from rubrica.models.config import load_recipe

PAIRS = 5


def seconds_of(call):
    started = time.perf_counter()
    count = len(call())
    return time.perf_counter() - started, count


def label_file(model, path):
    return model.predict(list(iter_lines(path)))


def label_peers_file(peer, path):
    with path.open() as file:
        return fasttext_train.predict(peer, file.readlines())


def main():
    import fasttext

    dataset = read_dataset(Path(sys.argv[1]))
    one_epoch = {"training": {"epochs": 1}, "data": {"validation_fraction": 0.0}}
    models = {
        "bag": train(dataset, config=load_recipe("bag").replace(**one_epoch)),
        "gru 48": train(dataset, config=load_recipe("small").replace(**one_epoch, model={"hidden_size": 48})),
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        fasttext_train.write_texts(dataset.splits["train"], folder / "train.txt")
        peer = fasttext.train_supervised(str(folder / "train.txt"), dim=10, lr=0.25, wordNgrams=2, epoch=1, verbose=0)
        texts = [text.replace("\n", " ") for text in dataset.splits["train"].texts]
        lines = [fasttext_train.line(text) + "\n" for text in texts]
        ours_file, peers_file = folder / "ours.txt", folder / "peers.txt"
        ours_file.write_text("\n".join(texts) + "\n")
        peers_file.write_text("".join(lines))

        rows = []
        for name, model in models.items():
            tasks = (
                ("list", 1, partial(model.predict, texts), partial(fasttext_train.predict, peer, lines)),
                ("file", 2, partial(label_file, model, ours_file), partial(label_peers_file, peer, peers_file)),
            )
            for task, threads, ours, theirs in tasks:
                os.environ["RUBRICA_THREADS"] = str(threads)
                pairs = [(seconds_of(ours), seconds_of(theirs)) for _ in range(PAIRS + 1)][1:]
                ratios = [their[0] / our[0] for our, their in pairs]
                rows.append(
                    {
                        "model": name,
                        "from": task,
                        "threads": threads,
                        "texts_per_second": float(np.median([count / seconds for (seconds, count), _ in pairs])),
                        "fasttext_per_second": float(np.median([count / seconds for _, (seconds, count) in pairs])),
                        "ratio": float(np.median(ratios)),
                        "ratio_min": min(ratios),
                        "ratio_max": max(ratios),
                    }
                )
                print(rows[-1], flush=True)
    write_result("predict", {"pairs": PAIRS, "texts": len(texts), "rows": rows})


if __name__ == "__main__":
    main()
