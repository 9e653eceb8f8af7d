"""The linear model beside scikit-learn's words and bigrams with a linear SVM: seconds of the whole process.

Both read the same train.csv and score the texts of it that `rubrica train` holds out, the same for both; each in a
process of its own, in turn. No test split is read. Of fewer than 42,000 texts ours learns twice (docs/decisions.md,
"Held out, and then learned too"), scikit-learn once.

Known before this script was written: one fit of ours had taken 2.5 s, and scikit-learn 6 s for its words and 3 s for
the fit. From these a ratio of three to four was expected; it is between two and three.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/linear.py ../shared/data/ag_news/train.csv
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from results import write_result

ROUNDS = 3

PEER = """
import sys
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC
from rubrica.corpus.held_out import hold_out, text_keys
from rubrica.data.dataset import read_dataset
import numpy as np
dataset = read_dataset(sys.argv[1])
split = dataset.splits["train"]
targets = dataset.task.encode(split.labels)
rows, held = hold_out(dataset.task, targets, min(0.1, 2000 / len(targets)), 0, text_keys(len(targets), [split.texts]))
vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
features = vectorizer.fit_transform([split.texts[row] for row in rows])
model = LinearSVC(C=0.3).fit(features, targets[rows])
answers = model.predict(vectorizer.transform([split.texts[row] for row in held]))
print(np.mean(answers == targets[held]))
"""


def ours(data, folder):
    """Returns accuracy, the seconds of the fit alone, and bytes of the folder."""
    model = Path(folder) / "model"
    command = [sys.executable, "-m", "rubrica", "-q", "train", data, "--model", "linear", "--out", model]
    subprocess.run(command, check=True)
    metrics = json.loads((model / "metrics.json").read_text())
    size = sum(path.stat().st_size for path in model.iterdir())
    return metrics["validation"]["accuracy"], metrics["train_seconds"], size


def peer(data, folder):
    """Returns accuracy."""
    done = subprocess.run([sys.executable, "-c", PEER, data], check=True, capture_output=True, text=True)
    return (float(done.stdout),)


def main():
    data = sys.argv[1]
    rows = {"rubrica linear": [], "scikit-learn, words (1, 2) + LinearSVC": []}
    for _ in range(ROUNDS):
        for name, run in zip(rows, (ours, peer), strict=True):
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                found = run(data, folder)
                rows[name].append([time.perf_counter() - started, *found])
            print(name, rows[name][-1], flush=True)
    seconds = [float(np.median([row[0] for row in found])) for found in rows.values()]
    write_result("linear", {"data": Path(data).parent.name, "rows": rows, "ratio": seconds[1] / seconds[0]})


if __name__ == "__main__":
    main()
