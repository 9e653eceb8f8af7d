"""Processes that are killed while they train, and disks that fail: the next process ends with the very same files."""

import errno
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from rubrica.models.families import FAMILIES

CHILD = """
import logging, sys
import rubrica.learning.bag, rubrica.learning.linear
logging.basicConfig(level=logging.INFO, format="%(message)s")
from rubrica.errors import RubricaError
from rubrica.learning.train import train
from rubrica.models.config import Config, make_config
family, out, *settings = sys.argv[1:]
rubrica.learning.linear._SLICE = 256
if family == "bag":  # beside a network its many epochs would take longer than the network
    rubrica.learning.bag._BATCHES = 5
training = dict(setting.split("=") for setting in settings)
config = make_config(model={"name": family}, training={name: int(value) for name, value in training.items()})
try:
    train("mini-news", out=out, config=config, checkpoint_every=0, resume=True)
except RubricaError as error:
    sys.exit(f"error: {error}")
"""


def child(out, *settings, **environment):
    command = [sys.executable, "-c", CHILD, settings[0], str(out), *settings[1:]]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def disk(tmp_path_factory):
    """A library that makes a process meet a bad disk; see its source."""
    folder = tmp_path_factory.mktemp("disk")
    source = Path(__file__).with_name("disk_faults.c")
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", folder / "faults.so", source, "-ldl"]
    if sys.platform != "linux" or subprocess.run(command, check=False).returncode:
        pytest.skip("needs Linux and gcc")
    return {"LD_PRELOAD": str(folder / "faults.so")}


def files_of(out):
    """What must be equal of two models; metrics.json holds seconds."""
    names = ("model.safetensors", "config.json", "vocab.txt", "metrics.jsonl")
    return {name: (out / name).read_bytes() for name in names}


FAULTY = ("bag", "epochs=2", "max_steps=10", "batch_size=32")


def steps_of(disk, tmp_path, fault):
    """What a whole training writes, step by step; and its files."""
    log = tmp_path / "steps"
    log.touch()
    whole = child(tmp_path / "whole", *FAULTY, FAULT_LOG=str(log), FAULT=fault, **disk)
    assert whole.returncode == 0, whole.stderr
    steps = log.read_text().splitlines()
    assert {"mkdir", "write", "fsync", "rename", "create", "unlinkat"} <= {step.split()[1] for step in steps}
    return len(steps), files_of(tmp_path / "whole")


def check_kills(disk, tmp_path, numbers):
    for number in numbers:
        out = tmp_path / f"killed-{number}"
        killed = child(out, *FAULTY, FAULT_AT=str(number), FAULT="kill", **disk)
        assert killed.returncode == -9, (number, killed.stderr)
        again = child(out, *FAULTY)
        assert again.returncode == 0, (number, again.stderr)
        assert files_of(out) == files_of(tmp_path / "whole"), number
        left = {path.name for path in tmp_path.iterdir() if out.name in path.name or path.name.startswith(".")}
        # What was killed while it wrote the model itself leaves a folder, which is swept when it is a minute old.
        assert {name for name in left if not name.startswith(".unfinished-")} == {out.name}, number


def check_faults(disk, tmp_path, numbers):
    for number, code, stays in numbers:
        out, fault = tmp_path / f"faulty-{number}-{code}-{stays}", {"FAULT_STAYS": "1"} if stays else {}
        faulty = child(out, *FAULTY, FAULT_AT=str(number), FAULT=str(code), **fault, **disk)
        assert faulty.returncode in (0, 1), (number, code, stays, faulty.stderr)
        assert "Traceback" not in faulty.stderr, (number, code, stays, faulty.stderr)
        if faulty.returncode:
            assert f"({os.strerror(code)})" in faulty.stderr.splitlines()[-1], faulty.stderr
            assert not (out / "manifest.json").exists()
        again = child(out, *FAULTY)
        assert again.returncode == 0, (number, code, stays, again.stderr)
        assert files_of(out) == files_of(tmp_path / "whole"), (number, code, stays)


def test_a_process_is_killed_at_some_steps_of_writing(disk, tmp_path):
    count, _ = steps_of(disk, tmp_path, "kill")
    check_kills(disk, tmp_path, sorted(random.Random(os.getpid()).sample(range(1, count + 1), 5)))


def test_a_disk_fails_at_some_steps_of_writing(disk, tmp_path):
    count, _ = steps_of(disk, tmp_path, "28")
    drawn = random.Random(os.getpid())
    faults = [(drawn.randint(1, count), code, stays) for code in (errno.ENOSPC, errno.EIO) for stays in (0, 1)]
    check_faults(disk, tmp_path, faults)


@pytest.mark.slow
def test_a_process_is_killed_at_every_step_of_writing(disk, tmp_path):
    count, _ = steps_of(disk, tmp_path, "kill")
    check_kills(disk, tmp_path, range(1, count + 1))


@pytest.mark.slow
@pytest.mark.parametrize(("code", "stays"), [(errno.ENOSPC, 1), (errno.EIO, 0)])
def test_a_disk_fails_at_every_step_of_writing(code, stays, disk, tmp_path):
    count, _ = steps_of(disk, tmp_path, "28")
    check_faults(disk, tmp_path, [(number, code, stays) for number in range(1, count + 1)])


def kill_at_random(family, tmp_path, kills):
    """Kill a training again and again after a random time, until it is done."""
    tmp_path.mkdir()
    given = (family, "epochs=3", "batch_size=256")  # of a network some seventy updates, with a checkpoint at each
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert child(whole, *given).returncode == 0
    drawn, command = random.Random(family), [sys.executable, "-c", CHILD, family, str(out), *given[1:]]
    for _ in range(kills):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            process.wait(drawn.uniform(0.5, 4.0))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
    assert child(out, *given).returncode == 0
    assert files_of(out) == files_of(whole)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_process_is_killed_at_random_moments(family, tmp_path):
    for turn in range(3):
        kill_at_random(family, tmp_path / str(turn), 8)
