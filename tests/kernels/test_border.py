"""The border to the native core: its table is what C++ declares, and what does not fit is refused before the call."""

import re
import subprocess
import sys
from ctypes import c_double, c_int, c_int32, c_int64, c_void_p
from pathlib import Path

import numpy as np
import pytest

from rubrica.kernels import native
from rubrica.kernels.border import bind, call
from rubrica.kernels.signatures import NUMBERS, SIGNATURES, SIZE

pytestmark = pytest.mark.skipif(native.library() is None, reason="no native core")

SCALARS = {"int": c_int, "int32_t": c_int32, "int64_t": c_int64, "double": c_double, "void*": c_void_p}
ARRAYS = {
    "int8_t": "int8", "uint8_t": "uint8", "int32_t": "int32", "uint32_t": "uint32", "int64_t": "int64",
    "float": "float32", "double": "float64", "void": "uint8",
}  # fmt: skip
DECLARED = re.compile(r"RUBRICA_API int64_t rubrica_(\w+)\((.*?)\)\s*(try)?\s*\{", re.DOTALL)


def declarations():
    """Name, arguments and whether no exception leaves it, of every exported function."""
    for path in sorted((Path(__file__).parents[2] / "native").glob("*.cpp")):
        for name, arguments, guarded in DECLARED.findall(path.read_text()):
            yield name, [" ".join(argument.split()) for argument in arguments.split(",") if argument.strip()], guarded


def test_the_table_is_what_cpp_declares():
    declared = list(declarations())
    assert sorted(name for name, _, _ in declared) == sorted(SIGNATURES)
    for name, arguments, _ in declared:
        words = SIGNATURES[name].split()
        assert len(words) == len(arguments), name
        for word, argument in zip(words, arguments, strict=True):
            kind = argument.rsplit(" ", 1)[0]
            label = f"{name}: {word} is {argument}"
            if ":" not in word:
                assert NUMBERS.get(word, SIZE)[0] is SCALARS[kind], label
                continue
            dtype, listed = re.fullmatch(r"&?\w+:(\w+)(\*?).*", word).groups()
            bare = kind.replace("const", "").replace("*", "").replace(" ", "")
            assert dtype == ARRAYS[bare], label
            assert kind.count("*") == 1 + bool(listed), label
            assert word.startswith("&") == (not kind.startswith("const")), label


def test_no_exception_leaves_an_exported_function():
    assert not [name for name, _, guarded in declarations() if not guarded]


def zeros(count, dtype=np.float32):
    return np.zeros(count, dtype)


READ_ONLY = np.frombuffer(bytes(8), np.float64)


@pytest.mark.parametrize(
    ("error", "name", "values", "sentence"),
    [
        (TypeError, "square_sum", (1, zeros(1, np.float64), zeros(1, np.float64)), "numbers is float64, expected"),
        (TypeError, "square_sum", (1, [0.0], zeros(1, np.float64)), "numbers is list, expected an array of float32"),
        (TypeError, "square_sum", (1, None, zeros(1, np.float64)), "numbers is NoneType"),
        (TypeError, "square_sum", (1.0, zeros(1), zeros(1, np.float64)), "count is 1.0, expected a whole number"),
        (ValueError, "square_sum", (2, zeros(1), zeros(1, np.float64)), "numbers has 1 numbers, expected 2"),
        (ValueError, "square_sum", (2, zeros(4)[::2], zeros(1, np.float64)), "numbers has gaps"),
        (ValueError, "square_sum", (1, zeros(1), READ_ONLY), "sum is read-only"),
        (ValueError, "square_sum", (-1, zeros(0), zeros(1, np.float64)), "count is -1, expected 0 to"),
        (ValueError, "projected_width", (3, 4), "cell is 3, expected 0 to 2"),
        (ValueError, "projected_width", (2**32, 4), "cell is 4294967296, expected 0 to 2"),
        (ValueError, "documents_start", (0, 1), "threads is 0, expected 1 to 1024"),
        (ValueError, "counter_end", (0,), "handle is 0, expected 1 to"),
        (TypeError, "projected_width", (0,), "missing 1 required"),
    ],
)
def test_what_does_not_fit_is_refused(error, name, values, sentence):
    with pytest.raises(error, match=sentence):
        call(name, *values)


def test_ids_of_another_width_and_runs_that_wrap_an_int_are_refused():
    arrays = zeros(1), zeros(0), zeros(1)
    values = [1, 2, 1, 1, 0, 1, zeros(1, np.int32), np.array([0, 1]), 0, 0, 0, None, None, None, *arrays]
    assert call("bag_features", *values) == 0
    for word_ngrams in (0, 17, 2**30, 2**32 - 1, 2**32 + 1):
        with pytest.raises(ValueError, match=r"word_ngrams is \d+, expected 1 to 16"):
            call("bag_features", 1, word_ngrams, *values[2:])
    with pytest.raises(TypeError, match="ids is int64, expected an array of int32"):
        call("bag_features", *values[:6], zeros(1, np.int64), *values[7:])


def test_a_read_only_array_is_read():
    found = zeros(1, np.float64)
    numbers = np.frombuffer(np.float32([1, 2, 3]).tobytes(), np.float32)
    call("square_sum", 3, numbers, found)
    assert found[0] == 14


NO_MEMORY = {
    "of the caller": ("distinct", "1, 2**47, zeros(1, 'i8'), zeros(1, 'i8'), zeros(1, 'i4')"),
    "of a thread of the pool": (
        "mingru_forward",
        "0, 0, 3, 0, 2**46, zeros(0, 'i4'), zeros(0, 'i8'), zeros(0, 'i8'), zeros(0, 'f4'), zeros(0, 'f4'), None, None",
    ),
}


@pytest.mark.parametrize("where", NO_MEMORY)
def test_too_little_memory_is_an_error_not_the_end(where):
    name, values = NO_MEMORY[where]
    script = f"""
from numpy import zeros
from rubrica.kernels.border import call
for _ in range(3):  # the threads live on
    try:
        call("{name}", {values})
    except MemoryError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 3 * f"{name}: not enough memory; use smaller settings, or fewer texts at a time\n"


def test_a_function_is_bound_once():
    assert bind("square_sum") is bind("square_sum")
