"""Word tables in fewer bytes: how rows are rounded, and how a few of them are read back.

    storage    table                                   beside it        bytes of a row of E numbers
    float32    float32 (V, E)                                           4 E
    bfloat16   bfloat16 (V, E)                                          2 E
    int8       int8 (V, E), codes -127..127            bfloat16 (V,)    E + 2
    int4       uint8 (V, ceil(E / 2)), two codes each  bfloat16 (V,)    ceil(E / 2) + 2

A row of codes times its scale is the row: the scale takes the row's largest number to the largest code, rounding
moves a number by half a scale at most, and no row pays for the outliers of another. The scale is rounded up to
bfloat16 *before* the codes are made, so its own rounding adds no error. In all storages but float32 the small
tensors (recurrence, convolutions, head) are bfloat16 on disk and float32 in memory.

numpy has no bfloat16: its bits, the upper half of a float32, are kept as uint16.

Letters: V rows, E numbers in a row.
"""

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from rubrica.config.groups import Storage

STORAGES: tuple[Storage, ...] = get_args(Storage)
TABLES = ("embedding.weight", "ngrams.weight", "linear.weight")  # tensors of many rows, of which a text needs a few
WHOLE = {
    "linear.keys": "uint32", "head.counts": "uint32",
    "dictionary.bytes": "uint8", "dictionary.ends": "int64", "dictionary.counts": "int64",
    "prune.buckets": "int32", "prune.rows": "int32",
    "input.codes": "uint8", "input.norm_codes": "uint8", "output.codes": "uint8", "output.norm_codes": "uint8",
}  # fmt: skip
"""Tensors of whole numbers, which are never rounded, and their types."""
_STRETCH = 1 << 18  # numbers looked at together
_LARGEST = {"int8": 127, "int4": 7}  # symmetric: a code and its negative are both there

Floats = NDArray[np.float32]
Tensors = Mapping[str, NDArray[Any]]
"""The weights of a model by name, as in the torch model; its tables may be stored in fewer bytes."""
Layout = dict[str, tuple[str, tuple[int, ...]]]


def to_bfloat16(values: Floats) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even as the processors and torch do it; values are finite."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bfloat16(bits: NDArray[np.uint16]) -> Floats:
    """The float32 of the same value."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def is_finite(tensor: NDArray[Any]) -> bool:
    """Whether all numbers of a tensor as it is stored are finite; it is read in stretches, however large it is."""
    if tensor.dtype.kind != "f" and tensor.dtype != np.uint16:
        return True
    flat = tensor.reshape(-1)
    stretches = (flat[first : first + _STRETCH] for first in range(0, len(flat), _STRETCH))
    if tensor.dtype == np.uint16:  # bfloat16: the exponent of what is not finite is all ones
        return all(((bits & 0x7F80) != 0x7F80).all() for bits in stretches)
    return all(np.isfinite(numbers).all() for numbers in stretches)


def store_table(tensors: Tensors, name: str, storage: Storage) -> dict[str, NDArray[Any]]:
    """A float32 table (V, E) as it is stored: its tensor, and its scale where the storage has one."""
    table = tensors[name]
    if storage == "float32":
        return {name: table}
    if storage == "bfloat16":
        return {name: to_bfloat16(table)}
    largest = np.abs(table).max(axis=1, initial=0) / np.float32(_LARGEST[storage])
    # Rounded up (a positive float's bits are in order), so that no code passes the largest.
    scale = ((largest.view(np.uint32) + 0xFFFF) >> 16).astype(np.uint16)
    step = from_bfloat16(scale)[:, None]
    codes = np.rint(np.divide(table, step, out=np.zeros_like(table), where=step > 0)).astype(np.int8)
    return {name: codes if storage == "int8" else _pack(codes), scale_name(name): scale}


def store_tensors(tensors: Tensors, storage: Storage) -> dict[str, NDArray[Any]]:
    """The tensors of a model in another storage: tables as `store_table` makes them, the others rounded."""
    stored: dict[str, NDArray[Any]] = {}
    for name in tensors.keys() - {scale_name(table) for table in TABLES}:
        if name in TABLES:
            stored |= store_table({name: take_rows(tensors, name)}, name, storage)
        elif name in WHOLE or storage == "float32":
            stored[name] = tensors[name]
        else:
            stored[name] = from_bfloat16(to_bfloat16(tensors[name]))
    return stored


def take_rows(tensors: Tensors, name: str, rows: NDArray[np.integer[Any]] | None = None) -> Floats:
    """Rows (*rows.shape, E) of a table as float32, whatever it is stored as.

    Where none are named: all rows (V, E), and of a table that is float32 the table itself, for reading alone.
    """
    asked = slice(None) if rows is None else rows
    taken = tensors[name][asked]
    if taken.dtype == np.uint16:
        return from_bfloat16(taken)
    if scale_name(name) not in tensors:
        return taken
    if taken.dtype == np.uint8:
        marked = tensors[name] if len(tensors[name]) else tensors[TABLES[0]]  # n-grams without rows: as wide as words
        taken = _unpack(taken, odd=marked[0, -1] < 16)
    return taken * from_bfloat16(tensors[scale_name(name)][asked])[..., None]


def stored_layout(shapes: Mapping[str, tuple[int, ...]], storage: Storage) -> Layout:
    """Type and shape on disk of every tensor of a model with these float32 shapes."""
    layout: Layout = {}
    for name, shape in shapes.items():
        layout[name] = WHOLE.get(name, "float32" if storage == "float32" else "bfloat16"), shape
        if name in TABLES and storage in _LARGEST:
            rows, numbers = shape
            layout[name] = ("int8", shape) if storage == "int8" else ("uint8", (rows, (numbers + 1) // 2))
            layout[scale_name(name)] = ("bfloat16", (rows,))
    return layout


def scale_name(name: str) -> str:
    """Where a table's scales lie."""
    return name.removesuffix(".weight") + ".scale"


def _pack(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Codes -7..7 as 1..15, two a byte, the first one in the lower half; 0 stands where an odd E leaves a half over."""
    halves = np.zeros((len(codes), codes.shape[1] + codes.shape[1] % 2), np.uint8)
    halves[:, : codes.shape[1]] = codes + 8
    return halves[:, ::2] | halves[:, 1::2] << 4


def _unpack(packed: NDArray[np.uint8], *, odd: bool) -> NDArray[np.int8]:
    halves = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], 2 * packed.shape[-1])
    return (halves[..., :-1] if odd else halves).astype(np.int8) - np.int8(8)
