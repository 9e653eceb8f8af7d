"""A training that goes on from a fastText model, in its file or in a folder."""

import numpy as np
import pytest
from click.testing import CliRunner

import rubrica
from ragged import needs_native
from rubrica.artifact.fasttext_file import write_fasttext
from rubrica.cli.main import rubrica as command
from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import ConfigError, DataError
from rubrica.learning.fasttext import FastTextTraining, train_fasttext
from rubrica.learning.fasttext_quantize import quantize_fasttext
from rubrica.learning.train import train
from rubrica.models.fasttext import FastText
from rubrica.scoring.tasks import task_of
from rubrica.text.tokens import pack
from rubrica.vectors.word_vectors import Vectors

pytestmark = needs_native

OLD = {"sport": ["goal match win", "match coach team", "team win cup"], "food": ["soup salt pan", "pan oven bread"]}
NEW = {"music": ["violin choir song", "song drum choir"], "sport": ["goal cup referee"]}
BOTH = OLD | NEW | {"sport": OLD["sport"] + NEW["sport"]}


def data_of(rows, times=20, lists=False):
    pairs = [(text, (label,) if lists else label) for label, texts in rows.items() for text in texts] * times
    texts, labels = map(list, zip(*pairs, strict=True))
    return Dataset("made", {"train": Examples(texts, labels)}, (), "", task_of(sorted(rows), lists=lists))


def learned(rows=OLD, prefix="__label__", **settings):
    lines = [f"{prefix}{label} {text}" for label, texts in rows.items() for text in texts] * 20
    model = FastText(embedding_dim=8, label_prefix=prefix, **({"num_buckets": 100, "word_ngrams": 2} | settings))
    return train_fasttext(pack(lines), model, FastTextTraining(lr=0.5, epochs=5))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("before") / "old.bin"
    write_fasttext(*learned(), path)
    return path


def test_words_and_labels_stay_and_new_ones_follow(file, tmp_path):
    before = rubrica.load(file)
    config = before.config.replace(training={"lr": 0.5, "epochs": 9})
    after = train(data_of(BOTH), start=file, config=config, out=tmp_path / "new")
    assert after.labels == [*before.labels, "music"]
    old, new = before.artifact.tensors, after.artifact.tensors
    cut = int(old["dictionary.ends"][before.config.model.num_words - 1])
    assert new["dictionary.bytes"][:cut].tobytes() == old["dictionary.bytes"][:cut].tobytes()
    texts = ["choir drum", "coach team", "soup bread", "referee"]
    assert after.predict(texts) == ["music", "sport", "food", "sport"]
    assert rubrica.load(tmp_path / "new").predict(texts) == after.predict(texts)


def test_a_file_and_its_folder_give_the_same_bits(file, tmp_path):
    rubrica.load(file).save(tmp_path / "folder")
    texts, labels = ["violin choir"] * 9, ["music"] * 9
    models = [train(texts, labels, start=start) for start in (file, tmp_path / "folder", rubrica.load(file))]
    first, *others = (model.artifact.tensors for model in models)
    assert all(first[name].tobytes() == other[name].tobytes() for other in others for name in first)


def test_it_begins_where_the_model_was(file):
    config = rubrica.load(file).config.replace(training={"lr": 1e-9, "epochs": 1})
    after, texts = train(data_of(OLD), start=file, config=config), ["goal soup", "", "unknown", "pan oven bread"]
    np.testing.assert_allclose(after.logits(texts), rubrica.load(file).logits(texts), atol=1e-5)


def test_several_labels_and_other_splits(tmp_path):
    write_fasttext(*learned(loss="ova"), tmp_path / "ova.bin")
    data = data_of(BOTH, lists=True)
    whole = Dataset(
        "made", data.splits | {"test": data_of(NEW, times=1, lists=True).splits["train"]}, (), "", data.task
    )
    after = train(whole, start=tmp_path / "ova.bin", config=None)
    assert after.predict(["violin choir song"]) == [["music"]]
    assert after.artifact.metrics["test"]["texts"] == 3
    assert train(data_of(BOTH), start=tmp_path / "ova.bin").labels == after.labels


def test_what_cannot_go_on_is_a_sentence(file, tmp_path):
    before = rubrica.load(file)
    for training, message in (
        (
            {"class_weight": "balanced"},
            "training.class_weight is 'balanced', and a fastText",
        ),
        ({"storage": "int8"}, "training.storage is 'int8'"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(data_of(NEW), start=file, config=before.config.replace(training=training))
    with pytest.raises(ConfigError, match="give --epochs in place of a time budget"):
        train(data_of(NEW), start=file, time_budget=60)
    with pytest.raises(ConfigError, match="has its own rows, which word vectors would replace"):
        train(data_of(NEW), start=file, vectors=Vectors(["goal"], np.ones((1, 8), np.float32), "made"))
    for texts, label, message in (
        (["a __label__x b"], "sport", "text 0 holds a word that begins with __label__"),
        (["a"], "big news", "the label 'big news' has white space"),
    ):
        with pytest.raises(DataError, match=message):
            train(texts, [label], start=file)
    write_fasttext(*learned(prefix="__class__"), tmp_path / "class.bin")
    with pytest.raises(ConfigError, match="the label '__class__sport', which does not begin with __label__"):
        train(data_of(OLD), start=tmp_path / "class.bin")
    write_fasttext(*learned(loss="hs"), tmp_path / "hs.bin")
    assert train(data_of(OLD), start=tmp_path / "hs.bin").predict(["coach team"]) == ["sport"]
    with pytest.raises(DataError, match="finds its labels by a tree"):
        train(data_of(BOTH), start=tmp_path / "hs.bin")
    write_fasttext(*quantize_fasttext(*learned(num_buckets=300)), tmp_path / "small.ftz")
    with pytest.raises(ConfigError, match="is quantised or pruned; give the model that it was made from"):
        train(data_of(OLD), start=tmp_path / "small.ftz")


def test_the_command_goes_on(file, tmp_path):
    lines = [f"{text},{label}" for label, texts in BOTH.items() for text in texts] * 9
    (tmp_path / "new.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    arguments = ["train", str(tmp_path / "new.csv"), "--from", str(file), "--out", str(tmp_path / "m")]
    done = CliRunner().invoke(command, [*arguments, "--epochs", "30", "--lr", "0.5"], catch_exceptions=False)
    assert done.exit_code == 0
    after = rubrica.load(tmp_path / "m")
    assert (after.labels, after.config.training.epochs) == ([*rubrica.load(file).labels, "music"], 30)
    assert after.predict(["choir drum"]) == ["music"]


def test_labels_that_are_not_certain(file):
    with pytest.raises(ConfigError, match="train has scores; give each text its label"):
        train(["a goal", "a soup"], [{"sport": 0.5, "food": 0.5}, {"food": 1.0}], start=file)
