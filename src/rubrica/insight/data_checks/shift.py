"""Whether the texts that judge a model speak of the same things as the texts that teach it."""

from collections.abc import Iterator

import numpy as np

from rubrica.insight.data_checks.apart import told_apart
from rubrica.insight.data_checks.sample import Sample
from rubrica.insight.findings import Finding

_SIDE = 10_000  # texts of each side: the error of the area is 0.004
_SEEN = 0.55  # the area under the ROC curve; two halves of one source have 0.5
_PLAIN = 0.65
_OFTEN = 10  # texts that a word must be in to be named
_NAMED = 8


def check_shift(sample: Sample) -> Iterator[Finding]:
    """Splits of another time or source than train."""
    names, _ = sample.lowered
    for part in sample.others:
        sides, generator = [], np.random.default_rng(0)
        for which in (sample.train, part):
            chosen = np.zeros(len(which), bool)
            chosen[generator.permutation(len(which))[:_SIDE]] = True
            owners, words = sample.words_of(which)
            sides.append((owners[chosen[owners]], words[chosen[owners]], np.flatnonzero(chosen)))
        start = len(sample.train)
        owners = np.concatenate([sides[0][0], sides[1][0] + start])
        words = np.concatenate([sides[0][1], sides[1][1]])
        own = np.concatenate([sides[0][2], sides[1][2] + start])
        second = np.arange(start + len(part)) >= start
        found = told_apart(owners, words, own, second)
        if found.area - 3 * found.error < _SEEN:
            continue
        often = np.bincount(words, minlength=len(found.log_odds)) >= _OFTEN
        order = np.flatnonzero(often)[np.argsort(found.log_odds[often], kind="stable")].tolist()
        named = {
            "train": [names[word] for word in order[:_NAMED]],
            part.name: [names[word] for word in order[::-1][:_NAMED]],
        }
        yield Finding(
            kind="shift",
            severity="warning" if found.area >= _PLAIN else "note",
            title=f"Texts of {part.name} can be told from texts of train: of two, one of each, the words tell which"
            f" is which in {found.area:.0%} of the cases (half would be chance)",
            why=f"The split {part.name} is of another time or source: a score on a part of train is too hopeful."
            f" Typical of train: {', '.join(named['train'])}; of {part.name}: {', '.join(named[part.name])}.",
            remedy="Validate on a split that is as far from train as the texts to come, and train on newer texts.",
            figures={"split": part.name, "area": found.area, "error": found.error, "words": named},
        )
