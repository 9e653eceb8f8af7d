"""A smaller fastText model: its least important rows left out, learned anew, and quantised.

Source: A. Joulin et al., "FastText.zip", 2016, https://arxiv.org/abs/1612.03651; the rules are fastText's (`quantize`,
`selectEmbeddings`, `Dictionary::prune`).

Letters: V words, R input rows, P buckets that are kept.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from rubrica.artifact.fasttext_file import LEAST_ENTRY
from rubrica.kernels import native
from rubrica.kernels.fasttext_rules import END
from rubrica.kernels.fasttext_train import Trainer
from rubrica.kernels.fasttext_words import count_words
from rubrica.kernels.product_quantizer import quantize_matrix, row_lengths
from rubrica.learning.fasttext import (
    FastTextTraining,
    Tensors,
    asking_of,
    learn_from,
    map_file,
    reading_of,
)
from rubrica.learning.fasttext_start import entries_of
from rubrica.models.fasttext import CENTROIDS, FastText, parts_of
from rubrica.progress import Progress
from rubrica.text.tokens import Packed

DSUB = 2
"""Numbers of a code, fastText's default."""
_HEAD, _MATRIX, _CODES, _PARTS = 92, 17, 22, 16  # bytes of the file's settings, and before a matrix, codes, centroids
_BUCKET = 8  # bytes of a bucket that pruning kept
_NEVER = 1 << 62  # no word is met as often, so none but the known ones is kept


def quantize_fasttext(
    settings: FastText,
    tensors: Tensors,
    *,
    cutoff: int = 0,
    dsub: int = DSUB,
    norms: bool = False,
    output: bool = False,
    retrain: tuple[str | Path | Packed, FastTextTraining] | None = None,
    progress: Progress | None = None,
) -> tuple[FastText, Tensors]:
    """Quantise a supervised model.

    Args:
        settings: The model...
        tensors: ... and its tensors, which stay as they are.
        cutoff: Input rows that are kept, those of the greatest length; 0 keeps all.
        dsub: Numbers that share a code.
        norms: Whether the lengths of rows are quantised by themselves.
        output: Whether the output matrix is quantised too.
        retrain: Texts to learn from anew once rows were left out, and how.
        progress: Called while it learns anew.

    Raises:
        ValueError: If the model is not supervised or is quantised already, or has fewer than 256 rows.
        DataError: If the texts cannot be read.
        RubricaError: If there is no native core, or the training diverges.
    """
    if not settings.supervised:
        raise ValueError(f"kind is {settings.kind!r}; only supervised models are quantised")
    if settings.input_dsub:
        raise ValueError("the model is quantised already; give the model that it was made from")
    if dsub < 1 or cutoff < 0:
        raise ValueError(f"dsub is {dsub} and cutoff {cutoff}, expected 1 or more and 0 or more")
    threads = native.num_threads()
    if 0 < cutoff < len(tensors["input.weight"]):
        settings, tensors = prune(settings, tensors, cutoff)
        if retrain is not None:
            _learn_anew(settings, tensors, *retrain, progress)
    made: Tensors = {name: tensors[name] for name in tensors if not name.endswith(".weight")}
    sides = {"input": dsub, "output": 2 if output else 0}  # fastText quantises the output in pairs, whatever dsub is
    for side, size in sides.items():
        matrix = tensors[f"{side}.weight"]
        if not size:
            made[f"{side}.weight"] = matrix
            continue
        found = quantize_matrix(matrix, size, norms=norms, threads=threads)
        made |= {f"{side}.{name}": array for name, array in found.items()}
    quantised = structs.replace(
        settings, input_dsub=dsub, output_dsub=sides["output"], input_norms=norms, output_norms=norms and output
    )
    return quantised, made


def rank_rows(settings: FastText, tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The input rows (R,) in the order in which they are kept: "</s>", and then by their length."""
    names, starts, ends = entries_of(tensors)
    whole = names.tobytes()
    lengths = row_lengths(tensors["input.weight"])
    for i in np.flatnonzero(ends[: settings.num_words] - starts[: settings.num_words] == len(END)).tolist():
        if whole[starts[i] : ends[i]] == END:
            lengths[i] = np.inf
    return np.argsort(-lengths, kind="stable")


def sizes_of(
    settings: FastText, tensors: Mapping[str, NDArray[Any]], *, output: bool, pruned: bool
) -> NDArray[np.int64]:
    """Bytes of the file with one row, with two rows, and so on, (R,); the rows stay in the order of `rank_rows`."""
    dim, words = settings.embedding_dim, settings.num_words
    names = np.diff(tensors["dictionary.ends"], prepend=0) + LEAST_ENTRY
    centroids = _PARTS + 4 * CENTROIDS * dim
    lengths = _PARTS + 4 * CENTROIDS
    fixed = _HEAD + int(names[words:].sum()) + _CODES + centroids + lengths
    rows = settings.num_labels
    if output:
        fixed += _CODES + rows * (parts_of(dim, 2) + 1) + centroids + lengths
    else:
        fixed += _MATRIX + 4 * rows * dim
    of_row = np.full(settings.num_rows, _BUCKET if pruned else 0, np.int64)
    of_row[:words] = names[:words]
    of_row += parts_of(dim, DSUB) + 1
    order = rank_rows(settings, tensors) if pruned else slice(None)
    return np.asarray(fixed + np.cumsum(of_row[order]))


def prune(settings: FastText, tensors: Tensors, cutoff: int) -> tuple[FastText, Tensors]:
    """Keep the input rows of the greatest length, and "</s>" in any case; both matrices are copies."""
    num_words = settings.num_words
    names, starts, ends = entries_of(tensors)
    kept = rank_rows(settings, tensors)[:cutoff]
    words, buckets = np.sort(kept[kept < num_words]), kept[kept >= num_words]
    entries = np.concatenate([words, np.arange(num_words, num_words + settings.num_labels)])
    by_bucket = np.argsort(buckets, kind="stable")
    sizes = ends[entries] - starts[entries]
    pieces = [names[starts[i] : ends[i]] for i in entries.tolist()]
    made: dict[str, NDArray[Any]] = {
        "dictionary.bytes": np.concatenate(pieces) if pieces else names[:0],
        "dictionary.ends": np.cumsum(sizes, dtype=np.int64),
        "dictionary.counts": np.asarray(tensors["dictionary.counts"])[entries],
        "prune.buckets": (buckets[by_bucket] - num_words).astype(np.int32),
        "prune.rows": by_bucket.astype(np.int32),
        "input.weight": np.asarray(tensors["input.weight"])[np.concatenate([words, buckets])],
        "output.weight": np.array(tensors["output.weight"]),
    }
    pruned = structs.replace(
        settings,
        pruned=True,
        num_words=len(words),
        num_rows=cutoff,
        num_pruned=len(buckets),
        num_bytes=int(sizes.sum()),
    )
    return pruned, made


def _learn_anew(
    settings: FastText,
    tensors: Tensors,
    source: str | Path | Packed,
    training: FastTextTraining,
    progress: Progress | None,
) -> None:
    """Train what is left of a pruned model; the matrices move in place, words that were left out stay out."""
    words, lines = count_words(
        source[:] if isinstance(source, Packed) else map_file(source),
        prefix=settings.rules.label_prefix, min_count=_NEVER, min_count_label=_NEVER, supervised=True,
        known=entries_of(tensors),
    )  # fmt: skip
    counts = words.counts.copy()
    counts[: len(tensors["dictionary.counts"])] = tensors["dictionary.counts"]  # the tree of the labels stays as it is
    words = words._replace(counts=counts)
    pruned = tensors["prune.buckets"], tensors["prune.rows"]
    trainer = Trainer(words, lines, reading_of(settings, pruned), asking_of(settings, words))
    learn_from(trainer, words, lines, settings, training, (tensors["input.weight"], tensors["output.weight"]), progress)
