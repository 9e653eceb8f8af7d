"""What the numbers among the arguments may be. A number that a training does not look at may be anything."""

from typing import Any

from rubrica.fasttext.faults import ArgumentError

Values = dict[str, Any]

_MOST = 2**31 - 1  # of a whole number in fastText's file
_LIMITS: dict[str, tuple[float, float]] = {
    "lr": (0, 1e300), "dim": (1, 1 << 16), "epoch": (0, _MOST), "minCount": (0, _MOST), "minCountLabel": (0, _MOST),
    "minn": (0, 1000), "maxn": (0, 1000), "wordNgrams": (0, 1000), "bucket": (0, _MOST), "dsub": (1, _MOST),
    "cutoff": (0, _MOST), "thread": (1, _MOST), "lrUpdateRate": (-_MOST, _MOST),
}  # fmt: skip
_OF_WORDS: dict[str, tuple[float, float]] = {"ws": (1, _MOST), "t": (1e-300, 1e300)}
_OF_DRAWS: dict[str, tuple[float, float]] = {"neg": (0, _MOST)}


def check_limits(values: Values) -> None:
    """Make sure that a model can be trained or quantised with these arguments, as far as they are given.

    Raises:
        ArgumentError: If a number is out of its limits.
    """
    limits = dict(_LIMITS)
    if values.get("model", "supervised") != "supervised":
        limits |= _OF_WORDS
    if values.get("loss") == "ns":
        limits |= _OF_DRAWS
    for name, (least, most) in limits.items():
        if name in values and not least <= values[name] <= most:
            expected = f"{least:g} or more" if most >= _MOST else f"{least:g} to {most:g}"
            raise ArgumentError(name, f"is {values[name]}, expected {'more than 0' if name == 't' else expected}")
