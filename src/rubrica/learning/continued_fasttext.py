"""A training that goes on from a fastText model: its words, rows and labels stay, and new ones are added.

It is fastText's training, see `learning/fasttext.py`. No text is held out, since nothing is calibrated or chosen: the
answers stay fastText's scores. What the data has of validation and test is scored.

Letters: N texts.
"""

import time
from itertools import chain
from pathlib import Path

import numpy as np

from rubrica.artifact.fasttext_model import label_names, to_artifact
from rubrica.artifact.folder import Artifact
from rubrica.data.dataset import Dataset, leave_out_unknown
from rubrica.data.stored_texts import stretches
from rubrica.errors import ConfigError, DataError, RubricaError
from rubrica.learning.continuing import join_labels
from rubrica.learning.deadline import Deadline
from rubrica.learning.fasttext import FastTextTraining, train_fasttext
from rubrica.learning.fasttext_start import entries_of
from rubrica.models.config import Config
from rubrica.models.fasttext import FastText
from rubrica.predict.classifier import Classifier
from rubrica.progress import share_bar
from rubrica.text.tokens import Packed

_SPACES = frozenset(" \n\r\t\v\f\0")  # fastText's: a label is one token
_FIXED = {"class_weight": "none", "storage": "float32", "max_steps": 0}


def go_on_fasttext(before: Artifact, data: Dataset, config: Config, deadline: Deadline) -> Artifact:
    """Train a fastText model further.

    Args:
        before: The model.
        data: New texts and their labels.
        config: Its settings, with the seed, the step size (0.1 where it is 0) and the epochs (5 where they are 0).
        deadline: There is to be none: the step size falls over all epochs.

    Raises:
        ConfigError: If the model is quantised, or the settings ask for what this training cannot do.
        DataError: If the model cannot take the labels, or a text holds what it would read as a label.
        RubricaError: If there is no native core, or the training diverges.
    """
    settings, wanted = before.config.model, config.training
    assert isinstance(settings, FastText)
    if deadline.is_set:
        raise ConfigError("a fastText model is trained for a number of epochs; give --epochs in place of a time budget")
    for name, value in _FIXED.items():
        if getattr(wanted, name) != value:
            found = getattr(wanted, name)
            raise ConfigError(
                f"training.{name} is {found!r}, and a fastText model is trained with {value!r}; leave it out"
            )
    if data.splits["train"].soft is not None:
        raise ConfigError("a fastText model learns labels, and train has scores; give each text its label")
    data = leave_out_unknown(join_labels(before, data))
    training = FastTextTraining(
        lr=getattr(wanted, "lr", 0) or FastTextTraining.lr,
        epochs=wanted.epochs or FastTextTraining.epochs,
        seed=wanted.seed,
    )
    texts, began = _pack(before, settings, data), time.perf_counter()
    with share_bar("fasttext") as show:
        try:
            settings, tensors = train_fasttext(
                texts, settings, training, start=(settings, before.tensors), progress=show
            )
        except RubricaError:
            raise
        except ValueError as error:
            raise ConfigError(str(error)) from None
    artifact = to_artifact(settings, tensors, Path(data.name))
    artifact.metrics.update(
        {"train_texts": len(texts.starts), "train_seconds": time.perf_counter() - began, "interrupted": False}
    )
    for split, examples in data.splits.items():
        if split != "train":
            artifact.metrics[split] = Classifier(artifact).evaluate(examples, name=data.name).to_json()
    trained = artifact.config.replace(training={"lr": training.lr, "epochs": training.epochs, "seed": training.seed})
    return Artifact(trained, artifact.task, artifact.vocab, artifact.tensors, artifact.metrics)


def _pack(before: Artifact, settings: FastText, data: Dataset) -> Packed:
    """The texts of train, each with its labels in front, as fastText reads them."""
    train, raw = data.splits["train"], _raw_labels(before, settings, data)
    prefix, parts = settings.label_prefix, list[bytes]()
    texts = chain.from_iterable(stretches(train.texts))
    for place, (text, label) in enumerate(zip(texts, train.labels, strict=True)):
        if prefix in text and any(word.startswith(prefix) for word in text.replace("\0", " ").split()):
            problem = f"text {place} holds a word that begins with {prefix}, which the model would read as a label"
            raise DataError(data.name, f"{problem}; take it out")
        names = [raw[name] for name in data.task.parts(label)]
        parts.append(b" ".join([*names, text.encode("utf-8", "surrogatepass")]))
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return Packed(np.frombuffer(b"".join(parts), np.uint8), np.concatenate([[0], ends[:-1]]), ends)


def _raw_labels(before: Artifact, settings: FastText, data: Dataset) -> dict[str, bytes]:
    """The token of each label.

    Raises:
        DataError: If a new label is no single token.
        ConfigError: If the labels of the model do not begin with its prefix, which its file does not tell.
    """
    names, starts, ends = entries_of(before.tensors)
    whole, prefix, first = names.tobytes(), settings.rules.label_prefix, settings.num_words
    known = [whole[start:end] for start, end in zip(starts[first:].tolist(), ends[first:].tolist(), strict=True)]
    if strange := [label for label in known if not label.startswith(prefix)]:
        problem = f"the model has the label {strange[0].decode('utf-8', 'replace')!r:.60}"
        raise ConfigError(f"{problem}, which does not begin with {settings.label_prefix}; train a new model")
    raw = dict(zip(label_names(settings, before.tensors), known, strict=True))
    for label in data.task.labels:
        if label not in raw:
            raw[label] = prefix + label.encode("utf-8", "surrogatepass")
            if not label or not _SPACES.isdisjoint(label):
                problem = f"the label {label!r:.60} has white space, and a fastText label is one word"
                raise DataError(data.name, f"{problem}; write it with _ or -")
    return raw
