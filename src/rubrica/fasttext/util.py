"""The functions of `fasttext.util`.

Source: fastText 0.9.3, python/fasttext_module/fasttext/util/util.py. `download_model` is not here: Rubrica fetches
published vectors by name, with their hashes (`rubrica vectors list`).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import RubricaError
from rubrica.fasttext.model import Model

_MAPPED = 100_000  # rows that the new axes are found by: the most frequent words
_SITE = "https://dl.fbaipublicfiles.com/fasttext/vectors-crawl"


def test(predictions: Iterable[Sequence[Any]], labels: Iterable[Sequence[Any]], k: int = 1) -> tuple[float, float]:  # noqa: PT028  # no test of ours
    """Precision and recall of predictions with k labels each."""
    hits, texts, gold = 0.0, 0, 0
    for predicted, right in zip(predictions, labels, strict=False):
        hits += sum(label in right for label in predicted)
        texts += 1
        gold += len(right)
    return hits / (k * texts), hits / gold


def find_nearest_neighbor(
    query: NDArray[Any], vectors: NDArray[Any], ban_set: Collection[int], cossims: NDArray[Any] | None = None
) -> int:
    """The number of the row with the largest product with the query, without those of `ban_set`."""
    products = np.matmul(vectors, query, out=cossims)
    return next(i for i in np.argsort(-products, kind="stable").tolist() if i not in ban_set)


def reduce_model(ft_model: Model, target_dim: int) -> Model:
    """Make the rows of a model shorter, in place: along the axes in which its first rows differ most.

    Raises:
        ValueError: If the model is quantised, or has fewer numbers in a row.
    """
    if not 1 <= target_dim <= ft_model.get_dimension():
        raise ValueError(f"target_dim is {target_dim}, expected 1 to {ft_model.get_dimension()}")
    matrix = ft_model.get_input_matrix()
    centred = matrix[:_MAPPED] - matrix[:_MAPPED].mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :target_dim]
    ft_model.set_matrices(matrix @ axes, ft_model.get_output_matrix() @ axes)
    return ft_model


def download_model(lang_id: str, if_exists: str = "strict", dimension: int | None = None) -> NoReturn:
    """Say where a model of word vectors is; nothing is fetched without its hash.

    Raises:
        RubricaError: Always.
    """
    name = f"cc.{lang_id}.300.bin.gz"
    raise RubricaError(f"download_model fetches nothing; fetch {_SITE}/{name}, unpack it, and call load_model")
