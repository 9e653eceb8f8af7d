"""The border to the native core: every call is checked against `signatures.py` before it reaches C++.

A wrong dtype, a gap in an array, an array of another size, a read-only array that C++ would write to, or a number out
of its bounds is an error here. C++ would read the wrong memory, or crash.
"""

import ctypes
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

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
    compiled.argtypes, compiled.restype = [each.kind for each in arguments], ctypes.c_int64
    names = ", ".join(each.name for each in arguments)
    known = KNOWN | {f"check_{each.name}": each.check for each in arguments}
    # What is checked is written by the table alone, on the arguments by their names; no text of a user comes here.
    checked = eval(f"lambda {names}: ({''.join(f'{each.expression}, ' for each in arguments)})", known)

    def run(values: tuple[Any, ...]) -> int:
        result: int = compiled(*checked(*values))
        return result

    return run


class _Argument(NamedTuple):
    """An argument of the table.

    Args:
        name: Its name.
        kind: Its C type.
        check: Makes a value what C++ takes, or raises.
        expression: The check in Python; a number that is fine costs no call.
    """

    name: str
    kind: Any
    check: Check
    expression: str


def _read(function: str, word: str) -> _Argument:
    array = _ARRAY.fullmatch(word)
    if array is None:
        kind, low, high = NUMBERS.get(word, SIZE)
        real = kind is ctypes.c_double
        fine = f"{word}.__class__ is {'float' if real else 'int'} and {low!r} <= {word} <= {high!r}"
        check = _number(f"{function}: {word}", low, high, real=real)
        return _Argument(word, kind, check, f"{word} if {fine} else check_{word}({word}, None)")
    written, name, dtype, listed, size, optional = array.groups()
    check = _array(f"{function}: {name}", np.dtype(dtype), writes=bool(written), optional=bool(optional))
    if listed:
        check = _list(check)
    return _Argument(name, ctypes.c_void_p, check, f"check_{name}({name}, {size})")


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
