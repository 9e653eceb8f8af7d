"""Sizes, times and settings as people type them."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import click

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_MOST_WORKERS = 100_000  # more than any cluster has
_BYTES = {"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9}


def parse_seconds(text: str) -> float:
    """Seconds of `90`, `90s`, `2m` or `1h`.

    Raises:
        BadParameter: If it is no length of time above 0.
    """
    return _parse_amount(text, _SECONDS, "length of time; give seconds, 90s, 2m or 1h")


def parse_size(text: str) -> float:
    """Bytes of a size such as `2M`, `1.5MB`, `800k` or `2000000`; k, M and G are powers of 1,000.

    Raises:
        BadParameter: If it is no size above 0.
    """
    return _parse_amount(text, _BYTES, "size; give for example 2M, 1.5MB, 800k or 2000000")


def _parse_amount(text: str, units: Mapping[str, float], expected: str) -> float:
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)", text.strip().lower())
    amount = float(match[1]) * units.get(match[2], 0) if match else 0
    if not 0 < amount < math.inf:
        raise click.BadParameter(f"{text!r} is no {expected}")
    return amount


def parse_workers(text: str) -> int:
    """A number of workers; 0 for `all`, which a flag without a number means.

    Raises:
        BadParameter: If it is no number above 0.
    """
    if text == "all":
        return 0
    if not text.isdecimal() or not 0 < int(text) <= _MOST_WORKERS:
        raise click.BadParameter(f"{text!r:.60} is no number of workers; give --ray 4, or put a plain --ray last")
    return int(text)


def ray_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag `--ray`, with or without a number of workers."""
    return click.option("--ray", type=parse_workers, is_flag=False, flag_value="all", metavar="[N]", help=what)


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


class FamilyName(click.Choice):  # type: ignore[type-arg]  # generic since click 8.2
    """A key of the dict of model families, which is imported when it is needed."""

    case_sensitive = True

    def __init__(self) -> None:  # the choices come later
        pass

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names."""
        from rubrica.models.families import FAMILIES

        return tuple(FAMILIES)
