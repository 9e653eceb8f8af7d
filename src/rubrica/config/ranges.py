"""What a search may try of a setting. Each group of settings names its own ranges, in `searched`.

A setting is searched where a measurement showed that another value pays on some data (docs/decisions.md). Each further
setting makes the others rarer among the trials, so a setting without a measurement is left alone.
"""

from typing import NamedTuple


class Between(NamedTuple):
    """A number from `low` to `high`, both included; a whole number where both are whole.

    Args:
        low: The smallest.
        high: The largest.
        log: Whether to double a number is one step, wherever it stands; else to add to it is.
    """

    low: float
    high: float
    log: bool = False


class OneOf(NamedTuple):
    """One of some values."""

    values: tuple[bool | int | float | str, ...]


class Times(NamedTuple):
    """A factor from `low` to `high` of the number that a training chooses by itself, where the setting is 0."""

    low: float
    high: float


Range = Between | OneOf | Times
