"""A row of a data set that is suspected of harm."""

from typing import NamedTuple

from rubrica.scoring.task import Label


class Suspect(NamedTuple):
    """A row that is suspected of harm.

    Args:
        split: Its split.
        row: Its number in the split, counted from 1 as a person counts rows; the header of a file is none.
        text: Its text.
        label: What stands there.
        suggested: The label that it rather has; None where the row should go.
        probability: How likely the suspicion is right. Among rows of 0.8, 80 of 100 are.
        why: What it is suspected of: "label", which is wrong; "duplicate", a text that train has before; or "leak", a
            text that another split has.
    """

    split: str
    row: int
    text: str
    label: Label
    suggested: Label | None
    probability: float
    why: str
