"""Two processes that train one network do what one process does, but for rounding."""

import csv
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from made_networks import NETWORKS
from rubrica.artifact.folder import load_artifact
from rubrica.kernels import native

MEMBER = Path(__file__).with_name("team_member.py")
QUICK = [
    "training.batch_size=31", "training.epochs=2", "model.hidden_size=8", "model.embedding_dim=6",
    "training.dropout=0.2", "training.word_dropout=0.1", "training.lr=0.003",
]  # fmt: skip
MORE = {
    "cnn": ["model.mask_padding=false", "training.adversarial=0.0", "training.label_smoothing=0.0"],
    "kim": ["training.similar_lengths=false", "training.class_weight=balanced"],
    "rnn": ["model.mask_padding=false", "training.adversarial=0.0", "training.batch_size=2"],
    "gru": ["model.bidirectional=true", "model.pooling=attention", "training.class_weight=balanced"],
    "lstm": ["training.dense_updates=true", "training.adversarial=0.0", "training.similar_lengths=false"],
    "mingru": ["model.pooling=last"],
    "drnn": ["model.mask_padding=false"],
}
UNJUDGED = ["data.validation_fraction=0.0"]  # else a factor of the weights is what few held-out texts say
CASES = {name: [*settings, *QUICK, *UNJUDGED, *MORE[name]] for name, settings in NETWORKS.items()}
CASES["judged"] = ["model.name=gru", *QUICK, "training.patience=1", "training.epochs=6"]


@pytest.fixture
def data(tiny_news, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name, examples in tiny_news.splits.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["label", "text"], *zip(examples.labels, examples.texts, strict=True)])
    return folder


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(count, arguments, **environment):
    """Processes of a team, as torchrun starts them."""
    path = os.pathsep.join([str(MEMBER.parents[1]), os.environ.get("PYTHONPATH", "")])
    everyone = os.environ | environment | {"PYTHONPATH": path}
    if count > 1:
        everyone |= {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, *map(str, arguments)]
    return [
        subprocess.Popen(command, env=everyone | {"RANK": str(number)}, stderr=subprocess.PIPE, text=True)
        for number in range(count)
    ]


def run(count, folder, data, cases, **environment):
    """Train in some processes, all of which must end well; what they print on stderr."""
    folder.mkdir(exist_ok=True)
    (folder / "cases.json").write_text(json.dumps(cases))
    team = start(count, [MEMBER, data, folder, folder / "cases.json"], **environment)
    texts = [process.communicate(timeout=300)[1] for process in team]
    assert [process.returncode for process in team] == [0] * count, texts
    return texts


def read(folder, name, number):
    with np.load(folder / f"{name}-{number}.npz") as file:
        tensors = {key: file[key] for key in file}
    return tensors, *json.loads((folder / f"{name}-{number}.json").read_text())


@pytest.mark.parametrize("kernels", ["native", "numpy"])
def test_two_processes_learn_what_one_learns(tmp_path, data, kernels):
    if kernels == "native" and native.library() is None:
        pytest.skip("no native core")
    run(1, tmp_path / "one", data, CASES, RUBRICA_KERNELS=kernels)
    run(2, tmp_path / "two", data, CASES, RUBRICA_KERNELS=kernels)
    for name in CASES:
        alone, records, metrics = read(tmp_path / "one", name, 0)
        first, found, scores = read(tmp_path / "two", name, 0)
        second, *_ = read(tmp_path / "two", name, 1)
        assert first.keys() == alone.keys()
        for key, tensor in first.items():
            assert tensor.tobytes() == second[key].tobytes(), (name, key)  # both took the same steps
            if name == "judged":
                continue
            # The normalization takes off what a convolution's bias adds, so the gradient of the bias is all rounding.
            if not (name == "cnn" and key.endswith(("bias", "running_mean"))):
                np.testing.assert_allclose(tensor, alone[key], atol=2e-3, err_msg=f"{name} {key}")
        assert len(found) == len(records) > 5
        for line, expected in zip(found, records, strict=True):
            assert line == pytest.approx(expected, abs=1e-4), name
        assert scores["test"]["loss"] == pytest.approx(metrics["test"]["loss"], abs=1e-3)
        assert load_artifact(tmp_path / "two" / name).metrics["steps"] == metrics["steps"]


def test_a_team_that_was_killed_goes_on(tmp_path, data):
    cases = {"gru": [*NETWORKS["gru"], *QUICK, "training.batch_size=4", "training.epochs=4"]}
    run(2, tmp_path / "whole", data, cases)
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "cases.json").write_text(json.dumps(cases))
    team = start(2, [MEMBER, data, folder, folder / "cases.json"])
    listed = folder / "gru.checkpoint" / "checkpoint.json"
    while not listed.exists():
        assert all(process.poll() is None for process in team)
        time.sleep(0.01)
    for process in team:
        process.kill()
        process.communicate()
    assert listed.exists()
    run(2, folder, data, cases)
    for number in range(2):
        expected, found = (read(tmp_path / name, "gru", number) for name in ("whole", "killed"))
        assert all(tensor.tobytes() == expected[0][name].tobytes() for name, tensor in found[0].items())
        assert found[1] == expected[1]


def torchrun(*arguments):
    """A command under torchrun, in two processes of this machine; its exit code and what it printed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "rubrica"]
    found = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    return found.returncode, found.stdout + found.stderr


def test_the_command_under_torchrun(tmp_path, data):
    flags = ["--set", "model.hidden_size=8", "--epochs", "2", "--out", tmp_path / "model"]
    code, output = torchrun("train", data, "--model", "gru", *flags)
    assert code == 0, output
    assert output.count("the model is in") == 1  # one process tells
    assert load_artifact(tmp_path / "model").metrics["run"]["processes"] == 2
    code, output = torchrun("train", data, "--model", "bag", "--out", tmp_path / "bag")
    assert code != 0
    assert "torchrun trains networks, and one process trains a bag model; run rubrica without torchrun" in output
    code, output = torchrun("train", data, "--model", "gru", "--time-budget", "9s", "--out", tmp_path / "short")
    assert code != 0
    assert "a time budget is for one process; leave it out, or run rubrica without torchrun" in output
