"""Product quantisation: the rows of a matrix cut into parts, and each part the number of one of 256 centroids.

Source: H. Jegou et al., TPAMI 2011, https://doi.org/10.1109/TPAMI.2010.57; the rules are fastText's, see
`native/fasttext_quantize.cpp`. There is no numpy twin: a quantised model is read and asked without the native core, but
not made.

Letters: R rows, D numbers in a row, M parts.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import RubricaError
from rubrica.kernels import native
from rubrica.kernels.border import call

CENTROIDS = 256  # of a part: a code is a byte


def quantize_rows(
    matrix: NDArray[np.float32], dsub: int, *, threads: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The codes (R, M) and the centroids (256 * D,) of a matrix (R, D); the same for any number of threads.

    Args:
        matrix: What is quantised.
        dsub: Numbers of a part, 1 or more; the last part has what is left.
        threads: How many.

    Raises:
        ValueError: If the matrix has fewer than 256 rows, or numbers that are not finite.
        RubricaError: If there is no native core.
    """
    rows, dim = matrix.shape
    if rows < CENTROIDS:
        raise ValueError(f"a matrix of {rows} rows cannot be quantised; expected {CENTROIDS} rows or more")
    if native.library() is None:
        raise RubricaError("a model is quantised by the native core; " + native.why_none())
    parts = -(-dim // dsub)
    codes, centroids = np.empty((rows, parts), np.uint8), np.empty(CENTROIDS * dim, np.float32)
    if call("fasttext_quantize", threads, rows, dim, dsub, parts, np.ascontiguousarray(matrix), centroids, codes):
        raise ValueError("the matrix has numbers that are not finite; train the model with a smaller lr")
    return codes, centroids


def quantize_matrix(
    matrix: NDArray[np.float32], dsub: int, *, norms: bool, threads: int = 1
) -> dict[str, NDArray[Any]]:
    """The arrays in place of a matrix; with `norms`, the lengths of its rows are quantised by themselves.

    Raises:
        ValueError: As `quantize_rows` does.
        RubricaError: As `quantize_rows` does.
    """
    found: dict[str, NDArray[Any]] = {}
    if norms:
        lengths = row_lengths(matrix)
        matrix = np.divide(matrix, lengths[:, None], out=matrix.copy(), where=lengths[:, None] != 0)
        codes, found["norm_centroids"] = quantize_rows(lengths[:, None], 1, threads=threads)
        found["norm_codes"] = codes.ravel()
    found["codes"], found["centroids"] = quantize_rows(matrix, dsub, threads=threads)
    return found


def row_lengths(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The Euclidean length of each row, added up in float64 as in fastText, (R,)."""
    lengths = np.empty(len(matrix), np.float32)
    for first in range(0, len(matrix), 1 << 16):  # a copy in float64 of some rows, not of all
        block = matrix[first : first + (1 << 16)]
        lengths[first : first + (1 << 16)] = np.sqrt((block * block).sum(1, dtype=np.float64))
    return lengths
