"""What a fault costs: trainings with the fault and without it, on a part of the training texts.

Faults hide each other: a state that is stuck gains nothing from a mask. So all faults are mended, and then each is put
back alone; its cost is what the mended model loses by it.

The texts that judge are held out of train; a test split is left alone.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rubrica.config.schema import flat
from rubrica.data.dataset import Dataset
from rubrica.errors import ConfigError, RubricaError
from rubrica.insight.findings import SEVERITIES, Cost, Finding, Phrase
from rubrica.models.config import Config
from rubrica.progress import progress_bar
from rubrica.scoring.report import main_score
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

Tables = Mapping[str, Mapping[str, Any]]

REPAIRS: dict[str, Tables] = {
    "absent-words-move": {"training": {"dense_updates": False}},
    "capitals-unknown": {"data": {"lowercase": True}},
    "clipped": {"training": {"max_grad_norm": 10.0}},
    "embedding-still": {"training": {"freeze_steps": 0, "freeze_epochs": 0}},
    "exploding-gradient": {"training": {"max_grad_norm": 0.5}, "model": {"init": "torch"}},
    "forgets-start": {"model": {"mask_padding": True, "pooling": "average_max"}},
    "learning-rate-high": {"training": {"decay": "linear", "lr": 2e-3}},
    "learning-rate-low": {"training": {"lr": 8e-3}},
    "overfitting": {"training": {"dropout": 0.3, "word_dropout": 0.3}},
    "padding-is-word": {"model": {"mask_padding": True}},
    "padding-read": {"model": {"mask_padding": True}, "training": {"similar_lengths": True}},
    "saturated-units": {"model": {"init": "torch"}},
    "start-values": {"model": {"init": "torch"}},
    "too-short": {"training": {"epochs": 0}},
    "underfitting": {"training": {"epochs": 0}},
    "vanishing-gradient": {"model": {"init": "torch"}},
}
"""The settings that mend each fault, as far as settings can."""

_TRAIN, _JUDGED = 4000, 2000  # texts: some seconds of a network, and half a point of standard error
_SEEDS = 3
_FAULTS = 3  # that are tried, the gravest
_SPREAD = 2.0  # points of standard deviation; sound trainings have half a point
_T95 = 2.776  # of Student's t with 4 degrees of freedom: two means of three seeds


def with_costs(
    findings: Sequence[Finding], config: Config, data: Dataset, vectors: Vectors | None = None, *, seeds: int = _SEEDS
) -> list[Finding]:
    """The findings, the gravest of them with what they cost.

    Args:
        findings: The gravest first. Of faults that the same settings mend, one is tried.
        config: The settings of the training.
        data: What the model was trained on; has a train split.
        vectors: What the words start from.
        seeds: Trainings of each kind, at least 2.
    """
    wanted = _to_try(findings, config)
    if not wanted:
        return list(findings)
    part = _part(data)
    costs: dict[str, Cost] = {}
    before: list[float] = []
    mended = config.replace(**_all_repairs(findings, config))
    with progress_bar("trials", seeds * (2 + len(wanted))) as advance:

        def scores(settings: Config) -> list[float]:
            found = []
            for seed in range(seeds):
                found.append(_score(part, settings.replace(training={"seed": seed}), vectors))
                advance("")
            return found

        try:
            before, after = scores(config), scores(mended)
            for kind, tables in wanted.items():
                costs[kind] = _cost(scores(mended.replace(**_own(tables, config))), after, part, tables)
        except RubricaError as error:
            log.warning("a trial failed (%s); costs are left out from there on", error)
    with_cost = [replace(found, cost=costs[found.kind]) if found.kind in costs else found for found in findings]
    return [*with_cost, *_spread(before)]


def _spread(scores: Sequence[float]) -> list[Finding]:
    """Scores of one training that depend on the seed."""
    if len(scores) < 2 or (spread := float(np.std(scores, ddof=1))) < _SPREAD:
        return []
    return [
        Finding(
            kind="seed-spread",
            severity="warning",
            title=f"The same training scores {min(scores):.1f} to {max(scores):.1f} with other seeds",
            why="A score of one training says little then, and a change of a setting cannot be told from chance.",
            remedy="Train with smaller steps (--lr) and more --epochs; compare means of five seeds.",
            figures={"scores": list(scores), "standard_deviation": spread},
        )
    ]


def _to_try(findings: Sequence[Finding], config: Config) -> dict[str, Tables]:
    """The settings to try by the kind of fault; none that change nothing, or that a graver fault's contain."""
    wanted: dict[str, Tables] = {}
    for found in sorted(findings, key=lambda found: -SEVERITIES.index(found.severity)):
        tables = fitting(REPAIRS.get(found.kind, {}), config)
        is_new = not any(flat(tables).items() <= flat(others).items() for others in wanted.values())
        if tables and is_new and len(wanted) < _FAULTS:
            wanted[found.kind] = tables
    return wanted


def _all_repairs(findings: Sequence[Finding], config: Config) -> Tables:
    """The settings that mend all faults; where two want one setting, the graver fault's."""
    merged: dict[str, dict[str, Any]] = {}
    for found in reversed(findings):
        for section, table in fitting(REPAIRS.get(found.kind, {}), config).items():
            merged.setdefault(section, {}).update(table)
    return merged


def _own(tables: Tables, config: Config) -> Tables:
    """The model's own values of some settings: the fault, put back."""
    own = config.to_dict()
    return {section: {key: own[section][key] for key in table} for section, table in tables.items()}


def fitting(tables: Tables, config: Config) -> Tables:
    """The settings that the model has, where they differ from its own."""
    own = config.to_dict()
    return {
        section: changed
        for section, table in tables.items()
        if (changed := {key: value for key, value in table.items() if own.get(section, {}).get(key, value) != value})
        and _is_allowed(config, {section: changed})
    }


def _is_allowed(config: Config, tables: Tables) -> bool:
    try:
        config.replace(**tables)
    except ConfigError:  # a pooling that the family cannot do
        return False
    return True


def _part(data: Dataset) -> Dataset:
    """Some texts of train to learn from, and others to judge by."""
    train = data.splits["train"]
    rows = np.random.default_rng(0).permutation(len(train.texts))[: _TRAIN + _JUDGED]
    judged = min(_JUDGED, len(rows) // 3)
    sides = {"train": np.sort(rows[judged:]), "validation": np.sort(rows[:judged])}
    splits = {name: train.take(side) for name, side in sides.items()}
    known = {part for label in splits["train"].labels for part in ([label] if isinstance(label, str) else label)}
    task = replace(data.task, labels=tuple(label for label in data.task.labels if label in known))
    return replace(data, splits=splits, task=task)


def _score(data: Dataset, config: Config, vectors: Vectors | None) -> float:
    from rubrica.learning.train import train_dataset  # late: few examinations try anything

    metrics = train_dataset(data, vectors, config)[1].metrics
    if metrics["interrupted"]:
        raise KeyboardInterrupt
    return 100 * main_score(metrics["validation"])


def _cost(before: Sequence[float], after: Sequence[float], data: Dataset, tables: Tables) -> Cost:
    """The difference of the means, and half of its 95 % interval by Student's t of two groups."""
    groups = [np.array(before), np.array(after)]
    spread = _T95 * math.sqrt(sum(float(group.var(ddof=1)) / len(group) for group in groups))
    what = ", ".join(f"{name}={str(value).lower()}" for name, value in flat(tables).items())
    sizes = [len(data.splits[side].texts) for side in ("train", "validation")]
    trial = Phrase("{}; {} seeds each, {:,} texts of train, {:,} others", what, len(after), *sizes)
    return Cost(float(groups[1].mean() - groups[0].mean()), spread, trial)
