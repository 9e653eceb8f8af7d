"""What autotune makes large: F1, precision at a recall, or recall at a precision, of all labels or of one."""

import re
from typing import NamedTuple

from rubrica.fasttext.faults import ArgumentError
from rubrica.fasttext.meter import Meter

_CURVE = re.compile(r"(precisionAtRecall|recallAtPrecision):([0-9]+[.]?[0-9]*|[.][0-9]+)(?::(.+))?")
METRICS = "f1, f1:LABEL, precisionAtRecall:30 (a percentage), recallAtPrecision:30, or one of the two with :LABEL"


class Metric(NamedTuple):
    """A score and what it is of.

    Args:
        name: f1, precisionAtRecall or recallAtPrecision.
        at: The recall or the precision, from 0 to 1.
        label: Of this label alone; empty for all.
    """

    name: str
    at: float = 0.0
    label: str = ""

    def score(self, meter: Meter, number: int | None) -> float:
        """The score of some answers; `number` is that of the label, None for all."""
        if self.name == "f1":
            return meter.scores(number).f1
        if self.name == "precisionAtRecall":
            return meter.precision_at_recall(self.at, self.label or None)
        return meter.recall_at_precision(self.at, self.label or None)


def read_metric(text: str) -> Metric:
    """The metric that fastText's argument names; a percentage follows a colon.

    Raises:
        ArgumentError: If it names none.
    """
    if text == "f1":
        return Metric("f1")
    if text.startswith("f1:") and text != "f1:":
        return Metric("f1", label=text[3:])
    if (match := _CURVE.fullmatch(text)) and float(match[2]) <= 100:
        return Metric(match[1], float(match[2]) / 100, match[3] or "")
    raise ArgumentError("autotuneMetric", f"is {text!r}, expected {METRICS}")


_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9}


def read_size(text: str) -> int | None:
    """Bytes of fastText's argument: 2M, 800k or 2000000; None of an empty one.

    Raises:
        ArgumentError: If it is no size.
    """
    if not text:
        return None
    match = re.fullmatch(r"(\d+)([kKmMgG]?)", text)
    if match is None:
        raise ArgumentError("autotuneModelSize", f"is {text!r}, expected a size such as 2M, 800k or 2000000")
    return int(match[1]) * _UNITS.get(match[2].lower(), 1)
