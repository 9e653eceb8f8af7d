"""What a model folder says of how the model was made: its learning curves and its settings."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from rubrica.artifact.folder import Artifact
from rubrica.config.schema import flat

# By plot: the axis below it, and what `metrics.jsonl` calls its curves; see `History`.
CURVES = {
    "loss": ("updates", {"train": "loss", "held": "validation_loss"}),
    "score": ("updates", {"train": "accuracy", "held": "validation_accuracy"}),
    "slope": ("passes", {"slope": "slope"}),
}


class Curve(NamedTuple):
    """What was measured during a training, at updates or passes."""

    name: str
    steps: list[float]
    values: list[float]


def curves(history: Sequence[dict[str, Any]]) -> dict[str, list[Curve]]:
    """The learning curves by plot; what is not finite is left out."""
    found = dict[str, list[Curve]]()
    for plot, (axis, names) in CURVES.items():
        step = "step" if axis == "updates" else "epoch"
        for name, key in names.items():
            points = [(record[step], record[key]) for record in history if key in record and step in record]
            points = [point for point in points if all(map(math.isfinite, point))]
            if len(points) > (name != "held"):  # a line has two points; a mark has one
                found.setdefault(plot, []).append(Curve(name, *map(list, zip(*points, strict=True))))
    return found


def making(artifact: Artifact) -> dict[str, Any]:
    """Facts about the model, by the names that the sentences give them; None where there is none."""
    facts, metrics = artifact.facts(), artifact.metrics
    return {
        "title": facts["model"],
        "parameters": facts["parameters"],
        "megabytes": facts["model_bytes"] / 1e6,
        "storage": facts["storage"],
        "words": facts["words"] or None,
        "features": facts["features"] or None,
        "vectors": facts["vectors"],
        "train_texts": _number(metrics.get("train_texts")),
        "train_seconds": _number(metrics.get("train_seconds")),
        "interrupted": bool(metrics.get("interrupted")),
        "refitted": bool(metrics.get("refitted")),
        "settings": flat(facts["config"]),
    }


def _number(value: Any) -> float | None:
    """A number of a file that anybody may have written; None for anything else."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None
