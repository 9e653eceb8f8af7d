"""What a report of a fault should say of the machine: versions, processor, kernels, folders."""

import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rubrica.files import cache_folder
from rubrica.kernels import native


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
    """The number of this process among those that train together, and how many there are, as torchrun says."""
    count, number = (os.environ.get(name, "") for name in ("WORLD_SIZE", "RANK"))
    if not (count.isdecimal() and number.isdecimal() and int(number) < int(count)):
        return 0, 1
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
