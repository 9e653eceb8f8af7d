"""Two processes that train one network do what one process does, but for rounding."""

import csv
import json
import os
import shutil
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
    "training.dropout=0.2", "training.word_dropout=0.1", "training.lr=0.003", "training.storage=float32",
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
CASES["some-alone"] = [*NETWORKS["kim"], *QUICK, *UNJUDGED, "training.batch_size=53"]  # a batch of one text is left
CASES["several"] = CASES["gru"]
CASES["thawed"] = [*CASES["mingru"], "training.freeze_steps=4"]
CASES["judged"] = ["model.name=gru", *QUICK, "training.patience=1", "training.epochs=6"]
THREE = ("cnn", "several", "thawed")


@pytest.fixture
def data(tiny_news, tiny_vectors, tmp_path):
    """Texts of one label, texts of several, and word vectors."""
    folder = tmp_path / "data"
    for kind in ("news", "several"):
        (folder / kind).mkdir(parents=True)
    for name, examples in tiny_news.splits.items():
        with (folder / "news" / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["label", "text"], *zip(examples.labels, examples.texts, strict=True)])
        rows = [
            json.dumps({"text": text, "label": [label, "wins"] if "wins" in text else [label]})
            for text, label in zip(examples.texts, examples.labels, strict=True)
        ]
        (folder / "several" / f"{name}.jsonl").write_text("\n".join(rows))
    lines = [
        " ".join([word, *map(str, row)]) for word, row in zip(tiny_vectors.words, tiny_vectors.matrix, strict=True)
    ]
    (folder / "vectors.txt").write_text("\n".join(lines))
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
        everyone |= {
            "OMP_NUM_THREADS": "1",
            "WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
        }
    command = [sys.executable, "-W", "error:::torch", *map(str, arguments)]
    return [
        subprocess.Popen(
            command, env=everyone | ({"RANK": str(number)} if count > 1 else {}), stderr=subprocess.PIPE, text=True
        )
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


@pytest.mark.parametrize("kernels", ["native", pytest.param("numpy", marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_learns(tmp_path, data, kernels):
    if kernels == "native" and native.library() is None:
        pytest.skip("no native core")
    run(1, tmp_path / "one", data, CASES, RUBRICA_KERNELS=kernels)
    run(2, tmp_path / "two", data, CASES, RUBRICA_KERNELS=kernels)
    run(3, tmp_path / "three", data, {name: CASES[name] for name in THREE}, RUBRICA_KERNELS=kernels)
    compare(tmp_path / "one", tmp_path / "two", 2, CASES)
    compare(tmp_path / "one", tmp_path / "three", 3, THREE)


def compare(one, team, count, names):
    """Each process learned the same, and what one process learned."""
    for name in names:
        alone, records, metrics = read(one, name, 0)
        first, found, scores = read(team, name, 0)
        others = [read(team, name, number)[0] for number in range(1, count)]
        assert first.keys() == alone.keys()
        for key, tensor in first.items():
            assert all(tensor.tobytes() == other[key].tobytes() for other in others), (name, key)  # the same steps
            if name == "judged":
                continue
            # The normalization takes off what a convolution's bias adds, so the gradient of the bias is all rounding.
            if not (name == "cnn" and key.endswith(("bias", "running_mean"))):
                np.testing.assert_allclose(tensor, alone[key], atol=2e-3, err_msg=f"{name} {key}")
        assert len(found) == len(records) > 5
        for line, expected in zip(found, records, strict=True):
            assert line == pytest.approx(expected, abs=1e-4), name
        assert scores["test"]["loss"] == pytest.approx(metrics["test"]["loss"], abs=1e-3)
        assert load_artifact(team / name).metrics["steps"] == metrics["steps"]


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
    said = run(2, folder, data, cases)
    assert all("goes on from" in text for text in said)
    for number in range(2):
        expected, found = (read(tmp_path / name, "gru", number) for name in ("whole", "killed"))
        assert all(tensor.tobytes() == expected[0][name].tobytes() for name, tensor in found[0].items())
        assert found[1] == expected[1]


def test_processes_of_another_training_are_told_apart(tmp_path, data):
    (tmp_path / "cases.json").write_text(json.dumps({"gru": [*NETWORKS["gru"], *QUICK]}))
    other = tmp_path / "other"
    shutil.copytree(data, other)
    lines = (other / "news" / "train.csv").read_text().splitlines(keepends=True)
    (other / "news" / "train.csv").write_text("".join([lines[0], *lines[:0:-1]]))  # the same rows in another order
    port = str(free_port())
    team = []
    for number, folder in enumerate((data, other)):
        (tmp_path / str(number)).mkdir()
        arguments = [MEMBER, folder, tmp_path / str(number), tmp_path / "cases.json"]
        more = {"WORLD_SIZE": "2", "RANK": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        team += start(1, arguments, **more)
    for process in team:
        assert "has other texts than process" in process.communicate(timeout=300)[1]
        assert process.returncode != 0


def torchrun(*arguments):
    """A command under torchrun, in two processes of this machine; its exit code and what it printed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "rubrica"]
    found = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    return found.returncode, found.stdout + found.stderr


def test_the_command_under_torchrun(tmp_path, data):
    flags = ["--set", "model.hidden_size=8", "--epochs", "2", "--out", tmp_path / "model"]
    code, output = torchrun("train", data / "news", "--model", "gru", *flags)
    assert code == 0, output
    assert output.count("the model is in") == 1  # one process tells
    assert load_artifact(tmp_path / "model").metrics["run"]["processes"] == 2
    code, output = torchrun("train", data / "news", "--model", "bag", "--out", tmp_path / "bag")
    assert code != 0
    assert "torchrun trains networks, and one process trains a bag model; run rubrica without torchrun" in output
    code, output = torchrun(
        "train", data / "news", "--model", "gru", "--time-budget", "9s", "--out", tmp_path / "short"
    )
    assert code != 0
    assert "a time budget is for one process; leave it out, or run rubrica without torchrun" in output
