"""A new model family: what is in this file, and one line in the dict. Nothing else of the package knows of it."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

import rubrica
from rubrica.cli import main as cli
from rubrica.errors import RubricaError
from rubrica.export.onnx import build_model
from rubrica.models.config import make_config
from rubrica.models.families import FAMILIES
from rubrica.models.family import NetworkFamily
from rubrica.models.reading import read_words
from rubrica.networks.network import TextNetwork, make_network

# The file of the family in models/: settings, shapes, forward pass.


class Mean(NetworkFamily, frozen=True, kw_only=True):
    """The mean of a text's word vectors, and a linear layer."""

    def shapes(self, sizes):
        return {
            "embedding.weight": (sizes.vocab_size, self.embedding_dim),
            "head.weight": (sizes.num_classes, self.embedding_dim),
            "head.bias": (sizes.num_classes,),
        }

    def features(self, tensors, inputs):
        vectors, rows, starts, lengths = read_words(tensors, inputs, masked=True)
        means = [
            vectors[rows[start : start + length]].sum(axis=0) for start, length in zip(starts, lengths, strict=True)
        ]
        return np.stack(means) / np.maximum(lengths, 1).astype(np.float32)[:, None]


# The file of the family in networks/.


class MeanNetwork(TextNetwork):
    def __init__(self, embedding, num_classes):
        super().__init__(embedding)
        self.head = nn.Linear(embedding.weight.shape[1], num_classes)

    def forward(self, ids, lengths, dropout=0.0):
        vectors, index = self.embedding(ids)
        real = torch.arange(ids.shape[1]) < lengths[:, None]
        total = (vectors[index] * real[..., None]).sum(dim=1)
        return self.head(nn.functional.dropout(total / lengths.clamp(min=1)[:, None], dropout))


@make_network.register
def _(settings: Mean, embedding, num_classes):
    return MeanNetwork(embedding, num_classes)


@pytest.fixture(autouse=True)
def _line_in_the_dict(monkeypatch):
    monkeypatch.setitem(FAMILIES, "mean", Mean)


@pytest.fixture
def files(tmp_path, tiny_news):
    for name, examples in tiny_news.splits.items():
        rows = zip(examples.texts, examples.labels, strict=True)
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        (tmp_path / "news").mkdir(exist_ok=True)
        (tmp_path / "news" / f"{name}.jsonl").write_text("\n".join(lines))
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["rubrica", *map(str, arguments)])
    cli.main()


@pytest.mark.parametrize("with_linear", [True, False])
def test_a_new_family_trains_answers_and_is_scored(tiny_news, tmp_path, with_linear):
    training = {"lr": 0.05, "epochs": 20, "adversarial": 0.0 if with_linear else 1.5}  # the default takes longer
    config = make_config(model={"name": "mean", "with_linear": with_linear}, training=training)
    trained = rubrica.train(tiny_news, config=config, out=tmp_path / "model")
    loaded = rubrica.load(tmp_path / "model")
    test = tiny_news.splits["test"]
    assert loaded.config.title == ("mean and linear" if with_linear else "mean")
    assert loaded.evaluate(test.texts, test.labels).accuracy > 0.9
    np.testing.assert_allclose(loaded.logits(test.texts), trained.logits(test.texts))
    scores = trained.artifact.metrics["test"]["accuracy"]
    assert loaded.evaluate(test.texts, test.labels).accuracy == scores
    assert (tmp_path / "model" / "README.md").read_text().count("mean") >= 1
    with pytest.raises(RubricaError, match="no ONNX form"):
        build_model(loaded.artifact)


def test_a_new_family_goes_through_the_command_line(files, monkeypatch, capsys):
    model = files / "model"
    settings = ["--epochs", "20", "--lr", "0.05", "--set", "training.adversarial=0"]
    run(monkeypatch, "train", files / "news", "--model", "mean", *settings, "--out", model)
    run(monkeypatch, "evaluate", model, files / "news", "--json")
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.9
    run(monkeypatch, "info", model, "--json")
    assert json.loads(capsys.readouterr().out)["model"] == "mean and linear"
    run(monkeypatch, "predict", model, files / "news" / "test.jsonl")
    assert capsys.readouterr().out.count("label") == 40
    run(monkeypatch, "quantize", model, "--max-size", "1M", "--out", files / "small")
    with pytest.raises(SystemExit):
        run(monkeypatch, "export", model, "--onnx", "--out", files / "model.onnx")
    assert "no ONNX form" in capsys.readouterr().err
    run(monkeypatch, "train", "--help")
    assert "mean" in capsys.readouterr().out
