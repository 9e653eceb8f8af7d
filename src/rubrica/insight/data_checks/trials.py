"""What a fault of data costs, tried out: a linear model with the fault and without it, on the same unseen texts.

A trial answers the same texts twice. Its cost is the difference of the shares of right answers, in points; the interval
is that of a difference of pairs.

Letters: N texts.
"""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.data_checks.answers import have
from rubrica.insight.data_checks.duplicates import Twins
from rubrica.insight.data_checks.sample import Part, Sample
from rubrica.insight.data_checks.texts import ADDRESS, TAG
from rubrica.insight.findings import Cost, Finding, Phrase
from rubrica.learning.crossval import Features
from rubrica.progress import progress_bar
from rubrica.scoring.task import Rows

_MOST = 20_000  # texts of a trial: a cost of 0.3 points can be seen
_FOLDS = 3
_Z = 1.96

Rights = NDArray[np.bool_]


def with_costs(sample: Sample, twins: Twins, findings: Sequence[Finding]) -> list[Finding]:
    """The findings, with the cost of each that a trial can measure."""
    tried = [finding for finding in findings if finding.kind in TRIALS]
    costs = {}
    with progress_bar("trials", len(tried)) as advance:
        for finding in tried:
            advance(finding.kind)
            costs[id(finding)] = TRIALS[finding.kind](sample, twins, finding)
    return [replace(finding, cost=costs.get(id(finding))) for finding in findings]


def _difference(better: Rights, worse: Rights, trial: Phrase) -> Cost:
    gained = better.astype(float) - worse
    return Cost(100 * float(gained.mean()), 100 * _Z * float(gained.std() / np.sqrt(max(1, len(gained)))), trial)


def _places(part: Part) -> Rows:
    """The texts of a trial, ascending."""
    return np.sort(np.random.default_rng(0).permutation(len(part))[:_MOST])


def _unseen(sample: Sample, places: Rows, texts: list[str], keys: Rows | None = None) -> Rights:
    """Whether each of some texts of train is answered rightly by a model that learned others of them."""
    features = Features.read(sample.task, texts, sample.train.targets[places], data=sample.settings)
    if keys is not None:
        features = replace(features, keys=keys)
    return have(features, features.out_of_sample(folds=_FOLDS).argmax(axis=1))


def _cut(sample: Sample, twins: Twins, finding: Finding) -> Cost:
    """Texts as far as a network reads them, against whole texts."""
    part, places, most = sample.train, _places(sample.train), sample.settings.max_length
    ends = list(zip(part.offsets[places].tolist(), part.offsets[places + 1].tolist(), strict=True))
    whole, cut = (
        [" ".join([sample.words[word] for word in part.ids[first : min(end, first + limit)]]) for first, end in ends]
        for limit in (len(part.ids), most)
    )
    trial = Phrase("a linear model on whole texts, and on their first {} tokens", most)
    return _difference(_unseen(sample, places, whole), _unseen(sample, places, cut), trial)


def _plain(sample: Sample, twins: Twins, finding: Finding) -> Cost:
    """Texts without markup, against texts as they are."""
    places = _places(sample.train)
    texts = [sample.train.texts[place] for place in places.tolist()]
    plain = [re.sub(ADDRESS, " ", re.sub(TAG, " ", html.unescape(html.unescape(text)))) for text in texts]
    trial = Phrase("a linear model on texts without markup, and on texts with it")
    return _difference(_unseen(sample, places, plain), _unseen(sample, places, texts), trial)


def _stamped(sample: Sample, twins: Twins, finding: Finding) -> Cost:
    """Texts with the words that give the class away, against the same texts without them, to one model."""
    places, task = _places(sample.train), sample.task
    texts = [sample.train.texts[place] for place in places.tolist()]
    words = "|".join(re.escape(entry["word"]) for entry in finding.figures["words"])
    pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
    count = len(places)
    targets = np.concatenate([sample.train.targets[places]] * 2)
    both = Features.read(task, [*texts, *(pattern.sub(" ", text) for text in texts)], targets, data=sample.settings)
    folds, right = both.folds(np.arange(count), _FOLDS), np.zeros((2, count), bool)
    for fold in range(_FOLDS):
        fitted, held = both.fit(np.flatnonzero(folds != fold)), np.flatnonzero(folds == fold)
        for side, rows in enumerate((held, held + count)):
            right[side, held] = have(both, both.logits(fitted, rows).argmax(axis=1), rows)
    trial = Phrase("a linear model that learned with the words, on texts with and without them")
    return _difference(right[0], right[1], trial)


def _repeated(sample: Sample, twins: Twins, finding: Finding) -> Cost:
    """A score where a text and its twin may be on two sides, against a score where they are on one."""
    places, part = _places(sample.train), sample.train
    texts = [part.texts[place] for place in places.tolist()]
    groups = np.arange(len(part))
    for twin in twins.twins:  # in the order of the texts: the original has its group
        if twin.place < len(part) and twin.original < len(part):
            groups[twin.place] = groups[twin.original]
    apart = _unseen(sample, places, texts, np.arange(len(places)))
    together = _unseen(sample, places, texts, groups[places])
    return _difference(apart, together, Phrase("how much too good a score on held-out texts is"))


def _leaked(sample: Sample, twins: Twins, finding: Finding) -> Cost:
    """The score on test, against the score on the texts of test that train does not have."""
    places, train = _places(sample.train), sample.train
    part = next(part for part in sample.others if part.name == finding.figures["split"])
    start = int(twins.starts[twins.parts.index(part)])
    first, second, _ = twins.pairs
    known = np.zeros(len(part), bool)
    inside = (first < len(train)) & (second >= start) & (second < start + len(part))
    known[second[inside] - start] = True
    texts = [train.texts[place] for place in places.tolist()]
    targets = np.concatenate([train.targets[places], part.targets])
    features = Features.read(sample.task, [*texts, *part.texts], targets, data=sample.settings)
    fitted, rows = features.fit(np.arange(len(places))), len(places) + np.arange(len(part))
    right = have(features, features.logits(fitted, rows).argmax(axis=1), rows).astype(float)
    new = right[~known] if not known.all() else right
    spread = _Z * np.sqrt(new.var() / len(new)) * known.mean()
    trial = Phrase("how much too good the score is")
    return Cost(100 * float(right.mean() - new.mean()), 100 * float(spread), trial)


TRIALS: dict[str, Callable[[Sample, Twins, Finding], Cost]] = {
    "truncation": _cut,
    "markup": _plain,
    "give-away": _stamped,
    "duplicates": _repeated,
    "near-duplicates": _repeated,
    "leak": _leaked,
}
