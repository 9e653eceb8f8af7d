"""Words that give the class away without being about it: a source's name, a stamp, the label itself.

A word of the subject comes with other words of the subject: of sports texts, those with "innings" are about cricket. A
stamp comes with any text of its class. So the texts of a class with the word are set against those without it: where
their other words do not tell which have it, the word has nothing to do with what they say.

Letters: L words lower-cased, C classes, N texts of train.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.data_checks.apart import told_apart
from rubrica.insight.data_checks.sample import Sample
from rubrica.insight.findings import Finding, Severity

_PURE = 0.97  # of the texts with the word are of one class
_SPREAD = 0.2  # of the class's texts have it; of a rarer one the model needs the other words all the same
_EVERYWHERE = 0.95  # of the texts have the label: then any word is pure
_LEAST = 20  # texts; of fewer nothing can be said
_UNRELATED = 0.58  # how well the other words tell who has it; a coin has 0.5, words of the subject 0.7 and more
_LOOKED_AT = 40  # words, the most telling ones
_EXAMPLES = 3


def check_giveaways(sample: Sample) -> Iterator[Finding]:
    """Words that tell the class and nothing else."""
    owners, words = sample.words_of(sample.train)
    names, _ = sample.lowered
    stamps = []
    for word, label, counts in _telling(sample, owners, words, len(names)):
        has = np.zeros(len(sample.train), bool)
        has[owners[words == word]] = True
        own = np.flatnonzero(sample.task.has_label(sample.train.targets, label))
        if has[own].all() or told_apart(owners, words, own, has, without=word).area < _UNRELATED:
            stamps.append((names[word], sample.task.labels[label], counts, np.flatnonzero(has)))
    if not stamps:
        return
    stamps.sort(key=lambda stamp: -stamp[2][1])
    told = "; ".join(
        f"{word!r} in {spread:.0%} of {label!r}, {pure:.1%} of its texts"
        for word, label, (pure, spread), _ in stamps[:4]
    )
    severity: Severity = "error" if stamps[0][2][1] >= 0.5 else "warning"
    yield Finding(
        kind="give-away",
        severity=severity,
        title=f"Words that give the class away and have nothing to do with what else the texts say: {told}",
        why="A model learns the word instead of the subject. Texts of another source do not have it, and are missed.",
        remedy="Take the words out of the texts, in train and in test.",
        figures={"words": [{"word": w, "label": name, "pure": c[0], "spread": c[1]} for w, name, c, _ in stamps[:50]]},
        rows=tuple(sample.train.show(int(places[0])) for *_, places in stamps[:_EXAMPLES]),
    )


def _telling(
    sample: Sample, owners: NDArray[np.int32], words: NDArray[np.int32], num_words: int
) -> Iterator[tuple[int, int, tuple[float, float]]]:
    """Words that almost only one class has, and a part of its texts: word, class, purity and spread."""
    texts, classes = sample.task.pairs(sample.train.targets)
    totals = sample.class_counts(sample.train)
    frequent = np.bincount(words, minlength=num_words) >= _LEAST
    found = []
    every = np.bincount(words, minlength=num_words)
    for label in range(sample.task.num_classes):
        own = np.zeros(len(sample.train), bool)
        own[texts[classes == label]] = True
        counts = np.bincount(words[own[owners]], minlength=num_words)
        pure, spread = counts / np.maximum(1, every), counts / max(1, totals[label])
        of_all = totals[label] / len(sample.train)
        if of_all >= _EVERYWHERE:
            continue
        # A class of nine texts in ten has pure words by chance: what matters is how much rarer the others are.
        wanted = max(_PURE, 1 - (1 - of_all) / 10)
        for word in np.flatnonzero(frequent & (pure >= wanted) & (spread >= _SPREAD)).tolist():
            found.append((float(spread[word]), word, label, float(pure[word])))
    for wide, word, label, share in sorted(found, reverse=True)[:_LOOKED_AT]:
        yield word, label, (share, wide)
