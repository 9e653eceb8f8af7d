"""Small data sets in which something is known to be better than the defaults, and searches that take no time."""

import numpy as np

from rubrica.data.dataset import Dataset, Examples
from rubrica.scoring.tasks import task_of
from rubrica.tuning import tune as tuning
from rubrica.tuning.parts import Judged

LONG = 1e6  # seconds: the clock decides nothing


def dataset(texts, labels, **splits):
    """A data set of train, and of other splits given as texts and labels."""
    lists = not isinstance(labels[0], str)
    names = sorted({name for label in labels for name in ([label] if not lists else label)})
    every = {"train": Examples(texts, labels)} | {name: Examples(*both) for name, both in splits.items()}
    return Dataset("made", every, (), "", task_of(names, lists=lists))


def plain(count=240, seed=0, noise=0.1):
    """Words tell the class of nine texts in ten."""
    draw, words = np.random.default_rng(seed), {"food": ["soup", "pan", "salt"], "sport": ["goal", "match", "cup"]}
    labels = [str(label) for label in draw.choice(sorted(words), count)]
    texts = [" ".join([*draw.choice(words[label], 2), *draw.choice(["a", "the", "of"], 3)]) for label in labels]
    texts = [f"{text} {i}" for i, text in enumerate(texts)]
    flipped = draw.random(count) < noise
    other = {"food": "sport", "sport": "food"}
    return texts, [other[label] if flip else label for label, flip in zip(labels, flipped, strict=True)]


def capitals(count=240, seed=0):
    """Only the capitals of a word tell the class: the defaults read none, `keep_case` does."""
    draw = np.random.default_rng(seed)
    labels = [str(label) for label in draw.choice(["lower", "upper"], count)]
    words = [f"{word}{i}" for word in ("cup", "robot", "bank") for i in range(3)]
    texts = []
    for i, label in enumerate(labels):
        some = [str(word) for word in draw.choice(words, 3)]
        texts.append(" ".join([word.upper() if label == "upper" else word for word in some]) + f" {i}")
    return texts, labels


def several(count=240, seed=0):
    """Texts with one or two labels, or none."""
    draw, words = np.random.default_rng(seed), {"food": ["soup", "pan"], "sport": ["goal", "match"]}
    labels = [tuple(name for name in words if draw.random() < 0.5) for _ in range(count)]
    texts = [
        " ".join(str(draw.choice(words[name])) for name in label) + f" {draw.choice(['a', 'the'])} {i}"
        for i, label in enumerate(labels)
    ]
    return texts, labels


def without_torch(monkeypatch):
    """As if torch were not installed: the linear model and the bag are tried, in milliseconds."""
    monkeypatch.setattr(tuning, "find_spec", lambda name: None)


def judged_by(monkeypatch, right, seconds=lambda number: 0.0, *, moves=False):
    """Let `right(number, changes, fold)` say which of 100 texts a trial answers rightly; nothing is trained for it.

    `seconds(number)` is what a part takes by what it says; with `moves` the clock of the search moves by as much.
    """
    calls, clocks, clock = [], [], tuning.Clock

    def judge(parts, vectors, size, tried, fold, allowed):
        calls.append((tried.number, fold))
        hits = np.asarray(right(tried.number, tried.proposal.changes, fold), np.int64)
        rows, took = np.arange(len(hits)) + len(hits) * (fold % 5), seconds(tried.number)
        clocks[-1].before += took if moves else 0.0
        return Judged(rows, np.stack([hits, np.full(len(hits), 2)], axis=1), 1.0, took, 1000)

    monkeypatch.setattr(tuning, "Clock", lambda seconds: clocks.append(clock(seconds)) or clocks[-1])
    monkeypatch.setattr(tuning, "_judge", judge)
    return calls


def quick(data=None, **given):
    """A search of four trials that no clock ends."""
    return tuning.run_tuning(data or dataset(*plain()), **{"seconds": LONG, "trials": 4} | given)


def tuning_of(found):
    """What the metrics say of a search."""
    return found.model.artifact.metrics["tuning"]


def same(one, other):
    """Whether two searches trained the same model, to the bit."""
    a, b = one.model.artifact, other.model.artifact
    return a.config == b.config and all(a.tensors[name].tobytes() == b.tensors[name].tobytes() for name in a.tensors)
