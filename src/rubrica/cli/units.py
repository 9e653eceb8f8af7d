"""Sizes, times and settings as people type them."""

import re
from typing import Any

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_BYTES = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}


def parse_seconds(text: str) -> float:
    """Seconds of `90`, `90s`, `2m` or `1h`.

    Raises:
        ValueError: If it is nothing like that, or no more than 0.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _SECONDS else (text, "s")
    try:
        seconds = float(number) * _SECONDS[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is no length of time; give seconds, 90s, 2m or 1h")
    return seconds


def parse_size(text: str) -> float:
    """Bytes of a size such as `2M`, `1.5MB`, `800k` or `2000000`; k, M and G are powers of 1,000.

    Raises:
        ValueError: If it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)b?", text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no size; give for example 2M, 1.5MB, 800k or 2000000")
    return float(match[1]) * _BYTES[match[2]]


def parse_setting(text: str) -> tuple[str, str, Any]:
    """Section, key and value of `training.lr=3e-4`; a value is TOML where it can be (3e-4, true), else the text.

    Raises:
        UsageError: If it has another form.
    """
    import tomllib

    path, equals, value = text.partition("=")
    section, dot, key = path.strip().partition(".")
    if not equals or not dot:
        raise click.UsageError(f"--set {text}: expected section.key=value, e.g. training.lr=3e-4")
    try:
        return section, key, tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return section, key, value.strip()


class FamilyName(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """A key of the dict of model families, which is imported when it is needed."""

    name = "model"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The names, for `rubrica train --help`."""
        from rubrica.models.families import FAMILIES

        return f"[{'|'.join(FAMILIES)}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the name."""
        from rubrica.errors import nearest
        from rubrica.models.families import FAMILIES

        if value not in FAMILIES:
            self.fail(f"unknown model {value!r}; {nearest(value, FAMILIES)}", param, ctx)
        return value
