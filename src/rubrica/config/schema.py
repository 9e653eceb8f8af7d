"""Settings as frozen values whose types and bounds are checked whenever one is made.

msgspec does the checking: `true` is not 1, `0` is not false, and an integer stays within the bounds of its annotation.
Every integer that reaches the native core passes here first, whether it came from a flag, a recipe or a model folder.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from rubrica.config.ranges import Range
from rubrica.errors import ConfigError, nearest

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Share = Annotated[float, Meta(ge=0, lt=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A group of settings; its fields' annotations are its schema."""

    section: ClassVar[str] = ""
    searched: ClassVar[dict[str, Range]] = {}
    """What `rubrica tune` tries of the fields."""

    def __post_init__(self) -> None:
        for key, kind in fields_of(type(self)).items():
            value = getattr(self, key)
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError:
                raise ConfigError(f"{self.section}.{key} is {value!r:.60}; give {describe(kind)}") from None

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """The settings of a plain table; a list in it becomes a tuple.

        Raises:
            ConfigError: For an unknown key (the message names the nearest one) or a bad value.
        """
        known = fields_of(cls)
        if unknown := [key for key in values if key not in known]:
            raise ConfigError(f"unknown key {cls.section}.{unknown[0]}; {nearest(str(unknown[0]), known)}")
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """The plain table that `read` takes."""
        return msgspec.structs.asdict(self)


@cache
def fields_of(kind: type[Settings]) -> dict[str, Any]:
    """The fields of a group in their order, and the annotation of each."""
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def describe(kind: Any) -> str:
    """What an annotation allows, in words.

    >>> describe(Annotated[int, Meta(ge=1, le=16)])
    'a whole number from 1 to 16'
    """
    return " or ".join(dict.fromkeys(_alternatives(kind)))


def _alternatives(kind: Any) -> Iterator[str]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield describe(arguments[0]) + _bounds(arguments[1])
    elif origin is Literal:
        yield f"one of {', '.join(map(repr, arguments))}" if len(arguments) > 1 else repr(arguments[0])
    elif origin is tuple:
        yield f"a list of numbers, each {describe(arguments[0])}"
    elif origin in (Union, UnionType):
        for argument in arguments:
            yield from _alternatives(argument)
    else:
        yield {bool: "true or false", str: "a text", int: "a whole number", float: "a number"}.get(kind, kind.__name__)


def _bounds(meta: Meta) -> str:
    """The bounds in words, such as " from 1 to 16" or " above 0"."""
    low = f" from {meta.ge}" if meta.ge is not None else f" above {meta.gt}" if meta.gt is not None else ""
    if meta.lt is not None:
        return f"{low}, below {meta.lt}"
    if meta.le is None:
        return low
    return f"{low} to {meta.le}" if meta.ge is not None else f"{low}, at most {meta.le}"


def flat(tables: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested tables as one: {"training": {"lr": 0.1}} becomes {"training.lr": 0.1}."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found
