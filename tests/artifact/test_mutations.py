"""A model folder changed on purpose, its hashes made right again: it answers as a model does, or is refused."""

import random
import resource
import time
from dataclasses import replace

import pytest

from contract import check_model, found_by
from damage import damaged
from made_models import OF_EACH_KIND, make_bag, random_artifact, resign
from rubrica.artifact.folder import FILES, save_artifact
from rubrica.models.storage import store_tensors

pytestmark = pytest.mark.usefixtures("own_heap")

MORE_BYTES = 50 << 20
MOST_SECONDS = 1.0  # of the processor; a folder takes some milliseconds


def stored(artifact, storage):
    """The model with its tables in fewer bytes."""
    return replace(artifact, tensors=store_tensors(artifact.tensors, storage), storage=storage)


MADE = OF_EACH_KIND | {
    "hs": lambda: make_bag(2, 13, "model.loss=hs", "model.max_n=4"),
    "int8": lambda: stored(random_artifact("lstm", lists=False), "int8"),
    "int4": lambda: stored(random_artifact("rnn", lists=True), "int4"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small folder of each family."""
    place = tmp_path_factory.mktemp("whole")
    return [save_artifact(make(), place / name) for name, make in MADE.items()]


def check(folders, count, seed):
    draw = random.Random(seed)
    for folder in folders:
        assert found_by(check_model, folder)
    before, models = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for _ in range(count):
        folder = draw.choice(folders)
        name = draw.choice([*FILES, "config.json", "config.json", "model.safetensors", "manifest.json"])
        whole = (folder / name).read_bytes()
        changed = damaged(whole, draw, early=draw.choice([8, 400, len(whole)]))
        (folder / name).write_bytes(changed)
        if name != "manifest.json":
            resign(folder)
        started = time.process_time()
        try:
            models += found_by(check_model, folder) is not None
            assert time.process_time() - started < MOST_SECONDS
        except BaseException as error:
            error.add_note(f"{folder.name}/{name}: {changed[:2000]!r}")
            raise
        (folder / name).write_bytes(whole)
        resign(folder)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert more < MORE_BYTES, f"{more >> 20} MB more"
    assert 0 < models < count


def test_changed_folders(folders):
    check(folders, 400, 7)


@pytest.mark.slow
def test_thirty_thousand_changed_folders(folders):
    check(folders, 30_000, 8)
