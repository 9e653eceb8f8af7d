"""The page that shows what models read: its files, and page.json, which says who answers.

`rubrica export --web` writes it beside rubrica.js, and `rubrica serve` answers with it at /. The files lie in js/page/
of the repository. The build copies js/ into the package; a checkout and an editable install read js/ itself.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rubrica.artifact.folder import Artifact
from rubrica.errors import RubricaError

_BUILT, _WRITTEN = Path(__file__).parent / "js", Path(__file__).parents[3] / "js"
_MOST_CLASSES = 30  # that the page shows the scores of
_SCORES = ("texts", "accuracy", "micro_f1", "macro_f1", "subset_accuracy", "mean_absolute_error", "r2", "correlation")


def web_files(folder: str = ".") -> list[Path]:
    """The files of rubrica.js, or with "page" the files of the page.

    Raises:
        RubricaError: If the installation lacks them.
    """
    place = (_BUILT if _BUILT.is_dir() else _WRITTEN) / folder
    found = sorted(path for path in place.glob("*.*") if path.suffix in (".js", ".css", ".html"))
    if not found:
        raise RubricaError("this installation lacks the files of rubrica.js; install Rubrica again")
    return found


def about_model(name: str, artifact: Artifact, size: int) -> dict[str, Any]:
    """What the page says of a model: its labels, kind, training, bytes and scores."""
    about: dict[str, Any] = {"kind": artifact.config.title, "bytes": size}
    if "train_texts" in artifact.metrics:
        about["train_texts"] = artifact.metrics["train_texts"]
    split = next((split for split in ("test", "validation") if split in artifact.metrics), None)
    if split is not None:
        scores = artifact.metrics[split]
        about["scores"] = {key: scores[key] for key in _SCORES if scores.get(key) is not None}
        about["scores"] |= {"split": split, "per_class": scores.get("per_class", [])[:_MOST_CLASSES]}
    return {"name": name, "labels": list(artifact.task.labels), "about": about}


def page_json(models: Sequence[dict[str, Any]], examples: Sequence[str], report: str | None, at_once: int) -> bytes:
    """What the page reads first.

    Args:
        models: From `about_model`; one that the page reads itself has its `folder`, too.
        examples: Texts to try.
        report: The address of a report, which the page links.
        at_once: How many texts of a file the page asks about together.
    """
    page = {"models": list(models), "examples": list(examples), "report": report, "at_once": at_once}
    return json.dumps(page).encode()
