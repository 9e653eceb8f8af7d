"""What `rubrica predict` prints: one JSON object a text, many texts at a time."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice

from rubrica.runtime import Classifier

_AT_A_TIME = 4096  # texts that are read before the first is answered, about


def iter_answers(classifier: Classifier, texts: Iterable[str], *, all_classes: bool) -> Iterator[str]:
    """Yield lines of JSON for the texts, in their order, some thousand lines in one string.

    Args:
        classifier: A loaded model.
        texts: Read as they come.
        all_classes: Add the probability of every class, not of the best alone.
    """
    names = [json.dumps(label, ensure_ascii=False) for label in classifier.labels]
    # Whole training batches at a time: where padding is read as words, the batch is part of the result.
    batch_size = classifier.config.training.batch_size
    texts = iter(texts)
    while chunk := list(islice(texts, batch_size * max(1, _AT_A_TIME // batch_size))):
        probabilities = classifier.predict_proba(chunk)
        best = probabilities.argmax(axis=1)
        scores = probabilities[range(len(chunk)), best].astype(float).round(6)
        # Put together by hand: json.dumps would take longer than the model.
        lines = [
            f'{{"label": {names[i]}, "score": {score!r}}}'
            for i, score in zip(best.tolist(), scores.tolist(), strict=True)
        ]
        if all_classes:
            for place, row in enumerate(probabilities.astype(float).round(6).tolist()):
                every = ", ".join(f"{name}: {score!r}" for name, score in zip(names, row, strict=True))
                lines[place] = f'{lines[place][:-1]}, "scores": {{{every}}}}}'
        yield "\n".join(lines)
