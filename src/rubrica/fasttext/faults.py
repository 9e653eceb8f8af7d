"""Errors of files as fastText's callers expect them: each is a ValueError too."""

from collections.abc import Iterator
from contextlib import contextmanager

from rubrica.errors import FileError


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
