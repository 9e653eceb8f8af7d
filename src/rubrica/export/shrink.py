"""A trained model made smaller, and what that costs.

`store` rounds the tables (see `models/storage.py`); `shrink` aims at a size. Its order, chosen on validation parts of
train (docs/decisions.md): int8 rows; then an equal share of the words and of a linear model's features goes, at most
half of them; then 4-bit rows with as large a share as fits, down to a thousand words. A word that goes is read as an
unknown one. The rarest words are the last of `vocab.txt`: by their count in train or by the order of the vectors file,
most frequent first. The features with the smallest weights go first.
"""

import tempfile
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.fasttext_file import is_fasttext_file
from rubrica.artifact.folder import Artifact, check_writable, load_artifact, save_artifact, write_files
from rubrica.config.groups import Storage
from rubrica.data.dataset import Examples
from rubrica.data.objects import GIVEN
from rubrica.errors import ArtifactError, RubricaError
from rubrica.export.onnx import checked_onnx, write_onnx
from rubrica.files import user_path
from rubrica.models.storage import scale_name, store_tensors, take_rows
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tally import score_all
from rubrica.scoring.unknown_labels import encode_scored
from rubrica.text.vocab import PAD_ID

Change = Callable[[Artifact], Artifact]
_WORD_TABLE = "embedding.weight"  # the one with a row for each word of the vocabulary
_FEWEST = 1000  # words, or features; at 1,000 to 2,000 words texts lost 3 to 9 points


class TooLargeError(RubricaError):
    """A model cannot be made as small as it is asked for; `least` is how many bytes it has at the least."""

    def __init__(self, message: str, least: int = 0) -> None:
        super().__init__(message)
        self.least = least


def store(artifact: Artifact, storage: Storage) -> Artifact:
    """The model with its tables in a storage, and every other weight as it will come back from disk."""
    if storage == artifact.storage:  # to round a number again would move it again
        return artifact
    return replace(artifact, tensors=store_tensors(artifact.tensors, storage), storage=storage)


def keep_words(artifact: Artifact, count: int) -> Artifact:
    """The model with its first `count` words, at least 2: the padding and the unknown word always stay."""
    rows = np.arange(len(artifact.vocab.words))
    special = (rows == PAD_ID) | (rows == artifact.vocab.unknown_id)
    kept = np.sort(np.concatenate([rows[special], rows[~special]])[:count])
    tables = [_WORD_TABLE, scale_name(_WORD_TABLE)]
    return replace(_take(artifact, tables, kept), vocab=artifact.vocab.take(kept), sure=None)


def keep_features(artifact: Artifact, count: int) -> Artifact:
    """The model with its `count` strongest features, at least 1; a feature is as strong as its largest weight."""
    weights = take_rows(artifact.tensors, "linear.weight", np.arange(len(artifact.tensors["linear.keys"])))
    kept = np.sort(np.argsort(-np.abs(weights).max(axis=1), kind="stable")[:count])
    tables = [name for name in artifact.tensors if name.startswith("linear.") and name != "linear.bias"]
    return replace(_take(artifact, tables, kept), sure=None)  # another linear model has other margins


def _take(artifact: Artifact, tables: list[str], rows: NDArray[np.int64]) -> Artifact:
    taken = {name: artifact.tensors[name][rows] for name in tables if name in artifact.tensors}
    return replace(artifact, tensors=artifact.tensors | taken)


def shrink(artifact: Artifact, max_bytes: float) -> Artifact:
    """The model in a folder of at most `max_bytes`, by the first step of the module's order that gets there.

    Raises:
        TooLargeError: If even the last step leaves it larger; the message says how large.
    """
    words, features = artifact.num_words, artifact.num_features
    # A bag hashes its n-grams from ids, so the words that stay must keep their ids.
    bound = artifact.vocab.unknown_id + 1 if artifact.config.model.hashes_ids else 2
    fewest = {"words": min(words, max(_FEWEST, bound)), "features": min(features, _FEWEST)}
    whole = max(words, features)

    def cut(stored: Artifact, share: int) -> Artifact:
        """Of the words and of the features, `share / whole` stay."""
        kept = keep_features(stored, max(fewest["features"], share * features // whole)) if features else stored
        return keep_words(kept, max(fewest["words"], share * words // whole)) if words else kept

    def size_with(stored: Artifact, share: int) -> int:
        return sum(folder_sizes(cut(stored, share)).values())

    steps: list[tuple[Storage, int]] = [("int8", whole // 2), ("int4", 0)]
    steps = steps[artifact.storage == "int4" :]  # of 4-bit numbers one byte each would only be larger
    size = 0
    for storage, lowest in steps:
        stored = store(artifact, storage)
        if (size := size_with(stored, lowest)) <= max_bytes:
            shares = range(lowest, whole + 1)
            return cut(stored, shares[bisect_right(shares, max_bytes, key=partial(size_with, stored)) - 1])
    least = ", ".join(f"{count:,} {what}" for what, count in fewest.items() if count)
    problem = f"the model cannot be made smaller than {size:,} bytes ({least}, 4 bits a number)"
    advice = "train with a smaller model.embedding_dim or model.hidden_size" if words else "allow this size"
    raise TooLargeError(f"{problem}, and {max_bytes:,.0f} were asked for; {advice}", size)


def folder_sizes(model: Artifact | Path) -> dict[str, int]:
    """Bytes of each file of a model's folder; a model in memory is written for it."""
    if isinstance(model, Path):
        return {path.name: path.stat().st_size for path in sorted(model.iterdir())}
    with tempfile.TemporaryDirectory() as folder:
        write_files(model, Path(folder) / "model")
        return folder_sizes(Path(folder) / "model")


def export_model(
    folder: Path, out: Path, change: Change, *, onnx: bool = False, examples: Examples | None = None, name: str = GIVEN
) -> dict[str, Any]:
    """Change a model, write it as a new folder or an ONNX file, and report; nothing is written on an error.

    `change` makes it smaller: `store` or `shrink`. With examples, texts and their labels, both models are scored. A
    warning calls the examples by `name`.

    Returns:
        What `tables.print_export` prints.

    Raises:
        ValueError: If the examples cannot be scored, see `Classifier.evaluate`.
        ArtifactError: If the model cannot be read or the new one cannot be written.
    """
    folder, out = user_path(folder), user_path(out)
    if not onnx:
        check_writable(out)
    if is_fasttext_file(folder):
        advice = "make it smaller with `rubrica quantize`, or a folder with `rubrica convert`"
        raise ArtifactError(folder, f"a fastText file; {advice}")
    before = load_artifact(folder)
    after = change(before)
    content, differences = checked_onnx(after, out) if onnx else (b"", None)
    report: dict[str, Any] = {
        "storage": after.storage,
        "words": {"before": before.num_words, "after": after.num_words},
        "features": {"before": before.num_features, "after": after.num_features},
        "accuracy": None,
        "onnx": None,
        "bytes": {"before": folder_sizes(folder)},
    }
    if examples is not None:
        truth, unknown = encode_scored(before.task, examples.labels, name)
        soft = None if examples.soft is None else examples.soft.of(before.task.labels)
        answers = [Classifier(artifact).logits(examples.texts) for artifact in (before, after)]
        scores = [score_all(before.task, logits, truth, unknown=unknown, probabilities=soft) for logits in answers]
        figures = {"before": scores[0].main, "after": scores[1].main}
        report["accuracy"] = {"texts": len(examples.texts), "measure": scores[0].measure} | figures
    if differences is not None:
        report["bytes"]["after"] = {path.name: path.stat().st_size for path in write_onnx(after, out, content)}
        report["onnx"] = differences._asdict()
    else:
        report["bytes"]["after"] = folder_sizes(save_artifact(after, out))
    return report
