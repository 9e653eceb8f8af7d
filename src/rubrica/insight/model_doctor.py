"""The doctor of models: what is wrong with a trained model, measured on texts that it learned and on others.

Letters: N texts.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rubrica.artifact.folder import Artifact
from rubrica.corpus.held_out import hold_out, text_keys
from rubrica.data.dataset import Dataset, Examples, read_dataset
from rubrica.data.stored_texts import hash_of_texts, stretches, take_texts
from rubrica.errors import DataError, RubricaError
from rubrica.insight.findings import Finding, ordered
from rubrica.insight.model_checks import (
    answers,
    drift,
    embedding,
    fitting,
    gradients,
    padding,
    slices,
    steps,
    units,
)  # fmt: skip
from rubrica.insight.model_checks.subject import Sample, Subject
from rubrica.predict.classifier import Classifier
from rubrica.progress import progress_bar
from rubrica.scoring.task import Label, Rows
from rubrica.scoring.tasks import check_labels
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    padding.find_padding,
    units.find_one_sided,
    units.find_saturated,
    units.find_dead,
    gradients.find_fading,
    gradients.find_forgotten,
    gradients.find_clipped,
    embedding.find_unknown,
    embedding.find_still,
    embedding.find_collapsed,
    answers.find_constant,
    answers.find_miscalibrated,
    fitting.find_learned_nothing,
    fitting.find_overfitting,
    fitting.find_underfitting,
    fitting.find_idle,
    steps.find_steps,
    steps.find_absent,
    slices.find_failing_slices,
    drift.find_drift,
)

_HELD = 8000  # texts that answers are judged by: a share is known within a point
_TRAIN = 4000
_VALIDATED = 2000  # as `learning/training.py` holds out at most

Columns = Mapping[str, Mapping[str, Sequence[Label]]]
"""Values of other columns, by the names of the column and the split."""


def examine_model(
    model: Classifier,
    data: Dataset,
    *,
    learned: Dataset | None = None,
    vectors: Vectors | None = None,
    columns: Columns | None = None,
    trials: bool = False,
) -> list[Finding]:
    """Everything that is wrong with a model, the gravest first.

    Args:
        model: The model.
        data: Texts with labels. A split that the model was trained on shows what it learned, another one what it knows.
        learned: What it was trained on, if that is not among `data`.
        vectors: What its word vectors started from.
        columns: Of `data`; their values are groups of texts to compare.
        trials: Whether short trainings measure what the gravest faults cost; needs the training texts.

    Raises:
        DataError: If no text has a label that the model knows.
    """
    check_labels(model.task, "the doctor")
    subject = make_subject(model, data, learned=learned, vectors=vectors, columns=columns or {})
    found: list[Finding] = []
    with progress_bar("doctor", len(CHECKS)) as advance:
        for check in CHECKS:
            found += check(subject)
            advance("")
    found = ordered(found)
    if not trials:
        return found
    if subject.data is None:
        log.warning("%s: the training texts are not at hand, so no trial can measure what a fault costs", data.name)
        return found
    if model.artifact.vectors is not None and vectors is None:
        log.warning("%s: give the --vectors of the training, to measure what a fault costs", data.name)
        return found
    from rubrica.insight.trials import with_costs  # late: most examinations try nothing

    return ordered(with_costs(found, model.config, subject.data, vectors))


def data_of_run(artifact: Artifact, **layout: Any) -> Dataset | None:
    """The data set that a model was trained on, read once more; None where nobody knows where it is.

    Texts that have changed since say nothing of the training, and are left alone.
    """
    run = artifact.metrics.get("run")
    kept = run.get("data") if isinstance(run, dict) else None
    name = kept.get("name") if isinstance(kept, dict) else None
    there = isinstance(name, str) and (name == "mini-news" or Path(name).is_file() or Path(name).is_dir())
    if not isinstance(kept, dict) or not there:
        return None
    try:
        data = read_dataset(name, **layout)
    except RubricaError as error:
        log.warning("the training texts cannot be read: %s", error)
        return None
    if not _is_own(artifact, data):
        log.warning("%s: the training texts are no longer as they were, or were read with other flags", name)
        return None
    return data


def make_subject(
    model: Classifier,
    data: Dataset,
    *,
    learned: Dataset | None = None,
    vectors: Vectors | None = None,
    columns: Columns | None = None,
) -> Subject:
    """A model and samples of its texts, for the checks; arguments as in `examine_model`."""
    columns = columns or {}
    own = data if _is_own(model.artifact, data) else learned
    train = None if own is None or "train" not in own.splits else own.splits["train"]
    name = _unseen(model.artifact, data)
    held_rows: Rows | None = None
    if name is None and train is not None:
        held_rows = _held_of_train(model.artifact, own or data, train)
    rows = np.arange(0 if train is None else len(train.texts))
    if held_rows is not None:
        rows = np.setdiff1d(rows, held_rows)
    learned_sample = None if train is None else _sample(model, "train", train, rows, _TRAIN)
    if name is not None:
        held = data.splits[name]
        kept = {column: values[name] for column, values in columns.items() if name in values}
        held_sample = _sample(model, name, held, np.arange(len(held.texts)), _HELD, kept)
    else:
        if held_rows is None:
            log.warning("%s: the model learned all of these texts; others would show more", data.name)
        held_sample = None if held_rows is None or train is None else _sample(model, "train", train, held_rows, _HELD)
    if held_sample is None and learned_sample is None:
        raise DataError(data.name, "no text has a label that the model knows; give texts with the model's labels")
    return Subject(model, held_sample, learned_sample, vectors, own)


def _is_own(artifact: Artifact, data: Dataset) -> bool:
    """Whether a data set's train split is what the model was trained on, as far as anybody knows."""
    if "train" not in data.splits:
        return False
    run = artifact.metrics.get("run")
    kept = run.get("data") if isinstance(run, dict) else None
    entry = kept.get("train") if isinstance(kept, dict) else None
    if not isinstance(entry, dict):
        return len(data.splits) > 1
    return bool(entry.get("sha256") == hash_of_texts(data.splits["train"].texts))


def _unseen(artifact: Artifact, data: Dataset) -> str | None:
    """The split that the model was not trained on."""
    for name in ("test", "validation"):
        if name in data.splits:
            return name
    return None if _is_own(artifact, data) else next(iter(data.splits))


def _held_of_train(artifact: Artifact, data: Dataset, train: Examples) -> Rows | None:
    """The rows of train that the training held out, unless the model learned them in the end."""
    config = artifact.config
    fraction = min(config.data.validation_fraction, _VALIDATED / max(1, len(train.texts)))
    if artifact.metrics.get("refitted") or not fraction or "validation" in data.splits:
        return None
    targets = data.task.encode(train.labels)
    keys = text_keys(len(train.texts), stretches(train.texts))
    held = hold_out(data.task, targets, fraction, config.training.seed, keys)[1]
    return held if len(held) else None


def _sample(
    model: Classifier, split: str, examples: Examples, rows: Rows, most: int, columns: Mapping[str, Any] | None = None
) -> Sample | None:
    """Texts whose labels the model knows, drawn at random, in the order of the data."""
    targets, _ = model.task.encode_all(examples.labels)
    rows = rows[~model.task.has_unknown(targets)[rows]]
    drawn = np.random.default_rng(0).permutation(rows)[:most]  # in a random order: a batch holds texts of all kinds
    if not len(drawn):
        return None
    ascending = np.sort(drawn)
    read = take_texts(examples.texts, ascending)
    texts = [read[place] for place in np.searchsorted(ascending, drawn).tolist()]
    labels = [examples.labels[row] for row in drawn.tolist()]
    values = {name: [column[row] for row in drawn.tolist()] for name, column in (columns or {}).items()}
    return Sample(
        split, drawn, texts, labels, model.task.encode(labels), model.logits(texts), values, examples.soft is None
    )
