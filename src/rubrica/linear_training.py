"""Training of the linear classifier on n-grams of words and characters; without torch, in seconds."""

import logging
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rubrica.cache import make_array
from rubrica.config import Config
from rubrica.corpus import Corpus
from rubrica.history import History, Trained
from rubrica.linear import fit, logits, ngrams_of, slices_of, take_texts
from rubrica.progress import progress_bar
from rubrica.vectors import Vectors

log = logging.getLogger(__name__)


def train_linear(
    corpus: Corpus,
    vectors: Vectors | None,
    config: Config,
    rows: NDArray[np.int64],
    *,
    validate: Callable[[Trained], tuple[float, float]] | None,
    title: str,
) -> Trained:
    """Train on the given rows of the corpus's train split; Ctrl-C ends the passes with what was learned until then.

    Args:
        corpus: Its texts are read once more.
        vectors: Not used; every trainer is called alike.
        config: The settings; of `training` epochs (the most passes) and seed are read.
        rows: Which texts of train to learn from, in ascending order.
        validate: Not used: there is one solution, and the passes only come nearer to it.
        title: What the progress bar is called.
    """
    split, settings = corpus.splits["train"], config.training
    started = time.perf_counter()
    targets = make_array(len(rows), np.int64)
    np.take(split.targets, rows, out=targets, mode="clip")  # "raise" would fill a copy first
    with progress_bar(title, slices_of(len(rows)) * settings.epochs) as advance:
        fitted = fit(
            split.texts, rows, targets, len(corpus.labels), ngrams_of(config), cost=config.model.cost,
            seed=settings.seed, passes=settings.epochs, advance=advance,
        )  # fmt: skip
    history = History(steps=len(fitted.slopes) * len(rows), interrupted=fitted.interrupted)
    history.train_seconds = time.perf_counter() - started
    for turn, slope in enumerate(fitted.slopes):
        history.records.append({"step": (turn + 1) * len(rows), "epoch": turn + 1, "slope": round(slope, 6)})
    if fitted.interrupted:
        log.warning("%s: interrupted after %d passes; what was learned is kept", title, len(fitted.slopes))
    part = fitted.part
    return Trained(dict(part.tensors), lambda split, wanted: logits(part, take_texts(split.texts, wanted)), history)
