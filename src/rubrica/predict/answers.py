"""What `rubrica predict` prints: one JSON object a text, many texts at a time."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice

from rubrica.predict.classifier import Classifier, ranked
from rubrica.scoring import metrics

_AT_A_TIME = 4096  # texts that are read before the first is answered, about


def iter_answers(
    classifier: Classifier, texts: Iterable[str], *, all_classes: bool, abstain_below: float | None = None
) -> Iterator[str]:
    """Yield lines of JSON for the texts, in their order, some thousand lines in one string.

    Args:
        classifier: A loaded model.
        texts: Read as they come.
        all_classes: Add the probability of every class, not of the best alone.
        abstain_below: As in `Classifier.predict`.
    """
    names = [json.dumps(label, ensure_ascii=False) for label in classifier.labels]
    # Whole training batches at a time: where padding is read as words, the batch is part of the result.
    batch_size = classifier.config.training.batch_size
    texts = iter(texts)
    while chunk := list(islice(texts, batch_size * max(1, _AT_A_TIME // batch_size))):
        if classifier.several:
            yield "\n".join(_sets(classifier, chunk, names, all_classes))
        else:
            yield "\n".join(_labels(classifier, chunk, names, all_classes, abstain_below or 0.0))


def _labels(
    classifier: Classifier, texts: list[str], names: list[str], all_classes: bool, abstain_below: float
) -> list[str]:
    """`{"label": "a", "score": 0.9}`, and with `all_classes` the `scores` of all; a less probable label is null."""
    probabilities = classifier.predict_proba(texts)
    best = probabilities.argmax(axis=1)
    highest = probabilities[range(len(texts)), best]
    scores = highest.astype(float).round(6)
    names = [*names, "null"]  # the last, -1, is the answer where the model abstains
    best[highest < abstain_below] = -1
    # Put together by hand: json.dumps would take longer than the model.
    answers = zip(best.tolist(), scores.tolist(), strict=True)
    lines = [f'{{"label": {names[i]}, "score": {score!r}}}' for i, score in answers]
    if all_classes:
        for place, row in enumerate(probabilities.astype(float).round(6).tolist()):
            lines[place] = f'{lines[place][:-1]}, "scores": {_scores(names[:-1], row)}}}'
    return lines


def _sets(classifier: Classifier, texts: list[str], names: list[str], all_classes: bool) -> list[str]:
    """`{"labels": ["a", "b"], "scores": {"a": 0.9, "b": 0.7}}`; with `all_classes` the `scores` of all."""
    logits = classifier.logits(texts)
    rows = metrics.sigmoid(logits).astype(float).round(6).tolist()
    lines = []
    for row, places in zip(rows, ranked(logits, classifier.artifact.thresholds or []), strict=True):
        mine = [names[i] for i in places]
        scores = _scores(names, row) if all_classes else _scores(mine, [row[i] for i in places])
        lines.append(f'{{"labels": [{", ".join(mine)}], "scores": {scores}}}')
    return lines


def _scores(names: list[str], row: list[float]) -> str:
    return "{" + ", ".join(f"{name}: {score!r}" for name, score in zip(names, row, strict=True)) + "}"
