"""What is not a model folder of ours, or not a whole one, is refused in one sentence that names the file."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from made_models import TEXTS, make_artifact, make_bag, random_artifact, resign, store_embedding
from rubrica.artifact.folder import FILES, load_artifact, save_artifact
from rubrica.errors import ArtifactError, RubricaError
from rubrica.models.storage import store_tensors, to_bfloat16
from rubrica.predict.classifier import load

OLD = Path(__file__).parents[1] / "data"


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
    ({"sure": 0.5}, "sure is 0.5, which a network with a linear model beside it has, for one label"),
    ({"sure": -0.5}, "sure: expected float >= 0.0"),
    ({"sure": True}, "sure: expected float | null, got bool"),
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


SCORES = {"texts": 3, "accuracy": 0.5, "macro_f1": 0.5, "per_class": []}


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (3, "expected object | null, got int"),
        ([], None),  # none, as {} and null
        ({"accuracy": 0.5}, "missing required field"),
        (SCORES | {"texts": "3"}, "texts: expected int, got str"),
        (SCORES | {"accuracy": "high"}, "accuracy: expected float, got str"),
        (SCORES | {"per_class": [{"label": 1}]}, "per_class[0].label: expected str, got int"),
    ],
)
def test_scores_that_nobody_can_print_are_one_sentence(tmp_path, split, scores, message):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    (folder / "metrics.json").write_text(json.dumps({split: scores}))
    resign(folder)
    if message is None:
        load_artifact(folder)
        return
    with pytest.raises(ArtifactError) as caught:
        load_artifact(folder)
    assert str(caught.value).startswith(f"{folder / 'metrics.json'}: scores of {split}: ")
    assert message in str(caught.value)


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_pipe_in_the_place_of_a_file_does_not_hang(tmp_path, name):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ArtifactError, match=rf"{name}: the file is missing"):
        load_artifact(folder)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_link_out_of_the_folder_is_one_sentence(tmp_path, name):
    folder = save_artifact(make_artifact(), tmp_path / "model")
    (folder / name).replace(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match=rf"{name}: the file is a link out of the folder; copy the file itself"):
        load_artifact(folder)
    (tmp_path / "elsewhere").replace(folder / "inside")
    (folder / name).unlink()
    (folder / name).symlink_to("inside")
    load_artifact(folder)
    (tmp_path / "link").symlink_to(folder)  # a link to the whole folder is the user's own
    load_artifact(tmp_path / "link")


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8", "int4"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_one_sentence(tmp_path, storage, number):
    artifact = random_artifact("gru", lists=False)
    artifact = replace(artifact, tensors=store_tensors(artifact.tensors, storage), storage=storage)
    floats = [name for name, tensor in artifact.tensors.items() if tensor.dtype in (np.float32, np.uint16)]
    assert len(floats) > 8
    for i, name in enumerate(floats):
        tensor = artifact.tensors[name].copy()
        tensor.flat[-1] = number if tensor.dtype == np.float32 else to_bfloat16(np.float32([number]))[0]
        folder = save_artifact(replace(artifact, tensors=artifact.tensors | {name: tensor}), tmp_path / str(i))
        with pytest.raises(ArtifactError, match=rf"tensor '{name}' holds a number that is not finite; train and save"):
            load_artifact(folder)


def test_weights_whose_answers_overflow_are_one_sentence(tmp_path):
    for loss in ("softmax", "hs"):
        bag = make_bag(1, 13, f"model.loss={loss}")
        huge = {name: 3e38 * np.sign(bag.tensors[name]) for name in ("embedding.weight", "head.weight")}
        folder = save_artifact(replace(bag, tensors=bag.tensors | huge), tmp_path / loss)
        with pytest.raises(RubricaError, match="the model's answers are not finite: its weights are too large"):
            load(folder).predict(TEXTS)


def test_a_file_that_the_system_does_not_give_is_one_sentence(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    folder = save_artifact(make_artifact(), tmp_path / "model")
    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everywhere
    with pytest.raises(ArtifactError, match=r"manifest.json: cannot be read \(Permission denied\); check the disk"):
        load_artifact(folder)


def test_a_table_of_another_storage_is_refused(tmp_path):
    def refused(folder, change, message):
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(values | change))
        resign(folder)
        with pytest.raises(ArtifactError, match=message):
            load_artifact(folder)

    refused(
        save_artifact(store_embedding(make_artifact(), "int8"), tmp_path / "a"), {"storage": "int4"},
        r"tensor 'embedding.weight' is int8 \(5, 3\), the config expects uint8 \(5, 2\)",
    )  # fmt: skip
    refused(
        save_artifact(store_embedding(make_artifact(), "int8"), tmp_path / "b"), {"storage": "bfloat16"},
        r"tensor 'embedding.scale' is bfloat16 \(5,\), the config expects none",
    )  # fmt: skip
    refused(
        save_artifact(make_artifact(), tmp_path / "c"), {"storage": "bfloat16"},
        r"tensor 'cell.bias_hh_l0' is float32 \(15,\), the config expects bfloat16 \(15,\)",
    )  # fmt: skip


def test_a_packed_row_of_another_width_is_refused(tmp_path):
    """Three numbers and four take two bytes alike; which of them it is, the last half byte tells."""
    folder = save_artifact(store_embedding(make_artifact(), "int4"), tmp_path / "model")
    path = folder / "model.safetensors"
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    offset = json.loads(path.read_bytes()[8:header])["embedding.weight"]["data_offsets"][0]
    content = bytearray(path.read_bytes())
    content[header + offset + 1] |= 0x80
    path.write_bytes(content)
    resign(folder)
    with pytest.raises(ArtifactError, match="holds rows of 4 numbers, the config expects 3"):
        load_artifact(folder)
