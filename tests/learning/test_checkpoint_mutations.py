"""A checkpoint changed on purpose, its hashes made right again: the training goes on to a model, or it is refused."""

import json
import random
import resource
import shutil
import time

import numpy as np
import pytest

from damage import damaged
from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import RubricaError
from rubrica.files import sha256_of
from rubrica.learning.checkpoint import Checkpoints, folder_of
from rubrica.learning.train import train
from rubrica.models.config import make_config
from rubrica.scoring.tasks import task_of
from settings import changed

MORE_BYTES = 50 << 20
MOST_SECONDS = 1.0  # of the processor; a training takes some 30 ms
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
    """In place of SIGKILL."""


def go(family, out):
    config = changed(make_config(model={"name": family}), [*SETTINGS, "model.with_linear=false"])
    return train(NEWS, out=out, config=config, checkpoint_every=0)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of each kind of training that was killed at its third checkpoint: families and folders."""
    place, runs = tmp_path_factory.mktemp("stopped"), {}
    for family in ("bag", "linear", "gru"):
        with pytest.MonkeyPatch.context() as patch:
            original, written = Checkpoints.write, []

            def write(self, stage, state, original=original, written=written):
                original(self, stage, state)
                written.append(stage)
                if len(written) == 3:
                    raise Killed

            patch.setattr(Checkpoints, "write", write)
            patch.setattr("rubrica.learning.train.baseline_scores", lambda *_: {})
            patch.setattr("rubrica.learning.loop.WINDOW", 2)
            with pytest.raises(Killed):
                go(family, place / family)
        runs[family] = folder_of(place / family)
    return runs


def resign(folder):
    """Make the hashes right again; a list that is none any more stays as it is."""
    try:
        listed = json.loads((folder / "checkpoint.json").read_bytes())
        for entry in listed["checkpoints"]:
            entry["sha256"] = {name: sha256_of(folder / entry["name"] / name) for name in entry["sha256"]}
    except (ValueError, KeyError, TypeError, OSError):
        return
    (folder / "checkpoint.json").write_text(json.dumps(listed))


def goes_on(family, out):
    """Whether the training goes on; then it ends with a model that answers."""
    try:
        model = go(family, out)
    except RubricaError:
        return False
    assert all(np.isfinite(tensor).all() for tensor in model.artifact.tensors.values())
    assert set(model.predict(TEXTS)) <= {"yes", "no"}
    return True


def goes_on_with(family, out, place, content, *, note, signed=True):
    """`goes_on` with other bytes in a file of its checkpoints; nothing is left behind."""
    (folder_of(out) / place).write_bytes(content)
    if signed:
        resign(folder_of(out))
    started = time.process_time()
    try:
        found = goes_on(family, out)
        assert time.process_time() - started < MOST_SECONDS
    except BaseException as error:
        error.add_note(f"{family} {place}: {note}")
        raise
    for left in (out, folder_of(out)):
        shutil.rmtree(left, ignore_errors=True)
    return found


def check(stopped, tmp_path, monkeypatch, count, seed):
    monkeypatch.setattr("rubrica.learning.train.baseline_scores", lambda *_: {})
    draw, models = random.Random(seed), 0
    out = tmp_path / "out"
    for family, folder in stopped.items():
        shutil.copytree(folder, folder_of(out))
        assert goes_on(family, out)
        shutil.rmtree(out)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(count):
        family = draw.choice(list(stopped))
        shutil.copytree(stopped[family], folder_of(out))
        path = draw.choice(sorted(path for path in folder_of(out).rglob("*") if path.is_file()))
        whole, place = path.read_bytes(), path.relative_to(folder_of(out))
        content = damaged(whole, draw, early=draw.choice([8, 400, len(whole)]))
        models += goes_on_with(family, out, place, content, note=repr(content[:2000]), signed=draw.random() < 0.9)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert more < MORE_BYTES, f"{more >> 20} MB more"
    assert 0 < models < count


def numbers_in(tree, way=()):
    """The ways to every number of a JSON tree."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from numbers_in(value, (*way, key))
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield way


STRANGE = [-1, 0, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63, 2**64, 0.5, 1e300, True, "1", None, []]


def check_numbers(stopped, tmp_path, monkeypatch, every):
    """Every number of the files of JSON, replaced by each strange value, or every so many of these."""
    monkeypatch.setattr("rubrica.learning.train.baseline_scores", lambda *_: {})
    out, models, turns = tmp_path / "out", 0, 0
    for family, folder in stopped.items():
        for path in sorted(folder.rglob("*.json")):
            tree = json.loads(path.read_bytes())
            for way in numbers_in(tree):
                for value in STRANGE:
                    turns += 1
                    if turns % every:
                        continue
                    shutil.copytree(folder, folder_of(out))
                    changed_tree = json.loads(path.read_bytes())
                    place = changed_tree
                    for key in way[:-1]:
                        place = place[key]
                    place[way[-1]] = value
                    content = json.dumps(changed_tree).encode()
                    models += goes_on_with(family, out, path.relative_to(folder), content, note=f"{way}: {value!r}")
    assert 0 < models < turns


def test_some_numbers_of_a_checkpoint(stopped, tmp_path, monkeypatch):
    check_numbers(stopped, tmp_path, monkeypatch, 11)


@pytest.mark.slow
def test_every_number_of_a_checkpoint(stopped, tmp_path, monkeypatch):
    check_numbers(stopped, tmp_path, monkeypatch, 1)


def test_changed_checkpoints(stopped, tmp_path, monkeypatch):
    check(stopped, tmp_path, monkeypatch, 150, 7)


@pytest.mark.slow
def test_ten_thousand_changed_checkpoints(stopped, tmp_path, monkeypatch):
    check(stopped, tmp_path, monkeypatch, 10_000, 8)
