"""What a report of a fault should say of the machine: versions, processor, kernels, folders."""

import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rubrica.errors import ConfigError
from rubrica.files import cache_folder
from rubrica.kernels import native

_TEAM = [(0, 1)]


def describe() -> dict[str, Any]:
    """What `rubrica info --env` shows, ready for JSON; no library is imported to read its version."""
    return {
        "versions": versions(("rubrica", "numpy", "safetensors", "torch", "pyarrow", "gensim", "datasets")),
        "system": platform.platform(),
        "processor": processor(),
        "kernels": native.describe(),
        "threads": native.num_threads(),
        "cache": str(cache_folder()),
    }


def processes() -> tuple[int, int]:
    """The number of this process among those that train one network together, and how many they are."""
    return _TEAM[0]


def join_processes(number: int, count: int) -> None:
    """Let `processes` say this from now on: the first one writes and prints, and all share what they learn from."""
    _TEAM[0] = number, count


def torchrun_processes() -> tuple[int, int]:
    """What torchrun says in this process's environment variables; 0 and 1 where it did not start the process.

    Raises:
        ConfigError: If only one of the two variables is set, or they do not fit.
    """
    number, count = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    if not (number or count):
        return 0, 1
    if not (count.isdecimal() and number.isdecimal() and int(number) < int(count)):
        problem = (
            f"RANK is {number!r:.20} and WORLD_SIZE {count!r:.20}, expected whole numbers, the first below the second"
        )
        raise ConfigError(f"{problem}; start the command with torchrun, or unset both")
    return int(number), int(count)


def versions(libraries: Iterable[str]) -> dict[str, str | None]:
    """The version of Python and of each library; None where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # late: few ask, and many ask `processes`

    found: dict[str, str | None] = {"python": platform.python_version()}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = None
    return found


def processor() -> str:
    """Cores and processor, in words that mean something elsewhere."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")  # of Linux, where the line above gives at best the architecture
    if info.exists() and (found := re.search(r"(?m)^model name[^:\n]*:(.*)", info.read_text())):
        name = found[1].strip()
    return f"{os.cpu_count()} cores, {name}"
