"""What `rubrica predict` prints: one JSON object a text, many texts at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice

from rubrica.predict.classifier import Classifier

_AT_A_TIME = 4096  # texts that are read before the first is answered, about


def iter_answers(
    classifier: Classifier, texts: Iterable[str], *, all_classes: bool, abstain_below: float | None = None
) -> Iterator[str]:
    """Yield lines of JSON for the texts, in their order, some thousand lines in one string.

    Args:
        classifier: A loaded model.
        texts: Read as they come.
        all_classes: Add the probability of every class, not of the answers alone.
        abstain_below: As in `Classifier.predict`.
    """
    # Whole training batches at a time: where padding is read as words, the batch is part of the result.
    batch_size = classifier.config.training.batch_size
    texts = iter(texts)
    while chunk := list(islice(texts, batch_size * max(1, _AT_A_TIME // batch_size))):
        logits = classifier.logits(chunk)
        lines = classifier.task.answer_lines(logits, all_classes=all_classes, abstain_below=abstain_below)
        yield "\n".join(lines)
