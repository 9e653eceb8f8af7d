"""AG News: our bag beside fastText and TF-IDF with a linear SVM, in one run: accuracy, seconds, texts/s, bytes.

Settings of the peers are their own published ones (fastText's AG News recipe: 10 numbers, bigrams, 5 epochs, lr 0.25);
nothing was tuned on the test split, which is read once a run. Seconds are of training from lists of texts in memory
(tokens included), texts/s of predicting the 7,600 test texts from a list of str, one call. The accuracy of the other
models beside tuned peers is in `accuracy.py`.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/agnews.py ../shared/data/ag_news
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from peers import fasttext_train
from results import write_result
from rubrica.config import load_recipe
from rubrica.data import read_dataset
from rubrica.training import train

SEEDS = (0, 1, 2, 3, 4)


def rubrica_bag(dataset, seed):
    """Its recipe."""
    os.environ["RUBRICA_CACHE"] = tempfile.mkdtemp()  # no token ids of an earlier run
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = load_recipe("bag").changed([f"training.seed={seed}"])
        model = train(dataset, config=settings, out=Path(folder) / "model")
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in (Path(folder) / "model").iterdir())
    return seconds, size, model.predict


def fasttext_bigrams(dataset, seed):
    """FastText as its authors ran AG News: lower-cased, punctuation split off."""
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        fasttext_train.write_texts(dataset.splits["train"], path)
        started = time.perf_counter()
        model = fasttext.train_supervised(
            str(path), dim=10, lr=0.25, wordNgrams=2, epoch=5, thread=2, seed=seed, verbose=0
        )
        seconds = time.perf_counter() - started
        model.save_model(str(Path(folder) / "model.bin"))
        size = (Path(folder) / "model.bin").stat().st_size

    def predict(texts):
        return fasttext_train.predict(model, [fasttext_train.line(text) + "\n" for text in texts])

    return seconds, size, predict


def tfidf_svm(dataset, seed):
    """Scikit-learn: TF-IDF of words and bigrams, linear SVM."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=seed))
    started = time.perf_counter()
    model.fit(dataset.splits["train"].texts, dataset.splits["train"].labels)
    seconds = time.perf_counter() - started
    weights = model[-1].coef_.nbytes + model[0].idf_.nbytes + sum(map(len, model[0].vocabulary_))
    return seconds, weights, lambda texts: model.predict(texts).tolist()


def main():
    dataset = read_dataset(sys.argv[1])
    systems = {
        "rubrica bag": (lambda seed: rubrica_bag(dataset, seed), SEEDS),
        "fastText, bigrams": (lambda seed: fasttext_bigrams(dataset, seed), SEEDS),
        "TF-IDF + linear SVM": (lambda seed: tfidf_svm(dataset, seed), SEEDS[:1]),  # it draws nothing at random
    }
    test = dataset.splits["test"]
    rows = []
    for name, (build, seeds) in systems.items():
        accuracy, train_seconds, texts_per_second = [], [], []
        for seed in seeds:
            seconds, size, predict = build(seed)
            started = time.perf_counter()
            answers = predict(test.texts)
            texts_per_second.append(len(test.texts) / (time.perf_counter() - started))
            train_seconds.append(seconds)
            accuracy.append(float(np.mean([a == b for a, b in zip(answers, test.labels, strict=True)])))
            print(name, seed, f"{accuracy[-1]:.4f} {seconds:.1f} s {texts_per_second[-1]:.0f} texts/s", flush=True)
        rows.append(
            {
                "system": name,
                "accuracy": accuracy,
                "accuracy_mean": float(np.mean(accuracy)),
                "accuracy_std": float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else None,
                "train_seconds": float(np.median(train_seconds)),
                "texts_per_second": float(np.median(texts_per_second)),
                "model_megabytes": size / 1e6,
            }
        )
        write_result(
            "agnews", {"seeds": SEEDS, "data": "75,870-row subset of AG News train, official test", "rows": rows}
        )


if __name__ == "__main__":
    main()
