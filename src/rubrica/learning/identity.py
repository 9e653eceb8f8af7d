"""What a run depends on, in words and hashes: to repeat it, to go on with it, to compare it with another."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica import __version__
from rubrica.artifact.folder import Artifact
from rubrica.corpus.corpus import Corpus, pretrained_rows
from rubrica.data.dataset import Dataset
from rubrica.data.stored_texts import stretches
from rubrica.kernels import native
from rubrica.learning.checkpoint import Identity
from rubrica.models.config import Config
from rubrica.vectors.word_vectors import Vectors

_SHOWN = 16  # digits of a hash


def identity_of(
    data: Dataset, corpus: Corpus, vectors: Vectors | None, config: Config, before: Artifact | None
) -> Identity:
    """What the weights of a training depend on; reads all texts."""
    what: dict[str, Any] = {
        f"{section}.{key}": value for section, table in config.to_dict().items() for key, value in table.items()
    }
    what |= {f"texts of {name}": hash_of_texts(examples.texts) for name, examples in data.splits.items()}
    for name, split in corpus.splits.items():
        what[f"labels of {name}"] = _hash_of_arrays([split.targets])
        what[f"weights of {name}"] = None if split.weights is None else _hash_of_arrays([split.weights])
    what["vectors"] = None if vectors is None else _hash_of_arrays([pretrained_rows(vectors, corpus.rows)])
    what["model to go on from"] = None if before is None else _hash_of_arrays(before.tensors.values())
    return Identity(what, machine())


def machine() -> dict[str, Any]:
    """What the last digits of the weights depend on."""
    threads = native.num_threads()
    return {
        "version": __version__,
        "kernels": native.describe().removesuffix(f", {threads} threads"),
        "threads": threads,
    }


def hash_of_texts(texts: Sequence[str]) -> str:
    """The first digits of the sha256 of texts, in their order."""
    found = hashlib.sha256()
    for some in stretches(texts):
        lengths = np.fromiter(map(len, some), np.int64, len(some))
        found.update(lengths.tobytes() + "".join(some).encode("utf-8", "surrogatepass"))
    return found.hexdigest()[:_SHOWN]


def _hash_of_arrays(arrays: Iterable[NDArray[Any]]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:_SHOWN]
