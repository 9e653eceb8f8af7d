"""`~` is the user's folder in every path of the command and of the library, and no folder of that name is made."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rubrica
from made_models import make_artifact
from rubrica.artifact.folder import load_artifact, save_artifact
from rubrica.errors import ArtifactError, FileError, VectorsError
from rubrica.export.shrink import export_model
from rubrica.files import cache_folder, check_place
from rubrica.learning.train import train
from rubrica.vectors.stored import read_vectors, save_vectors
from rubrica.vectors.word_vectors import Vectors

TEXTS = "text,label\n" + "red apple pie,food\nblue deep sea,water\n" * 12
NOBODY = "~nobody-has-this-name"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's folder, with texts in it, and another folder to work in, which must stay empty."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    (home / "fruit.csv").write_text(TEXTS)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)
    yield home
    assert not list(here.iterdir())


def run(*arguments):
    """Run the command in a process of its own, which no shell has read before: output, code."""
    command = [sys.executable, "-m", "rubrica", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    return done.stdout + done.stderr, done.returncode


def test_the_command_knows_the_home_folder(home):
    (home / "mine.toml").write_text('[model]\nname = "bag"\n')
    commands = [
        ["train", "~/fruit.csv", "--recipe", "~/mine.toml", "--out", "~/models/bag"],
        ["evaluate", "~/models/bag", "~/fruit.csv"],
        ["predict", "~/models/bag", "~/fruit.csv"],
        ["info", "~/models/bag"],
        ["export", "~/models/bag", "--int8", "--out", "~/small"],
        ["quantize", "~/models/bag", "--max-size", "10M", "--out", "~/smaller"],
        ["vectors", "train", "~/fruit.csv", "--dim", "4", "--out", "~/own.vec"],
        ["data", "~/fruit.csv", "--vectors", "~/own.vec"],
    ]
    for command in commands:
        output, code = run(*command)
        assert code == 0, output
    assert f"words x 4 written to {home / 'own.vec'}" in run(*commands[6])[0]
    made = {path.name for path in home.iterdir()}
    assert made == {"fruit.csv", "mine.toml", "models", "small", "smaller", "own.vec"}


def test_the_library_knows_the_home_folder(home):
    (home / "mine.toml").write_text("[training]\nseed = 7\n")
    config = rubrica.load_recipe("~/mine.toml")
    assert config.training.seed == 7
    train("~/fruit.csv", config=rubrica.make_config(model={"name": "bag"}), out="~/bag")
    assert rubrica.load("~/bag").labels == list(load_artifact(home / "bag").task.labels)
    assert save_artifact(make_artifact(), "~/gru") == home / "gru"
    assert (home / "gru" / "config.json").is_file()
    export_model(Path("~/gru"), Path("~/gru.onnx"), lambda artifact: artifact, onnx=True)
    assert (home / "gru.onnx").is_file()
    assert (home / "gru.vocab.txt").is_file()
    save_vectors(Vectors(["a"], np.ones((1, 2), np.float32), ""), "~/v.bin")
    assert read_vectors("~/v.bin").words == ["a"]


@pytest.mark.parametrize("variable", ["RUBRICA_CACHE", "XDG_CACHE_HOME"])
def test_the_cache_knows_the_home_folder(home, monkeypatch, variable):
    monkeypatch.delenv("RUBRICA_CACHE")
    monkeypatch.setenv(variable, "~/kept")
    assert cache_folder() == (home / "kept" if variable == "RUBRICA_CACHE" else home / "kept" / "rubrica")
    monkeypatch.setenv(variable, f"{NOBODY}/kept")
    with pytest.raises(FileError, match=f"there is no home folder {NOBODY}"):
        cache_folder()


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", f"{NOBODY}/x.csv"],
        ["predict", f"{NOBODY}/model", "~/fruit.csv"],
        ["train", "~/fruit.csv", "--out", f"{NOBODY}/model"],
        ["train", "~/fruit.csv", "--out", "~/model", "--recipe", f"{NOBODY}/mine.toml"],
        ["vectors", "train", "~/fruit.csv", "--out", f"{NOBODY}/own.vec"],
        ["data", "~/fruit.csv", "--vectors", f"{NOBODY}/own.vec"],
    ],
)
def test_the_home_folder_of_nobody_is_one_sentence(home, arguments):
    output, code = run(*arguments)
    assert code in (1, 2)
    assert output.startswith("error: ")
    assert NOBODY in output
    assert output.count("\n") == 1


def test_nothing_is_made_in_the_home_folder_of_nobody(home):
    one = Vectors(["a"], np.ones((1, 2), np.float32), "")
    for save, error in (
        (lambda path: save_artifact(make_artifact(), path), ArtifactError),
        (lambda path: save_vectors(one, f"{path}.vec"), VectorsError),
    ):
        with pytest.raises(error, match=f"there is no home folder {NOBODY}; give the full path"):
            save(f"{NOBODY}/x")


def test_a_folder_whose_name_begins_with_a_tilde_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NOBODY).mkdir()
    assert save_artifact(make_artifact(), f"{NOBODY}/x").is_dir()
    check_place(tmp_path / "~other")
