"""Errors as fastText's callers expect them: of arguments by their names, and of files; each is a ValueError."""

from collections.abc import Iterator
from contextlib import contextmanager

from rubrica.errors import FileError


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
