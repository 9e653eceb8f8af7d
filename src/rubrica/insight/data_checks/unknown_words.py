"""Words that the vectors do not know: how many, of which kinds, in which classes, and what would help.

Letters: V words as they are written, C classes.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.data_checks.sample import Part, Sample
from rubrica.insight.data_checks.scripts import script_of
from rubrica.insight.findings import Finding
from rubrica.text.tokenizer import is_unspaced, tokenize
from rubrica.text.vocab import compose_words

_MANY = 0.1  # of the tokens; with good vectors for the texts' language it is one in twenty or less
_GAIN = 0.02  # of the tokens that a fix makes known; less is not worth a line
_SHOWN = 12  # words

_KINDS: dict[str, Callable[[str, str], bool]] = {
    "numbers": lambda word, script: any(map(str.isdigit, word)),
    "punctuation": lambda word, script: not any(map(str.isalnum, word)),
    "a script without spaces": lambda word, script: is_unspaced(word),
    "another script": lambda word, script: script_of(word) not in ("", script),
    "words of one or two letters": lambda word, script: len(word) <= 2,
    "rare words and names": lambda word, script: True,
}
"""Kinds of words in texts of a script; the first that fits."""


def check_unknown(sample: Sample) -> Iterator[Finding]:
    """Words without a vector, as the texts will be read, and what another way of reading would change."""
    if sample.vectors is None:
        return
    known = set(compose_words(sample.vectors.words))
    counts = np.bincount(sample.train.ids, minlength=len(sample.words))
    written, lowered = (
        np.array([word in known for word in words], bool)
        for words in (sample.words, [word.lower() for word in sample.words])
    )
    lowercase = sample.settings.lowercase is True
    here = lowered if lowercase else written
    total = max(1, int(counts.sum()))
    share = float(counts[~here].sum() / total)
    yield from _capitals(sample, share, float(counts[~lowered].sum() / total), counts * (lowered & ~written))
    yield from _unspaced(sample, known, share, counts)
    if share < _MANY:
        return
    kinds = _kinds(sample.words, counts * ~here, total)
    told = ", ".join(f"{name} {part:.1%}" for name, part in kinds.items() if part >= _GAIN / 4)
    by_class = _by_class(sample, here)
    worst = max(by_class, key=lambda name: by_class[name], default="")
    yield Finding(
        kind="unknown-words",
        severity="error" if share >= 0.5 else "warning",  # the model reads less than half of the text
        title=f"The vectors lack {share:.1%} of the tokens: {told}"
        + (f"; most of all in {worst!r} ({by_class[worst]:.1%})" if worst else ""),
        why="All unknown words look alike to a network, so it reads a text with gaps.",
        remedy="Give vectors of the texts' language and time, best with pieces of words (fastText's .bin), or train"
        " them: rubrica vectors train DATA --out FILE.",
        figures={"share": share, "kinds": kinds, "by_class": by_class, "words": _most(sample.words, counts * ~here)},
    )


def _capitals(sample: Sample, share: float, lowered: float, gained: NDArray[np.int64]) -> Iterator[Finding]:
    if sample.settings.lowercase is True or share - lowered < _GAIN:
        return
    yield Finding(
        kind="capitals-unknown",
        severity="error" if share - lowered >= _MANY else "warning",
        title=f"The vectors know few words with capitals: {share:.1%} of the tokens are unknown as they are written,"
        f" {lowered:.1%} lower-cased",
        why="Names and the first words of sentences are lost, though the vectors have them.",
        remedy="rubrica train DATA --out MODEL --vectors VECTORS --set data.lowercase=auto",
        figures={"as_written": share, "lowercased": lowered, "words": _most(sample.words, gained)},
    )


def _unspaced(sample: Sample, known: set[str], share: float, counts: NDArray[np.int64]) -> Iterator[Finding]:
    """What it brings to split scripts without spaces, where they are not split."""
    if sample.settings.split_unspaced is True:
        return
    total = unknown = 0
    lowercase = sample.settings.lowercase is True
    for word, count in zip(sample.words, counts.tolist(), strict=True):
        pieces = tokenize(word, lowercase=lowercase, split_unspaced=True) if is_unspaced(word) else [word]
        total += count * len(pieces)
        unknown += count * sum((piece.lower() if lowercase else piece) not in known for piece in pieces)
    split = unknown / max(1, total)
    if share - split < _GAIN:
        return
    yield Finding(
        kind="unspaced-script",
        severity="error" if share - split >= _MANY else "warning",
        title=f"Texts in a script without spaces are read as one word a sentence: {share:.1%} of the tokens are"
        f" unknown, {split:.1%} with each character a token",
        why="A model that never met the sentence knows nothing of it.",
        remedy="rubrica train DATA --out MODEL --vectors VECTORS --set data.split_unspaced=true",
        figures={"whole": share, "split": split},
    )


def _kinds(words: list[str], unknown: NDArray[np.int64], total: int) -> dict[str, float]:
    """The share of all tokens that is unknown and of each kind, the largest first."""
    scripts = Counter(filter(None, map(script_of, words))) or {"": 0}
    found, script = dict.fromkeys(_KINDS, 0), max(scripts, key=lambda name: scripts[name])
    for place in np.flatnonzero(unknown).tolist():
        found[next(name for name, fits in _KINDS.items() if fits(words[place], script))] += int(unknown[place])
    return {name: count / total for name, count in sorted(found.items(), key=lambda item: -item[1])}


def _by_class(sample: Sample, known: NDArray[np.bool_]) -> dict[str, float]:
    """The share of unknown tokens in the texts of each class."""
    part: Part = sample.train
    of_text = np.bincount(part.owners, weights=~known[part.ids], minlength=len(part))
    owners, classes = sample.task.pairs(part.targets)
    size = sample.task.num_classes
    unknown, every = (
        np.bincount(classes, weights=values[owners], minlength=size) for values in (of_text, part.lengths)
    )
    return {name: float(unknown[at] / every[at]) for at, name in enumerate(sample.task.labels) if every[at]}


def _most(words: list[str], counts: NDArray[np.int64]) -> dict[str, int]:
    order = np.argsort(-counts, kind="stable")[:_SHOWN].tolist()
    return {words[place]: int(counts[place]) for place in order if counts[place]}
