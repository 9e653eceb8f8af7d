"""`rubrica.tune`: from a data set to a saved model whose settings were searched for."""

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache, partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rubrica import __version__
from rubrica.artifact.folder import save_artifact
from rubrica.data.dataset import Dataset, check_trainable
from rubrica.data.stored_texts import hash_of_texts
from rubrica.environment import processes
from rubrica.errors import ConfigError, MissingExtraError, RubricaError, require
from rubrica.export.shrink import TooLargeError
from rubrica.learning.identity import hashes_of_labels
from rubrica.learning.output import check_output
from rubrica.learning.train import as_dataset
from rubrica.models.config import make_config
from rubrica.models.families import SEARCHED
from rubrica.predict.classifier import Classifier
from rubrica.tuning.choice import choose
from rubrica.tuning.final import train_finally
from rubrica.tuning.parts import Judged, Part, judge, make_parts
from rubrica.tuning.plot import draw_trials
from rubrica.tuning.report import rows_of, summary, write_trials
from rubrica.tuning.search import Clock, Search
from rubrica.tuning.space import Space, searchable
from rubrica.tuning.store import Tried, folder_of, open_store
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_LONG = 0.05  # of the texts: if more are longer than what is read, reading more of them is tried early
_LOOKED_AT = 10_000  # texts whose length is looked at
_HASHED = 1000  # vectors at evenly spaced words, about, that tell a file from another
_SEEDS = 1 << 63  # that a training knows

VectorsGiven = str | Path | Vectors


class Tuned(NamedTuple):
    """What a search came to.

    Args:
        model: Trained on all of train, with the settings that won.
        rows: The trials, see `report.rows_of`.
        files: What was written beside the model.
    """

    model: Classifier
    rows: list[dict[str, Any]]
    files: list[Path]


def tune(
    data: Any,
    labels: Any = None,
    *,
    seconds: float,
    out: str | Path | None = None,
    size: float | None = None,
    vectors: VectorsGiven | Sequence[VectorsGiven] = (),
    seed: int = 0,
    trials: int | None = None,
    **layout: Any,
) -> Classifier:
    """Search for settings that are better than the defaults on held-out parts of train, and train with the best.

    The defaults are the first trial. Another trial takes their place if it leads them by more than luck, see
    `scoring/paired.py`. No text of a test split is looked at before the settings are chosen.

    Args:
        data: As in `train`.
        labels: As in `train`.
        seconds: Of the search and the final training together.
        out: The new model folder; None saves nothing. The search is kept beside it, in `OUT.search`, and the same call
            goes on with it after a kill; what it took before counts.
        size: Most bytes of the model's folder. Every trial is made as small before it is judged.
        vectors: A file of word vectors or a downloaded name of the gensim list, or several, to choose from. No vectors
            are a choice, too.
        seed: Of all random draws.
        trials: Most settings to try; None leaves it to the time.
        layout: As in `train`.

    Returns:
        The model. `artifact.metrics["tuning"]` has the search in short.

    Raises:
        RubricaError: If Optuna is not installed; if the data, the vectors or the output folder cannot be used; if no
            setting could be trained.
        KeyboardInterrupt: After Ctrl-C before a trial was judged, or in the final training.
        TypeError: As in `train`.
        ValueError: As in `train`.
    """
    given = as_dataset(data, labels, layout)
    return run_tuning(given, seconds=seconds, out=out, size=size, vectors=vectors, seed=seed, trials=trials).model


def run_tuning(
    data: Dataset,
    *,
    seconds: float,
    out: str | Path | None = None,
    size: float | None = None,
    vectors: VectorsGiven | Sequence[VectorsGiven] = (),
    seed: int = 0,
    trials: int | None = None,
) -> Tuned:
    """As `tune`, with a data set that is read; tells of the trials, too."""
    clock = Clock(seconds)
    _check(seconds, size, trials)
    require("optuna", "tune")
    if out is not None:
        out = check_output(out, resume=False, keeps=False)
    check_trainable(data)
    loaded = _load_all([vectors] if isinstance(vectors, str | Path | Vectors) else list(vectors))
    parts = make_parts(data, seed)
    space = _space(parts.data, tuple(loaded), seed)
    what = _identity(parts.data, loaded, space, seed, size)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory())) if out is None else folder_of(out)
        store = stack.enter_context(open_store(folder, space, seed, what))
        clock.before = store.spent
        if clock.before:
            log.info("%s: goes on after %d trials and %.0f s", folder, len(store.tried()), clock.before)
        search = Search(store, parts, partial(_judge, cache(parts.part), loaded, size), clock, trials)
        try:
            return _search_and_train(search, data, loaded, out, size)
        except KeyboardInterrupt:
            if out is not None:
                log.warning("%s: to go on with this search, run the same command again", folder)
            raise


def _search_and_train(
    search: Search, data: Dataset, vectors: dict[str, Vectors], out: Path | None, size: float | None
) -> Tuned:
    stopped, folder, seed = search.run(), search.store.folder, search.store.seed
    choice = choose(search.tried, seed)
    if choice is None and search.tried:
        raise RubricaError(_nothing_judged(search, size))
    if stopped:
        log.warning("the search ends, and the best settings are trained; Ctrl-C again leaves it for later")
    rows, found = rows_of(search.tried), summary(choice, search.tried, data.task, search.clock.spent)
    files = [] if out is None else [write_trials(rows, folder), *_plot(rows, found, folder)]
    try:
        artifact = train_finally(data, vectors, search, choice, found, size)
    except TooLargeError as error:
        problem = f"the model has {error.least:,} bytes at the least, and {size:,.0f} were asked for"
        raise RubricaError(f"{problem}; give more time, so smaller kinds are tried, or a larger size") from None
    if out is not None:
        save_artifact(artifact, out)
    return Tuned(Classifier(artifact), rows, files)


def _nothing_judged(search: Search, size: float | None) -> str:
    """Why a search has found nothing, and what to do."""
    count, small = len(search.tried), search.smallest < math.inf
    if small and size is not None and all(tried.state == "too large" for tried in search.tried):
        found = "the trial does not fit" if count == 1 else f"none of {count} trials fits"
        advice = f"the smallest model has {search.smallest:,}: give a larger size, or more time"
        return f"{found} into {size:,.0f} bytes; {advice}"
    return f"no settings could be judged; the first had: {search.tried[0].note}"


def _check(seconds: float, size: float | None, trials: int | None) -> None:
    for name, value, expected in (
        ("seconds", seconds, "a length of time above 0"),
        ("size", size, "a number of bytes above 0"),
        ("trials", trials, "a number above 0"),
    ):
        if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
            raise ConfigError(f"{name} is {value!r:.40}, expected {expected}")
    if processes()[1] > 1:
        raise ConfigError("a search is for one process; run rubrica without torchrun")


def _load_all(given: Sequence[VectorsGiven]) -> dict[str, Vectors]:
    """The word vectors by the names that the search knows them by."""
    from rubrica.vectors.stored import load_vectors  # late: many searches are given no vectors

    loaded = [each if isinstance(each, Vectors) else load_vectors(each) for each in given]
    return {each.source: each for each in loaded}


def _space(data: Dataset, vectors: tuple[str, ...], seed: int) -> Space:
    """What can be tried here: without torch there are no networks, and not every family can learn every task."""
    torch = find_spec("torch") is not None
    families = tuple(name for name in searchable(SEARCHED, torch=torch) if _learns(name, data))
    if not torch:
        log.info("torch is not installed, so only %s are tried; see pip install 'rubrica[train]'", ", ".join(families))
    default = make_config(model={"name": families[0]})
    texts = list(islice(data.splits["train"].texts, _LOOKED_AT))
    long_ones = sum(len(text.split()) > default.data.max_length for text in texts)
    return Space(families, vectors, seed, long_texts=long_ones > _LONG * len(texts))


def _learns(name: str, data: Dataset) -> bool:
    try:
        make_config(model={"name": name}).model.check_task(data.task)
    except ConfigError:
        return False
    return True


def _identity(
    data: Dataset, vectors: dict[str, Vectors], space: Space, seed: int, size: float | None
) -> dict[str, Any]:
    """What the trials depend on, by the names that an error calls it by."""
    texts = {name: hash_of_texts(examples.texts) for name, examples in data.splits.items()}
    labels = {name: hash_of_texts(list(map(repr, examples.labels))) for name, examples in data.splits.items()}
    if any(examples.soft for examples in data.splits.values()):
        labels = hashes_of_labels(data)
    return {
        "texts": texts,
        "labels": labels,
        "word vectors": {name: _hash_of_vectors(each) for name, each in vectors.items()},
        "size": size,
        "seed": seed,
        "settings to try": space.describe(),
        "version of Rubrica": __version__,
    }


def _hash_of_vectors(vectors: Vectors) -> str:
    found = hashlib.sha256("\n".join(vectors.words).encode("utf-8", "surrogatepass"))
    step = max(1, len(vectors.words) // _HASHED)
    found.update(vectors.of(vectors.words[::step]).tobytes())
    return found.hexdigest()[:16]


def _judge(
    parts: Callable[[int], Part],
    vectors: dict[str, Vectors],
    size: float | None,
    tried: Tried,
    fold: int,
    seconds: float,
) -> Judged:
    """One part of a trial; each part has a seed of its own, the same in all trials."""
    part, proposal = parts(fold), tried.proposal
    config = proposal.config(len(part.data.splits["train"].texts), part.data.task.num_classes)
    config = config.replace(training={"seed": (config.training.seed + fold) % _SEEDS})
    return judge(part, config, vectors.get(proposal.vectors or ""), size=size, seconds=seconds)


def _plot(rows: list[dict[str, Any]], found: dict[str, Any], folder: Path) -> list[Path]:
    if not any(row["score"] is not None for row in rows):
        return []
    try:
        return [draw_trials(rows, found, folder)]
    except MissingExtraError as error:
        log.info("no plot of the trials: %s", error)
        return []
