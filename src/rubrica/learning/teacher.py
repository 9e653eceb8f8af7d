"""A teacher: another model, however large, whose answers a small one learns beside the labels that people gave.

Source: G. Hinton et al., "Distilling the knowledge in a neural network", 2015, https://arxiv.org/abs/1503.02531. What
differs: there is no temperature. A text counts once for its own label and once for what the teacher says of it, shared
out over the labels that it may have.

Letters: N texts, C classes.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rubrica.artifact.fasttext_model import open_model
from rubrica.artifact.folder import is_model_folder
from rubrica.data.addresses import place_of
from rubrica.data.dataset import Dataset, form_like
from rubrica.data.objects import column_names, columns_of
from rubrica.data.scores import Scores, read_scores, score_row
from rubrica.errors import ConfigError, RubricaError, nearest
from rubrica.files import user_path
from rubrica.predict.classifier import Classifier
from rubrica.progress import progress_bar
from rubrica.scoring.task import Floats, Task

log = logging.getLogger(__name__)

_AT_A_TIME = 1024  # texts; a large model needs seconds for them, and the bar should move

Teacher = Classifier | str | Path | Callable[[list[str]], Any]
"""A model, its folder, fastText's file or a file of scores; or a function from texts to their scores: a dict by label
for each, or an array (N, C) in the order of the data set's labels: `read_dataset(data).task.labels`."""


def ask(teacher: Teacher, data: Dataset, texts: Sequence[str]) -> Scores:
    """What a teacher says of the texts of train and of texts without labels; test and validation are not shown to it.

    Args:
        teacher: See `Teacher`; a file of scores has said already what it says, and may bring texts of its own.
        data: With labels.
        texts: Without labels.

    Raises:
        DataError: If a file of scores cannot be used.
        ArtifactError: If a model cannot be read.
        ConfigError: If it gives other labels than train has, or no score for any text.
        RubricaError: If a function does not give scores for each text.
    """
    labels = data.task.labels
    unseen = {text for name, examples in data.splits.items() if name != "train" for text in examples.texts}
    if isinstance(teacher, str | Path) and not _is_model(teacher):
        form = form_like(place_of(teacher), data, names=False)
        said = read_scores(str(teacher), labels, regression=not data.task.gives_labels, **form)
        shown = [place for place, text in enumerate(said.texts) if text and text not in unseen]
        if "" in said.texts:
            log.warning("%s: scores of an empty or missing text are left out", teacher)
        if held := len(said.texts) - len(shown) - ("" in said.texts):
            log.info("%s: the texts of validation and test, %d, are left out", teacher, held)
        said = Scores([said.texts[place] for place in shown], said.probabilities[shown])
    else:
        if isinstance(teacher, str | Path):
            teacher = Classifier(open_model(teacher))
        if not (isinstance(teacher, Classifier) or callable(teacher)):
            problem = f"teacher is {teacher!r:.40} ({type(teacher).__name__})"
            raise TypeError(f"{problem}, expected a model, a file of scores or a function from texts to scores")
        every = dict.fromkeys(text for some in (data.splits["train"].texts, texts) for text in some)
        asked = [text for text in every if text and text not in unseen]
        say = _by_model(teacher, labels) if isinstance(teacher, Classifier) else _by_function(teacher, data.task)
        said = Scores(asked, _ask_all(say, asked, len(labels)))
    given = said.probabilities.max(axis=1, initial=0) > 0
    if not given.any():
        raise ConfigError("the teacher gives no label of any text a score above 0; check its scores")
    # Where a text may have several labels, none is an answer too.
    if data.task.has_confusion and (silent := int(len(given) - given.sum())):
        log.info("the teacher gives no label a score above 0 in %d of %d texts; they are left out", silent, len(given))
        said = Scores([text for text, there in zip(said.texts, given, strict=True) if there], said.probabilities[given])
    return said


def _is_model(path: str | Path) -> bool:
    """Whether a path is a model's and no file of scores."""
    from rubrica.artifact.fasttext_file import is_fasttext_file  # late: most trainings have no teacher

    place = user_path(path)
    return place.is_dir() or is_model_folder(place) or (place.is_file() and is_fasttext_file(place))


def _ask_all(say: Callable[[list[str]], Floats], texts: list[str], num_classes: int) -> Floats:
    found = np.zeros((len(texts), num_classes), np.float32)
    with progress_bar("teacher", -(-len(texts) // _AT_A_TIME)) as advance:
        for first in range(0, len(texts), _AT_A_TIME):
            found[first : first + _AT_A_TIME] = say(texts[first : first + _AT_A_TIME])
            advance(f"{min(first + _AT_A_TIME, len(texts)):,} texts")
    return found


def _by_model(model: Classifier, labels: Sequence[str]) -> Callable[[list[str]], Floats]:
    """The answers of a model in the order of train's labels."""
    if unknown := [label for label in model.labels if label not in labels]:
        problem = f"the teacher gives the label {unknown[0]!r:.40}, which train does not have"
        raise ConfigError(f"{problem}; {nearest(unknown[0], labels)}")
    places = [labels.index(label) for label in model.labels]

    def say(texts: list[str]) -> Floats:
        found = np.zeros((len(texts), len(labels)), np.float32)
        found[:, places] = model.predict_proba(texts)
        return found

    return say


def _by_function(teacher: Callable[[list[str]], Any], task: Task) -> Callable[[list[str]], Floats]:
    """The answers of a function, checked."""
    labels = task.labels

    def say(texts: list[str]) -> Floats:
        answer = teacher(texts)
        if column_names(answer) is not None:  # a table; its columns may be in any order
            columns = columns_of(answer)
            rows: list[Any] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        elif getattr(answer, "ndim", 0) == 2 and answer.shape[1] == len(labels):
            rows = [dict(zip(labels, row, strict=True)) for row in np.asarray(answer).tolist()]
        else:
            rows = list(answer) if isinstance(answer, Iterable) else []
        if len(rows) != len(texts):
            raise RubricaError(f"the teacher gave {len(rows)} scores for {len(texts)} texts; give scores for each")
        try:
            return np.array([score_row(row, labels, regression=not task.gives_labels) for row in rows], np.float32)
        except ValueError as error:
            raise RubricaError(f"the teacher: {error}") from None

    return say
