"""What every peer is given and how it is judged: one data set, our validation part of it, one look at test.

A peer is a script, run in a process of its own, that prints one JSON line:

    python benchmarks/peers/PEER.py DATA SEED [--setting JSON]

With --setting nothing is tuned. Letters: N texts, C classes. A truth (N, C) is boolean: one class a text, or several
where some label of the data set is `a|b`.
"""

import argparse
import contextlib
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, f1_score

from rubrica.corpus.held_out import hold_out
from rubrica.scoring.tasks import task_of

VALIDATION_FRACTION, MOST_HELD = 0.1, 2000  # as the defaults of `rubrica train`
THRESHOLDS = tuple(np.arange(0.05, 0.96, 0.05).round(2).tolist())


def read_split(path):
    """The texts of a CSV file with the columns `label,text`, and the labels of each, a list."""
    csv.field_size_limit(1 << 30)
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"].split("|") for row in rows]


def read_task(folder):
    """Train's texts and truth, test's, and the C classes; classes are those of both parts, so that none is lost."""
    (texts, labels), (test_texts, test_labels) = (
        read_split(Path(folder) / f"{name}.csv") for name in ("train", "test")
    )
    classes = sorted({label for several in labels + test_labels for label in several})
    return texts, _truth(labels, classes), test_texts, _truth(test_labels, classes), classes


def _truth(labels, classes):
    truth, places = np.zeros((len(labels), len(classes)), bool), {label: i for i, label in enumerate(classes)}
    for row, several in zip(truth, labels, strict=True):
        row[[places[label] for label in several]] = True
    return truth


def is_multi_label(truth):
    """Whether some text has several classes."""
    return bool((truth.sum(axis=1) > 1).any())


def held_out(truth, seed):
    """Rows of train that stay and rows held out, as `rubrica train` draws them where no text is there twice."""
    several = is_multi_label(truth)
    targets = truth.astype(np.uint8) if several else truth.argmax(axis=1)
    task = task_of([str(label) for label in range(truth.shape[1])], lists=several)
    return hold_out(task, targets, min(VALIDATION_FRACTION, MOST_HELD / len(truth)), seed)


def decide(scores, threshold):
    """Answers (N, C) from scores (N, C): the best class; with a threshold every class above it."""
    if threshold is not None:
        return scores > threshold
    return np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]


def judge(answers, truth, *, multi_label):
    """Accuracy, or micro-F1 of several classes a text; and macro-F1 over the classes that occur or are answered."""
    present = np.flatnonzero(truth.any(axis=0) | answers.any(axis=0))
    macro_f1 = float(f1_score(truth[:, present], answers[:, present], average="macro", zero_division=0))
    if multi_label:
        return {"micro_f1": float(f1_score(truth, answers, average="micro", zero_division=0)), "macro_f1": macro_f1}
    return {"accuracy": float(accuracy_score(truth, answers)), "macro_f1": macro_f1}


def best_threshold(scores, truth, thresholds):
    """The best figure on these texts, and the threshold that gave it; None is the best class alone."""
    multi_label = thresholds != (None,)
    found = [(next(iter(judge(decide(scores, t), truth, multi_label=multi_label).values())), t) for t in thresholds]
    return max(found, key=lambda pair: pair[0])  # the first of equals


def arguments():
    """DATA, SEED and --setting of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", help="folder of train.csv and test.csv")
    parser.add_argument("seed", type=int)
    parser.add_argument("--setting", type=json.loads, help="JSON; else chosen on the validation part")
    return parser.parse_args()


def run(start, grid, thresholds):
    """Tune on the validation part, train on all of train, test once, print.

    Args:
        start: `start(texts, truth, seed)` gives `fit(setting)`, which gives `score(texts)` -> scores (N, C); `fit`
            raises RuntimeError where the training comes to nothing.
        grid: The settings to try, dicts.
        thresholds: Of a score, to try where a text has several classes.
    """
    given = arguments()
    texts, truth, test_texts, test_truth, _ = read_task(given.data)
    multi_label = is_multi_label(truth)
    thresholds = thresholds if multi_label else (None,)
    if given.setting is None:
        kept, held = held_out(truth, given.seed)
        fit, held_texts = start([texts[i] for i in kept], truth[kept], given.seed), [texts[i] for i in held]
        tried = []
        for setting in grid:
            with contextlib.suppress(RuntimeError):
                tried.append((*best_threshold(fit(setting)(held_texts), truth[held], thresholds), setting))
        tried.sort(key=lambda one: -one[0])  # stable: of equals the first of the grid
    else:
        tried = [(None, given.setting.pop("threshold", None), given.setting)]
    fit, score = start(texts, truth, given.seed), None
    for validation, threshold, setting in tried:  # noqa: B007
        with contextlib.suppress(RuntimeError):  # what went well on nine tenths may fail on all: the next best then
            score = fit(setting)
            break
    if score is None:
        sys.exit("no setting came to the end of its training")
    started = time.perf_counter()
    answers = decide(score(test_texts), threshold)
    report(
        judge(answers, test_truth, multi_label=multi_label),
        setting=setting if threshold is None else setting | {"threshold": threshold},
        validation=validation,
        test_seconds=time.perf_counter() - started,
    )


def report(scores, **more):
    """The one line on stdout."""
    print(json.dumps({**scores, **more}))
