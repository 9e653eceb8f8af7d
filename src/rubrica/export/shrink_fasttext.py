"""A fastText file made smaller, as a fastText file.

It takes three steps, and stops when the file is small enough. The rows of the input become codes of two numbers each,
and the length of each row is stored beside them. The output becomes codes too, if it has at least 256 rows. Only the
longest rows are kept. With fastText's `quantize` the user takes these steps: `-qnorm`, `-qout` and `-cutoff`.

Letters: V words, R rows, D numbers in a row, M parts of a row.
"""

from pathlib import Path
from typing import Any

import numpy as np

from rubrica.artifact.fasttext_file import read_fasttext, write_fasttext
from rubrica.artifact.fasttext_model import to_artifact
from rubrica.data.dataset import Examples
from rubrica.data.objects import GIVEN
from rubrica.errors import ArtifactError, RubricaError
from rubrica.files import check_place, user_path
from rubrica.learning.fasttext_quantize import DSUB, quantize_fasttext, sizes_of
from rubrica.models.fasttext import CENTROIDS, FastText
from rubrica.models.storage import Tensors
from rubrica.predict.classifier import Classifier


def shrink_file(
    file: Path, out: Path, max_bytes: float, *, examples: Examples | None = None, name: str = GIVEN
) -> dict[str, Any]:
    """Write a model file of at most `max_bytes`, and report; nothing is written on an error.

    With examples, texts and their labels, both models are scored. A warning calls the examples by `name`.

    Returns:
        What `tables.print_export` prints.

    Raises:
        ArtifactError: If the file is no supervised model in float32, or the new one cannot be written.
        RubricaError: If it cannot be made so small; the message says how small.
        ValueError: If the examples cannot be scored, see `Classifier.evaluate`.
    """
    file, out = user_path(file), user_path(out)
    if out.exists():
        raise ArtifactError(out, "exists already; give another place with --out, or delete it")
    check_place(out, ArtifactError)
    settings, tensors = read_fasttext(file)
    before = to_artifact(settings, tensors, file)
    if settings.input_dsub:
        raise ArtifactError(file, "the model is quantised already; give the .bin that it was made from")
    if settings.num_rows < CENTROIDS:
        problem = f"{settings.num_rows} rows, of which no codes can be made; expected {CENTROIDS} or more"
        raise ArtifactError(file, f"{problem}; such a file is small already")
    cutoff, output = _fit(settings, tensors, max_bytes)
    made = quantize_fasttext(settings, tensors, cutoff=cutoff, dsub=DSUB, norms=True, output=output)
    report: dict[str, Any] = {
        "storage": f"codes of {DSUB} numbers, lengths by themselves",
        "words": {"before": settings.num_words, "after": made[0].num_words},
        "rows": {"before": settings.num_rows, "after": made[0].num_rows},
        "features": {"before": 0, "after": 0},
        "accuracy": None,
        "onnx": None,
    }
    if examples is not None:
        after = to_artifact(*made, out)
        scores = [Classifier(artifact).evaluate(examples, name=name) for artifact in (before, after)]
        report["accuracy"] = {"texts": len(examples.texts), "measure": scores[0].measure}
        report["accuracy"] |= {"before": scores[0].main, "after": scores[1].main}
    write_fasttext(*made, out)
    report["bytes"] = {name: {path.name: path.stat().st_size} for name, path in (("before", file), ("after", out))}
    return report


def _fit(settings: FastText, tensors: Tensors, max_bytes: float) -> tuple[int, bool]:
    """How many rows stay, and whether the output becomes codes; 0 keeps all rows.

    Raises:
        RubricaError: If `CENTROIDS` rows are too many.
    """
    for output in (False, True) if settings.num_labels >= CENTROIDS else (False,):
        whole = sizes_of(settings, tensors, output=output, pruned=False)[-1]
        if whole <= max_bytes:
            return 0, output
        sizes = sizes_of(settings, tensors, output=output, pruned=True)
    fitting = int(np.searchsorted(sizes, max_bytes, "right"))
    least = int(sizes[CENTROIDS - 1])
    if fitting < CENTROIDS:
        raise RubricaError(
            f"the model cannot be made smaller than {least:,} bytes ({CENTROIDS} rows), and {max_bytes:,.0f} were asked"
            " for; allow this size, or train with a smaller dim"
        )
    return fitting, output
