"""The border to the native core: every call is checked against `signatures.py` before it reaches C++.

A wrong dtype, a gap in an array, an array of another size, a read-only array that C++ would write to, or a number out
of its bounds is an error here. C++ would read the wrong memory, or crash.
"""

import ctypes
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rubrica.errors import RubricaError
from rubrica.kernels import native
from rubrica.kernels.signatures import KNOWN, NUMBERS, SIGNATURES, SIZE

Check = Callable[[Any, int | None], Any]

_ARRAY = re.compile(r"(&?)(\w+):(\w+)(\*?)(?:\[(.*)\])?(\??)")
_address = (ctypes.c_byte * 0).from_buffer  # takes a quarter of the time of `array.ctypes.data`
_OUT_OF_MEMORY, _FAILED = -1000001, -1000002  # of native/common.h


def call(name: str, *values: Any) -> int:
    """Call a function of the live library; only where `native.library()` is not None.

    Args:
        name: A key of `SIGNATURES`.
        values: Numbers, arrays themselves, None, and lists of arrays.

    Returns:
        What the function says.

    Raises:
        TypeError: If an array or a number is of another type.
        ValueError: If a number is out of its bounds, or an array has gaps, another size than the counts say, or is
            read-only where the function writes.
        MemoryError: If the native core finds no memory.
        RubricaError: If it fails in another way.
    """
    result = bind(name)(values)
    if result == _OUT_OF_MEMORY:
        raise MemoryError(f"{name}: not enough memory; use smaller settings, or fewer texts at a time")
    if result == _FAILED:
        raise RubricaError(f"{name}: the native core failed; the system may grant no threads: set RUBRICA_THREADS=1")
    return result


@cache
def bind(name: str) -> Callable[[tuple[Any, ...]], int]:
    """The checks and the compiled function of a name, in the library that is live; it takes the values as a tuple."""
    live = native.library()
    assert live is not None, name  # a slip in this package, never a user's
    compiled = live[f"rubrica_{name}"]
    arguments = [_read(name, word) for word in SIGNATURES[name].split()]
    compiled.argtypes, compiled.restype = [kind for _, kind, _, _ in arguments], ctypes.c_int64
    checks = [check for _, _, check, _ in arguments]
    names, sizes = ", ".join(name for name, *_ in arguments), "".join(f"{size}," for *_, size in arguments)
    # The sizes are arithmetic of the table's own, on the arguments by their names; no text of a user comes here.
    sizes_of = eval(f"lambda {names}: ({sizes})", dict(KNOWN))

    def run(values: tuple[Any, ...]) -> int:
        wanted = sizes_of(*values)
        result: int = compiled(*[check(value, size) for check, value, size in zip(checks, values, wanted, strict=True)])
        return result

    return run


def _read(function: str, word: str) -> tuple[str, Any, Check, str | None]:
    """An argument of the table: its name, C type and check, and the arithmetic of its size."""
    array = _ARRAY.fullmatch(word)
    if array is None:
        kind, low, high = NUMBERS.get(word, SIZE)
        return word, kind, _number(f"{function}: {word}", low, high, real=kind is ctypes.c_double), None
    written, name, dtype, listed, size, optional = array.groups()
    check = _array(f"{function}: {name}", np.dtype(dtype), writes=bool(written), optional=bool(optional))
    return name, ctypes.c_void_p, _list(check) if listed else check, size


def _number(label: str, low: float, high: float, *, real: bool) -> Check:
    kinds = (int, float) if real else int

    def check(value: Any, _: int | None) -> Any:
        if not isinstance(value, kinds):
            raise TypeError(f"{label} is {value!r:.60}, expected a {'number' if real else 'whole number'}")
        if not low <= value <= high:  # NaN is neither
            raise ValueError(f"{label} is {value!r:.60}, expected {low} to {high}")
        return value

    return check


def _array(label: str, dtype: np.dtype[Any], *, writes: bool, optional: bool) -> Check:
    def check(array: Any, size: int | None) -> Any:
        if array is None and optional:
            return None
        if not isinstance(array, np.ndarray) or (array.dtype is not dtype and array.dtype != dtype):
            found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{label} is {found}, expected an array of {dtype}")
        if size is not None and array.size != size:
            raise ValueError(f"{label} has {array.size} numbers, expected {size}")
        try:
            return _address(array)  # type: ignore[arg-type]  # numpy's arrays are buffers
        except TypeError:  # it has gaps, or is read-only
            if not array.flags.c_contiguous:
                raise ValueError(f"{label} has gaps; pass np.ascontiguousarray of it") from None
            if writes:
                raise ValueError(f"{label} is read-only; pass a copy") from None
            return array.ctypes.data

    return check


def _list(check: Check) -> Check:
    def check_all(arrays: Any, _: int | None) -> Any:
        addresses = [check(array, None) for array in arrays]
        numbers = [each if isinstance(each, int) else ctypes.addressof(each) for each in addresses]
        return (ctypes.c_void_p * len(numbers))(*numbers)

    return check_all
