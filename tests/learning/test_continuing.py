"""A training that goes on from a model: what it keeps, what is new, and what cannot go on."""

import numpy as np
import pytest
from click.testing import CliRunner

import rubrica
from made_models import learn
from rubrica.cli.main import rubrica as command
from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import ConfigError, DataError
from rubrica.estimator import TextClassifier
from rubrica.export.shrink import store
from rubrica.learning.train import train
from rubrica.models.config import make_config
from rubrica.predict.classifier import load
from rubrica.scoring.tasks import task_of
from rubrica.vectors.word_vectors import Vectors

OLD = {"sport": ["goal match win", "match coach team", "team win cup"], "food": ["soup salt pan", "pan oven bread"]}
NEW = {"music": ["violin choir song", "song drum choir"], "sport": ["goal cup referee"]}
BOTH = OLD | NEW | {"sport": OLD["sport"] + NEW["sport"]}


def data_of(rows, times=20, lists=False):
    pairs = [(text, label) for label, texts in rows.items() for text in texts] * times
    texts, labels = map(list, zip(*pairs, strict=True))
    if lists:
        labels = [(label,) for label in labels]
    return Dataset("made", {"train": Examples(texts, labels)}, (), "", task_of(sorted(rows), lists=lists))


def config_of(training=None, **model):
    return make_config(model={"name": "bag", "num_buckets": 500, **model}, training={"seed": 3, **(training or {})})


@pytest.fixture(scope="module", params=["words", "characters", "int8"])
def before(request):
    model = learn(data_of(OLD), config_of(max_n=4 if request.param == "characters" else 0))
    return rubrica.Classifier(store(model.artifact, "int8")) if request.param == "int8" else model


def test_words_and_labels_stay_and_new_ones_follow(before, tmp_path):
    after = train(data_of(BOTH), start=before, out=tmp_path / "new")
    assert after.labels == [*before.labels, "music"]
    old, new = before.artifact.vocab.words, after.artifact.vocab.words
    assert new[: len(old)] == old
    assert set(new[len(old) :]) == {"violin", "choir", "song", "drum", "referee"}
    assert after.artifact.storage == before.artifact.storage
    texts = ["choir drum", "coach team", "soup bread", "referee"]
    assert after.predict(texts) == ["music", "sport", "food", "sport"]
    assert load(tmp_path / "new").predict(texts) == after.predict(texts)


def test_a_training_of_no_step_is_the_model_itself(before):
    config = before.config.replace(training={"lr": 1e-30, "epochs": 1}, data={"validation_fraction": 0.0})
    after = train(data_of(OLD), start=before, config=config)
    texts = ["goal soup", "", "unknown", "pan oven bread"]
    np.testing.assert_allclose(after.logits(texts), before.logits(texts), atol=1e-5)


def test_it_begins_where_the_model_was(before):
    """One epoch of small steps on old texts: a new model would know nothing after it."""
    config = before.config.replace(training={"lr": 0.01, "epochs": 1})
    after = train(data_of(OLD, times=4), start=before, config=config)
    texts, labels = data_of(OLD, times=1).splits["train"].texts, data_of(OLD, times=1).splits["train"].labels
    assert after.evaluate(texts, labels).accuracy == 1


def test_the_same_start_and_seed_give_the_same_bits(before):
    first, second = (train(data_of(BOTH, times=3), start=before).artifact.tensors for _ in range(2))
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_one_label_is_enough(before):
    after = train(["violin choir", "drum song"] * 9, ["music"] * 18, start=before)
    assert after.labels == [*before.labels, "music"]


def test_several_labels_go_on():
    before = learn(data_of(OLD, lists=True), config_of())
    after = train(data_of(BOTH, lists=True), start=before)
    assert after.labels == ["food", "sport", "music"]
    assert after.predict(["violin choir song"]) == [["music"]]
    assert train(data_of(BOTH), start=before).labels == after.labels  # one label a text is a case of it
    with pytest.raises(DataError, match="its texts may have several labels, and the model gives one"):
        train(data_of(NEW, lists=True), start=learn(data_of(OLD), config_of()))


def test_a_tree_goes_on_with_its_own_labels():
    before = learn(data_of(OLD), config_of(loss="hs"))
    after = train(data_of(OLD), start=before)
    assert after.predict(["coach team"]) == ["sport"]
    np.testing.assert_array_equal(after.artifact.tensors["head.counts"], before.artifact.tensors["head.counts"])
    with pytest.raises(
        DataError, match=r"finds its labels by a tree, and .*music.* is not in it; leave new labels out"
    ):
        train(data_of(BOTH), start=before)


def test_what_cannot_go_on_is_a_sentence(tmp_path):
    linear = learn(data_of(OLD), make_config(model={"name": "linear"}))
    with pytest.raises(ConfigError, match="a linear model cannot be trained further; train a new one on all texts"):
        train(data_of(NEW), start=linear)
    bag = learn(data_of(OLD), config_of())
    with pytest.raises(ConfigError, match=r"model\.word_ngrams is 3, and the model to go on from has 2; leave it out"):
        train(data_of(NEW), start=bag, config=config_of(word_ngrams=3))
    with pytest.raises(ConfigError, match=r"data\.lowercase is False, and the model to go on from has True"):
        train(data_of(NEW), start=bag, config=bag.config.replace(data={"lowercase": False}))
    vectors = Vectors(["goal"], np.ones((1, 16), np.float32), "made")
    with pytest.raises(ConfigError, match="has its own rows, which word vectors would replace"):
        train(data_of(NEW), start=bag, vectors=vectors)


def test_the_command_goes_on(tmp_path):
    for name, rows in (("old", OLD), ("new", BOTH)):
        lines = [f"{text},{label}" for label, texts in rows.items() for text in texts] * 9
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    folders = tmp_path / "first", tmp_path / "second"
    options = ["--model", "bag", "--set", "model.num_buckets=99", "--set", "model.word_ngrams=3"]
    run = CliRunner().invoke
    assert run(command, ["train", str(tmp_path / "old.csv"), "--out", str(folders[0]), *options]).exit_code == 0
    go_on = ["train", str(tmp_path / "new.csv"), "--from", str(folders[0]), "--out", str(folders[1])]
    result = run(command, [*go_on, "--model", "bag", "--epochs", "7"], catch_exceptions=False)
    assert result.exit_code == 0
    after = load(folders[1])
    assert (after.labels, after.config.training.epochs) == (["food", "sport", "music"], 7)
    assert (after.config.model.word_ngrams, after.config.model.num_buckets) == (3, 99)
    assert run(command, [*go_on, "--size", "base"]).exit_code == 2
    with pytest.raises(ConfigError, match=r"model\.num_buckets is 5, and the model to go on from has 99"):
        run(command, [*go_on[:-1], str(tmp_path / "third"), "--set", "model.num_buckets=5"], catch_exceptions=False)


def test_partial_fit_adds_labels_as_they_come():
    settings = {"model.num_buckets": 500}
    found = TextClassifier("bag", settings=settings, random_state=1)
    first, second = (data_of(rows).splits["train"] for rows in (OLD, BOTH))
    found.partial_fit(first.texts, first.labels)
    once = TextClassifier("bag", settings=settings, random_state=1).fit(first.texts, first.labels)
    np.testing.assert_array_equal(found.predict_proba(first.texts), once.predict_proba(first.texts))
    found.partial_fit(second.texts, second.labels, classes=["food", "music", "sport"])
    assert found.classes_.tolist() == ["food", "sport", "music"]
    assert found.predict(["violin choir", "goal match", "salt pan"]).tolist() == ["music", "sport", "food"]
    assert found.predict_proba(["drum"]).shape == (1, 3)
    found.partial_fit(["referee cup"] * 9, ["sport"] * 9)
    assert found.classes_.tolist() == ["food", "sport", "music"]
    with pytest.raises(ValueError, match="y gives labels as lists, and before as one"):
        found.partial_fit(["a"], [["sport", "food"]])
    with pytest.raises(ValueError, match="a linear model cannot be trained further"):
        TextClassifier("linear").fit(first.texts, first.labels).partial_fit(first.texts, first.labels)
