"""Texts a second from a list of str to labels on one thread and on two, and from a file on two; and megabytes.

The texts are AG News's training texts, each once. fastText gets them lower-cased and with punctuation split off
beforehand, which it needs and which is not counted; its batch call uses one thread, and so does the SVM. Each side and
fastText run in turn in one process, six pairs, the first of which warms up and is dropped.

Expected before measuring, one thread: fastText 80 to 110 thousand texts/s. bag: packing 0.2 us, tokens 1.0, rows
0.6, the rest 0.2, so 500 thousand. gru with 48 units: 47 tokens of 14 kFLOP at 40 GFLOP/s and as much again for its
gates, 25 us, so 40 thousand. linear: 47 words that it has met, each the sum of its n-grams' rows, 8 us, so 120
thousand. The default is a gru read from both ends and a linear model: 8 us, and for the third of the texts that the
network is asked about 28 us more, so 58 thousand; "by both members" asks it about each text, so 28 thousand. A second
core gives 1.8 times as much at the best. The SVM hashes words and pairs in Python, 100 us, so 10 thousand.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/predict.py ../shared/data/ag_news
"""

import os
import pickle
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from peers import fasttext_train
from results import write_result
from rubrica.data.dataset import read_dataset
from rubrica.data.large_files import iter_lines
from rubrica.learning.train import train
from rubrica.models.config import load_recipe, make_config

PAIRS = 5
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
    """The SVM with the C that accuracy_over_time.py chooses, and its megabytes as a pickle."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(C=1.0, random_state=0))
    model.fit(examples.texts, examples.labels)
    return model, len(pickle.dumps(model)) / 1e6


def main():
    import fasttext

    dataset = read_dataset(Path(sys.argv[1]))
    examples = dataset.splits["train"]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        models, megabytes = train_ours(dataset, folder)
        svm, megabytes[SVM] = fit_svm(examples)
        fasttext_train.write_texts(examples, folder / "train.txt")
        peer = fasttext.train_supervised(str(folder / "train.txt"), dim=10, lr=0.5, wordNgrams=2, epoch=2, verbose=0)
        peer.save_model(str(folder / "peer.bin"))
        megabytes["fastText, bigrams"] = (folder / "peer.bin").stat().st_size / 1e6
        texts = [text.replace("\n", " ") for text in examples.texts]
        lines = [fasttext_train.line(text) + "\n" for text in texts]
        ours_file, peers_file = folder / "ours.txt", folder / "peers.txt"
        ours_file.write_text("\n".join(texts) + "\n")
        peers_file.write_text("".join(lines))

        from_list, from_file = partial(fasttext_train.predict, peer, lines), partial(label_peers_file, peer, peers_file)
        tasks = [(SVM, "list", 1, partial(svm.predict, texts), from_list)]
        exactly = partial(models["default"].predict, exact=True)
        calls = {"default, by both members": exactly} | {name: model.predict for name, model in models.items()}
        for name, predict in calls.items():
            tasks.append((name, "list", 1, partial(predict, texts), from_list))
            tasks.append((name, "list", 2, partial(predict, texts), from_list))
        for name, model in models.items():
            tasks.append((name, "file", 2, partial(label_file, model, ours_file), from_file))
        rows = []
        for name, source, threads, ours, theirs in tasks:
            os.environ["RUBRICA_THREADS"] = str(threads)
            pairs = [(seconds_of(ours), seconds_of(theirs)) for _ in range(PAIRS + 1)][1:]
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
