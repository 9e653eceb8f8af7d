"""How a label is spelled: the same label has one name, whatever it came in as.

A CSV file says `1.0` or `True` where Parquet holds a number or a truth value, and JSON writes `1` or `true`. Here all
have one name, in Unicode's composed form (NFC) and without white space at the ends.
"""

import re
from typing import Any
from unicodedata import normalize

from rubrica.text.strings import is_missing, plain

_WHOLE = re.compile(r"\+?(-?[0-9]+)\.0*")
_TRUTH = {"true": "true", "True": "true", "TRUE": "true", "false": "false", "False": "false", "FALSE": "false"}
_EXACT = 1e16  # from here on floats are further apart than whole numbers, and are written with an exponent


def spell(value: Any) -> str:
    """The name of a label: of 1, 1.0 and "1.0" it is "1", of True and "TRUE" it is "true".

    Raises:
        ValueError: If there is no label (a missing value, blanks), or something that is none.
    """
    value = plain(value)
    if is_missing(value):
        raise ValueError("no label")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)
    if not isinstance(value, str | int) and type(value).__name__ != "Decimal":
        raise ValueError(f"found {value!r:.40}, expected a label: a string or a number")
    # An Enum of strings is the string that it holds; str() of it would name its class.
    name = normalize("NFC", value if isinstance(value, str) else str(value)).strip()
    if not name:
        raise ValueError("no label")
    if whole := _WHOLE.fullmatch(name):
        return whole[1] if whole[1].strip("-0") else "0"
    return _TRUTH.get(name, name)
