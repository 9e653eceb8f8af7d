"""The model folder: what is saved is what is loaded, and nothing else is accepted."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from networks import CASES, NETWORKS, NOT_LAST
from rubrica.artifact.folder import FILES, Artifact, check_writable, load_artifact, save_artifact
from rubrica.artifact.tensor_file import map_tensors
from rubrica.errors import ArtifactError
from rubrica.export.shrink import store as store_all
from rubrica.models.config import make_config
from rubrica.models.families import FAMILIES
from rubrica.models.storage import STORAGES
from rubrica.networks.networks import build_network
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tasks import task_of
from rubrica.text.vocab import Vocab
from settings import changed, shapes_of

OLD = Path(__file__).parent / "data"
LABELS = ["World", "Наука", '"quoted", <b>']
TASK = task_of(LABELS, lists=False)


def make_artifact(name="gru", **settings):
    pooling = "average" if name in NOT_LAST else "last"
    config = changed(
        make_config(), [*NETWORKS.get(name, [f"model.name={name}"]), f"model.pooling={pooling}", "model.hidden_size=5"]
    )
    config = changed(config, [f"model.embedding_dim={settings.get('dim', 3)}", "training.batch_size=32"])
    vocab = Vocab(["<pad>", "<unk>", "слово", "a", "\u0085"], 1, True)
    draw = np.random.default_rng(0)
    shapes = shapes_of(config, len(vocab.words), len(LABELS))
    tensors = {key: draw.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    if name == "linear":
        tensors["linear.keys"] = np.array([2**32 - 1], np.uint32)
    return Artifact(config, TASK, vocab, tensors, {"train_texts": 3}, [{"step": 1, "loss": 0.5}], "somewhere")


@pytest.mark.parametrize("name", ["linear", *NETWORKS])
def test_what_is_saved_is_what_is_loaded(tmp_path, name):
    artifact = make_artifact(name)
    save_artifact(artifact, tmp_path / "model")
    loaded = load_artifact(tmp_path / "model")
    assert loaded.config == artifact.config
    assert (loaded.task, loaded.vocab, loaded.vectors) == (TASK, artifact.vocab, "somewhere")
    assert (loaded.metrics, loaded.history) == (artifact.metrics, artifact.history)
    assert loaded.tensors.keys() == artifact.tensors.keys()
    for tensor_name, tensor in artifact.tensors.items():
        np.testing.assert_array_equal(loaded.tensors[tensor_name], tensor)


def random_artifact(name, *, lists):
    """A model of a family by its defaults, a network with a linear model beside it."""
    config = make_config(model={"name": name}, data={"lowercase": True}, training={"batch_size": 32})
    task = task_of(LABELS, lists=lists)
    task = task.tuned([(np.zeros((1, 3), np.float32), np.array([[1, 0, 1]], np.uint8))]) if lists else task
    vocab = Vocab(["<pad>", "<unk>", "слово", "a", "\u0085"], 1, True)
    draw = np.random.default_rng(0)
    shapes = shapes_of(config, len(vocab.words), len(LABELS), 7, lists=lists)
    tensors = {key: draw.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    tensors |= {key: abs(tensors[key]) for key in tensors if key.endswith("running_var")}
    if "linear.keys" in tensors:
        tensors["linear.keys"] = np.sort(draw.choice(2**32, 7, replace=False).astype(np.uint32))
    return Artifact(config, task, vocab, tensors, {"train_texts": 3}, [{"step": 1, "loss": 0.5}])


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
    old = OLD / f"artifact-v{version}"
    assert json.loads((old / "config.json").read_text())["rubrica_format"] == version
    loaded = load_artifact(old)
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


@pytest.mark.parametrize("both", ["false", "true"])
@pytest.mark.parametrize(("name", "pooling"), CASES)
def test_expected_shapes_are_those_of_the_torch_models(name, pooling, both):
    settings = [*NETWORKS[name], f"model.pooling={pooling}", f"model.bidirectional={both}"]
    config = changed(make_artifact(name).config, settings)
    model = build_network(config.model, torch.zeros(5, 3), len(LABELS))
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items() if "num_batches" not in key}
    assert shapes == shapes_of(config, 5, len(LABELS))


def test_the_folder_holds_tensors_and_text_alone(tmp_path):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    assert {path.name for path in folder.iterdir()} == {*FILES, "manifest.json"}
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == dict(zip("012", LABELS, strict=True))
    assert config["label2id"] == {label: i for i, label in enumerate(LABELS)}
    assert config["problem_type"] == "single_label_classification"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_any_changed_byte_is_noticed(tmp_path, name):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    path = folder / name
    content = path.read_bytes()
    # Every position of a short file, some of a long one. A manifest's white space carries no meaning.
    for place in range(0, len(content), max(1, len(content) // 60)):
        if name == "manifest.json" and content[place : place + 1].isspace():
            continue
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ArtifactError):
            load_artifact(folder)
    path.write_bytes(content)
    load_artifact(folder)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: the file is missing; copy the whole folder again"):
        load_artifact(folder)


def resign(folder):
    from rubrica.artifact.folder import _sha256, _write_json

    _write_json(folder / "manifest.json", {name: _sha256(folder / name) for name in FILES})


CHANGES = [
    ({"architectures": ["x"]}, "unknown key 'architectures'"),
    ({"id2labels": {}}, "unknown key 'id2labels' (did you mean 'id2label'?)"),
    ({"rubrica_format": 5}, "format 5, but this version reads 1 to 4; upgrade rubrica"),
    ({"rubrica_format": True}, "format True, but this version reads 1 to 4; upgrade rubrica"),
    ({"rubrica_format": 1}, "unknown key 'storage'"),
    ({"storage": "int2"}, "storage is 'int2'; give one of 'float32', 'bfloat16', 'int8', 'int4'"),
    ({"storage": 8}, "storage is 8; give one of 'float32', 'bfloat16', 'int8', 'int4'"),
    ({"model": {"name": "bert"}}, "model.name is 'bert'; give one of"),
    ({"model": {"layers": 3}}, "unknown key model.layers"),
    ({"training": {"batch_size": 0}}, "training.batch_size is 0, expected the size of its training"),
    ({"id2label": {"0": "a", "2": "b"}}, "id2label does not number the classes"),
    ({"id2label": {}, "label2id": {}}, "id2label does not number the classes"),
    ({"id2label": dict.fromkeys("012", "World")}, "id2label does not number the classes"),
    ({"id2label": ["a", "b"]}, "id2label: expected object, got array"),
    ({"id2label": {"0": 1, "1": 2}}, "id2label[...]: expected str, got int"),
    ({"id2label": [1, 2, 3]}, "id2label: expected object, got array"),
    ({"label2id": {"a": "0"}}, "label2id[...]: expected int, got str"),
    ({"data": {"lowercase": 0}}, "data.lowercase is 0; give true or false or 'auto'"),
    (
        {"model": {"name": "bag", "word_ngrams": 2**32 - 1}},
        "model.word_ngrams is 4294967295; give a whole number from 1",
    ),
    (
        {"model": {"name": "bag", "word_ngrams": 2**32 + 1}},
        "model.word_ngrams is 4294967297; give a whole number from 1",
    ),
    ({"model": {"hidden_size": 2**63}}, "model.hidden_size is 9223372036854775808; give a whole number from 1"),
    ({"thresholds": [0.5]}, "which do not fit"),
    ({"problem_type": "regression"}, "problem_type is 'regression' and thresholds None, which do not fit"),
    ({"unknown_id": "1"}, "unknown_id: expected int, got str"),
    ({"unknown_id": 99}, "unknown_id is 99, but there are 5 words"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[message for _, message in CHANGES])
def test_a_config_that_is_not_ours_is_one_sentence(tmp_path, change, message):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | change))
    resign(folder)
    with pytest.raises(ArtifactError) as caught:
        load_artifact(folder)
    assert str(caught.value).startswith(str(folder / "config.json"))
    assert message in str(caught.value)


WHOLE_NUMBERS = [-1, 2**30, 2**31, 2**32 - 1, 2**32 + 1, 2**63, 2**64 + 2, True, 2.0, "2", None]


@pytest.mark.parametrize("number", WHOLE_NUMBERS, ids=repr)
@pytest.mark.parametrize(
    ("name", "section", "key"),
    [("bag", "model", "word_ngrams"), ("bag", "model", "num_buckets"), ("linear", "model", "word_ngrams"),
     ("linear", "model", "char_ngrams"), ("gru", "beside", "word_ngrams"), ("gru", "model", "hidden_size")],
)  # fmt: skip
def test_a_number_that_no_training_took_is_refused_by_name(tmp_path, name, section, key, number):
    folder = save_artifact(random_artifact(name, lists=False), tmp_path / "model")
    values = json.loads((folder / "config.json").read_text())
    values[section][key] = number
    (folder / "config.json").write_text(json.dumps(values))
    resign(folder)
    with pytest.raises(ArtifactError) as caught:
        load_artifact(folder)
    assert str(caught.value).startswith(f"{folder / 'config.json'}: {section}.{key} is {number!r}; give a whole number")


@pytest.mark.parametrize("number", WHOLE_NUMBERS, ids=repr)
@pytest.mark.parametrize(("version", "key"), [(1, "hidden_size"), (2, "hidden_size"), (3, "word_ngrams")])
def test_so_is_one_of_an_old_folder(tmp_path, version, key, number):
    folder = tmp_path / "model"
    shutil.copytree(OLD / f"artifact-v{version}", folder)
    values = json.loads((folder / "config.json").read_text())
    assert key in values["model"]
    values["model"][key] = number
    (folder / "config.json").write_text(json.dumps(values))
    resign(folder)
    with pytest.raises(ArtifactError) as caught:
        load_artifact(folder)
    assert f".{key} is {number!r}; give a whole number" in str(caught.value)


DEEP = 100_000
CONTENTS = {
    "a list": b"[]", "half an object": b'{"a"', "deep lists": b"[" * DEEP, "deep objects": b'{"a":' * DEEP,
    "deep and whole": b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}", "no UTF-8": b"\xff",
    "no UTF-8 inside": b'{"\xff": 1}', "two": b"{} {}", "a number": b"3", "a text": b'"text"', "NaN": b"NaN",
    "half a surrogate": b'{"\xed\xa0\x80": 1}',
}  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("name", ["manifest.json", "config.json", "metrics.json", "metrics.jsonl"])
def test_a_file_of_another_content_is_one_sentence(tmp_path, name, content):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    (folder / name).write_bytes(content)
    if name != "manifest.json":
        resign(folder)
    with pytest.raises(ArtifactError) as caught:
        load_artifact(folder)
    assert str(caught.value).startswith(str(folder / name))


@pytest.mark.parametrize("name", ["manifest.json", "config.json", "metrics.json"])
def test_an_empty_file_is_one_sentence(tmp_path, name):
    """Of metrics.jsonl that is a training without a line."""
    test_a_file_of_another_content_is_one_sentence(tmp_path, name, b"")


def test_words_that_are_no_utf_8_are_one_sentence(tmp_path):
    test_a_file_of_another_content_is_one_sentence(tmp_path, "vocab.txt", b"<pad>\n<unk>\nb\xff\nc\nd\n")


def test_a_config_without_a_key_is_refused(tmp_path):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    values = json.loads((folder / "config.json").read_text())
    del values["unknown_id"]
    (folder / "config.json").write_text(json.dumps(values))
    resign(folder)
    with pytest.raises(ArtifactError, match="missing required field unknown_id; train and save the model anew"):
        load_artifact(folder)


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"embeddings": np.zeros((2, 2), np.float32)}, path)
    resign(folder)
    with pytest.raises(ArtifactError, match=r"tensor 'embeddings' is float32 \(2, 2\), the config expects none"):
        load_artifact(folder)
    save_file(tensors | {"head.bias": np.zeros(7, np.float32)}, path)
    resign(folder)
    with pytest.raises(ArtifactError, match=r"tensor 'head.bias' is float32 \(7,\), .* expects float32 \(3,\)"):
        load_artifact(folder)
    save_file(tensors | {"head.bias": np.zeros(3, np.int8)}, path)
    resign(folder)
    with pytest.raises(ArtifactError, match=r"tensor 'head\.bias' is int8 \(3,\), the config expects float32 \(3,\)"):
        load_artifact(folder)
    path.write_bytes(b"no tensors at all")
    resign(folder)
    with pytest.raises(ArtifactError, match="no safetensors file"):
        load_artifact(folder)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_folder_in_the_place_of_a_file_is_one_sentence(tmp_path, name):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(ArtifactError, match=rf"{name}: the file is missing"):
        load_artifact(folder)


def test_a_file_that_the_system_does_not_give_is_one_sentence(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    folder = save_artifact(make_artifact(), tmp_path / "model")
    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everywhere
    with pytest.raises(ArtifactError, match=r"manifest.json: cannot be read \(Permission denied\); check the disk"):
        load_artifact(folder)


def test_a_folder_that_is_not_there_or_not_a_folder(tmp_path):
    with pytest.raises(ArtifactError, match="no such model folder"):
        load_artifact(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="no such model folder"):
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
    with pytest.raises(ArtifactError, match="cannot write here"):
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
    with pytest.raises(ArtifactError, match=r"cannot write here \(Permission denied\); give another"):
        check_writable(tmp_path / "model")


def store(artifact, storage):
    from rubrica.models.storage import store_table

    tensors = dict(artifact.tensors)
    stored = store_table(tensors, "embedding.weight", storage)
    return replace(artifact, tensors=tensors | stored, storage=storage)


@pytest.mark.parametrize("name", ["cnn", "gru"])
@pytest.mark.parametrize("storage", STORAGES)
def test_every_storage_is_what_it_says_to_any_reader(tmp_path, name, storage):
    """Torch's reader of safetensors is the oracle: it knows bfloat16, and nothing of ours."""
    from safetensors.torch import load_file as load_torch

    artifact = store(make_artifact(name), storage)
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
    artifact = store(make_artifact("gru"), storage)
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


def test_a_table_of_another_storage_is_refused(tmp_path):
    def refused(folder, change, message):
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(values | change))
        resign(folder)
        with pytest.raises(ArtifactError, match=message):
            load_artifact(folder)

    refused(
        save_artifact(store(make_artifact(), "int8"), tmp_path / "a"), {"storage": "int4"},
        r"tensor 'embedding.weight' is int8 \(5, 3\), the config expects uint8 \(5, 2\)",
    )  # fmt: skip
    refused(
        save_artifact(store(make_artifact(), "int8"), tmp_path / "b"), {"storage": "bfloat16"},
        r"tensor 'embedding.scale' is bfloat16 \(5,\), the config expects none",
    )  # fmt: skip
    refused(
        save_artifact(make_artifact(), tmp_path / "c"), {"storage": "bfloat16"},
        r"tensor 'cell.bias_hh_l0' is float32 \(15,\), the config expects bfloat16 \(15,\)",
    )  # fmt: skip


def test_a_packed_row_of_another_width_is_refused(tmp_path):
    """Three numbers and four take two bytes alike; which of them it is, the last half byte tells."""
    folder = save_artifact(store(make_artifact(), "int4"), tmp_path / "model")
    path = folder / "model.safetensors"
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    offset = json.loads(path.read_bytes()[8:header])["embedding.weight"]["data_offsets"][0]
    content = bytearray(path.read_bytes())
    content[header + offset + 1] |= 0x80
    path.write_bytes(content)
    resign(folder)
    with pytest.raises(ArtifactError, match="holds rows of 4 numbers, the config expects 3"):
        load_artifact(folder)
