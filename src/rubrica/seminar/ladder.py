"""The ladder: the seminar's two recurrent networks, mended one fault at a time, and what each repair bought.

`ladder.toml` lists the rungs: the lowest is the seminar's recipe, the top is what `rubrica train` does by itself. Test
is scored at the end of each training: the rungs are fixed beforehand, and nothing is chosen by their scores.

The doctor examines the first model of each rung. What it said of the rung below and says no more, the repair mended.
"""

import json
import logging
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rubrica.artifact.folder import check_writable
from rubrica.corpus.corpus import Corpus, build_corpus
from rubrica.data.dataset import Dataset
from rubrica.environment import processor, versions
from rubrica.errors import require
from rubrica.insight.findings import at_least
from rubrica.insight.model_doctor import examine_model
from rubrica.learning.train import prepare_vectors
from rubrica.learning.training import train_corpus
from rubrica.models.config import Config, load_recipe, make_config
from rubrica.predict.classifier import Classifier
from rubrica.seminar.experiments import check_scorable, write_text
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)


class Rung(NamedTuple):
    """A fault, and the settings that repair it."""

    name: str
    fault: str
    settings: dict[str, dict[str, Any]]


LADDERS = ("rnn", "gru")
_FILE = Path(__file__).with_suffix(".toml")
RUNGS = tuple(Rung(**rung) for rung in tomllib.loads(_FILE.read_text(encoding="utf-8"))["rungs"])
SEEDS = (0xDEAD, *range(1, 100))  # the first is the seminar's own


def climb(ladder: str) -> Iterator[tuple[Rung, Config]]:
    """Yield each rung, from below, and all settings of its trainings."""
    config = load_recipe(f"seminar-{ladder}")
    for rung in RUNGS:
        config = config.replace(**rung.settings)
        yield rung, config


def run_ladder(
    dataset: Dataset, vectors: Vectors, out: str | Path, *, seeds: Sequence[int] = SEEDS[:5]
) -> dict[str, Any]:
    """Train every rung with every seed and write what came out.

    Ctrl-C ends it; the rungs that are done are kept.

    Args:
        dataset: Needs the splits train and test.
        vectors: Their words are the vocabulary; their values start the upper rungs.
        out: A new folder: `ladder.json`, written anew after every rung, and `ladder.png` at the end.
        seeds: At least one; with one there is neither spread nor significance.

    Returns:
        What `ladder.json` holds.

    Raises:
        DataError: If a split is missing or cannot be trained on.
        ArtifactError: If `out` is not empty or cannot be written.
        MissingExtraError: If matplotlib or scipy is not installed.
    """
    out = check_writable(out)
    for library in ("matplotlib", "scipy"):
        require(library, "report")  # before minutes of work, not after
    check_scorable(dataset)
    started = time.perf_counter()
    report: dict[str, Any] = {
        "data": Path(dataset.name).name,
        "vectors": Path(vectors.source).name,
        "texts": {name: len(examples.texts) for name, examples in dataset.splits.items()},
        "classes": dataset.task.num_classes,
        "seeds": list(seeds),
        "machine": processor(),
        "versions": versions(("rubrica", "numpy", "torch")),
        "interrupted": False,
        "rungs": [],
    }
    try:
        for row in _climb_all(dataset, vectors, seeds):
            report["rungs"].append(row)
            report["seconds"] = time.perf_counter() - started
            write_text(out / "ladder.json", json.dumps(report, indent=2) + "\n")
            done, total = len(report["rungs"]), len(LADDERS) * len(RUNGS)
            left = report["seconds"] / done * (total - done)
            log.info("%d of %d rungs in %.0f s, about %.0f s to go", done, total, report["seconds"], left)
    except KeyboardInterrupt:
        if not report["rungs"]:
            raise  # there is nothing to report
        report["interrupted"] = True
        write_text(out / "ladder.json", json.dumps(report, indent=2) + "\n")
        log.warning("interrupted; the %d rungs that are done are kept in %s", len(report["rungs"]), out / "ladder.json")
    plot_ladder(report, out / "ladder.png")
    return report


def _climb_all(dataset: Dataset, vectors: Vectors, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Measure every rung of both ladders; yields each one's part of the report."""
    corpora: dict[tuple[Any, ...], Corpus] = {}  # keys: how texts are read, how many words have vectors
    for ladder in LADDERS:
        before: dict[str, Any] | None = None
        for rung, config in climb(ladder):
            log.info("%s, %s: %s", ladder, rung.name, json.dumps(rung.settings))
            row = _measure(dataset, vectors, config, seeds, corpora, f"{ladder}, {rung.name}")
            row |= compare(before["accuracy"] if before else None, row["accuracy"])
            row["mended"] = [kind for kind in before["doctor"] if kind not in row["doctor"]] if before else []
            yield {"ladder": ladder, "rung": rung.name, "fault": rung.fault, "settings": rung.settings} | row
            before = row


def _measure(
    dataset: Dataset, vectors: Vectors, config: Config, seeds: Sequence[int], corpora: dict[Any, Corpus], title: str
) -> dict[str, Any]:
    """Accuracy on test and seconds of training for each seed, and what the doctor says of the first seed's model.

    Rungs that read texts alike share a corpus.
    """
    accuracy, seconds, doctor = [], [], list[str]()
    for seed in seeds:
        start, settings = prepare_vectors(dataset, vectors, config.replace(training={"seed": seed}))
        rule = {"lowercase": settings.data.lowercase, "split_unspaced": settings.data.split_unspaced}
        key = (*rule.values(), 0 if start is None else len(start.words))
        if key not in corpora:  # every seed has the same words, and a corpus says nothing of their vectors
            corpora[key] = build_corpus(dataset, start, make_config(data=rule).data)
        artifact = train_corpus(corpora[key], start, settings, title=f"{title}, seed {seed}")
        metrics = artifact.metrics
        if metrics["interrupted"]:
            raise KeyboardInterrupt
        accuracy.append(metrics["test"]["accuracy"])
        seconds.append(metrics["train_seconds"])
        if seed == seeds[0]:
            findings = examine_model(Classifier(artifact), dataset, vectors=vectors)
            doctor = [found.kind for found in at_least(findings, "warning")]
    return {
        "accuracy": accuracy,
        "accuracy_mean": float(np.mean(accuracy)),
        "accuracy_std": float(np.std(accuracy, ddof=1)) if len(seeds) > 1 else None,
        "train_seconds_median": float(np.median(seconds)),
        "doctor": doctor,
    }


def compare(before: Sequence[float] | None, after: Sequence[float]) -> dict[str, Any]:
    """What a rung is better by than the one below: points, the p-value of `welch`, and its mark.

    The mark is `**` below 0.01, `*` below 0.05, else empty; one seed tells nothing of chance.
    """
    if before is None:
        return {"points": None, "p": None, "mark": ""}
    points = 100 * float(np.mean(after) - np.mean(before))
    p = welch(before, after) if min(len(before), len(after)) > 1 else None
    return {"points": points, "p": p, "mark": "" if p is None else "**" if p < 0.01 else "*" if p < 0.05 else ""}


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p-value of Welch's t-test: how often chance alone puts two means this far apart.

    Each group has at least two measurements; the two need not spread alike.
    """
    if np.ptp(first) == np.ptp(second) == 0:  # the test divides by their spread
        return float(first[0] == second[0])
    groups = [(np.mean(group), np.std(group, ddof=1), len(group)) for group in (first, second)]
    return float(require("scipy.stats", "report").ttest_ind_from_stats(*groups[0], *groups[1], equal_var=False).pvalue)


def plot_ladder(report: dict[str, Any], path: str | Path) -> None:
    """Draw each rung's mean as a line and each seed as a dot.

    The scale of the errors is logarithmic: halving them looks alike near 50 % and near 92 %.
    """
    style, figures = require("matplotlib.style", "report"), require("matplotlib.figure", "report")
    least = 0.5 / max(1, report["texts"]["test"])  # stands for no error
    with style.context("default", after_reset=True):  # the reader's own matplotlibrc must not change the picture
        figure = figures.Figure(figsize=(8, 4.8), layout="constrained")
        axes = figure.add_subplot()
        axes.set_yscale("log")
        for ladder, color, side in zip(LADDERS, ("#1f6feb", "#d1570a"), (-0.1, 0.1), strict=True):
            rows = [row for row in report["rungs"] if row["ladder"] == ladder]
            places = np.arange(len(rows)) + side
            errors = np.maximum(least, 1 - np.array([row["accuracy"] for row in rows]))
            means = [max(least, 1 - row["accuracy_mean"]) for row in rows]
            axes.plot(places, means, color=color, linewidth=1.2, label=ladder)
            axes.plot(places, errors, "o", color=color, markersize=4, alpha=0.6, markeredgewidth=0)
        shown = [0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 0.999]
        axes.set_yticks([1 - value for value in shown], [f"{100 * value:g} %" for value in shown])
        axes.minorticks_off()
        errors = [max(least, 1 - value) for row in report["rungs"] for value in row["accuracy"]]
        axes.set_ylim(max(errors) * 1.15, min(errors) / 1.15)  # after the ticks, which widen it
        names = [rung.name for rung in RUNGS]
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
        axes.grid(axis="y", alpha=0.25, linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylabel("accuracy on test (errors: logarithmic)")
        axes.set_xlabel("repaired, with all to the left of it")
        axes.legend(frameon=False, loc="lower right")
        figure.savefig(path, dpi=150, metadata={"Software": None})
