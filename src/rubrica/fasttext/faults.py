"""Errors as fastText's callers expect them: of arguments by their names, and of files; each is a ValueError."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rubrica.errors import FileError
from rubrica.files import user_path


class ArgumentError(ValueError):
    """An argument whose value cannot be.

    Args:
        name: Of the argument in Python; the command says its flag.
        problem: What is wrong, behind the name.
    """

    def __init__(self, name: str, problem: str) -> None:
        self.name, self.problem = name, problem
        super().__init__(name, problem)

    def __str__(self) -> str:
        return f"{self.name} {self.problem}"


class ModelFileError(FileError, ValueError):
    """A file that cannot be read, trained on or written; fastText raises a ValueError."""


@contextmanager
def value_errors() -> Iterator[None]:
    """Turn errors of files into errors that are a ValueError as well.

    Raises:
        ModelFileError: In place of a FileError.
    """
    try:
        yield
    except FileError as error:
        raise ModelFileError(error.path, error.problem, line=error.line) from None


def given_path(path: str | os.PathLike[str]) -> str:
    """A path as a string.

    Raises:
        TypeError: If it is none.
        ValueError: If it is empty.
    """
    if found := os.fsdecode(path):
        return found
    raise ValueError("the path is empty; give the name of a file")


def check_folder(path: str) -> str:
    """The path of a file to write, in a folder that is there already: fastText makes none.

    Raises:
        ModelFileError: If there is no such folder.
    """
    folder = user_path(path).parent
    if not folder.is_dir():
        raise ModelFileError(path, f"there is no folder {folder}; make it first, or give another name")
    return path
