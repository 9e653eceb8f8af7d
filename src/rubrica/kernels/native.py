"""Finds, loads and describes the native core, or says why there is none.

`RUBRICA_KERNELS` decides: `native` insists on the compiled library, `numpy` does without it; unset takes the
library where it is there. `RUBRICA_THREADS` is how many threads a kernel may use (all cores of the process
without it); the number is part of what a bit-identical result depends on.
"""

import ctypes
import os
from functools import cache
from pathlib import Path

from rubrica.errors import ConfigError
from rubrica.kernels.signatures import MAX_THREADS

VERSION = 9  # equals `rubrica_version()` in native/cpu.cpp
_PRODUCTS_PER_THREAD = 5_000_000  # in less time another thread would hardly begin
FOLDER = Path(__file__).parent
CHOICES = ("native", "numpy")
NOT_BUILT = "this installation has no native core; install rubrica where there is a C++ compiler"


@cache
def library() -> ctypes.CDLL | None:
    """The native core for this processor; None where numpy computes.

    Raises:
        ConfigError: If `RUBRICA_KERNELS` is unknown, or insists on a library that is not there.
    """
    choice = os.environ.get("RUBRICA_KERNELS", "")
    if choice and choice not in CHOICES:
        raise ConfigError(f"RUBRICA_KERNELS is {choice!r}; give one of {', '.join(CHOICES)}, or leave it unset")
    if choice == "numpy":
        return None
    found, problem = _load_best()
    if found is None and choice == "native":
        raise ConfigError(f"RUBRICA_KERNELS is native, but {problem}")
    if found is None and problem != NOT_BUILT:
        import logging  # only where something is wrong: it would cost a prediction 3 ms

        logging.getLogger(__name__).warning("numpy computes, many times slower: %s", problem)
    return found


def computes(dtype: object) -> bool:
    """Whether numbers of this type go to the native core: it is there, and it knows float32 alone."""
    return dtype == "float32" and library() is not None


def describe() -> str:
    """Which kernels are live, in a line for `rubrica info --env`."""
    live = library()
    if live is not None:
        sanitized = ", sanitized" if live.rubrica_is_sanitized() else ""
        return f"native ({Path(live._name).stem.removeprefix('librubrica-')}{sanitized}), {num_threads()} threads"
    reason = "RUBRICA_KERNELS=numpy" if os.environ.get("RUBRICA_KERNELS") == "numpy" else _load_best()[1]
    return f"numpy ({reason})"


def num_threads() -> int:
    """How many threads a kernel may use.

    Raises:
        ConfigError: If `RUBRICA_THREADS` or `OMP_NUM_THREADS` is no whole number from 1 to `MAX_THREADS`.
    """
    # OMP_NUM_THREADS is what people set for torch and numpy, and they mean us too. It may be a list, "4,2": the first
    # number is for threads that no thread has started.
    for name in ("RUBRICA_THREADS", "OMP_NUM_THREADS"):
        if text := os.environ.get(name):
            first = text.partition(",")[0].strip() if name == "OMP_NUM_THREADS" else text
            if not first.isdecimal() or not 1 <= int(first) <= MAX_THREADS:
                raise ConfigError(f"{name} is {text!r:.40}; give a whole number from 1 to {MAX_THREADS}")
            return int(first)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_THREADS)


def useful_threads(products: int) -> int:
    """How many threads are worth starting for a number of multiplications."""
    return max(1, min(num_threads(), products // _PRODUCTS_PER_THREAD))


def why_none() -> str:
    """Why there is no native core, and what to do; only where `library()` is None."""
    if os.environ.get("RUBRICA_KERNELS") == "numpy":
        return "RUBRICA_KERNELS=numpy turns the native core off; unset it"
    return _load_best()[1]


@cache
def _load_best() -> tuple[ctypes.CDLL | None, str]:
    """The best library that the processor can run, or None and the reason."""
    files = {path.stem.removeprefix("librubrica-"): path for path in FOLDER.glob("librubrica-*")}
    if not files:
        return None, NOT_BUILT
    lowest, problem = _load(files[min(files)])
    if lowest is None:
        return None, problem
    level = lowest.rubrica_cpu_level()
    fitting = [name for name in files if name == "baseline" or int(name[-1]) <= level]
    if not fitting:
        return None, f"the processor is of level x86-64-v{level}, below {min(files)}; install rubrica anew on it"
    return _load(files[max(fitting)])


def _load(path: Path) -> tuple[ctypes.CDLL | None, str]:
    try:
        found = ctypes.CDLL(str(path))
    except OSError as error:
        return None, f"the library does not load ({error}); install rubrica anew"
    version = getattr(found, "rubrica_version", None)
    if version is None or version() != VERSION:
        has = version() if version else "unknown"
        return None, f"{path.name} is of version {has}, expected {VERSION}; install rubrica anew"
    return found, ""
