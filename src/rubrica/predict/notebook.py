"""What a notebook shows of a model."""

from collections.abc import Iterator

from rubrica.artifact.folder import Artifact
from rubrica.notebook import card, escaped, table
from rubrica.scoring.report import headline

_LABELS = 12  # named


def show_model(artifact: Artifact) -> str:
    """What the model is, its labels, and the scores that its training left."""
    facts = artifact.facts()
    size = f"{facts['parameters']:,} parameters, {facts['model_bytes'] / 1e6:.1f} MB"
    lines = [(escaped(name), escaped(text)) for name, text in _lines(artifact)]
    return card(facts["model"], size, table((), lines, "left"))


def _lines(artifact: Artifact) -> Iterator[tuple[str, str]]:
    labels = artifact.task.labels
    more = f" and {len(labels) - _LABELS:,} more" if len(labels) > _LABELS else ""
    yield f"labels{artifact.task.remark}", ", ".join(labels[:_LABELS]) + more
    if artifact.num_words:
        yield "words", f"{artifact.num_words:,} (vectors: {artifact.vectors or 'none'})"
    if artifact.num_features:
        yield "features", f"{artifact.num_features:,} n-grams of words and characters"
    for split in ("validation", "test"):
        if scores := artifact.metrics.get(split):
            yield split, f"{headline(scores)}, {scores['texts']:,} texts"
