"""A checkpoint changed on purpose, its hashes made right again: the training goes on to a model, or it is refused."""

import random
import resource
import shutil
import time

import pytest

from damage import damaged
from integers import with_numbers, with_tensor_numbers
from made_checkpoints import FAMILIES, goes_on, resign, stopped_run
from rubrica.learning.checkpoint import folder_of

pytestmark = pytest.mark.usefixtures("own_heap")

MORE_BYTES = 50 << 20
MOST_SECONDS = 1.0  # of the processor; a training takes some 30 ms


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of each kind of training that was killed at its third checkpoint: families and folders."""
    place = tmp_path_factory.mktemp("stopped")
    return {family: stopped_run(family, place) for family in FAMILIES}


def goes_on_with(family, out, place, content, *, note, signed=True):
    """`goes_on` with other bytes in a file of its checkpoints."""
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
    return found


def check(stopped, tmp_path, count, seed):
    draw, models = random.Random(seed), 0
    out = tmp_path / "out"
    for family, folder in stopped.items():
        shutil.copytree(folder, folder_of(out))
        assert goes_on(family, out)
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


def check_numbers(stopped, tmp_path, every, pattern="*.json", variants=with_numbers):
    """Every number of some files, replaced by each strange value, or every so many of these."""
    out, models, turns = tmp_path / "out", 0, 0
    for family, folder in stopped.items():
        for path in sorted(folder.rglob(pattern)):
            for what, content in variants(path.read_bytes()):
                turns += 1
                if turns % every == 0:
                    shutil.copytree(folder, folder_of(out))
                    models += goes_on_with(family, out, path.relative_to(folder), content, note=what)
    assert 0 < models <= turns  # a run whose newest tensors are broken goes on from those before


def test_some_numbers_of_a_checkpoint(stopped, tmp_path):
    check_numbers(stopped, tmp_path, 11)


@pytest.mark.slow
def test_every_number_of_a_checkpoint(stopped, tmp_path):
    check_numbers(stopped, tmp_path, 1)


def test_some_numbers_of_saved_tensors(stopped, tmp_path):
    check_numbers(stopped, tmp_path, 199, "*.safetensors", with_tensor_numbers)


@pytest.mark.slow
def test_every_number_of_saved_tensors(stopped, tmp_path):
    check_numbers(stopped, tmp_path, 1, "*.safetensors", with_tensor_numbers)


def test_changed_checkpoints(stopped, tmp_path):
    check(stopped, tmp_path, 150, 7)


@pytest.mark.slow
def test_ten_thousand_changed_checkpoints(stopped, tmp_path):
    check(stopped, tmp_path, 10_000, 8)
