"""What a report of a fault should say of the machine: versions, processor, kernels, folders."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rubrica.files import cache_folder
from rubrica.kernels import native

LIBRARIES = ("rubrica", "numpy", "safetensors", "torch", "pyarrow", "gensim", "datasets")


def describe() -> dict[str, Any]:
    """What `rubrica info --env` shows, ready for JSON; nothing of it is imported to learn its version."""
    return {
        "versions": versions(LIBRARIES),
        "system": platform.platform(),
        "processor": processor(),
        "kernels": native.describe(),
        "threads": native.num_threads(),
        "cache": str(cache_folder()),
    }


def versions(libraries: tuple[str, ...]) -> dict[str, str | None]:
    """The version of Python and of each library; None where it is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in libraries}


def processor() -> str:
    """Cores and processor, in words that mean something elsewhere."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")  # of Linux, where the line above gives at best the architecture
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        name = names[0] if names else name
    return f"{os.cpu_count()} cores, {name}"


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
