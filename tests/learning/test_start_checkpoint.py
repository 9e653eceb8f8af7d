"""A run that is killed while it makes its first word vectors, or a layer that foresees words, goes on from there."""

import json
from itertools import count

import numpy as np
import pytest

from made_checkpoints import Killed, kill_at, resign
from made_words import labelled, same, texts_of
from rubrica.artifact.folder import load_artifact
from rubrica.artifact.tensor_file import map_tensors, write_tensors
from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import ArtifactError
from rubrica.kernels import native
from rubrica.learning import language_model, unlabeled, word_vectors
from rubrica.learning import train as place
from rubrica.learning.checkpoint import Saved, folder_of
from rubrica.learning.first_vectors import MATRIX, pack_words, saved_vectors
from rubrica.models.config import make_config

pytestmark = pytest.mark.skipif(native.library() is None, reason="word vectors are made by the native core")

KNOWN = {"sport": ["goal", "match", "cup"], "food": ["soup", "pan", "salt"]}
MORE = [f"{text} {i % 7}" for i, text in enumerate(texts_of(KNOWN, 200, 5)[0])]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(place, "_OWN_TEXTS", 100)
    monkeypatch.setattr(place, "baseline_scores", lambda *_: {})
    monkeypatch.setattr(unlabeled, "_LEAST_TEXTS", 100)
    monkeypatch.setattr(word_vectors, "_FORESEEN_TEXTS", 100)
    monkeypatch.setattr(language_model, "_SHOWN", 5)


def go(out=None, name="gru", embedding="own", **more):
    model = {"name": name, "hidden_size": 4, "embedding_dim": 6, "with_linear": False, "embedding": embedding}
    config = make_config(model=model, training={"epochs": 1, "seed": 3})
    return place.train(labelled(), out=out, config=config, checkpoint_every=0, **more)


def interrupt_at(number, function):
    """A function that is Ctrl-C at one of its calls."""
    calls = count(1)

    def call(*given, **named):
        if next(calls) == number:
            raise KeyboardInterrupt
        return function(*given, **named)

    return call


def kill(out, number, **more):
    """Die behind the writing of a checkpoint; returns the stage of each written one."""
    with pytest.MonkeyPatch.context() as patch:
        written = kill_at(patch, number)
        with pytest.raises(Killed):
            go(out, **more)
    return written


# Three epochs of 13 updates are 8 checkpoints of the layer; the ninth is of the network behind it.
@pytest.mark.parametrize("number", [1, 3, 8, 9])
def test_a_killed_run_goes_on_without_new_vectors(number, tmp_path, monkeypatch):
    whole = go()
    assert kill(tmp_path / "model", number)[-1] == (0 if number < 9 else 1)
    monkeypatch.setattr(word_vectors, "_train", None)
    assert same(whole.artifact, go(tmp_path / "model").artifact)


def test_of_other_networks_the_vectors_are_kept(tmp_path, monkeypatch):
    whole = go(name="cnn")
    assert kill(tmp_path / "model", 2, name="cnn") == [0, 1]
    monkeypatch.setattr(word_vectors, "_train", None)
    assert same(whole.artifact, go(tmp_path / "model", name="cnn").artifact)


def test_with_unlabelled_texts_too(tmp_path, monkeypatch):
    given = {"unlabeled": MORE, "embedding": "pretrained"}
    whole = go(**given)
    stages = kill(tmp_path / "model", 6, **given)
    assert stages[-1] == stages[-2] > 0  # within the layer, behind the training on labels alone
    monkeypatch.setattr(word_vectors, "_train", None)
    assert same(whole.artifact, go(tmp_path / "model", **given).artifact)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"steps": 40}, "40 updates, expected 39 at most"),
        ({"steps": -1}, "Expected `int` >= 0"),
    ],
)
def test_what_is_no_state_of_it_is_an_error(change, problem, tmp_path):
    kill(tmp_path / "model", 3)
    folder = folder_of(tmp_path / "model")
    for path in folder.glob("*/state.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    resign(folder)
    with pytest.raises(ArtifactError, match=problem):
        go(tmp_path / "model")


def test_ctrl_c_before_there_is_a_model_says_how_to_go_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(language_model, "lr_at", interrupt_at(20, language_model.lr_at))
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "model")
    assert f"there is no model yet; the same command goes on from {folder_of(tmp_path / 'model')}" in caplog.text


def test_ctrl_c_in_a_run_that_goes_on_says_that_the_model_stays(tmp_path, monkeypatch, caplog):
    given = {"unlabeled": MORE, "embedding": "pretrained"}
    with monkeypatch.context() as patch:
        patch.setattr(language_model, "lr_at", interrupt_at(20, language_model.lr_at))
        unfinished = go(tmp_path / "model", **given)
    assert unfinished.artifact.metrics["interrupted"]
    with monkeypatch.context() as patch:
        patch.setattr(place, "train_corpus", interrupt_at(1, place.train_corpus))  # before the first of its models
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path / "model", resume=True, **given)
    assert "the unfinished model stays; the same command goes on from" in caplog.text
    assert same(unfinished.artifact, load_artifact(tmp_path / "model"))
    assert same(go(tmp_path / "model", resume=True, **given).artifact, go(**given).artifact)


def test_words_with_half_a_surrogate_pair_are_kept(tmp_path):
    words, matrix = ["goal", "\ud83d", "суп"], np.arange(18, dtype=np.float32).reshape(3, 6)
    write_tensors({MATRIX: matrix} | pack_words(words), tmp_path / "state.safetensors")
    found = saved_vectors(Saved(tmp_path, {}, map_tensors(tmp_path / "state.safetensors")), "made", 6)
    assert found.words == words
    np.testing.assert_array_equal(found.matrix, matrix)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({MATRIX: np.zeros((1, 6), np.float32)}, "words or vectors are missing"),
        ({MATRIX: np.zeros((2, 6), np.float32)} | pack_words(["goal", "goal"]), "a word stands twice"),
        ({MATRIX: np.zeros((2, 6), np.float32)} | pack_words(["goal"]), "tensor 'matrix' is"),
        ({MATRIX: np.zeros((1, 5), np.float32)} | pack_words(["goal"]), "tensor 'matrix' is"),
        ({MATRIX: np.full((1, 6), np.inf, np.float32)} | pack_words(["goal"]), "not finite"),
        ({MATRIX: np.zeros((1, 6), np.float32), "words": np.array([255], np.uint8)}, "words: invalid start byte"),
    ],
)
def test_what_holds_no_vectors_is_an_error(tensors, problem, tmp_path):
    with pytest.raises(ArtifactError, match=problem):
        saved_vectors(Saved(tmp_path, {}, tensors), "made", 6)


def test_answers_to_too_few_texts_are_kept_too(tmp_path):
    """A teacher is believed where no text can be held out: the first training learns answers already."""
    few = Dataset("few", {"train": Examples(["goal cup", "soup pan"], ["sport", "food"])}, (), "", labelled().task)
    config = make_config(model={"name": "gru", "hidden_size": 4, "embedding_dim": 6, "with_linear": False})
    given = {
        "config": config,
        "teacher": lambda texts: [{"sport": 0.5, "food": 0.5}] * len(texts),
        "checkpoint_every": 0,
    }
    whole = place.train(few, **given)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 1)
        with pytest.raises(Killed):
            place.train(few, out=tmp_path / "model", **given)
    assert folder_of(tmp_path / "model").exists()
    assert same(whole.artifact, place.train(few, out=tmp_path / "model", **given).artifact)
