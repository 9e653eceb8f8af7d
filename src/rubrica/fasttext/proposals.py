"""Which settings autotune tries next: some that are good for many data, then changes of the best.

fastText starts at its defaults and changes the best found so far. Here the first trials ask the large questions (runs
of words, runs of characters) with few numbers in a row, which costs little: for a classifier of few labels, 16 numbers
are as good as 100.
"""

from typing import Any

import numpy as np

from rubrica.fasttext.arguments import Values

Changes = dict[str, Any]

_VISITS = 250_000  # texts in a training, at least; with fewer, small data would not be learned
_RUNS = ((0, 0), (2, 4), (2, 5), (3, 6))
_BOUNDS = {"epoch": (1, 100), "lr": (0.01, 5.0), "dim": (2, 1000), "bucket": (10_000, 10_000_000)}  # fastText's, about
_SPREAD = {"epoch": 0.7, "lr": 0.7, "dim": 0.6, "bucket": 0.8}  # of a change, in powers of two


def first_changes(values: Values, given: frozenset[str], num_texts: int, num_labels: int) -> list[Changes]:
    """What is tried first, in this order.

    Args:
        values: The arguments.
        given: The names of those that stay.
        num_texts: In the file that is learned from.
        num_labels: Distinct labels.
    """
    start = {
        "lr": 0.5,
        "epoch": int(np.clip(round(_VISITS / max(1, num_texts)), 5, 50)),
        "dim": 16 if num_labels <= 50 else 64,
        "bucket": int(np.clip(40 * num_texts, 100_000, 2_000_000)),
    }
    asked = (
        {"wordNgrams": 2, "minn": 0, "maxn": 0, "epoch": max(1, start["epoch"] // 5)},  # soon done: there is a model
        {"wordNgrams": 2, "minn": 0, "maxn": 0},
        {"wordNgrams": 1, "minn": 2, "maxn": 5},
        {"wordNgrams": 2, "minn": 2, "maxn": 5},
        {"wordNgrams": 1, "minn": 0, "maxn": 0},
        {"wordNgrams": 3, "minn": 0, "maxn": 0},
        {"wordNgrams": 2, "minn": 0, "maxn": 0, "lr": 1.0},
        {"wordNgrams": 2, "minn": 0, "maxn": 0, "epoch": 2 * start["epoch"]},
    )
    found: list[Changes] = []
    for changes in asked:
        kept = _settled(values, start | changes, given)
        if kept not in found:
            found.append(kept)
    return found


def change(values: Values, best: Changes, given: frozenset[str], generator: np.random.Generator) -> Changes:
    """A changed copy of the best settings: some numbers a little larger or smaller, perhaps other runs."""
    found = dict(best)
    for name, (low, high) in _BOUNDS.items():
        if generator.random() < 0.5:
            moved = values[name] if name not in best else best[name]
            moved = float(np.clip(moved * 2 ** generator.normal(0, _SPREAD[name]), low, high))
            found[name] = moved if name == "lr" else max(int(low), round(moved))
    if generator.random() < 0.3:
        found["wordNgrams"] = int(np.clip(found.get("wordNgrams", 1) + generator.choice((-1, 1)), 1, 5))
    if generator.random() < 0.25:
        found["minn"], found["maxn"] = _RUNS[generator.integers(len(_RUNS))]
    return _settled(values, found, given)


def _settled(values: Values, changes: Changes, given: frozenset[str]) -> Changes:
    """Changes without the arguments that were given, and without buckets that nothing is hashed into."""
    found = {name: value for name, value in changes.items() if name not in given}
    whole = values | found
    if whole["wordNgrams"] <= 1 and whole["maxn"] == 0:
        found["bucket"] = 0
    elif not whole["bucket"]:
        found["bucket"] = changes.get("bucket") or values["bucket"] or 100_000
    return found
