"""What counts as a text: a string in Unicode's composed form (NFC).

Some programs write é as one character, others as e and an accent (NFD; macOS does so in names of files). Both look the
same and have different tokens, so every text becomes NFC where it comes in. A number in a column of texts counts as
people write it, and a missing value (None, NaN, pandas' NA) as the empty text.
"""

from collections.abc import Iterable
from typing import Any
from unicodedata import normalize


def is_missing(value: Any) -> bool:
    """Whether a value of a table is missing."""
    # pandas' own compare with nothing, and NaN of any kind not with itself.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (value != value) is True


def plain(value: Any) -> Any:
    """A number of NumPy as Python's own, with the shortest digits of its precision; anything else as it is."""
    if type(value).__module__ != "numpy" or getattr(value, "shape", None) != () or not hasattr(value, "item"):
        return value
    return float(str(value)) if value.dtype.kind == "f" else value.item()


def as_text(value: Any) -> str:
    """One value of a column as a text.

    Raises:
        TypeError: If it is no text, number or missing value.
    """
    if type(value) is not str:
        value = plain(value)
    if isinstance(value, str):
        return value if value.isascii() else normalize("NFC", value)
    if is_missing(value):
        return ""
    if isinstance(value, int | float) or type(value).__name__ == "Decimal":
        return str(value)
    raise TypeError(f"{value!r:.40} ({type(value).__name__})")


def as_texts(values: Iterable[Any], first: int = 0, *, raw: bool = False) -> list[str]:
    """All values of a column as texts; `first` is the place of the first one, for messages.

    With `raw`, strings stay as they are written.

    Raises:
        TypeError: Names the place of the first value that is no text, counted from 0.
    """
    values = list(values)
    if set(map(type, values)) == {str}:  # most columns; most texts are ASCII
        if raw:
            return values
        return [text if text.isascii() else normalize("NFC", text) for text in values]
    texts = []
    for place, value in enumerate(values, first):
        try:
            texts.append(value if raw and isinstance(value, str) else as_text(value))
        except TypeError as error:
            raise TypeError(f"text {place} is {error}, expected a string") from None
    return texts
