"""A fastText model file becomes a folder of tensors and JSON, and is compared with it on texts.

Where fastText itself is installed, it answers too: nothing but the original shows that the answers are the original's.
"""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rubrica.artifact.fasttext_model import load_fasttext
from rubrica.artifact.folder import check_writable, save_artifact
from rubrica.export.shrink import folder_sizes
from rubrica.files import user_path
from rubrica.predict.classifier import Classifier, load
from rubrica.scoring.task import Floats

_AT_A_TIME = 4096  # texts; few enough to have all scores of 200 labels in 3 MB


class Agreement(NamedTuple):
    """How far answers agree.

    Args:
        texts: How many texts were answered.
        labels: Texts whose most probable label is the same.
        difference: The largest difference between the scores of this label.
    """

    texts: int
    labels: int
    difference: float


def convert(file: str | Path, out: str | Path, texts: Iterable[str] | None = None) -> dict[str, Any]:
    """Write a supervised model of fastText's as a model folder, and compare the answers to some texts.

    Returns:
        Bytes of the file and of each file of the folder; with texts, how far the folder agrees with the file
        (`folder`), and with the installed fastText (`fasttext`; None where it is not installed).

    Raises:
        ArtifactError: If the file is no supervised model of fastText's, or the folder cannot be written.
    """
    file, out = user_path(file), user_path(out)
    check_writable(out)
    before = load_fasttext(file)
    folder = save_artifact(before, out)
    report: dict[str, Any] = {"bytes": {"before": {file.name: file.stat().st_size}, "after": folder_sizes(folder)}}
    if texts is not None:
        prefix = before.config.model.to_dict()["label_prefix"]
        report["check"] = compare(Classifier(before), load(folder), texts, file, prefix)
    return report


def compare(
    one: Classifier, other: Classifier, texts: Iterable[str], file: Path, prefix: str
) -> dict[str, dict[str, Any] | None]:
    """How far the second model, and fastText where it is installed, agree with the first; all three are one model."""
    original = _original(file)
    found = {"folder": Agreement(0, 0, 0.0), "fasttext": Agreement(0, 0, 0.0)}
    texts = iter(texts)
    while part := list(islice(texts, _AT_A_TIME)):
        expected = one.predict_proba(part)
        found["folder"] = _add(found["folder"], expected, other.predict_proba(part))
        if original is not None:
            found["fasttext"] = _add(found["fasttext"], expected, _asked(original, part, one.labels, prefix))
    if original is None:
        return {"folder": found["folder"]._asdict(), "fasttext": None}
    return {name: agreement._asdict() for name, agreement in found.items()}


def _add(before: Agreement, expected: Floats, answered: Floats) -> Agreement:
    """The agreement with some texts more, whose scores are (N, C); a row of zeros is no answer and counts as none."""
    answers = answered.any(axis=1)
    expected, answered = expected[answers], answered[answers]
    best = answered.argmax(axis=1)
    rows = np.arange(len(best))
    same = int(np.count_nonzero(expected[rows, best] == expected.max(axis=1, initial=0)))
    gaps = np.abs(expected[rows, best] - answered[rows, best])
    return Agreement(
        before.texts + len(best), before.labels + same, float(max(before.difference, gaps.max(initial=0.0)))
    )


def _original(file: Path) -> Any:
    """The model as the installed fastText opens it; None where fastText is not installed."""
    if find_spec("fasttext") is None:
        return None
    return import_module("fasttext").load_model(str(file)).f  # the outer `predict` fails with NumPy 2


def _asked(original: Any, texts: list[str], labels: list[str], prefix: str) -> Floats:
    """The best label's score as fastText gives it, (N, C), and 0 elsewhere; fastText adds 1e-5 to every score."""
    scores = np.zeros((len(texts), len(labels)), np.float32)
    lines = [text.replace("\n", " ") + "\n" for text in texts]
    named, probabilities = original.multilinePredict(lines, 1, 0.0, "strict")
    places = {label: place for place, label in enumerate(labels)}
    for row, names, values in zip(scores, named, probabilities, strict=True):
        for name, value in zip(names, values, strict=True):
            row[places[name.removeprefix(prefix)]] = value
    return scores
