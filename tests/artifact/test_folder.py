"""The model folder: what is saved is what is loaded; see test_refusals.py for what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from made_models import ODD_LABELS, ODD_TASK, make_artifact, random_artifact, store_embedding
from made_networks import BOTH_WAYS, NETWORKS
from rubrica.artifact.folder import FILES, Artifact, check_writable, load_artifact, save_artifact
from rubrica.artifact.tensor_file import map_tensors
from rubrica.errors import ArtifactError
from rubrica.export.shrink import store as store_all
from rubrica.models.config import make_config
from rubrica.models.families import FAMILIES
from rubrica.models.storage import STORAGES, store_tensors
from rubrica.networks.networks import build_network
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tasks import task_of
from rubrica.text.vocab import Vocab
from settings import changed, shapes_of

OLD = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("name", ["linear", *NETWORKS])
def test_what_is_saved_is_what_is_loaded(tmp_path, name):
    artifact = make_artifact(name)
    save_artifact(artifact, tmp_path / "model")
    loaded = load_artifact(tmp_path / "model")
    assert loaded.config == artifact.config
    assert (loaded.task, loaded.vocab, loaded.vectors) == (ODD_TASK, artifact.vocab, "somewhere")
    assert (loaded.metrics, loaded.history) == (artifact.metrics, artifact.history)
    assert loaded.tensors.keys() == artifact.tensors.keys()
    for tensor_name, tensor in artifact.tensors.items():
        np.testing.assert_array_equal(loaded.tensors[tensor_name], tensor)


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_saved_in_format_4_and_comes_back(tmp_path, name, storage, lists):
    artifact = store_all(random_artifact(name, lists=lists), storage)
    folder = save_artifact(artifact, tmp_path / "model")
    values = json.loads((folder / "config.json").read_text())
    assert values["rubrica_format"] == 4
    tables = artifact.config.to_dict()
    assert {section: values[section] for section in tables} == json.loads(json.dumps(tables))
    assert ("beside" in values) == (artifact.config.beside is not None) == (name not in ("bag", "linear"))
    loaded = load_artifact(folder)
    assert (loaded.config, loaded.task, loaded.vocab) == (artifact.config, artifact.task, artifact.vocab)
    assert (loaded.storage, loaded.shapes, loaded.history) == (storage, artifact.shapes, artifact.history)
    again = save_artifact(loaded, tmp_path / "again")
    for file in (*FILES, "manifest.json"):
        assert (again / file).read_bytes() == (folder / file).read_bytes()
    texts = ["слово a", "", "Никто a a"]
    found = Classifier(loaded).predict_proba(texts)
    np.testing.assert_array_equal(found, Classifier(load_artifact(again)).predict_proba(texts))
    if storage == "float32":
        np.testing.assert_array_equal(found, Classifier(artifact).predict_proba(texts))


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_folder_of_any_format_is_saved_in_the_format_of_today_and_answers_alike(tmp_path, version):
    """The old folders are kept for ever; a new format gets one of its own. The second is the first one in int8, the
    third a network and a linear model, whose texts may have several labels."""
    old = OLD / f"artifact-v{version}"
    assert json.loads((old / "config.json").read_text())["rubrica_format"] == version
    loaded = load_artifact(old)
    assert loaded.task.labels == ("Sports", "Business", "Наука")
    folder = save_artifact(loaded, tmp_path / "model")
    assert json.loads((folder / "config.json").read_text())["rubrica_format"] == 4
    again = load_artifact(folder)
    assert (again.config, again.task, again.vocab, again.storage) == (
        loaded.config, loaded.task, loaded.vocab, loaded.storage,
    )  # fmt: skip
    expected = json.loads(old.with_suffix(".json").read_text())
    for artifact in (loaded, again):
        found = Classifier(artifact).predict_proba(list(expected))
        np.testing.assert_allclose(found, list(expected.values()), atol=1e-5)


@pytest.mark.parametrize(("name", "pooling", "both"), BOTH_WAYS)
def test_expected_shapes_are_those_of_the_torch_models(name, pooling, both):
    settings = [*NETWORKS[name], f"model.pooling={pooling}", f"model.bidirectional={str(both).lower()}"]
    config = changed(make_artifact(name).config, settings)
    model = build_network(config.model, torch.zeros(5, 3), len(ODD_LABELS))
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items() if "num_batches" not in key}
    assert shapes == shapes_of(config, 5, len(ODD_LABELS))


def test_the_folder_holds_tensors_and_text_alone(tmp_path):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    assert {path.name for path in folder.iterdir()} == {*FILES, "manifest.json"}
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == dict(zip("012", ODD_LABELS, strict=True))
    assert config["label2id"] == {label: i for i, label in enumerate(ODD_LABELS)}
    assert config["problem_type"] == "single_label_classification"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_is_not_there_or_not_a_folder(tmp_path):
    with pytest.raises(ArtifactError, match="no such model folder"):
        load_artifact(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="is a file and no model; give the folder that"):
        load_artifact(tmp_path / "file")


def test_an_output_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ArtifactError, match="not empty; give a new one"):
        save_artifact(make_artifact(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_output_folder_is_used(tmp_path):
    (tmp_path / "model").mkdir()
    load_artifact(save_artifact(make_artifact(), tmp_path / "model"))


def test_an_output_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        check_writable(tmp_path / "file" / "model")
    with pytest.raises(ArtifactError, match="is a file"):
        check_writable(tmp_path / "file")


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rubrica.artifact.folder._write_json", full)
    with pytest.raises(ArtifactError, match=r"cannot be written \(No space left on device\); nothing was left behind"):
        save_artifact(make_artifact(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_parent_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)  # root may write everywhere
    with pytest.raises(ArtifactError, match=r"cannot be written \(Permission denied\); give another"):
        check_writable(tmp_path / "model")


@pytest.mark.parametrize("word_ngrams", [1, 2])
@pytest.mark.parametrize("storage", STORAGES)
def test_a_bag_of_an_odd_width_comes_back_with_or_without_ngrams(tmp_path, storage, word_ngrams):
    settings = ["model.name=bag", f"model.word_ngrams={word_ngrams}", "model.embedding_dim=5", "model.num_buckets=9"]
    config = changed(make_config(), [*settings, "training.batch_size=64"])
    draw, words = np.random.default_rng(0), ["<pad>", "<unk>", "cup"]
    tensors = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes_of(config, 3, 2).items()}
    artifact = Artifact(config, task_of(["a", "b"], lists=False), Vocab(words, 1, True, True), tensors)
    smaller = replace(artifact, tensors=store_tensors(tensors, storage), storage=storage)
    loaded = load_artifact(save_artifact(smaller, tmp_path / "model"))
    whole = store_tensors(smaller.tensors, "float32")
    assert {name: tensor.shape for name, tensor in whole.items()} == shapes_of(config, 3, 2)
    few, many = ["cup", ""], ["cup the", ""] * 20  # of few texts the rows in use are expanded, of many all
    for texts in (few, many):
        expected = Classifier(replace(artifact, tensors=whole)).logits(texts)
        np.testing.assert_allclose(Classifier(loaded).logits(texts), expected, atol=0.02)


@pytest.mark.parametrize("name", ["cnn", "gru"])
@pytest.mark.parametrize("storage", STORAGES)
def test_every_storage_is_what_it_says_to_any_reader(tmp_path, name, storage):
    """Torch's reader of safetensors is the oracle: it knows bfloat16, and nothing of ours."""
    from safetensors.torch import load_file as load_torch

    artifact = store_embedding(make_artifact(name), storage)
    folder = save_artifact(artifact, tmp_path / "model")
    loaded = load_artifact(folder)
    assert loaded.storage == storage
    assert json.loads((folder / "config.json").read_text())["storage"] == storage
    read = load_torch(folder / "model.safetensors")
    assert read.keys() == loaded.tensors.keys() == artifact.tensors.keys()
    for key, tensor in read.items():
        ours = loaded.tensors[key]
        if key in ("embedding.weight", "embedding.scale"):
            np.testing.assert_array_equal(ours, artifact.tensors[key])
            assert str(tensor.dtype).removeprefix("torch.").replace("bfloat16", "uint16") == ours.dtype.name
        else:
            assert tensor.dtype == (torch.float32 if storage == "float32" else torch.bfloat16)
            expected = torch.from_numpy(artifact.tensors[key]).to(tensor.dtype).float()
            np.testing.assert_array_equal(ours, expected.numpy())
            assert ours.dtype == np.float32
    assert ("Stored as" in (folder / "README.md").read_text()) == (storage != "float32")


@pytest.mark.parametrize("storage", STORAGES)
def test_facts_count_the_bytes_on_disk_and_the_parameters_of_the_network(tmp_path, storage):
    artifact = store_embedding(make_artifact("gru"), storage)
    folder = save_artifact(artifact, tmp_path / "model")
    facts = load_artifact(folder).facts()
    file = (folder / "model.safetensors").read_bytes()
    assert facts["model_bytes"] == len(file) - 8 - int.from_bytes(file[:8], "little")
    assert facts["parameters"] == 5 * 3 + 2 * 15 * (3 + 5 + 2) + 2 * 5 * 3 + 3  # both directions
    assert facts["storage"] == storage


def test_the_weights_are_mapped_and_cannot_be_written(tmp_path):
    loaded = load_artifact(save_artifact(make_artifact(), tmp_path / "model"))
    for tensor in loaded.tensors.values():
        assert not tensor.flags.owndata
        assert not tensor.flags.writeable


def test_a_file_of_a_foreign_writer_may_lie_at_any_byte(tmp_path):
    values = np.arange(6, dtype=np.float32)
    for spaces in range(8):
        header = b'{"__metadata__":{"by":"someone"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
        header += b" " * spaces
        path = tmp_path / f"{spaces}.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header + values.tobytes())
        tensors = map_tensors(path)
        assert list(tensors) == ["a"]
        assert tensors["a"].flags.aligned
        np.testing.assert_array_equal(tensors["a"], values.reshape(2, 3))


def test_a_label_of_any_characters_stays_in_its_cell(tmp_path):
    """Of the card's table."""
    labels = ["a|b", "two\nlines | here", "plain"]
    artifact = replace(make_artifact(), task=task_of(labels, lists=False))
    rows = [{"label": label, "precision": 0.5, "recall": 0.5, "f1": 0.5, "texts": 1} for label in labels]
    scores = {"test": {"texts": 3, "accuracy": 0.5, "macro_f1": 0.5, "per_class": rows}}
    card = (save_artifact(replace(artifact, metrics=scores), tmp_path / "model") / "README.md").read_text("utf-8")
    assert "Classes: a|b, two lines | here, plain.\n" in card
    figures = "| 0.500 | 0.500 | 0.500 | 1 |\n"
    assert f"| a\\|b {figures}| two lines \\| here {figures}| plain {figures}" in card
