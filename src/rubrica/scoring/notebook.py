"""What a notebook shows of scores."""

from collections.abc import Mapping
from typing import Any

from rubrica.notebook import RIGHT, WRONG, bar, card, escaped, shaded, shown, table

_LABELS = 20
_MATRIX = 10  # labels whose counts fit a notebook


def show_scores(title: str, scores: Mapping[str, Any]) -> str:
    """The figures of each class in a report's JSON, and a small confusion matrix, below a title."""
    if "per_class" not in scores:
        return card(title, f"{scores['texts']:,} texts")
    rows, more = shown(scores["per_class"], _LABELS)
    names = ("precision", "recall", "f1")
    lines = [
        (escaped(row["label"]), *(bar(row[name], f"{row[name]:.3f}") for name in names), f"{row['texts']:,}")
        for row in rows
    ]
    parts = [table(("label", "precision", "recall", "F1", "texts"), lines), more]
    confusion = scores.get("confusion")
    if confusion and len(confusion) <= _MATRIX:
        parts.append(_show_confusion([row["label"] for row in scores["per_class"]], confusion))
    return card(title, f"{scores['texts']:,} texts", *parts)


def _show_confusion(labels: list[str], confusion: list[list[int]]) -> str:
    rows = []
    for place, counts in enumerate(confusion):
        cells = [
            shaded(count / max(1, sum(counts)), f"{count:,}", RIGHT if column == place else WRONG)
            for column, count in enumerate(counts)
        ]
        rows.append((escaped(labels[place]), *cells))
    return table(("is, answered", *labels), rows)
