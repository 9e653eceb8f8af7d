"""fastText's file as a model of ours: its settings, tensors and labels in an `Artifact`."""

from pathlib import Path
from typing import Any

import numpy as np

from rubrica.artifact.folder import Artifact, load_artifact
from rubrica.errors import ArtifactError
from rubrica.files import user_path
from rubrica.models.config import make_config
from rubrica.models.fasttext import FastText
from rubrica.models.storage import Tensors
from rubrica.scoring.tasks import scored_task
from rubrica.text.vocab import Vocab

_BATCH_SIZE = 64  # a model folder names one; nothing is trained


def open_model(path: str | Path) -> Artifact:
    """Open a model folder, or a supervised model in fastText's own file.

    Raises:
        ArtifactError: If a file is missing, changed or not one of ours.
    """
    return load_fasttext(path) if _is_fasttexts(path) else load_artifact(path)


def facts_of(path: str | Path) -> tuple[dict[str, Any], str]:
    """What `rubrica info` shows of a model, ready for JSON, and the remark of its task.

    A file of fastText's may hold word vectors without labels. It says nothing of its training but what its own
    settings say.

    Raises:
        ArtifactError: If a file is missing, changed or not one of ours.
    """
    if not _is_fasttexts(path):
        artifact = load_artifact(path)
        return artifact.facts(), artifact.task.remark
    from rubrica.artifact.fasttext_file import read_fasttext

    settings, tensors = read_fasttext(path)
    if settings.supervised:
        artifact = to_artifact(settings, tensors, path)
        return artifact.facts(), artifact.task.remark
    about: dict[str, Any] = {"model": "fasttext", "problem_type": None, "labels": [], "thresholds": None}
    about |= {"words": settings.num_words, "features": 0, "vectors": settings.kind, "storage": "float32"}
    weights = [tensor.size for name, tensor in tensors.items() if name.endswith(".weight")]
    size = {"parameters": sum(weights), "model_bytes": 4 * sum(weights)}
    return about | size | {"sure": None, "metrics": {}, "config": {"model": settings.to_dict()}}, ""


def _is_fasttexts(path: str | Path) -> bool:
    """Whether there is a file that begins as fastText's do; most models are folders."""
    try:
        if not user_path(path).is_file():
            return False
    except OSError:  # a name that is too long, say; `load_artifact` finds the words
        return False
    from rubrica.artifact.fasttext_file import is_fasttext_file

    return is_fasttext_file(path)


def load_fasttext(path: str | Path) -> Artifact:
    """Open a supervised model of fastText's; its matrices stay in the file, so leave the file alone while it is in use.

    Raises:
        ArtifactError: If it is no whole file of fastText's, or has no labels to answer with.
    """
    from rubrica.artifact.fasttext_file import read_fasttext

    return to_artifact(*read_fasttext(path), path)


def to_artifact(settings: FastText, tensors: Tensors, path: str | Path) -> Artifact:
    """A supervised model as an artifact; `path` is what messages call it.

    Raises:
        ArtifactError: If it has no labels to answer with.
    """
    if not settings.supervised:
        problem = f"a {settings.kind} model, which has word vectors and no labels; give a supervised model"
        raise ArtifactError(path, problem)
    labels = label_names(settings, tensors)
    if len(set(labels)) < len(labels):
        raise ArtifactError(path, "two labels have one name; the file is damaged, copy it again")
    task = scored_task(labels, alone=settings.loss == "ova")
    config = make_config(model=settings.to_dict(), training={"batch_size": _BATCH_SIZE})
    return Artifact(config, task, Vocab(["<pad>", "<unk>"], 1, lowercase=False), dict(tensors))


def label_names(settings: FastText, tensors: Tensors) -> list[str]:
    """The labels without their prefix; a byte that is no UTF-8 is written as its number."""
    names, ends = tensors["dictionary.bytes"].tobytes(), tensors["dictionary.ends"]
    starts = np.concatenate([[0], ends])[settings.num_words : -1].tolist()
    found = []
    for start, end in zip(starts, ends[settings.num_words :].tolist(), strict=True):
        name = names[start:end].decode("utf-8", "backslashreplace")
        found.append(name.removeprefix(settings.label_prefix) or name)
    return found
