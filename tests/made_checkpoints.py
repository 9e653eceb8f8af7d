"""Runs that were killed in the middle, made for a test, and what is expected of a run that goes on from one."""

import json
import shutil

import numpy as np
import pytest

from contract import found_by
from rubrica.data.dataset import Dataset, Examples
from rubrica.files import sha256_of
from rubrica.learning.checkpoint import Checkpoints, folder_of
from rubrica.learning.train import train
from rubrica.models.config import make_config
from rubrica.scoring.tasks import task_of
from settings import changed

FAMILIES = ("bag", "linear", "gru")
SETTINGS = [
    "training.batch_size=8",
    "training.epochs=2",
    "model.hidden_size=4",
    "model.embedding_dim=4",
    "model.num_buckets=8",
]
TEXTS = [f"{word} {other} {word}" for word in "abcdef" for other in "uvwxyz"]
NEWS = Dataset(
    "news", {"train": Examples(TEXTS, ["yes" if text < "d" else "no" for text in TEXTS])}, ("text",), "label",
    task_of(["no", "yes"], lists=False),
)  # fmt: skip


class Killed(BaseException):
    """In place of SIGKILL, where a process of its own would take too long."""


def go(family, out):
    """Train, or go on; no bag is trained for comparison, which would take ten times as long."""
    config = changed(make_config(model={"name": family}), [*SETTINGS, "model.with_linear=false"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rubrica.learning.train.baseline_scores", lambda *_: {})
        return train(NEWS, out=out, config=config, checkpoint_every=0)


def kill_at(patch, number):
    """Die behind the writing of a checkpoint; returns the stage of each written one."""
    original, written = Checkpoints.write, []

    def write(self, stage, state):
        original(self, stage, state)
        written.append(stage)
        if len(written) == number:
            raise Killed

    patch.setattr(Checkpoints, "write", write)
    return written


def stopped_run(family, place):
    """The folder of checkpoints of a run that was killed at its third."""
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 3)
        patch.setattr("rubrica.learning.loop.WINDOW", 2)
        with pytest.raises(Killed):
            go(family, place / family)
    return folder_of(place / family)


def resign(folder):
    """Make the hashes right again; a list that is none any more stays as it is."""
    try:
        listed = json.loads((folder / "checkpoint.json").read_bytes())
        for entry in listed["checkpoints"]:
            entry["sha256"] = {name: sha256_of(folder / entry["name"] / name) for name in entry["sha256"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
        return
    (folder / "checkpoint.json").write_text(json.dumps(listed))


def goes_on(family, out):
    """Whether the training goes on; then it ends with a model that answers. Nothing is left behind."""
    try:
        return found_by(_check_run, family, out) is not None
    finally:
        for left in (out, folder_of(out)):
            shutil.rmtree(left, ignore_errors=True)


def _check_run(family, out):
    model = go(family, out)
    assert all(np.isfinite(tensor).all() for tensor in model.artifact.tensors.values())
    assert set(model.predict(TEXTS)) <= {"yes", "no"}
