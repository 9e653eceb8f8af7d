"""The errors that a user can cause, each one sentence: what was found, what was expected, what to do.

Arguments of the wrong kind raise plain `ValueError` or `TypeError`.
"""

import re
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

_SHOWN = 20  # names in a message at most
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class RubricaError(Exception):
    """Everything that goes wrong with files, folders, hubs and settings."""

    def __str__(self) -> str:
        """The message in one line: a name from a file may hold a line break, or what moves a terminal's cursor."""
        return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), super().__str__())


class FileError(RubricaError):
    """A fault inside a file. The message opens with its path or address and, where known, the line, counted from 1."""

    def __init__(self, path: object, problem: str, *, line: int | None = None) -> None:
        self.path, self.problem, self.line = str(path), problem, line
        place = f"{path} line {line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process, as a worker of Ray, sends the error as it is."""
        return partial(type(self), line=self.line), (self.path, self.problem)


class DataError(FileError):
    """A data file or hub data set, a column or a label, that cannot be used as it is."""


class VectorsError(FileError):
    """A file of word vectors that cannot be read, or a name that nobody publishes."""


class ArtifactError(FileError):
    """A model folder that is broken, foreign or cannot be written."""


class ConfigError(RubricaError, ValueError):
    """A configuration with an unknown key or a value out of range."""


class MissingExtraError(RubricaError, ImportError):
    """An optional part was used without its libraries."""


def require(module: str, extra: str) -> ModuleType:
    """Import a library of an optional part.

    Raises:
        MissingExtraError: If it is not installed; the message is the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # A broken installation (the library is there, one of its own imports is not) is not ours to explain.
        if error.name is None or not module.startswith(error.name):
            raise
        library = module.partition(".")[0]
        raise MissingExtraError(f"{library} is not installed; run: pip install 'rubrica[{extra}]'") from None


def resembling(word: str, known: Iterable[str]) -> str | None:
    """The known word that this one may be a misspelling of."""
    from difflib import get_close_matches  # only on the way to a message

    return next(iter(get_close_matches(word, list(known), n=1)), None)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not among the known ones: the nearest, else all of them."""
    known = list(known)
    close = resembling(word, known)
    shown = ", ".join(map(on_one_line, known if len(known) <= _SHOWN else [*known[:_SHOWN], "..."]))
    return f"did you mean {close!r}?" if close else f"known: {shown}"


def on_one_line(name: str) -> str:
    """The name of a column for a message, at most 40 characters; in a file without a header it may be any text."""
    return " ".join(name.split())[:40]


def quote_names(names: Iterable[str]) -> str:
    """Names of columns for a message, each short and on one line."""
    quoted = [f'"{on_one_line(name)}"' for name in names]
    return ", ".join(quoted if len(quoted) <= _SHOWN else [*quoted[:_SHOWN], "..."])
