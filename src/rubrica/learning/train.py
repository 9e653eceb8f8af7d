"""`rubrica.train`: from a data set to a saved model."""

import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.fasttext_model import open_model
from rubrica.artifact.folder import Artifact, is_model_folder
from rubrica.corpus.corpus import Corpus, build_corpus
from rubrica.data.dataset import Dataset, check_trainable, leave_out_unknown, read_dataset, read_pairs
from rubrica.data.layout import OF_PAIRS, make_layout
from rubrica.environment import processes
from rubrica.errors import ConfigError, require
from rubrica.learning.checkpoint import EVERY, Checkpoints, Identity, keep_checkpoints
from rubrica.learning.continuing import join_labels, settings_after
from rubrica.learning.deadline import NEVER, Deadline
from rubrica.learning.identity import identity_of, run_record
from rubrica.learning.output import check_output, finished, save_run
from rubrica.learning.training import baseline_scores, train_corpus
from rubrica.models.config import Config, make_config
from rubrica.models.fasttext import FastText
from rubrica.predict.classifier import Classifier
from rubrica.vectors.case import settle_reading, tell_unspaced
from rubrica.vectors.word_vectors import Vectors

if TYPE_CHECKING:
    from rubrica.learning.teacher import Teacher
    from rubrica.learning.unlabeled import Answered, More

log = logging.getLogger(__name__)

_OWN_TEXTS, _OWN_EPOCHS = 10_000, 10  # of vectors of the training texts, see docs/decisions.md


def train(
    data: Any,
    labels: Any = None,
    *,
    out: str | Path | None = None,
    config: Config | None = None,
    vectors: str | Path | Vectors | None = None,
    time_budget: float | None = None,
    start: Classifier | Artifact | str | Path | None = None,
    resume: bool = False,
    checkpoint_every: float = EVERY,
    unlabeled: Any = None,
    teacher: "Teacher | None" = None,
    **layout: Any,
) -> Classifier:
    """Train on a data set, and with `out` save the model.

    Args:
        data: A path, a hub id, `mini-news`, a table such as a DataFrame, or a `Dataset`, see `read_dataset`. With
            `labels`, the texts: a list, an array, a column, anything that gives strings.
        labels: Of each text a label, a list of labels, a dict of probabilities or a score; or a matrix of 0 and 1.
        out: The new model folder; None saves nothing. A long training keeps checkpoints beside it, from which the same
            call goes on after a kill, see `checkpoint.py`.
        config: The settings, see `make_config`; None takes the defaults.
        vectors: A file of word vectors, or a downloaded name of the gensim list.
        time_budget: Seconds from now on in which the training should end, see `budget.py`; no bag is compared then.
        resume: If `out` holds the finished model already, return it; if Ctrl-C ended its training, go on with that.
        checkpoint_every: Seconds between two checkpoints; 0 keeps every one that a training offers.
        start: A bag or a fastText model that the training goes on from, or its path; see `continuing.py`.
        unlabeled: Texts without labels to learn from too: a file, several, or texts; see `learning/unlabeled.py`.
        teacher: Whose answers to learn too: a file of scores, a model, or a function; see `learning/teacher.py`.
        layout: How to read the data, such as `text_columns`, `label_column`, `encoding`: see `Layout`.

    Returns:
        The model, ready to answer. `artifact.metrics` holds its scores, and what a simpler model reaches.

    Raises:
        RubricaError: If the data, the vectors, the settings or the output folder cannot be used.
        TypeError: If the texts, the labels or the table are none.
        ValueError: If there is not one label for each text.
    """
    deadline, before = _deadline(time_budget), _artifact(start)
    keeps = not (out is None or deadline.is_set or _is_fasttext(before))
    if resume and not keeps:
        raise ConfigError("resume requires out; with a time budget or from a fastText model there are no checkpoints")
    config = _settings(config, vectors, before)
    _join_team(config, deadline)  # first: a process that stops later is missed by the others, one before is awaited
    if out is not None:
        out = check_output(out, resume=resume, keeps=keeps)  # before minutes of work, not after
    data = as_dataset(data, labels, layout)
    check_trainable(data, least=2 if before is None else 1)
    more = _more(unlabeled, teacher, data, deadline, before)
    run = partial(_train_compared, data, vectors, config, deadline, before, more)
    if out is None:
        return Classifier(run(None))
    record = run_record(data, config, vectors, more and more.hashes, before)
    if resume and (found := finished(out, record)):
        return Classifier(found)
    with keep_checkpoints(out, checkpoint_every) if keeps else nullcontext() as checkpoints:
        return Classifier(_run_and_save(run, out, record, checkpoints))


def _run_and_save(
    run: Callable[[Checkpoints | None], Artifact], out: Path, record: dict[str, Any], checkpoints: Checkpoints | None
) -> Artifact:
    anew = is_model_folder(out)  # what Ctrl-C left
    try:
        artifact = run(checkpoints)
    except KeyboardInterrupt:
        if checkpoints:  # there is one
            kept = "the unfinished model stays" if anew else "there is no model yet"
            log.warning("%s; the same command goes on from %s", kept, checkpoints.folder)
        raise
    artifact.metrics["run"] = record
    save_run(artifact, out, checkpoints, anew=anew)
    return artifact


def _join_team(config: Config, deadline: Deadline) -> None:
    """Meet the other processes if torchrun started this one.

    Raises:
        ConfigError: If they have nothing to share.
    """
    if processes()[1] == 1:
        return
    if not config.training.needs_torch:
        problem = f"torchrun trains networks, and one process trains a {config.model.name} model"
        raise ConfigError(f"{problem}; run rubrica without torchrun")
    if deadline.is_set:
        raise ConfigError("a time budget is for one process; leave it out, or run rubrica without torchrun")
    require("torch", "train")
    from rubrica.networks.team import join_team

    join_team()


def _is_fasttext(model: Artifact | None) -> bool:
    return model is not None and isinstance(model.config.model, FastText)


def _train_compared(
    data: Dataset,
    vectors: str | Path | Vectors | None,
    config: Config,
    deadline: Deadline,
    before: Artifact | None,
    more: "More | None",
    checkpoints: Checkpoints | None,
) -> Artifact:
    """Train, and where there is time and no linear model beside, a bag on the same texts: a model has to be better."""
    if before is not None and _is_fasttext(before):
        from rubrica.learning.continued_fasttext import go_on_fasttext  # late: few trainings go on from one

        return go_on_fasttext(before, data, config, deadline)
    corpus = None
    if more is None:
        corpus, artifact = train_dataset(
            data, vectors, config, deadline=deadline, before=before, checkpoints=checkpoints
        )
    else:
        from rubrica.learning.unlabeled import learn_unlabeled  # late: most trainings have labels alone

        if checkpoints is not None:
            checkpoints.note("unlabelled texts and a teacher's answers", more.hashes)

        def once(data: Dataset, vectors: Vectors | str | Path | None, answered: "Answered | None" = None) -> Artifact:
            return train_dataset(data, vectors, config, answered=answered, checkpoints=checkpoints)[1]

        artifact = learn_unlabeled(data, more, vectors, config, once, checkpoints)
    scored = artifact.metrics.keys() & {"validation", "test"}
    compared = scored and not deadline.is_set and not artifact.metrics["interrupted"] and not processes()[0]
    if compared and not artifact.config.model.is_baseline and artifact.config.beside is None:
        if corpus is None:  # the bag learns the labels alone
            corpus = build_corpus(leave_out_unknown(data), None, artifact.config.data)
        artifact.metrics.update(baseline_scores(corpus, artifact, checkpoints))
    return artifact


def _more(
    unlabeled: Any, teacher: "Teacher | None", data: Dataset, deadline: Deadline, before: Artifact | None
) -> "More | None":
    """The texts without labels, and what a teacher says; None where there are labels alone.

    Raises:
        ConfigError: If the training cannot learn from them, or the teacher gives other labels.
    """
    if unlabeled is None and teacher is None:
        return None
    from rubrica.learning.unlabeled import More, leave_out_known, read_unlabeled

    what = "unlabelled texts" if teacher is None else "a teacher"
    for given, name in ((deadline.is_set, "a time budget"), (before, "a model to go on from")):
        if given:
            raise ConfigError(f"{what} and {name} do not go together; leave one of them out")
    if processes()[1] > 1:
        raise ConfigError(f"a training with {what} is for one process; run rubrica without torchrun")
    texts = [] if unlabeled is None else leave_out_known(read_unlabeled(unlabeled, data), data)
    if teacher is None:
        return More(texts, None)
    from rubrica.learning.teacher import ask

    return More(texts, ask(teacher, data, texts))


def _deadline(seconds: float | None) -> Deadline:
    if seconds is not None and not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
        raise ConfigError(f"time_budget is {seconds!r:.40}, expected a number of seconds above 0")
    return Deadline.after(seconds)


def _settings(config: Config | None, vectors: Any, before: Artifact | None) -> Config:
    if not (config is None or isinstance(config, Config)):
        advice = 'make settings by rubrica.make_config(model={"name": "linear"})'
        raise TypeError(f"config is {config!r:.40} ({type(config).__name__}); {advice}")
    if not (vectors is None or isinstance(vectors, str | Path | Vectors)):
        advice = "give a file, a name of `rubrica vectors list` or rubrica.Vectors(words, matrix, name)"
        raise TypeError(f"vectors is {vectors!r:.40} ({type(vectors).__name__}); {advice}")
    return (config or make_config()) if before is None else settings_after(before, config, vectors)


def _artifact(start: Classifier | Artifact | str | Path | None) -> Artifact | None:
    if isinstance(start, str | Path):
        return open_model(start)
    if not (start is None or isinstance(start, Classifier | Artifact)):
        raise TypeError(f"start is {start!r:.40} ({type(start).__name__}), expected a model or its folder")
    return start.artifact if isinstance(start, Classifier) else start


def as_dataset(data: Any, labels: Any, layout: dict[str, Any]) -> Dataset:
    """The data set that the arguments of `train` name.

    Raises:
        DataError: If it cannot be read.
        TypeError: If a data set that is read already is given with a layout, or the layout has no part of this name.
    """
    if labels is not None:
        make_layout(layout, OF_PAIRS)
        return read_pairs(data, labels, **layout)
    if not isinstance(data, Dataset):
        return read_dataset(data, **layout)
    if layout:
        make_layout(layout)
        raise TypeError(f"{', '.join(layout)}: the data set is read already; pass them to read_dataset")
    return data


def train_dataset(
    data: Dataset,
    vectors: str | Path | Vectors | None,
    config: Config,
    weights: NDArray[np.float32] | None = None,
    deadline: Deadline = NEVER,
    before: Artifact | None = None,
    checkpoints: Checkpoints | None = None,
    answered: "Answered | None" = None,
    plan: bool = True,
) -> tuple[Corpus, Artifact]:
    """Train on what was read, see `train`.

    Args:
        data: Its train split has at least two classes.
        vectors: A file of word vectors, or a downloaded name of the gensim list.
        config: The settings.
        weights: How much each text of train counts, above 0, (N,).
        deadline: When to be done.
        before: The model to go on from; the settings are what `settings_after` made of them.
        checkpoints: Of this run; None keeps none.
        answered: Texts that a model labelled, to learn from too; `weights` are then of the texts before them.
        plan: Whether a deadline makes the training shorter; else it stops it, see `train_corpus`.

    Raises:
        RubricaError: If vectors, settings or labels cannot be used, or torch is needed and not installed.
    """
    if config.training.needs_torch:
        require("torch", "train")  # before any work is done
        from rubrica.learning.backend import choose_device

        choose_device(config.training)
    if before is not None:
        data = join_labels(before, data)
    _check_learnable(data, config, vectors)
    data = leave_out_unknown(data)
    # What `answered` says follows from this, and from what is noted.
    identity = partial(identity_of, data, weights, config, before)
    if vectors is not None or (before is None and not deadline.is_set):
        if vectors is None and config.model.dim_of_own_vectors is not None:
            _identify(checkpoints, partial(identity, None))
        vectors = find_vectors(vectors, data, config, checkpoints)
    own = len(data.splits["train"].texts)
    more = 0  # rows that are no further text: a text has a row for each label that a model gives it
    if answered is not None:
        more = len(answered.weights) - len({*answered.examples.texts} - {*data.splits["train"].texts})
        weights = np.ones(own, np.float32) if weights is None else weights
        data, weights = answered.behind(data), np.concatenate([weights, answered.weights])
    vectors, config = prepare_vectors(data, vectors, config)
    known = None if before is None else before.vocab
    corpus = build_corpus(data, vectors, config.data, spelled=config.model.spells_words, known=known)
    if weights is not None:
        corpus = corpus.with_split("train", replace(corpus.splits["train"], weights=weights, own=own))
    _identify(checkpoints, partial(identity, None if vectors is None else (vectors, corpus)))
    title = config.model.name if answered is None else f"{config.model.name}, with {answered.title}"
    artifact = train_corpus(
        corpus, vectors, config, title=title, deadline=deadline, before=before, checkpoints=checkpoints, plan=plan
    )
    artifact.metrics["train_texts"] -= more
    return corpus, artifact


def _check_learnable(data: Dataset, config: Config, vectors: object) -> None:
    """Make sure that the settings suit the data.

    Raises:
        ConfigError: If not.
    """
    config.model.check_task(data.task, certain=data.splits["train"].soft is None)
    if config.training.class_weight == "balanced" and not data.task.gives_labels:
        raise ConfigError("class_weight lets classes count alike, and a score has none; leave it out")
    if vectors is not None and not config.model.reads_words:
        raise ConfigError(f"a {config.model.name} model reads no word vectors; leave them out, or take another model")


def _identify(checkpoints: Checkpoints | None, identify: Callable[[], Identity]) -> None:
    """Say what a run trains, if nobody has."""
    if checkpoints is not None and not checkpoints.identified:
        checkpoints.identify(identify)


def find_vectors(
    vectors: str | Path | Vectors | None, data: Dataset, config: Config, checkpoints: Checkpoints | None = None
) -> Vectors | None:
    """The vectors of a file; where none is given and the settings say so, vectors of the training texts.

    Args:
        vectors: As the user gave them.
        data: With labels.
        config: The settings.
        checkpoints: Of the run; None keeps none.

    Raises:
        VectorsError: If a file cannot be read.
        ArtifactError: If a checkpoint is not of this training.
    """
    if isinstance(vectors, Vectors):
        return vectors
    if vectors is not None:
        from rubrica.vectors.stored import load_vectors  # late: many trainings are given no vectors

        return load_vectors(vectors)
    if (dim := config.model.dim_of_own_vectors) is None:
        return None
    from rubrica.learning.word_vectors import train_start_vectors  # late: few trainings make vectors

    texts = data.splits["train"].texts
    return train_start_vectors(texts, config, least=_OWN_TEXTS, dim=dim, epochs=_OWN_EPOCHS, checkpoints=checkpoints)


def prepare_vectors(data: Dataset, vectors: Vectors | None, config: Config) -> tuple[Vectors | None, Config]:
    """The vectors with the words of train that they lack, and the settings with the way of reading texts settled."""
    texts, std = data.splits["train"].texts, config.model.own_words_std
    config = config.replace(data=settle_reading(config.data, vectors, texts).to_dict())
    if vectors is not None:
        from rubrica.vectors.subwords import vectors_for

        vectors = vectors_for(vectors, texts, config.data)
    if config.model.reads_words:
        tell_unspaced(texts, split=config.data.split_unspaced is True)
    if vectors is not None and std is not None:
        from rubrica.vectors.own_words import extend_vectors

        vectors = extend_vectors(vectors, texts, config.data, std=std, seed=config.training.seed)
    return vectors, config
