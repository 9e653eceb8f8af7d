"""The seminar's five experiments, one after the other, and what came out.

Each is a recipe file (`recipes/seminar-*.toml`) that runs through the one training loop; nothing here knows how to
train. Test is scored once, at the end of each.
"""

import json
import logging
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rubrica.artifact.folder import Artifact, check_writable, save_artifact
from rubrica.config.groups import DataSettings
from rubrica.corpus.corpus import Corpus, build_corpus
from rubrica.data.dataset import Dataset, check_trainable
from rubrica.environment import processor, versions
from rubrica.errors import DataError, require
from rubrica.files import written_whole
from rubrica.learning.training import train_corpus
from rubrica.models.config import load_recipe
from rubrica.scoring.tasks import check_labels
from rubrica.seminar.report import render_seminar
from rubrica.text.vocab import Vocab
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)


class Printed(NamedTuple):
    """What the seminar itself printed: 120,000 AG News texts, glove-twitter-50, official test split."""

    loss: float | None
    accuracy: float | None


EXPERIMENTS = {
    "cnn": Printed(None, None),  # not printed; said to be like gru-vectors
    "rnn": Printed(1.4489, 0.2504),
    "gru": Printed(0.7940, 0.6874),
    "gru-vectors": Printed(0.5264, 0.8236),
    "gru-frozen": Printed(0.4586, 0.8428),
}


def run_seminar(dataset: Dataset, vectors: Vectors, out: str | Path) -> dict[str, Any]:
    """Run the five experiments and write what came out.

    Ctrl-C ends it; the experiments that are done are kept.

    Args:
        dataset: Needs the splits train and test.
        vectors: Their words are the vocabulary of all five; their values start the last two.
        out: A new folder: `results.json`, `report.html`, and the trained models under `models/`.

    Returns:
        What `report.render_seminar` takes.

    Raises:
        DataError: If a split is missing or cannot be trained on.
        ArtifactError: If `out` is not empty or cannot be written.
        MissingExtraError: If matplotlib or Jinja2 is not installed.
    """
    out = check_writable(out)
    for library in ("matplotlib", "jinja2"):
        require(library, "report")  # before minutes of work, not after
    started = time.perf_counter()
    check_scorable(dataset)
    recipes = {name: load_recipe(f"seminar-{name}") for name in EXPERIMENTS}
    corpus = build_corpus(dataset, vectors, recipes["cnn"].data)  # the five read the same ids
    experiments = []
    for name, recipe in recipes.items():
        try:
            artifact = train_corpus(corpus, vectors, recipe, title=name)
            if artifact.metrics["interrupted"]:
                raise KeyboardInterrupt
            save_artifact(artifact, out / "models" / name)
        except KeyboardInterrupt:
            log.warning("interrupted: %s and what would follow are left out", name)
            break
        experiments.append(_outcome(name, artifact))
    if not experiments:
        raise KeyboardInterrupt  # there is nothing to report
    command = ["rubrica", "seminar", "--data", dataset.name, "--vectors", vectors.source, "--out", str(out)]
    report = {
        "command": shlex.join(command),
        "data": _describe(dataset, corpus, vectors, recipes["cnn"].data),
        "experiments": experiments,
        "seed": recipes["cnn"].training.seed,
        "machine": processor(),
        "versions": ", ".join(" ".join(map(str, pair)) for pair in versions(("rubrica", "torch")).items()),
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": time.perf_counter() - started,
        "interrupted": len(experiments) < len(EXPERIMENTS),
    }
    keys = ("experiment", "loss", "accuracy", "train_seconds")
    results = [{key: experiment[key] for key in keys} for experiment in experiments]
    write_text(out / "results.json", json.dumps(results, indent=2) + "\n")
    write_text(out / "report.html", render_seminar(report))
    return report


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        FileError: If it cannot be written.
    """
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


def check_scorable(dataset: Dataset) -> None:
    """Make sure that the seminar's networks can be trained on the data and scored on its test split.

    Raises:
        DataError: If not: the message says what is missing.
    """
    check_trainable(dataset)
    check_labels(dataset.task, "the seminar")
    if not dataset.task.has_confusion:
        problem = "texts with several labels; in the seminar's experiments each text has one"
        raise DataError(dataset.name, f'{problem}: use rubrica train, or pass --label-separator ""')
    if "test" not in dataset.splits:
        problem = "no test split; the seminar scores on test: give a folder with train.* and test.*"
        raise DataError(dataset.name, problem)
    for name, examples in dataset.splits.items():
        try:
            dataset.task.encode(examples.labels)  # the page compares the classes of train, and no others
        except ValueError as error:
            raise DataError(f"{dataset.name} ({name})", str(error)) from None


def _outcome(name: str, artifact: Artifact) -> dict[str, Any]:
    test, training = artifact.metrics["test"], artifact.config.to_dict()["training"]
    curve = [record for record in artifact.history if "loss" in record]
    return {
        "experiment": name,
        "loss": test["mean_batch_loss"],
        "accuracy": test["accuracy"],
        "train_seconds": artifact.metrics["train_seconds"],
        "updates": artifact.metrics["steps"],
        "seminar_loss": EXPERIMENTS[name].loss,
        "seminar_accuracy": EXPERIMENTS[name].accuracy,
        "confusion": test["confusion"],
        "curve": {
            shown: [record[key] for record in curve]
            for shown, key in (("update", "step"), ("loss", "loss"), ("accuracy", "accuracy"))
        },
        "thaw_update": training["freeze_steps"] or None,
    }


def _describe(dataset: Dataset, corpus: Corpus, vectors: Vectors, config: DataSettings) -> dict[str, Any]:
    tokens = corpus.splits["test"].tokens
    vocab = Vocab.from_vectors(
        vectors.words, lowercase=corpus.vocab.lowercase, split_unspaced=corpus.vocab.split_unspaced
    )
    unknown = vocab.unknown_words(dataset.splits["test"].texts, config.max_length)
    return {
        "name": Path(dataset.name).name,
        "train_texts": len(dataset.splits["train"].texts),
        "test_texts": len(dataset.splits["test"].texts),
        "labels": list(dataset.task.labels),
        "vectors": Path(vectors.source).name,
        "vector_words": len(vectors.words),
        "dim": vectors.dim,
        "words_used": len(corpus.rows),
        "unknown_share": unknown.total() / max(1, len(tokens.ids)),
        "unknown_words": unknown.most_common(20),
        "tokens_per_text": float(np.mean(tokens.lengths)),
    }
