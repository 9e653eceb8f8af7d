"""A column of Arrow's strings, whose bytes go to the native core as they lie: no text becomes an object of Python's.

Such a column comes from pyarrow, from polars, or from pandas where it stores strings with Arrow. A missing text is
empty, as everywhere. Source of the layout: https://arrow.apache.org/docs/format/Columnar.html.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rubrica.data.objects import column_of, only_column
from rubrica.errors import require
from rubrica.text.tokens import Packed, PackedTexts

_STRINGS = ("string", "large_string", "string_view")


class ArrowTexts(Sequence[str]):
    """The texts of a pyarrow column; a slice is `PackedTexts`.

    Args:
        column: A ChunkedArray of strings.
    """

    def __init__(self, column: Any) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, index: Any) -> Any:
        """One text, or some in one piece: without a copy of their bytes, unless they lie in several."""
        if not isinstance(index, slice):
            return self._column[index].as_py() or ""
        first, last, step = index.indices(len(self))
        part = self._column.slice(first, max(0, last - first))
        if part.num_chunks > 1 or str(part.type) == "string_view":
            part = part.cast("large_string")  # whose places have 64 bits, so that all fit into one piece
        whole = part.chunk(0) if part.num_chunks == 1 else part.combine_chunks()  # which would copy a single one
        texts = _packed(whole) if len(whole) else _NONE
        return texts if step == 1 else texts[::step]


def text_column(values: Any) -> Sequence[Any]:
    """Texts as `column_of` gives them, but a column of Arrow's strings stays one.

    Raises:
        TypeError: See `column_of`.
        ValueError: See `column_of`.
    """
    values = only_column(values)
    column = _arrow_column(values)
    if column is None or str(column.type) not in _STRINGS:
        return column_of(values)
    if not hasattr(column, "chunks"):
        column = require("pyarrow", "data").chunked_array([column])
    return ArrowTexts(column)


def _arrow_column(values: Any) -> Any:
    """A column as pyarrow's own; None where its library stores it in another way."""
    dtype = getattr(values, "dtype", None)
    if hasattr(values, "to_pylist") and hasattr(values, "type"):  # pyarrow
        return values
    if hasattr(values, "to_arrow") and str(dtype) == "String":  # polars
        try:
            return values.to_arrow()
        except ImportError:  # there is no pyarrow
            return None
    if getattr(dtype, "storage", "") == "pyarrow" or hasattr(dtype, "pyarrow_dtype"):  # pandas
        return getattr(values, "array", values).__arrow_array__()
    return None


def _packed(array: Any) -> PackedTexts:
    """The texts of an Array of strings, where they lie.

    Raises:
        ValueError: If its places are beyond its bytes.
    """
    _, places, content = array.buffers()
    wide = np.int64 if str(array.type) == "large_string" else np.int32
    bounds = np.frombuffer(places, wide)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    data = np.frombuffer(content, np.uint8) if content is not None and content.size else np.zeros(0, np.uint8)
    if bounds[0] < 0 or bounds[-1] > len(data) or (np.diff(bounds) < 0).any():
        raise ValueError(f"texts are a damaged column of Arrow's: a place is beyond its {len(data)} bytes")
    starts, ends = bounds[:-1], bounds[1:].copy()
    if array.null_count:
        missing = array.is_null().to_numpy(zero_copy_only=False)
        ends[missing] = starts[missing]
    return PackedTexts(Packed(data, starts, ends))[:]  # the bytes of these texts alone


_NONE = PackedTexts(Packed(np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64)))
