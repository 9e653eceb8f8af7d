"""The ladder: the seminar's two recurrent networks, mended one fault at a time, and what each repair bought.

Each rung keeps all repairs below it. Below stands the seminar's recipe, on top what `rubrica train` does by itself; the
one table RUNGS says all in between, and nothing else here knows of a rung. Test is scored at the end of each training:
the rungs are fixed and known, and nothing is chosen by what they score.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rubrica.artifact.folder import check_writable
from rubrica.corpus.corpus import Corpus, build_corpus
from rubrica.data.dataset import Dataset
from rubrica.environment import processor, versions
from rubrica.errors import require
from rubrica.files import written_whole
from rubrica.learning.train import prepare_vectors
from rubrica.learning.training import train_corpus
from rubrica.models.config import Config, load_recipe, make_config
from rubrica.seminar.experiments import check_scorable
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)


class Rung(NamedTuple):
    """A fault, and the settings that repair it."""

    name: str
    fault: str
    settings: dict[str, dict[str, Any]]


LADDERS = ("rnn", "gru")
RUNGS = (
    Rung("seminar", "the seminar's recipe, with all its faults", {}),
    Rung("case", "capitals, which the vectors do not know", {"data": {"lowercase": "auto"}}),
    Rung("masks", "padding is read as words", {"model": {"mask_padding": True}, "training": {"similar_lengths": True}}),
    Rung("init", "parameters from U[0, 1) saturate the state", {"model": {"init": "torch"}}),
    Rung("pooling", "only the last state is looked at", {"model": {"pooling": "average_max"}}),
    Rung("small words", "word vectors start large: much noise to unlearn", {"model": {"embedding_std": 0.2}}),
    Rung(
        "directions", "a state knows only what stood before it",
        {"model": {"bidirectional": True, "hidden_size": 64}},
    ),
    Rung(
        "steps", "steps as large at the end as ever, and of absent words too",
        {"training": {"lr": 8e-3, "batch_size": 0, "warmup": 0.05, "decay": "linear", "dense_updates": False}},
    ),
    Rung(
        "dropout", "texts are learned by heart",
        {"training": {"dropout": 0.05, "word_dropout": 0.2, "label_smoothing": 0.05}},
    ),
    Rung(
        "epochs", "one epoch, and none held out to judge it",
        {"training": {"epochs": 0}, "data": {"validation_fraction": 0.1}},
    ),
    # One rung: without the second setting the file's numbers come in as large as they are, which mends and breaks.
    Rung(
        "vectors", "words start as noise, or are all one",
        {"model": {"embedding": "pretrained", "extend_vectors": True}, "training": {"freeze_steps": 300}},
    ),
    Rung("neighbours", "words a little different get other answers", {"training": {"adversarial": 1.5}}),
    Rung(
        "n-grams", "no feature for a phrase or a word's parts",
        {"model": {"with_linear": True}, "training": {"storage": "int8"}},
    ),
)  # fmt: skip

SEEDS = (0xDEAD, *range(1, 100))
"""The seminar's own is the first."""


def climb(ladder: str) -> Iterator[tuple[Rung, Config]]:
    """Yield the rungs, from below, with all settings that hold there."""
    config = load_recipe(f"seminar-{ladder}")
    for rung in RUNGS:
        config = config.replace(**rung.settings)
        yield rung, config


def run_ladder(
    dataset: Dataset,
    vectors: Vectors,
    out: str | Path,
    *,
    seeds: Sequence[int] = SEEDS[:5],
    on_rung: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train every rung with every seed and write what came out.

    Ctrl-C ends it; the rungs that are done are kept.

    Args:
        dataset: Needs the splits train and test.
        vectors: Their words are the vocabulary; their values start the upper rungs.
        out: A new folder: `ladder.json`, written anew after every rung, and `ladder.png` at the end.
        seeds: At least one; with one there is neither spread nor significance.
        on_rung: Called with each rung's part of the report, as it ends.

    Returns:
        What `ladder.json` holds.

    Raises:
        DataError: If a split is missing or cannot be trained on.
        ArtifactError: If `out` is not empty or cannot be written.
        MissingExtraError: If matplotlib is not installed.
    """
    out = check_writable(out)
    require("matplotlib", "report")  # before minutes of work, not after
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
            _write(out / "ladder.json", report)
            done, total = len(report["rungs"]), len(LADDERS) * len(RUNGS)
            left = report["seconds"] / done * (total - done)
            log.info("%d of %d rungs in %.0f s, about %.0f s to go", done, total, report["seconds"], left)
            if on_rung is not None:
                on_rung(row)
    except KeyboardInterrupt:
        if not report["rungs"]:
            raise  # there is nothing to report
        report["interrupted"] = True
        _write(out / "ladder.json", report)
        log.warning("interrupted; the %d rungs that are done are kept in %s", len(report["rungs"]), out / "ladder.json")
    plot_ladder(report, out / "ladder.png")
    return report


def _climb_all(dataset: Dataset, vectors: Vectors, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Measure every rung of both ladders; yields each one's part of the report."""
    corpora: dict[tuple[bool, bool], Corpus] = {}
    for ladder in LADDERS:
        before: list[float] | None = None
        for rung, config in climb(ladder):
            log.info("%s, %s: %s", ladder, rung.name, json.dumps(rung.settings))
            row = _measure(dataset, vectors, config, seeds, corpora, f"{ladder}, {rung.name}")
            row = {"ladder": ladder, "rung": rung.name, "fault": rung.fault, "settings": rung.settings} | row
            row |= compare(before, row["accuracy"])
            before = row["accuracy"]
            yield row


def _measure(
    dataset: Dataset,
    vectors: Vectors,
    config: Config,
    seeds: Sequence[int],
    corpora: dict[tuple[bool, bool], Corpus],
    title: str,
) -> dict[str, Any]:
    """Accuracy on test and seconds of training, one of each a seed; texts are numbered once for all who read alike."""
    accuracy, seconds = [], []
    for seed in seeds:
        start, settings = prepare_vectors(dataset, vectors, config.replace(training={"seed": seed}))
        key = (settings.data.lowercase is True, start is not vectors)
        if key not in corpora:  # every seed has the same words, and a corpus says nothing of their vectors
            corpora[key] = build_corpus(dataset, start, make_config(data={"lowercase": settings.data.lowercase}).data)
        metrics = train_corpus(corpora[key], start, settings, title=f"{title}, seed {seed}").metrics
        if metrics["interrupted"]:
            raise KeyboardInterrupt
        accuracy.append(metrics["test"]["accuracy"])
        seconds.append(metrics["train_seconds"])
    std_of = float(np.std(accuracy, ddof=1)) if len(seeds) > 1 else None
    return {
        "accuracy": accuracy,
        "accuracy_mean": float(np.mean(accuracy)),
        "accuracy_std": std_of,
        "train_seconds_median": float(np.median(seconds)),
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

    Args:
        first: At least two measurements.
        second: At least two others; the two groups need not spread alike.
    """
    if not np.var(first) and not np.var(second):  # the test divides by their spread
        return float(np.mean(first) == np.mean(second))
    return float(require("scipy.stats", "report").ttest_ind(first, second, equal_var=False).pvalue)


def _write(path: Path, report: dict[str, Any]) -> None:
    with written_whole(path) as part:
        part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def plot_ladder(report: dict[str, Any], path: str | Path) -> None:
    """Draw each rung's mean as a line and each seed as a dot.

    The errors stand on a logarithmic scale: that half of them go looks alike near 50 % and near 92 %.
    """
    matplotlib = require("matplotlib", "report")
    figures = require("matplotlib.figure", "report")
    least = 0.5 / max(1, report["texts"]["test"])  # stands for no error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the reader's own matplotlibrc must not change the picture
        figure = figures.Figure(figsize=(8, 4.8), layout="constrained")
        axes = figure.add_subplot()
        axes.set_yscale("log")
        for ladder, color, side in zip(LADDERS, ("#1f6feb", "#d1570a"), (-0.1, 0.1), strict=True):
            rows = [row for row in report["rungs"] if row["ladder"] == ladder]
            places = np.arange(len(rows)) + side
            means = [max(least, 1 - row["accuracy_mean"]) for row in rows]
            axes.plot(places, means, color=color, linewidth=1.2, label=ladder)
            for place, row in zip(places, rows, strict=True):
                errors = np.maximum(least, 1 - np.array(row["accuracy"]))
                axes.plot([place] * len(errors), errors, "o", color=color, markersize=4, alpha=0.6, markeredgewidth=0)
        errors = [max(least, 1 - value) for row in report["rungs"] for value in row["accuracy"]]
        axes.set_ylim(max(errors) * 1.15, min(errors) / 1.15)
        shown = [0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 0.999]
        axes.set_yticks([1 - value for value in shown], [f"{100 * value:g} %" for value in shown])
        axes.minorticks_off()
        axes.set_ylim(max(errors) * 1.15, min(errors) / 1.15)  # the ticks had widened it
        names = [rung.name for rung in RUNGS]
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
        axes.grid(axis="y", alpha=0.25, linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylabel("accuracy on test (errors: logarithmic)")
        axes.set_xlabel("repaired, with all to the left of it")
        axes.legend(frameon=False, loc="lower right")
        figure.savefig(path, dpi=150, metadata={"Software": None})
