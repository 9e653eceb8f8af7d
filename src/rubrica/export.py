"""A trained model made smaller, and what that costs.

`store` rounds the word table (see `quantization.py`); `shrink` aims at a size. Its order, chosen on validation parts of
train (docs/decisions.md): int8 rows, then the rarest words go, down to half of them, then 4-bit rows with as many words
as fit, down to a thousand. A word that goes is read as an unknown one. The rarest words are the last of `vocab.txt`: by
their count in train, or, where the vocabulary is that of a vectors file, by the file's order, most frequent first.
"""

import re
import tempfile
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rubrica.artifact import Artifact, check_writable, load_artifact, save_artifact
from rubrica.data import Examples
from rubrica.errors import RubricaError
from rubrica.metrics import main_score
from rubrica.onnx_graph import export_onnx
from rubrica.quantization import Storage, scale_name, store_tensors
from rubrica.runtime import Classifier
from rubrica.vocab import PAD_ID

_WORD_TABLE = "embedding.weight"  # the one with a row for each word of the vocabulary
_FEWEST_WORDS = 1000  # below it texts lose most of what tells them apart: 3 to 9 points at 1,000 to 2,000 words
_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}


def store(artifact: Artifact, storage: Storage) -> Artifact:
    """The model with its tables stored so, and every other weight as it will come back from disk."""
    return replace(artifact, tensors=store_tensors(artifact.tensors, storage), storage=storage)


def keep_words(artifact: Artifact, count: int) -> Artifact:
    """The model with its first `count` words, at least 2: the padding and the unknown word always stay."""
    rows = np.arange(len(artifact.vocab.words))
    special = (rows == PAD_ID) | (rows == artifact.vocab.unknown_id)
    kept = np.sort(np.concatenate([rows[special], rows[~special]])[:count])
    tensors = {
        name: tensor[kept] if name in (_WORD_TABLE, scale_name(_WORD_TABLE)) else tensor
        for name, tensor in artifact.tensors.items()
    }
    return replace(artifact, tensors=tensors, vocab=artifact.vocab.take(kept))


def shrink(artifact: Artifact, max_bytes: float) -> Artifact:
    """The model in a folder of at most `max_bytes`, by the first step of the module's order that gets there.

    Raises:
        RubricaError: If even the last step leaves it larger; the message says how large.
    """
    words = len(artifact.vocab.words)
    # A bag hashes its n-grams from ids, so those of the words that stay must not change.
    bound = artifact.vocab.unknown_id + 1 if artifact.config.model.name == "bag" else 2
    steps: tuple[tuple[Storage, int], ...] = (("int8", words // 2), ("int4", _FEWEST_WORDS))
    size = fewest = 0
    for storage, wanted in steps:
        fewest = min(words, max(wanted, bound))
        stored = store(artifact, storage)

        def size_with(count: int, stored: Artifact = stored) -> int:
            return sum(folder_sizes(keep_words(stored, count)).values())

        if (size := size_with(fewest)) <= max_bytes:
            counts = range(fewest, words + 1)
            return keep_words(stored, counts[bisect_right(counts, max_bytes, key=size_with) - 1])
    raise RubricaError(
        f"the model cannot be made smaller than {size:,} bytes ({fewest:,} words, 4 bits a number), and "
        f"{max_bytes:,.0f} were asked for; train with a smaller model.embedding_dim or model.hidden_size"
    )


def folder_sizes(model: Artifact | Path) -> dict[str, int]:
    """Bytes of each file of a model's folder; a model in memory is written for it."""
    if isinstance(model, Path):
        return {path.name: path.stat().st_size for path in sorted(model.iterdir())}
    with tempfile.TemporaryDirectory() as folder:
        return folder_sizes(save_artifact(model, Path(folder) / "model"))


def parse_size(text: str) -> float:
    """Bytes of a size such as `2M`, `1.5MB`, `800k` or `2000000`; k, M and G are powers of 1,000.

    Raises:
        ValueError: If it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)b?", text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no size; give for example 2M, 1.5MB, 800k or 2000000")
    return float(match[1]) * _UNITS[match[2]]


def export_model(
    folder: Path,
    out: Path,
    change: Callable[[Artifact], Artifact],
    *,
    onnx: bool = False,
    examples: Examples | None = None,
) -> dict[str, Any]:
    """Change a model, measure, write it as a new folder or an ONNX file, and report; nothing is written on an error.

    Args:
        folder: The model.
        out: The new folder, or the new file.
        change: What makes it smaller, `store` or `shrink`.
        onnx: Write an ONNX file instead of a folder, see `onnx_graph.export_onnx`.
        examples: Texts with labels; with them both models are scored.

    Returns:
        What `tables.print_export` prints.

    Raises:
        ValueError: If the examples cannot be scored, see `Classifier.evaluate`.
    """
    if not onnx:
        check_writable(out)
    before = load_artifact(folder)
    after = change(before)
    report: dict[str, Any] = {
        "storage": after.storage,
        "words": {"before": len(before.vocab.words), "after": len(after.vocab.words)},
        "accuracy": None,
        "onnx": None,
        "bytes": {"before": folder_sizes(folder)},
    }
    if examples is not None:
        found = [
            main_score(Classifier(artifact).evaluate(examples.texts, examples.labels)) for artifact in (before, after)
        ]
        measure = "accuracy" if before.thresholds is None else "micro-F1"
        report["accuracy"] = {"texts": len(examples.texts), "measure": measure, "before": found[0], "after": found[1]}
    if onnx:
        vocab, differences = export_onnx(after, out)
        report["onnx"] = differences._asdict()
        report["bytes"]["after"] = {path.name: path.stat().st_size for path in (out, vocab)}
    else:
        report["bytes"]["after"] = folder_sizes(save_artifact(after, out))
    return report
