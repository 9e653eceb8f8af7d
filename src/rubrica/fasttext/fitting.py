"""Training and quantisation as fastText's arguments ask for them."""

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from rubrica.fasttext.arguments import Values, to_settings
from rubrica.learning.fasttext import FastTextTraining, Tensors, train_fasttext
from rubrica.models.fasttext import FastText
from rubrica.progress import Progress, share_bar

log = logging.getLogger(__name__)


class Codes(NamedTuple):
    """How a model becomes smaller, see `Model.quantize`."""

    qout: bool = False
    cutoff: int = 0
    retrain: bool = False
    dsub: int = 2
    qnorm: bool = False


def fit(values: Values, progress: Progress | None = None) -> tuple[FastText, Tensors]:
    """Train a model from nothing, or from the word vectors that the arguments name.

    Args:
        values: The arguments.
        progress: Called with the share that is done, the mean loss and the step size; without it, a bar is shown.

    Raises:
        ConfigError: If an argument is out of its bounds.
        ValueError: If arguments contradict each other.
        RubricaError: If a file cannot be used, or the training diverges.
    """
    settings, training = to_settings(values), _training_of(values)
    if progress is not None:
        return train_fasttext(values["input"], settings, training, progress=progress)
    with _shown(values["model"], values["verbose"]) as bar:
        found, tensors = train_fasttext(values["input"], settings, training, progress=bar)
    if values["verbose"] > 0:
        counts = found.num_tokens // 10**6, found.num_words, found.num_labels
        log.info("Read %dM words\nNumber of words:  %d\nNumber of labels: %d", *counts)  # scripts look for these lines
    return found, tensors


def compress(
    settings: FastText, tensors: Tensors, values: Values, codes: Codes, progress: Progress | None = None
) -> tuple[FastText, Tensors]:
    """Quantise a model, and train the rows that stay again if that is asked for.

    Raises:
        ValueError: If it is not supervised or quantised already.
        RubricaError: As `fit` does.
    """
    from rubrica.learning.fasttext_quantize import quantize_fasttext  # late: a training does not need it

    rows: dict[str, Any] = {"cutoff": codes.cutoff, "dsub": codes.dsub, "norms": codes.qnorm, "output": codes.qout}
    retrain = (values["input"], _training_of(values)) if codes.retrain else None
    if progress is not None:
        return quantize_fasttext(settings, tensors, **rows, retrain=retrain, progress=progress)
    with _shown("quantize", values["verbose"] if codes.retrain else 0) as bar:
        return quantize_fasttext(settings, tensors, **rows, retrain=retrain, progress=bar)


def _training_of(values: Values) -> FastTextTraining:
    return FastTextTraining(
        lr=values["lr"],
        epochs=values["epoch"],
        seed=values["seed"],
        min_count_label=values["minCountLabel"],
        vectors=values["pretrainedVectors"] or None,
        threads=values["thread"],
    )


def _shown(title: str, verbose: int) -> AbstractContextManager[Progress | None]:
    """What a training calls to move a bar; none where nothing is to be shown."""
    return share_bar(title) if verbose >= 2 else nullcontext()
