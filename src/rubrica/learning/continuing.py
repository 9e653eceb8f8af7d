"""A training that goes on from a trained model: what it keeps of it, and what is new.

The words, the rows and the labels of the model keep their numbers; words and labels that it lacks follow behind them,
and start as they would in a new model. How texts are read and what the model is are the model's own; how long the
training is and how long its steps are is chosen anew, by the new texts.
"""

from dataclasses import replace

from rubrica.artifact.folder import Artifact
from rubrica.data.dataset import Dataset
from rubrica.errors import ConfigError, DataError, quote_names
from rubrica.models.config import Config, make_config

_KEPT = ("lowercase", "split_unspaced")  # of the data settings: other tokens would be other words


def settings_after(before: Artifact, config: Config | None, vectors: object = None) -> Config:
    """The settings of a training that goes on from a model: its own, and of `config` how to train.

    Raises:
        ConfigError: If its family cannot go on, if `config` is of another model, or if there are word vectors.
    """
    if vectors is not None:
        raise ConfigError("a model to go on from has its own rows, which word vectors would replace; leave them out")
    own = before.config
    if not own.model.can_continue or own.beside is not None:
        raise ConfigError(f"a {own.title} model cannot be trained further; train a new one on all texts, or take a bag")
    if config is None:
        training = {"seed": own.training.seed, "storage": before.storage}
        return make_config(data=own.data.to_dict(), model=own.model.to_dict(), training=training)
    for section, keys in (("model", None), ("data", _KEPT)):
        found, wanted = (getattr(settings, section).to_dict() for settings in (config, own))
        for key in keys or wanted:
            if found.get(key, "auto") not in (wanted[key], "auto"):
                problem = f"{section}.{key} is {found[key]!r:.60}, and the model to go on from has {wanted[key]!r:.60}"
                raise ConfigError(f"{problem}; leave it out, or train a new model")
    return config.replace(data={key: getattr(own.data, key) for key in _KEPT})


def join_labels(before: Artifact, data: Dataset) -> Dataset:
    """The data set with the labels of a model, and its own new ones behind them.

    Raises:
        DataError: If the model cannot take the labels.
    """
    try:
        task = before.task.joined(data.task)
    except ValueError as error:
        raise DataError(data.name, str(error)) from None
    new = task.labels[before.task.num_classes :]
    if new and not before.config.model.takes_labels:
        problem = f"the model to go on from finds its labels by a tree, and {quote_names(new[:3])} is not in it"
        raise DataError(data.name, f"{problem}; leave new labels out, or train a new model")
    return replace(data, task=task)
