"""Texts and labels from files, folders, the Hugging Face hub, Python's objects and the built-in corpus."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "read_dataset":
        raise AttributeError(f"module 'rubrica.data' has no attribute {name!r}")
    from rubrica.data.dataset import read_dataset  # late: importing a room loads nothing

    return read_dataset
