"""A bag whose classes are found by a tree of decisions: as good as the softmax, and the same answers by every door."""

import json
from dataclasses import replace

import numpy as np
import pytest

from made_models import learn
from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import ConfigError, RubricaError
from rubrica.export.onnx import build_model
from rubrica.export.shrink import store
from rubrica.learning.budget import choose_length
from rubrica.models.bag import Bag
from rubrica.models.config import make_config
from rubrica.predict.classifier import Classifier, load
from rubrica.scoring.tally import score_all
from rubrica.scoring.tasks import task_of

CLASSES = [f"class {i:04}" for i in range(1200)]


def texts_of(numbers):
    rows = [(f"word{i} thing{i % 7} x{j}", name) for i, name in enumerate(CLASSES) for j in numbers]
    return Examples(*map(list, zip(*rows, strict=True)))


def data_of(train=4):
    splits = {"train": texts_of(range(train)), "test": texts_of(range(train, train + 1))}
    return Dataset("many", splits, (), "", task_of(CLASSES, lists=False))


@pytest.fixture(scope="module")
def model():
    # A quarter of the epochs that it would choose: the numpy twin, which the tests run too, is slow.
    settings = {"name": "bag", "loss": "hs", "num_buckets": 20_000}
    return learn(data_of(), make_config(model=settings, training={"epochs": 10}))


def test_it_learns_thousands_of_classes(model):
    scores = model.artifact.metrics["test"]
    assert scores["accuracy"] > 0.97
    assert scores["loss"] < 0.5
    assert scores["confusion"] is None
    config = make_config(model={"name": "bag", "loss": "hs"})
    chosen = choose_length(config, 4320, len(CLASSES)).training  # a tenth of 4,800 texts is held out
    assert (chosen.epochs, chosen.lr, model.config.training.lr) == (46, 1.0, 1.0)
    assert config.model.num_buckets == 1 << 21


def test_every_door_gives_the_same_answers(model, tmp_path):
    texts = [*texts_of([9]).texts[:90], "", "unknown"]
    labels = [*texts_of([9]).labels[:90], CLASSES[0], CLASSES[1]]
    probabilities = model.predict_proba(texts)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-4)
    best = [CLASSES[place] for place in probabilities.argmax(axis=1)]
    assert model.predict(texts) == best
    assert [row[0] for row in model.predict(texts, k=3)] == best
    order = np.argsort(-model.logits(texts), axis=1, kind="stable")[:, :200]
    assert model.predict(texts, k=200) == [[CLASSES[place] for place in row] for row in order.tolist()]
    lines = [json.loads(line) for line in "\n".join(model.iter_answers(texts, all_classes=False)).split("\n")]
    assert [line["label"] for line in lines] == best
    np.testing.assert_allclose([line["score"] for line in lines], probabilities.max(axis=1), atol=2e-6)
    every = json.loads(next(iter(model.iter_answers(texts[:1], all_classes=True))))
    assert len(every["scores"]) == len(CLASSES)
    half = [answer if p >= 0.5 else None for answer, p in zip(best, probabilities.max(axis=1), strict=True)]
    assert model.predict(texts, abstain_below=0.5) == half
    report = model.evaluate(texts, labels, abstain_below=0.5)
    whole = score_all(model.task, model.logits(texts), model.task.encode(labels), 0.5)
    assert (report.accuracy, report.abstaining) == (whole.accuracy, whole.abstaining)
    assert report.loss == pytest.approx(whole.loss, abs=1e-4)
    assert model.evaluate(texts[:2], ["no such", labels[1]]).loss < 9
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.predict(texts) == best
    card = (tmp_path / "model" / "README.md").read_text()
    assert "class 0004 and 1,195 more." in card
    assert "| 1,200 classes: see metrics.json |" in card
    assert "A tree of decisions finds the class." in card


def test_numpy_answers_alike(model, instruction_sets):
    texts = texts_of([9]).texts[:70]
    logits, answers = model.logits(texts[:5]), model.predict(texts)
    for library in instruction_sets:
        with library:
            vocab = replace(model.artifact.vocab)  # without the index of another library
            found = Classifier(replace(model.artifact, vocab=vocab))
            np.testing.assert_allclose(found.logits(texts[:5]), logits, rtol=1e-4, atol=1e-4)
            assert found.predict(texts) == answers


@pytest.mark.parametrize("storage", ["bfloat16", "int8"])
def test_stored_in_fewer_bytes(model, storage, tmp_path):
    stored = Classifier(store(model.artifact, storage))
    stored.save(tmp_path / "model")
    texts, labels = texts_of([9]).texts, texts_of([9]).labels
    assert load(tmp_path / "model").predict(texts) == stored.predict(texts)
    assert stored.evaluate(texts, labels).accuracy > 0.9
    assert stored.artifact.tensors["head.counts"].dtype == np.uint32


def test_two_trainings_are_one():
    config = make_config(model={"name": "bag", "loss": "hs", "num_buckets": 50}, training={"epochs": 2})
    first, second = (learn(data_of(2), config).artifact.tensors for _ in range(2))
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_what_it_cannot_do_is_a_sentence(model):
    config = make_config(model={"name": "bag", "loss": "hs"})
    several = Dataset("s", {"train": Examples(["a", "b"], [("x",), ("x", "y")])}, (), "", task_of("xy", lists=True))
    with pytest.raises(ConfigError, match=r'model\.loss is "hs", which finds one class, and a text may have several'):
        learn(several, config)
    pytest.importorskip("onnx")
    with pytest.raises(RubricaError, match=r'a bag with model\.loss="hs" has no ONNX form'):
        build_model(model.artifact)


def test_no_training_and_no_answer_makes_the_logits_of_all_classes(monkeypatch):
    def refuse(*_):
        raise AssertionError("the logits of all classes were made")

    monkeypatch.setattr(Bag, "logits", refuse)
    settings = {"name": "bag", "loss": "hs", "num_buckets": 50}
    found = learn(data_of(3), make_config(model=settings, training={"epochs": 2}))
    assert found.evaluate(texts_of([9]).texts, texts_of([9]).labels).texts == len(CLASSES)
    assert len(found.predict(["word3"], k=5)[0]) == 5
