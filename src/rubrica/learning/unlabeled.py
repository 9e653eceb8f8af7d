"""Texts without labels: word vectors from all texts, and a training on what a model answers to them.

A first training learns the labels alone. In a second one a network's words start at vectors that are made of all texts,
with labels or without, unless vectors were given. The better of the two answers the texts without labels, and a third
one learns from the answers too. A text counts once in all, shared out over the labels that it may have, each as much as
it is probable. Where there is a teacher, its answers are learned instead, to the texts of train, too. Held-out texts
with labels judge each training, and what is clearly worse does not stay.

Sources: H. Scudder, "Probability of error of some adaptive pattern-recognition machines", IEEE Transactions on
Information Theory 11, 1965, for learning from own answers; G. Hinton et al., "Distilling the knowledge in a neural
network", 2015, https://arxiv.org/abs/1503.02531, for learning from probabilities.
"""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact
from rubrica.corpus.held_out import hold_out, text_keys
from rubrica.data.addresses import place_of
from rubrica.data.dataset import Dataset, Examples, form_like, leave_out_unknown, read_texts
from rubrica.data.objects import column_of
from rubrica.data.scores import Scores, hash_of_scores
from rubrica.data.soft_labels import settle
from rubrica.data.stored_texts import CodedLabels, StoredTexts, hash_of_texts, stretches
from rubrica.learning.checkpoint import Checkpoints
from rubrica.learning.training import MOST_HELD
from rubrica.models.config import Config
from rubrica.predict.classifier import Classifier
from rubrica.scoring.paired import Hits, lead, mean_lead
from rubrica.scoring.report import main_score
from rubrica.scoring.task import Floats, Label, Task
from rubrica.text.strings import as_texts
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_LEAST_TEXTS, _DIM, _EPOCHS = 2000, 100, 10  # of the word vectors, see docs/decisions.md


class Answered(NamedTuple):
    """Texts with the labels that a model gave them; a text stands once for each label that it may have.

    Args:
        examples: The texts with their labels.
        weights: How much each counts, (N,); the rows of a text count 1 together.
        title: Whose answers they are.
    """

    examples: Examples
    weights: NDArray[np.float32]
    title: str

    def behind(self, data: Dataset) -> Dataset:
        """The data set with these texts behind the texts of train."""
        train, more = data.splits["train"], self.examples
        texts, labels = chain(train.texts, more.texts), chain(train.labels, more.labels)
        soft = train.soft
        if soft is not None:
            known = soft.of(data.task.labels)
            soft = settle(more.labels, data.task)[1]
            soft = soft._replace(probabilities=np.concatenate([known, soft.probabilities]))
        if isinstance(train.texts, StoredTexts):
            joined = Examples(StoredTexts(texts), CodedLabels(labels), soft)
        else:
            joined = Examples(list(texts), list(labels), soft)
        return replace(data, splits=data.splits | {"train": joined})


class More(NamedTuple):
    """What a training learns from beside labels.

    Args:
        texts: Without labels, see `leave_out_known`.
        said: What a teacher says; None where there is none.
    """

    texts: Sequence[str]
    said: Scores | None

    @property
    def hashes(self) -> dict[str, Any]:
        """What tells it from others, by name, for JSON."""
        found = {"unlabeled": {"texts": len(self.texts), "sha256": hash_of_texts(self.texts)}}
        if self.said is not None:
            found["teacher"] = {"texts": len(self.said.texts), "sha256": hash_of_scores(self.said)}
        return found


Train = Callable[..., Artifact]
"""Trains on a data set, from these vectors, perhaps with texts that a model answered."""


def read_unlabeled(source: Any, data: Dataset) -> Sequence[str]:
    """Texts without labels: of files, whose labels are not looked at, or given one by one.

    Args:
        source: The path of a file, several of them, or texts. Strings that all name files are paths.
        data: With labels; files of its format are read as it was.

    Raises:
        DataError: If a file cannot be read.
        TypeError: If something else than a text is among them.
    """
    found = [source] if isinstance(source, str | Path) else column_of(source)
    is_path = isinstance(source, str) or any(isinstance(path, Path) for path in found)
    if is_path or (len(found) and all(isinstance(text, str) and _names_file(text) for text in found)):
        texts = [read_texts(path, **form_like(place_of(path), data)) for path in found]
        return texts[0] if len(texts) == 1 else list(chain.from_iterable(texts))
    return as_texts(found)


def _names_file(text: str) -> bool:
    return os.path.isfile(text)  # noqa: PTH113 - a Path fails where a text is too long for a name


def leave_out_known(texts: Sequence[str], data: Dataset) -> list[str]:
    """Each text once, without empty ones and without what the data set has in any split: test must stay unseen."""
    known = {text for examples in data.splits.values() for text in examples.texts} | {""}
    new = list(dict.fromkeys(text for text in texts if text not in known))
    if len(new) < len(texts):
        left_out = len(texts) - len(new)
        log.info("%d of %d unlabelled texts are left out: empty, there twice, or in the data", left_out, len(texts))
    if not new:
        log.warning("no unlabelled text is left; the model learns from labels alone")
    return new


def learn_unlabeled(
    data: Dataset,
    more: More,
    vectors: Vectors | str | Path | None,
    config: Config,
    train: Train,
    checkpoints: Checkpoints | None = None,
) -> Artifact:
    """Train on labels alone, with word vectors of all texts, with answers to texts.

    Each stays unless the held-out texts are clearly less probable with it, or its score on them is clearly lower. No
    model that answers has seen them: else its answers would tell of them. In the end the model learns their labels,
    too. Where the labelled texts are too few to hold some out, a teacher is believed, and the model's own answers are
    not.

    Args:
        data: With labels.
        more: What is learned beside labels; without a teacher the model's own answers are learned.
        vectors: As the user gave them.
        config: The settings.
        train: One training.
        checkpoints: Of the run.

    Returns:
        The model; `metrics["unlabeled"]` says what it learned from.
    """
    data, (texts, said) = leave_out_unknown(data), more
    judged = hold_out_texts(data, config) if texts or said else None
    if said is not None:
        texts = list(dict.fromkeys(chain(texts, _without(said.texts, data.splits["train"].texts))))
    used = {"word_vectors": False, "answers_learned": False}
    if judged is None:
        best = train(data, vectors, None if said is None else _taught(data.task, said, data))
        used["answers_learned"] = said is not None
        if texts or said:
            fate = "the unlabelled texts are left alone" if said is None else "the teacher is believed"
            log.warning("too few labelled texts to hold some out, so nothing can be judged: %s", fate)
    else:
        make = partial(_word_vectors, data, texts, config, checkpoints)
        best = _learn_judged(data, judged, More(texts, said), vectors, make, train, used)
    best.metrics["unlabeled"] = {"texts": len(texts)} | used
    if said is not None:
        best.metrics["unlabeled"]["taught"] = len(said.texts)
    return best


def _learn_judged(
    data: Dataset,
    judged: Dataset,
    more: More,
    vectors: Vectors | str | Path | None,
    make_vectors: Callable[[], Vectors | None],
    train: Train,
    used: dict[str, bool],
) -> Artifact:
    """`learn_unlabeled` where the validation split of `judged` judges; says in `used` what stayed.

    After Ctrl-C the best model that was trained whole stays.
    """
    best, held, answers = train(judged, vectors), judged.splits["validation"], None
    if best.metrics["interrupted"]:
        return best

    def train_whole(*given: Any) -> Artifact:
        model = train(*given)
        if model.metrics["interrupted"]:
            raise KeyboardInterrupt
        return model

    try:
        made = make_vectors() if vectors is None else None
        if made is not None and _stays(other := train_whole(judged, made), best, held, "word vectors of all texts"):
            best, vectors, used["word_vectors"] = other, made, True
        tried = answer(best, more.texts) if more.said is None else _taught(data.task, more.said, judged)
        if _stays(other := train_whole(judged, vectors, tried), best, held, "answers learned"):
            best, answers, used["answers_learned"] = other, tried, True
        if judged is not data:
            best = train_whole(data, vectors, answers)  # the same texts are held out, and learned at the end
    except KeyboardInterrupt:
        best.metrics["interrupted"] = True
    return best


def _word_vectors(
    data: Dataset, texts: Sequence[str], config: Config, checkpoints: Checkpoints | None
) -> Vectors | None:
    """Vectors of the words of all texts; None where the model takes none, or the texts are few."""
    if not (config.model.reads_words and config.model.starts_at_vectors):
        return None
    from rubrica.learning.word_vectors import train_start_vectors  # late: few trainings make vectors

    every = list(chain(data.splits["train"].texts, texts))
    return train_start_vectors(every, config, least=_LEAST_TEXTS, dim=_DIM, epochs=_EPOCHS, checkpoints=checkpoints)


def _stays(model: Artifact, best: Artifact, held: Examples, what: str) -> bool:
    """Whether the held-out texts do not speak against a model: neither its loss nor its score is clearly worse.

    What was tried helps as a rule, and few texts cannot say how much, so a doubt is no reason to drop it.
    """
    new, old = model.metrics["validation"], best.metrics["validation"]
    log.info(
        "held-out texts: loss %.4f and score %.4f with %s, %.4f and %.4f without",
        new["loss"], main_score(new), what, old["loss"], main_score(old),
    )  # fmt: skip
    (losses, hits), (old_losses, old_hits) = _judge(model, held), _judge(best, held)
    return not (mean_lead(old_losses - losses).clearly_behind or lead(hits, old_hits).clearly_behind)


def _judge(model: Artifact, held: Examples) -> tuple[Floats, Hits]:
    """The loss of each held-out text, (N,), and what is right of its answer."""
    logits, targets = Classifier(model).logits(held.texts), model.task.encode(held.labels)
    soft = None if held.soft is None else held.soft.of(model.task.labels)
    return model.task.known_losses(logits, targets, soft), model.task.hits(logits, targets, soft)


def hold_out_texts(data: Dataset, config: Config) -> Dataset | None:
    """The data set with a validation split, which a part of train becomes if there is none; None if none can be."""
    if "validation" in data.splits:
        return data
    train, seed = data.splits["train"], config.training.seed
    targets, keys = data.task.encode(train.labels), text_keys(len(train.texts), stretches(train.texts))
    fraction = min(config.data.validation_fraction, MOST_HELD / len(targets))
    rows, held = hold_out(data.task, targets, fraction, seed, keys)
    if not len(held):
        return None
    return replace(data, splits=data.splits | {"train": train.take(rows), "validation": train.take(held)})


def answer(model: Artifact, texts: Sequence[str]) -> Answered:
    """The texts with the labels that a model gives them, as probable as it says."""
    classifier = Classifier(model)
    parts = ((some, classifier.predict_proba(some)) for some in stretches(texts))
    return _share_out(model.task, parts, "its own answers")


def _taught(task: Task, said: Scores, judged: Dataset) -> Answered:
    """What a teacher says of texts that judge no training."""
    unseen = set(judged.splits["validation"].texts) if "validation" in judged.splits else set()
    places = [place for place, text in enumerate(said.texts) if text not in unseen]
    return _share_out(task, [([said.texts[i] for i in places], said.probabilities[places])], "a teacher's answers")


def _share_out(task: Task, parts: Iterable[tuple[Sequence[str], Floats]], title: str) -> Answered:
    found, labels, weights = list[str](), list[Label](), list[float]()
    for texts, probabilities in parts:
        for owner, label, share in task.shares(task.labels, probabilities):
            found.append(texts[owner])
            labels.append(label)
            weights.append(share)
    return Answered(Examples(found, labels), np.array(weights, np.float32), title)


def _without(texts: Iterable[str], known: Iterable[str]) -> list[str]:
    """The texts that are not among the known ones."""
    there = set(known)
    return [text for text in texts if text not in there]
