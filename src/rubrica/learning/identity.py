"""What a run depends on: to go on with it, to repeat it, to compare it with another."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica import __version__
from rubrica.artifact.folder import Artifact
from rubrica.config.schema import flat
from rubrica.corpus.corpus import Corpus, pretrained_rows
from rubrica.data.dataset import Dataset
from rubrica.data.stored_texts import hash_of_texts
from rubrica.environment import processes
from rubrica.kernels import native
from rubrica.learning.checkpoint import Identity
from rubrica.models.config import Config
from rubrica.vectors.word_vectors import Vectors

_SHOWN = 16  # digits of a hash
_PATIENCE = 5  # seconds that git may take


def identity_of(
    data: Dataset,
    weights: NDArray[np.float32] | None,
    config: Config,
    before: Artifact | None,
    given: tuple[Vectors, Corpus] | None,
) -> Identity:
    """What the weights of a training depend on; reads all texts.

    Args:
        data: Train has all of its labels.
        weights: How much each text of train counts, (N,).
        config: The settings.
        before: The model to go on from.
        given: Word vectors that are not made of the texts, and the texts in numbers.
    """
    what = flat(config.to_dict()) | {f"texts of {name}": value for name, value in _hashes(data).items()}
    what |= {f"labels of {name}": value for name, value in hashes_of_labels(data).items()}
    what["weights of train"] = None if weights is None else _hash_of_arrays([weights])
    what["vectors"] = None if given is None else _hash_of_vectors(*given)
    what["model to go on from"] = None if before is None else _hash_of_model(before)
    what["version of Rubrica"] = __version__
    if config.training.needs_torch:
        from rubrica.learning.backend import choose_device

        what["device"] = choose_device(config.training).type
    return Identity(what, _machine())


def run_record(
    data: Dataset,
    config: Config,
    vectors: str | Path | Vectors | None,
    more: dict[str, Any] | None = None,
    before: Artifact | None = None,
) -> dict[str, Any]:
    """What is kept of a run beside its settings: a hash of what was asked, its data, versions, the folder's commit.

    `more` says what tells data without labels from others, by name; `before` is the model to go on from.
    """
    labels = hashes_of_labels(data)
    texts = {
        name: {"texts": len(data.splits[name].texts), "sha256": value, "labels": labels[name]}
        for name, value in _hashes(data).items()
    }
    source = vectors.source if isinstance(vectors, Vectors) else None if vectors is None else str(vectors)
    asked = json.dumps([config.to_dict(), source], sort_keys=True)
    versions = {"version": __version__, "python": platform.python_version(), "numpy": np.__version__}
    return {
        "asked": hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:_SHOWN],
        "data": {"name": data.name, **texts, **(more or {})},
        "start": None if before is None else _hash_of_model(before),
        **versions,
        **_machine(),
        "git": _commit(),
    }


def _machine() -> dict[str, Any]:
    """What the last digits of the weights depend on."""
    threads = native.num_threads()
    kernels = native.describe().removesuffix(f", {threads} threads")
    return {"kernels": kernels, "threads": threads, "processes": processes()[1]}


def _hash_of_vectors(vectors: Vectors, corpus: Corpus) -> str:
    words = "\n".join(vectors.words).encode("utf-8", "surrogatepass")
    return _hash_of_arrays([np.frombuffer(words, np.uint8), pretrained_rows(vectors, corpus.rows)])


def _hash_of_model(model: Artifact) -> str:
    words = "\n".join([*model.vocab.words, *model.task.labels]).encode("utf-8", "surrogatepass")
    return _hash_of_arrays([np.frombuffer(words, np.uint8), *(model.tensors[name] for name in sorted(model.tensors))])


def hashes_of_labels(data: Dataset) -> dict[str, str]:
    """What tells the labels of each split from others: their names, each text's, and how probable they are."""
    found, names = {}, np.frombuffer("\n".join(data.task.labels).encode("utf-8", "surrogatepass"), np.uint8)
    for name, examples in data.splits.items():
        soft = [] if examples.soft is None else [examples.soft.of(data.task.labels)]
        found[name] = _hash_of_arrays([names, data.task.encode_all(examples.labels)[0], *soft])
    return found


def _hashes(data: Dataset) -> dict[str, str]:
    return {name: hash_of_texts(examples.texts) for name, examples in data.splits.items()}


def _hash_of_arrays(arrays: Iterable[NDArray[Any]]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:_SHOWN]


def _commit() -> str | None:
    """The commit of the folder that the process works in, with -dirty where files were changed since."""
    command = ["git", "-c", "core.fsmonitor=false", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        here = Path.cwd()
        if not any((folder / ".git").exists() for folder in (here, *here.parents)):
            return None
        found = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no git, no such folder any more, or a very large tree
        return None
    return found.stdout.strip() or None
