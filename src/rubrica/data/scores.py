"""A file of scores: texts, and how probable each label of a text is, by whatever has read them.

    {"text": "Oil prices climb", "scores": {"Business": 0.91, "World": 0.09}}

A line of JSON Lines, a row of Parquet with a column `scores` of maps or structs, or a row of any format with a column
for each label. `rubrica predict TEXTS.parquet --all --out SCORES.parquet` writes one.

Letters: N texts, C classes.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rubrica.data.addresses import Place, place_of
from rubrica.data.dataset import iter_texts
from rubrica.data.soft_labels import named_scores, scored_number
from rubrica.data.table import Table
from rubrica.errors import DataError, nearest, quote_names
from rubrica.progress import BytesBar
from rubrica.scoring.task import Floats

COLUMN = "scores"
_NUMBER = "score"  # as `predict` writes the answer of a regression


class Scores(NamedTuple):
    """Texts and what was said of them.

    Args:
        texts: N, each once.
        probabilities: How probable each label is, from 0 to 1, (N, C).
    """

    texts: list[str]
    probabilities: Floats


def read_scores(source: str | Place, labels: Sequence[str], *, regression: bool = False, **layout: Any) -> Scores:
    """Read a file of scores; a label that a text does not name has a score of 0.

    Args:
        source: The file.
        labels: The C labels that may be named.
        regression: The scores are numbers, in a column `score`, or of the ends of the scale.
        layout: How to read the texts, see `Layout`.

    Raises:
        DataError: If it cannot be read, has no scores, names another label, or a score is no probability; if a text
            stands twice with different scores.
    """
    path, found = place_of(source), dict[str, list[float]]()
    with BytesBar() as bar:
        for texts, table in iter_texts(path, show=bar.show, **layout):
            if table is None:
                raise DataError(path, f"holds no scores; {_EXPECTED}")
            for place, (text, row) in enumerate(zip(texts, _rows(table, labels, regression=regression), strict=True)):
                try:
                    scores = score_row(row, labels, regression=regression)
                except ValueError as error:
                    raise table.error(place, str(error)) from None
                if found.setdefault(text, scores) != scores:
                    raise table.error(place, f"the text {text!r:.40} stood before, with other scores; keep one of them")
    return Scores(list(found), np.array(list(found.values()), np.float32).reshape(-1, len(labels)))


_EXPECTED = 'expected a column "scores" such as {"sports": 0.9, "world": 0.1}, or a column for each label'


def _rows(table: Table, labels: Sequence[str], *, regression: bool) -> Iterable[Any]:
    """The scores of each row, by label; of a regression perhaps a number."""
    if regression and _NUMBER in table.columns:
        return table.values(_NUMBER)
    if COLUMN in table.columns:
        return table.values(COLUMN)
    names = [name for name in table.columns if name.strip() in labels]
    if not names:
        raise DataError(table.path, f"columns are {quote_names(table.columns)}; {_EXPECTED}")
    columns = [table.values(name) for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def score_row(row: Any, labels: Sequence[str], *, regression: bool = False) -> list[float]:
    """The scores of a text in the order of the labels, C.

    Args:
        row: A score by each label; pairs of them, as Arrow gives a map. What is missing is 0.
        labels: The C labels.
        regression: They are the ends of a scale; a number says how far up it a text is, and the score of one end gives
            the other.

    Raises:
        ValueError: If it is something else, names another label, names one twice, or a score is no probability.
    """
    if regression and not isinstance(row, Mapping | list | tuple):
        row = dict(scored_number(row).scores)
    pairs = isinstance(row, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in row)
    if not pairs and not isinstance(row, Mapping):
        raise ValueError(f"found {row!r:.40} as the scores of a text, {_EXPECTED}")
    named = named_scores(row)
    for name in named:
        if name not in labels:
            raise ValueError(f"scores name the label {name!r:.40}, which train does not have; {nearest(name, labels)}")
    if regression and len(named) == 1:
        ((name, score),) = named.items()
        return [score if label == name else 1 - score for label in labels]
    return [named.get(label, 0.0) for label in labels]


def hash_of_scores(scores: Scores) -> str:
    """The first 16 digits of the sha256 of what a teacher said."""
    found = hashlib.sha256("\n".join(scores.texts).encode("utf-8", "surrogatepass"))
    found.update(np.ascontiguousarray(scores.probabilities).data)
    return found.hexdigest()[:16]
