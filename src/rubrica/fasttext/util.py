"""The functions of `fasttext.util`.

Source: fastText 0.9.3, python/fasttext_module/fasttext/util/util.py. What differs: `download_model` keeps no packed
file, takes one that is here, and logs where fastText prints.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.fasttext.faults import value_errors
from rubrica.fasttext.model import Model
from rubrica.progress import progress_bar

log = logging.getLogger(__name__)
_MAPPED = 100_000  # rows that the new axes are found by: the most frequent words
_TICKS = 200  # of a bar: as many as a terminal is wide


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


def download_model(lang_id: str, if_exists: str = "strict", dimension: int | None = None) -> str | None:
    """Fetch the word vectors that fastText publishes for a language into the current folder, as `cc.LANG.300.bin`.

    Some 4.5 GB come, and are unpacked as they come. A packed file that lies here already is taken in its place.

    Args:
        lang_id: The code of a language, such as "de".
        if_exists: What to do if the file is here: "strict" says so and returns None, "ignore" returns its name,
            "overwrite" fetches it again, though a packed one is here.
        dimension: Has no effect, as in fastText; `reduce_model` makes the vectors shorter.

    Returns:
        The name of the file.

    Raises:
        ValueError: If there is no such language, or the file could not be fetched.
    """
    if if_exists not in ("strict", "ignore", "overwrite"):
        raise ValueError(f"if_exists is {if_exists!r}, expected strict, ignore or overwrite")
    from rubrica.vectors.crawl import download_crawl, file_of  # late: few programs fetch

    with value_errors():
        name = file_of(lang_id)
        if Path(name).is_file() and if_exists != "overwrite":
            if if_exists == "ignore":
                return name
            log.warning("%s is here already; if_exists='overwrite' fetches it again, 'ignore' takes it", name)
            return None
        with progress_bar(f"{name}.gz", _TICKS) as advance:
            ticks = 0

            def show(done: int, size: int) -> None:
                nonlocal ticks
                while size and ticks < done * _TICKS // size:
                    ticks += 1
                    advance(f"{done >> 20} of {size >> 20} MB")

            download_crawl(lang_id, Path(), anew=if_exists == "overwrite", progress=show)
    return name
