"""Texts to be scored whose labels the model does not know: they are warned of, and scored as wrong.

Letters: N texts.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import quote_names, resembling
from rubrica.scoring.task import Targets, Task

log = logging.getLogger(__name__)

_NAMED = 5  # labels in a warning
WRONG = ("it counts as wrong", "they count as wrong")
LEFT_OUT = ("it is left out of validation", "they are left out of validation")


def encode_scored(task: Task, labels: Sequence[Any], place: str) -> tuple[Targets, tuple[str, ...]]:
    """What `Task.encode_all` gives, with a warning where labels are unknown; `place` says where the texts come from.

    Raises:
        ValueError: As `Task.encode_all`.
    """
    targets, unknown = task.encode_all(labels)
    if unknown:
        warn_unknown(place, task, task.has_unknown(targets), unknown, WRONG)
    return targets, unknown


def warn_unknown(
    place: str, task: Task, texts: NDArray[np.bool_], unknown: Sequence[str], fate: tuple[str, str]
) -> None:
    """Say which labels the model does not know, and what becomes of their texts.

    Args:
        place: Where the texts come from.
        task: Has the labels that the model knows.
        texts: Which texts have an unknown label, (N,).
        unknown: The unknown labels.
        fate: What becomes of one text, and of several.
    """
    count = int(texts.sum())
    alike = {name: resembling(name, task.labels) for name in unknown[:_NAMED]}
    named = [
        f"{quote_names([name])}{f', did you mean {quote_names([near])}?' if near else ''}"
        for name, near in alike.items()
    ]
    log.warning(
        "%s: %s of %s texts %s that the model does not know (%s%s); %s",
        place, f"{count:,}", f"{len(texts):,}", "has a label" if count == 1 else "have labels",
        "; ".join(named), "; ..." if len(unknown) > _NAMED else "", fate[count > 1],
    )  # fmt: skip
