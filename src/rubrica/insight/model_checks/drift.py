"""Whether new texts are like the training texts: a classifier tries to tell them apart.

Source: D. Lopez-Paz and M. Oquab, "Revisiting classifier two-sample tests", ICLR 2017,
https://arxiv.org/abs/1610.06545. The classifier is the linear model; what is measured is the AUC on texts that it has
not seen, 0.5 where nothing tells old from new. Its interval is of J. Hanley and B. McNeil, Radiology 143 (1982).

Letters: N texts, C classes.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rubrica.data.dataset import Dataset, Examples
from rubrica.insight.data_checks.apart import area as area_under_roc
from rubrica.insight.findings import Finding, Phrase
from rubrica.insight.model_checks.subject import Sample, Subject, train_quietly
from rubrica.scoring.task import Floats
from rubrica.scoring.tasks import task_of
from rubrica.text.tokenizer import tokenize

_LEAST_TEXTS = 100  # of each side
_MOST_TEXTS = 2000  # of each side: the AUC is known within 2 points, and the training takes a second
_APART, _FAR = 0.6, 0.75  # AUC
_SURE = 3.0  # standard errors
_WORDS = 8
_SHOWN = 3
_SIDES = ("old", "new")


def find_drift(subject: Subject) -> Iterator[Finding]:
    """New texts that a classifier tells from the training texts."""
    train, held = subject.train, subject.held
    if train is None or held is None or min(len(train), len(held)) < 2 * _LEAST_TEXTS:
        return
    most = min(len(train), len(held), _MOST_TEXTS)
    old, new = (_spread(sample, most) for sample in (train, held))
    texts = [[sample.texts[place] for place in places] for sample, places in ((train, old), (held, new))]
    scores = _score_apart(*texts)
    auc, error = area(*scores)
    if auc - _SURE * error < 0.5 or auc < _APART:
        return
    told = _telling_words(*texts)
    surest = new[np.argsort(-scores[1], kind="stable")[:_SHOWN]].tolist()
    yield Finding(
        kind="drift",
        severity="error" if auc >= _FAR else "warning",
        title=f"The texts are unlike the training texts: of an old and a new one, {auc:.0%} are told apart",
        why=f"Words that the new texts have more of: {', '.join(told['new'])}; and less of: {', '.join(told['old'])}. "
        "A model knows what was in its training texts.",
        remedy="Label some hundred of the new texts and train on them too; of a bag, rubrica train DATA --from MODEL.",
        figures={"auc": auc, "standard_error": error, "words": told} | _shares(subject, train, held),
        rows=tuple(held.row(place, Phrase("most unlike the training texts")) for place in surest),
    )


def _spread(sample: Sample, most: int) -> np.ndarray:
    """The places of `most` texts, drawn at random: files are often sorted."""
    return np.random.default_rng(0).permutation(len(sample))[:most]


def _score_apart(old: Sequence[str], new: Sequence[str]) -> tuple[Floats, Floats]:
    """How much each text looks like a new one to a model that was trained on the other half of the texts."""
    scores = [np.empty(len(old)), np.empty(len(new))]
    task = task_of(_SIDES, lists=False)
    for part in range(2):
        texts = [text for side in (old, new) for text in side[1 - part :: 2]]
        labels: list[Any] = [name for name, side in zip(_SIDES, (old, new), strict=True) for _ in side[1 - part :: 2]]
        model = train_quietly(Dataset("old and new", {"train": Examples(texts, labels)}, ("text",), "side", task))
        for found, side in zip(scores, (old, new), strict=True):
            logits = model.logits(side[part::2])
            found[part::2] = logits[:, 1] - logits[:, 0]
    return scores[0], scores[1]


def area(old: Floats, new: Floats) -> tuple[float, float]:
    """How often a new text has the higher score than an old one, ties half, and the standard error."""
    auc = area_under_roc(np.concatenate([old, new]), np.arange(len(old) + len(new)) >= len(old))
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (len(new) - 1) * (q1 - auc**2) + (len(old) - 1) * (q2 - auc**2)
    return auc, math.sqrt(max(variance, 0.0) / len(old) / len(new))


def _telling_words(old: Sequence[str], new: Sequence[str]) -> dict[str, list[str]]:
    """The words whose share of the texts differs most, in standard errors of the log of the odds."""
    counts = [Counter(word for text in side for word in set(tokenize(text, lowercase=True))) for side in (old, new)]
    words = [word for word in counts[0] | counts[1] if counts[0][word] + counts[1][word] >= 5]
    numbers = np.array([[side[word] + 0.5 for word in words] for side in counts]).reshape(2, len(words))
    totals = np.array([[len(old) + 1.0], [len(new) + 1.0]])
    odds = np.log(numbers / (totals - numbers))
    z = (odds[1] - odds[0]) / np.sqrt((1 / numbers + 1 / (totals - numbers)).sum(axis=0))
    order = np.argsort(z, kind="stable")
    return {
        "old": [words[place] for place in order[:_WORDS].tolist()],
        "new": [words[place] for place in order[::-1][:_WORDS].tolist()],
    }


def _shares(subject: Subject, train: Sample, held: Sample) -> dict[str, Any]:
    """What else differs: words of a text, shares of the answers, unknown words."""
    task, samples = subject.model.task, {"old": train, "new": held}
    figures: dict[str, Any] = {
        "words_per_text": {name: float(np.mean([len(t.split()) for t in s.texts])) for name, s in samples.items()}
    }
    shares = [task.probabilities(sample.logits).mean(axis=0) for sample in (train, held)]
    moved = np.argsort(-np.abs(shares[1] - shares[0]), kind="stable")[:5].tolist()
    figures["shares_of_answers"] = {task.labels[i]: [float(shares[0][i]), float(shares[1][i])] for i in moved}
    if subject.model.config.model.reads_words:
        unknown_id = subject.model.artifact.vocab.unknown_id
        tokens = {name: subject.encode(sample, 2000).ids for name, sample in samples.items()}
        figures["unknown"] = {
            name: float((ids == unknown_id).mean()) if len(ids) else 0.0 for name, ids in tokens.items()
        }
    return figures
