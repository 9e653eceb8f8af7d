"""Texts a second from a list of str to labels on one thread and on two, and from a file on two; and megabytes.

The models learn from every second text of AG News's train and answer the others, each once: of a text that it has
learned from, a linear model is surer than of a new one, and the default would ask its network too seldom. fastText gets
the texts lower-cased and with punctuation split off beforehand, which it needs and which is not counted; its batch call
uses one thread, and so does the SVM. Each side and fastText run in turn in one process, ten pairs behind one that warms
up. For a "first call" the model is loaded anew for each pair: a linear model keeps the words that it has met, and has
met none then. Megabytes are of models of all texts.

Expected before measuring, one thread: fastText 80 to 110 thousand texts/s. bag: packing 0.2 us, tokens 1.0, rows 0.6,
the rest 0.2, so 500 thousand. gru with 48 units: 47 tokens of 14 kFLOP at 40 GFLOP/s and as much again for its gates,
25 us, so 40 thousand. linear: 47 words that it has met, each the sum of its n-grams' rows, 5 us, so 200 thousand; in a
first call one word of each text is new and takes another microsecond. The default is a gru read from both ends and a
linear model: 5 us, and for the fifth of the texts that the network is asked about 20 us more, so 110 thousand; "by both
members" asks it about each text, so 40 thousand. A second core gives 1.8 times as much at the best. The SVM hashes
words and pairs in Python, 100 us, so 10 thousand.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/predict.py ../shared/data/ag_news
"""

import os
import pickle
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from peers import fasttext_train
from results import write_result
from rubrica.data.dataset import Examples, read_dataset
from rubrica.data.large_files import iter_lines
from rubrica.learning.train import train
from rubrica.models.config import load_recipe, make_config
from rubrica.predict.classifier import load

PAIRS = 10
SVM = "TF-IDF + linear SVM"


def seconds_of(call):
    started = time.perf_counter()
    count = len(call())
    return time.perf_counter() - started, count


def label_file(model, path):
    return model.predict(list(iter_lines(path)))


def label_peers_file(peer, path):
    with path.open() as file:
        return fasttext_train.predict(peer, file.readlines())


def every_second(examples, first):
    return Examples(examples.texts[first::2], examples.labels[first::2])


def train_ours(dataset, folder):
    """Our models by name, and the megabytes of their folders; the default is the whole training."""
    configs = {
        "bag": load_recipe("bag"),
        "gru 48": load_recipe("small").replace(model={"hidden_size": 48}, training={"epochs": 1}),
        "linear": load_recipe("linear"),
        "default": make_config(),
    }
    models = {name: train(dataset, config=config, out=folder / name) for name, config in configs.items()}
    sizes = {name: sum(path.stat().st_size for path in (folder / name).iterdir()) / 1e6 for name in models}
    return models, sizes


def fit_svm(examples):
    """The SVM with the C that accuracy_over_time.py chooses."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(C=1.0, random_state=0))
    model.fit(examples.texts, examples.labels)
    return model


def fit_peer(examples, folder):
    """A model of fastText with pairs of words."""
    import fasttext

    fasttext_train.write_texts(examples, folder / "train.txt")
    return fasttext.train_supervised(str(folder / "train.txt"), dim=10, lr=0.5, wordNgrams=2, epoch=2, verbose=0)


def measure_sizes(dataset, folder):
    """The megabytes of each model of all texts; the SVM's as a pickle."""
    examples = dataset.splits["train"]
    _, sizes = train_ours(dataset, folder / "whole")
    sizes[SVM] = len(pickle.dumps(fit_svm(examples))) / 1e6
    fit_peer(examples, folder).save_model(str(folder / "peer.bin"))
    return sizes | {"fastText, bigrams": (folder / "peer.bin").stat().st_size / 1e6}


def tasks_of(folder, models, svm, texts, from_list, files):
    """Of each row: the model, where the texts come from, the threads, what makes our call, and fastText's call."""
    ours_file, from_file = files
    exactly = partial(models["default"].predict, exact=True)
    calls = {SVM: svm.predict, "default, by both members": exactly} | {n: m.predict for n, m in models.items()}
    for name, predict in calls.items():
        for threads in (1, 2)[: 1 if name == SVM else 2]:
            yield name, "list", threads, partial(partial, predict, texts), from_list
    for name in ("linear", "default"):
        yield f"{name}, first call", "list", 2, lambda name=name: partial(load(folder / name).predict, texts), from_list
    for name, model in models.items():
        yield name, "file", 2, partial(partial, label_file, model, ours_file), from_file


def main():
    dataset = read_dataset(Path(sys.argv[1]))
    learned, new = (every_second(dataset.splits["train"], first) for first in (0, 1))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        megabytes = measure_sizes(dataset, folder)
        models, _ = train_ours(replace(dataset, splits={"train": learned}), folder)
        svm, peer = fit_svm(learned), fit_peer(learned, folder)
        texts = [text.replace("\n", " ") for text in new.texts]
        lines = [fasttext_train.line(text) + "\n" for text in texts]
        ours_file, peers_file = folder / "ours.txt", folder / "peers.txt"
        ours_file.write_text("\n".join(texts) + "\n")
        peers_file.write_text("".join(lines))
        from_list = partial(fasttext_train.predict, peer, lines)
        files = ours_file, partial(label_peers_file, peer, peers_file)
        for name, source, threads, ours, theirs in tasks_of(folder, models, svm, texts, from_list, files):
            os.environ["RUBRICA_THREADS"] = str(threads)
            pairs = [(seconds_of(ours()), seconds_of(theirs)) for _ in range(PAIRS + 1)][1:]
            ratios = [their[0] / our[0] for our, their in pairs]
            rows.append(
                {
                    "model": name,
                    "from": source,
                    "threads": threads,
                    "texts_per_second": float(np.median([count / seconds for (seconds, count), _ in pairs])),
                    "fasttext_per_second": float(np.median([count / seconds for _, (seconds, count) in pairs])),
                    "ratio": float(np.median(ratios)),
                    "ratio_min": min(ratios),
                    "ratio_max": max(ratios),
                }
            )
            print(rows[-1], flush=True)
    write_result("predict", {"pairs": PAIRS, "texts": len(texts), "megabytes": megabytes, "rows": rows})


if __name__ == "__main__":
    main()
