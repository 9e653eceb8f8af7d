"""The ONNX graph answers as torch does, at every batch and length, and a wrong one is never written."""

import re
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from documented import as_documented
from made_models import CASES, LABELS, TEXTS, WORDS, make, make_bag
from rubrica.artifact.folder import Artifact
from rubrica.errors import ArtifactError, MissingExtraError, RubricaError
from rubrica.export import onnx as onnx_graph
from rubrica.export.onnx import TOLERANCE, build_model, check, checked_onnx, write_onnx
from rubrica.export.shrink import store
from rubrica.models.config import load_recipe
from rubrica.models.family import Inputs
from rubrica.models.storage import STORAGES
from rubrica.networks.networks import build_network
from rubrica.scoring.tasks import task_of
from rubrica.text.vocab import TokenIds, Vocab

NAMES = ["model.onnx", "model.vocab.txt"]


def session_of(artifact):
    return onnxruntime.InferenceSession(build_model(artifact).SerializeToString(), providers=["CPUExecutionProvider"])


def ragged(texts, steps, draw):
    """Random ids and lengths; the first text has no words, the last one all steps."""
    ids, lengths = draw.integers(0, len(WORDS), (texts, steps)), draw.integers(0, steps + 1, texts)
    lengths[0], lengths[-1] = 0, steps
    ids[np.arange(steps) >= lengths[:, None]] = 0
    return ids, lengths


@pytest.mark.parametrize(("name", "pooling", "masked", "both"), CASES, ids=str)
def test_logits_and_probabilities_equal_torch(name, pooling, masked, both):
    classifier, model = make(name, pooling, masked, both)
    onnx.checker.check_model(build_model(classifier.artifact), full_check=True)
    session, draw = session_of(classifier.artifact), np.random.default_rng(1)
    for texts in (1, 2, 7):
        for steps in (1, 2, 3, 6, 33):
            ids, lengths = ragged(texts, steps, draw)
            logits, probabilities = session.run(None, {"ids": ids, "lengths": lengths})
            expected = model(torch.from_numpy(ids), torch.from_numpy(lengths) if masked else None).detach()
            np.testing.assert_allclose(logits, expected, atol=1e-5)
            np.testing.assert_allclose(probabilities, expected.softmax(1), atol=1e-6)


@pytest.mark.parametrize("name", ["rnn", "gru"])
def test_probabilities_equal_torch_where_the_seminar_starts(name):
    classifier, model = make(name, "last", False, init="uniform01")
    session, draw = session_of(classifier.artifact), np.random.default_rng(2)
    for steps in (1, 5, 90):
        ids, lengths = ragged(4, steps, draw)
        (found,) = session.run(["probabilities"], {"ids": ids, "lengths": lengths})
        np.testing.assert_allclose(found, model(torch.from_numpy(ids), None).softmax(1).detach(), atol=1e-5)


def bag_logits(artifact, ids):
    """One text by a plain loop, the hash in Python's own whole numbers."""
    tensors = {name: tensor.astype(float) for name, tensor in artifact.tensors.items()}
    rows = [tensors["embedding.weight"][i] for i in ids]
    for n in range(2, artifact.config.model.word_ngrams + 1):
        for start in range(len(ids) - n + 1):
            mixed = 0
            for i in ids[start : start + n]:
                mixed = ((mixed ^ (int(i) + 1)) * 0x9E3779B97F4A7C15) % 2**64
            rows.append(tensors["ngrams.weight"][(mixed >> 32) * artifact.config.model.num_buckets >> 32])
    features = np.mean(rows, axis=0) if rows else np.zeros(5)
    return tensors["head.weight"] @ features + tensors["head.bias"]


@pytest.mark.parametrize("word_ngrams", [1, 2, 4])
def test_a_bag_hashes_its_ngrams_as_a_loop_does(word_ngrams):
    artifact = make_bag(word_ngrams)
    onnx.checker.check_model(build_model(artifact), full_check=True)
    session, draw = session_of(artifact), np.random.default_rng(5)
    for texts, steps in ((1, 1), (3, 2), (5, 30)):
        ids, lengths = ragged(texts, steps, draw)
        (logits,) = session.run(["logits"], {"ids": ids, "lengths": lengths})
        expected = [bag_logits(artifact, row[:length]) for row, length in zip(ids, lengths, strict=True)]
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        # The numbers that the check holds a graph to are float64 all the way.
        exact = {name: tensor.astype(np.float64) for name, tensor in artifact.tensors.items()}
        real = np.arange(steps) < lengths[:, None]
        tokens = TokenIds(ids[real].astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))
        found = artifact.config.model.logits(exact, Inputs(tokens, (), texts))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_smaller_bag_answers_alike(storage):
    artifact = store(make_bag(2), storage)
    assert check(artifact, build_model(artifact).SerializeToString()).onnx < TOLERANCE


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", ["cnn", "gru"])
def test_a_smaller_table_is_small_in_the_graph_and_answers_alike(name, storage):
    artifact = store(make(name)[0].artifact, storage)
    content = build_model(artifact).SerializeToString()
    assert check(artifact, content).onnx < TOLERANCE
    tables = [
        tensor for tensor in onnx.load_from_string(content).graph.initializer if tensor.name == "embedding.weight"
    ]
    number = {"float32": 4, "bfloat16": 2, "int8": 1, "int4": 1}[storage]
    assert [len(table.raw_data) for table in tables] == [len(WORDS) * 5 * number]


@pytest.mark.parametrize("name", ["cnn", "gru"])
def test_a_program_without_rubrica_gets_the_same_answers_from_the_two_files(tmp_path, name):
    classifier, _ = make(name)
    content, difference = checked_onnx(classifier.artifact, tmp_path / "new" / "model.onnx")
    files = write_onnx(classifier.artifact, tmp_path / "new" / "model.onnx", content)
    assert difference.onnx < TOLERANCE
    assert sorted((tmp_path / "new").iterdir()) == files == [tmp_path / "new" / name for name in NAMES]
    labels, probabilities = as_documented().answer(str(tmp_path / "new" / "model.onnx"), TEXTS)
    assert labels == classifier.predict(TEXTS)
    np.testing.assert_allclose(probabilities, classifier.predict_proba(TEXTS), atol=1e-5)


def test_a_network_that_multiplies_rounding_is_held_to_what_float32_can(tmp_path):
    """The seminar's gru at its start: even torch's float32 is up to 1e-4 from float64."""
    config = load_recipe("seminar-gru")
    torch.manual_seed(1)
    model = build_network(config.model, torch.randn(len(WORDS), 50), len(LABELS))
    tensors = {name: value.numpy() for name, value in model.state_dict().items()}
    artifact = Artifact(config, task_of(LABELS, lists=False), Vocab(WORDS, 1, False), tensors)
    _, differences = checked_onnx(artifact, tmp_path / "model.onnx")
    assert differences.ours > TOLERANCE / 4
    assert 0 < differences.share < 0.1
    wrong = dict(tensors) | {"cell.bias_hh_l0": tensors["cell.bias_hh_l0"] + np.float32(0.001)}
    other = build_model(replace(artifact, tensors=wrong)).SerializeToString()
    assert not check(artifact, other).passed


@pytest.mark.parametrize("wrong", ["head.bias", "cell.bias_hh_l0"])
def test_a_graph_that_answers_differently_is_not_written(tmp_path, monkeypatch, wrong):
    artifact = make("gru")[0].artifact
    other = dict(artifact.tensors)
    other[wrong] = other[wrong] + np.float32(1e-4)
    different = build_model(type(artifact)(artifact.config, artifact.task, artifact.vocab, other))
    monkeypatch.setattr(onnx_graph, "build_model", lambda artifact: different)
    with pytest.raises(ArtifactError, match=r"model\.onnx: not written: onnxruntime's answers are off by \d"):
        checked_onnx(artifact, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_no_number_is_no_answer(tmp_path):
    artifact = make("gru")[0].artifact
    artifact.tensors["head.bias"] = artifact.tensors["head.bias"] * np.float32(np.nan)
    with pytest.raises(RubricaError, match="the model's answers are not finite: its weights are too large"):
        checked_onnx(artifact, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_both_files_are_there_or_neither(tmp_path, monkeypatch):
    artifact = make("gru")[0].artifact
    monkeypatch.setattr(type(artifact.vocab), "to_bytes", lambda vocab: (tmp_path / "nowhere" / "x").read_bytes())
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_onnx(artifact, tmp_path / "model.onnx", b"content")
    assert not list(tmp_path.iterdir())


def test_files_that_are_there_are_left_alone(tmp_path):
    artifact = make("gru")[0].artifact
    (tmp_path / "a.onnx").write_text("precious")
    (tmp_path / "b.vocab.txt").write_text("precious")
    for name, message in (("a.onnx", "a.onnx: is there already"), ("b.onnx", "b.vocab.txt: is there already")):
        with pytest.raises(ArtifactError, match=re.escape(message)):
            checked_onnx(artifact, tmp_path / name)
    with pytest.raises(ArtifactError, match=r"ends in \.onnx"):
        checked_onnx(artifact, tmp_path / "model")
    with pytest.raises(ArtifactError, match="cannot be written"):
        checked_onnx(artifact, tmp_path / "a.onnx" / "c.onnx")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ["a.onnx", "b.vocab.txt"], "precious"
    )


def test_a_model_beyond_the_limit_of_the_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "_MAX_BYTES", 100)
    with pytest.raises(ArtifactError, match=r"the weights take .* GB, an ONNX file holds 2; quantize the model"):
        checked_onnx(make("gru")[0].artifact, tmp_path / "model.onnx")


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_without_the_libraries_the_sentence_names_the_extra(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"{library} is not installed; run: pip install 'rubrica\[onnx\]'"):
        checked_onnx(make("gru")[0].artifact, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
