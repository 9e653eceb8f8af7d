"""The model of a search: trained on all of train with the settings that won, and made as small as it is asked for."""

import logging
from dataclasses import replace
from typing import Any

from rubrica.artifact.folder import Artifact
from rubrica.data.dataset import Dataset
from rubrica.export.shrink import folder_sizes
from rubrica.learning.deadline import NEVER, Deadline
from rubrica.learning.identity import run_record
from rubrica.learning.train import train_dataset
from rubrica.learning.training import MOST_HELD
from rubrica.models.config import Config, make_config
from rubrica.predict.classifier import Classifier
from rubrica.tuning.choice import Choice
from rubrica.tuning.parts import made_to_fit
from rubrica.tuning.search import Search
from rubrica.tuning.space import Proposal, Space
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_SPARE = 0.15  # of the time of the final training: one that ends sooner, unfinished, was stopped by Ctrl-C
_LEAST = 1.0  # seconds of a training with settings that were not judged
_AMPLE = 1.5  # times the guessed time
_ENOUGH = 0.8  # of the guessed time: with less the final training takes what it needs


def train_finally(
    data: Dataset,
    vectors: dict[str, Vectors],
    search: Search,
    choice: Choice | None,
    found: dict[str, Any],
    size: float | None,
) -> Artifact:
    """The model that is trained on all of train, made as small as it is asked for; test is scored here.

    Raises:
        KeyboardInterrupt: After Ctrl-C: half a training is no reason to save a model.
    """
    proposal = _defaults(search.store.space) if choice is None else choice.winner.proposal
    config, own = _final_config(proposal, data), vectors.get(proposal.vectors or "")
    left, needed, deadline = search.clock.left, 0.0, NEVER
    if choice is None:  # nothing is known of the time that the training takes
        left = max(left, _LEAST)
        deadline = Deadline.after(left)
    else:
        needed = search.final_seconds(choice.winner)
        if left < _ENOUGH * needed:
            log.info("%.0f s are left; the final training takes what it needs, up to %.0f s", max(0.0, left), needed)
        else:
            deadline = Deadline.after(left)
    ample = choice is not None and left > _AMPLE * needed  # then no trial is needed of what fits into it
    _, artifact = train_dataset(data, own, config, deadline=deadline, plan=not ample)
    if artifact.metrics["interrupted"] and not (deadline.is_set and deadline.left < _SPARE * left):
        raise KeyboardInterrupt
    artifact.metrics["run"] = run_record(data, config, own)
    artifact.metrics["tuning"] = found
    return artifact if size is None else _fitted(artifact, data, size)


def _defaults(space: Space) -> Proposal:
    return space.propose(lambda name, kind, usual: usual)


def _final_config(proposal: Proposal, data: Dataset) -> Config:
    """The settings for all of train, of which the training holds out a part."""
    count, config = len(data.splits["train"].texts), make_config(**proposal.tables)
    held = 0.0 if "validation" in data.splits else min(config.data.validation_fraction * count, MOST_HELD)
    return proposal.config(round(count - held), data.task.num_classes)


def _fitted(artifact: Artifact, data: Dataset, size: float) -> Artifact:
    """The model in a folder of at most `size` bytes, with the scores that it has when it is as small."""
    target = size
    while True:
        small = made_to_fit(artifact, target)
        if small is artifact:
            return artifact
        metrics = {name: value for name, value in artifact.metrics.items() if name not in ("validation", "test")}
        for name in ("validation", "test"):
            if examples := data.splits.get(name):
                metrics[name] = Classifier(small).evaluate(examples, name=data.name).to_json()
        small = replace(small, metrics=metrics)
        if (over := sum(folder_sizes(small).values()) - size) <= 0:
            return small
        target -= over  # the scores take a few bytes more than before
