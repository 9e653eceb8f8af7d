"""rubrica.js gives the probabilities and answers of Python, for every kind of model, storage and text."""

import numpy as np
import pytest

from made_fasttext import FASTTEXT, made_fasttext
from made_models import CASES, make, make_bag
from made_networks import NETWORKS
from made_texts import made_texts
from nodes import ask
from rubrica import load
from rubrica.artifact.fasttext_model import load_fasttext, to_artifact
from rubrica.export.shrink import store
from rubrica.predict.classifier import Classifier

CLOSE = 1e-5


def check(models, texts, folder, *arguments):
    """Save the models, ask both sides, and compare."""
    for number, model in enumerate(models):
        model.save(folder / str(number))
    questions = [{"folder": str(folder / str(number)), "texts": texts} for number in range(len(models))]
    for question, found in zip(questions, ask(questions, *arguments), strict=True):
        assert "error" not in found, found
        model = load(question["folder"])
        expected = model.predict_proba(texts)
        assert found["labels"] == model.labels
        np.testing.assert_allclose(np.array(found["probabilities"]), expected, rtol=0, atol=CLOSE)
        ranked = -np.sort(-expected, axis=1)
        thresholds = np.array(model.task.thresholds or [2.0])
        clear = (ranked[:, 0] - ranked[:, 1] > CLOSE) & (np.abs(expected - thresholds) > CLOSE).all(axis=1)
        answers = [one if isinstance(one, list) else [one] for one in model.predict(texts)]
        assert [found["answers"][i] for i in np.flatnonzero(clear)] == [answers[i] for i in np.flatnonzero(clear)]
        assert all(len(row) == 2 for row in found["ranks"])


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_with_each_pooling_and_direction(name, texts, tmp_path):
    check([make(*case)[0] for case in CASES if case[0] == name], texts, tmp_path)


@pytest.mark.parametrize("name", ["gru", "lstm", "rnn"])
def test_networks_without_webassembly(name, texts, tmp_path):
    check([make(*case)[0] for case in CASES if case[0] == name and case[1] == "max"], texts, tmp_path, "plain")


def test_bags(texts, tmp_path):
    settings = ((1,), (2,), (4,), (2, 13, "model.max_n=4"), (1, 13, "model.max_n=3"), (2, 13, "model.loss=hs"))
    check([Classifier(make_bag(*each)) for each in settings], texts, tmp_path)


def test_trained_models_with_one_label_and_several(models, texts, tmp_path):
    check(list(models.values()), texts, tmp_path)


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8", "int4"])
def test_each_storage(storage, models, texts, tmp_path):
    check([Classifier(store(models[name].artifact, storage)) for name in ("bag", "gru and linear")], texts, tmp_path)


def test_made_fasttext_models(texts, tmp_path):
    made = {name: settings for name, settings in FASTTEXT.items() if settings.get("kind") != "skipgram"}
    found = [to_artifact(*made_fasttext(**settings), name) for name, settings in made.items()]
    for longest in (3, 5):
        settings = {"word_ngrams": longest, "max_n": longest, "min_n": 1, "num_buckets": 17}
        found.append(to_artifact(*made_fasttext(3, 5, **settings), "long"))
    check(list(map(Classifier, found)), [*texts, "w0 w1 w2 w0", "w1 </s> w2", "w2 __label__0 w1"], tmp_path)


def test_a_real_fasttext_model(shared, texts, tmp_path):
    check([Classifier(load_fasttext(shared / "models" / "lid.176.ftz"))], texts, tmp_path)


def test_a_long_text_and_one_of_one_token(models, tmp_path):
    long = " ".join(made_texts(60)) * 30
    check([models["linear"], models["gru and linear"]], [long, "x" * 5000, "😀" * 3000], tmp_path)
