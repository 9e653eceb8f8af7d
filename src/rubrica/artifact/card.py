"""The README.md of a model folder: what the model is, what it scored, how it is used."""

from collections.abc import Mapping
from typing import Any

from rubrica.config.groups import Storage
from rubrica.models.config import Config
from rubrica.models.family import Facts
from rubrica.scoring.report import headline
from rubrica.scoring.task import Task


def model_card(config: Config, task: Task, metrics: Mapping[str, Any], facts: Facts, storage: Storage) -> str:
    """The text of the card.

    Args:
        config: The settings of the training.
        task: The classes.
        metrics: The scores; those on test are shown, else those on validation.
        facts: What the settings do not say.
        storage: What the tables are stored as.
    """
    where = "test" if "test" in metrics else "validation"
    members = " ".join(member.describe(facts) for member in config.members)
    case = "Texts are lower-cased." if config.data.lowercase else "Case is kept."
    stored = "" if storage == "float32" else f"\nStored as {storage}.\n"
    if storage != config.training.storage:
        stored += "\nThe scores are those of the model before it was made smaller.\n"
    return (
        "---\nlibrary_name: rubrica\npipeline_tag: text-classification\n---\n\n"
        f"# {config.title} text classifier\n\n"
        f"Classes{task.remark}: {', '.join(task.labels)}.\n\n"
        f"{_describe_scores(metrics.get(where) or {}, where)}\n"
        f"{members} {case} Seed {config.training.seed}.\n{stored}\n"
        '```python\nimport rubrica\nmodel = rubrica.load("this-folder")\nmodel.predict(["a text"])\n```\n'
    )


def _describe_scores(scores: Mapping[str, Any], where: str) -> str:
    if not scores:
        return "It was saved without a test or validation split, so there are no scores.\n"
    rows = "".join(
        f"| {row['label']} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['texts']} |\n"
        for row in scores["per_class"]
    )
    return (
        f"On {scores['texts']} {where} texts: {headline(scores)}.\n\n"
        f"| class | precision | recall | F1 | texts |\n|---|---|---|---|---|\n{rows}"
    )
