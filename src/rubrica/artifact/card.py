"""The README.md of a model folder: what the model is, what it scored, how it is used."""

from collections.abc import Mapping, Sequence
from typing import Any

from rubrica.config.groups import Storage
from rubrica.models.config import Config
from rubrica.models.family import Facts
from rubrica.scoring.report import headline
from rubrica.scoring.task import Task

_MOST_CLASSES = 1000  # that the card names one by one
_EXAMPLES = 5  # of more classes, so many


def _names(labels: Sequence[str]) -> str:
    if len(labels) <= _MOST_CLASSES:
        return ", ".join(map(_on_a_line, labels))
    return f"{', '.join(map(_on_a_line, labels[:_EXAMPLES]))} and {len(labels) - _EXAMPLES:,} more"


def _on_a_line(label: str) -> str:
    return " ".join(label.split())


def _in_a_cell(label: str) -> str:
    return _on_a_line(label).replace("|", "\\|")


def model_card(config: Config, task: Task, metrics: Mapping[str, Any], facts: Facts, storage: Storage) -> str:
    """The text of the card; it shows the scores on test, or on validation where there is no test."""
    where = "test" if "test" in metrics else "validation"
    figures = "It was saved without a test or validation split, so there are no scores.\n"
    if scores := metrics.get(where):
        figures = f"On {scores['texts']} {where} texts: {headline(scores)}.\n"
        if shown := scores.get("per_class", []):
            figures += "\n| class | precision | recall | F1 | texts |\n|---|---|---|---|---|\n"
        if len(shown) > _MOST_CLASSES:
            figures += f"| {len(shown):,} classes: see metrics.json | | | | |\n"
            shown = []
        row = "| {label} | {precision:.3f} | {recall:.3f} | {f1:.3f} | {texts} |\n"
        figures += "".join(row.format_map(found | {"label": _in_a_cell(found["label"])}) for found in shown)
    members = " ".join(member.describe(facts) for member in config.members)
    case = "Texts are lower-cased." if config.data.lowercase else "Case is kept."
    stored = "" if storage == "float32" else f"\nStored as {storage}.\n"
    if storage != config.training.storage:
        stored += "\nThe scores were measured before the model was made smaller.\n"
    return (
        "---\nlibrary_name: rubrica\npipeline_tag: text-classification\n---\n\n"
        f"# {config.title} text classifier\n\nClasses{task.remark}: {_names(task.labels)}.\n\n"
        f"{figures}\n{members} {case} Seed {config.training.seed}.\n{stored}\n"
        '```python\nimport rubrica\nmodel = rubrica.load("this-folder")\nmodel.predict(["a text"])\n```\n'
    )
