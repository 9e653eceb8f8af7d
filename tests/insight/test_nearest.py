"""The nearest training texts: every cosine once more, and where the texts come from."""

import numpy as np
import pytest

from made_explanations import BAGS, LINEAR, make_both, make_fasttext, make_linear
from made_models import make
from rubrica.data.dataset import Dataset, Examples, read_pairs
from rubrica.errors import RubricaError
from rubrica.insight.explanations.explain import explain
from rubrica.insight.explanations.nearest import nearest_texts, training_texts
from rubrica.learning.train import train
from rubrica.models.config import make_config
from rubrica.predict.classifier import Classifier
from rubrica.text.ngrams import count_ngrams, index_keys, weigh_counts

TEXTS = ["a b c", "c b a", "", "a b c", "d e f", "a", "unknown", "A B C D", "b-c", "words words a"] * 2
LABELS = ["World", "Sports"] * 10
ASKED = ["a b c d", "d", ""]


def vectors_of(model, texts):
    """What the model sees of texts, one by one."""
    if model.config.model.reads_words or model.config.model.reads_raw:
        return np.stack([model.sentence_vector(text) for text in texts]).astype(float)
    ngrams, tensors = model.config.model.ngrams(model.config.data), model.artifact.tensors
    index = index_keys(tensors["linear.keys"])
    entries = weigh_counts(count_ngrams(texts, ngrams), index, tensors["linear.idf"].astype(float))
    found = np.zeros((len(texts), len(tensors["linear.keys"])))
    for i, (place, size) in enumerate(zip(entries.places, entries.sizes, strict=True)):
        np.add.at(found[i], entries.indices[place : place + size], entries.values[place : place + size])
    return found


MODELS = {
    "gru": lambda: make("gru")[0].artifact,
    "default": make_both,
    "fasttext": make_fasttext,
    "bag": BAGS["characters"],
    "linear": make_linear,
    "words alone": LINEAR["words alone"],
}


@pytest.mark.parametrize("at_once", [3, 100])
@pytest.mark.parametrize("name", MODELS)
def test_the_nearest_are_those_of_the_largest_cosine(name, at_once):
    artifact = MODELS[name]()
    train, asked = (vectors_of(Classifier(artifact), texts) for texts in (TEXTS, ASKED))
    norms = np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(train, axis=1)
    cosines = np.divide(asked @ train.T, norms, out=np.zeros_like(norms), where=norms > 0)
    found = nearest_texts(artifact, ASKED, "train", Examples(TEXTS, LABELS), 6, at_once=at_once)
    for near, expected in zip(found, cosines, strict=True):
        assert len(near) == 6
        np.testing.assert_allclose([one.similarity for one in near], np.sort(expected)[::-1][:6], atol=1e-5)
        for one in near:
            assert one.similarity == pytest.approx(expected[one.row - 1], abs=1e-5)
            assert (one.text, one.labels, one.split) == (TEXTS[one.row - 1], (LABELS[one.row - 1],), "train")


def test_of_equal_texts_the_first_comes_first_and_no_more_than_there_are():
    found = nearest_texts(make_linear(), ["a b c"], "train", Examples(TEXTS, LABELS), 99, at_once=4)[0]
    assert len(found) == len(TEXTS)
    assert [one.row for one in found][:2] == [1, 4]
    with pytest.raises(ValueError, match="k is 0"):
        nearest_texts(make_linear(), ["a"], "train", Examples(TEXTS, LABELS), 0)


def test_the_texts_are_the_ones_that_are_given_or_named(tiny_news):
    data = Dataset(
        "made", {"test": Examples(["x"], ["World"]), "train": Examples(TEXTS, LABELS)}, (), "", tiny_news.task
    )
    assert training_texts(make_linear(), data) == ("train", data.splits["train"])
    found = explain(Classifier(make_linear()), "a b c", data=data, k=2).nearest
    assert [one.row for one in found] == [1, 4]
    with pytest.raises(RubricaError, match="does not name training texts that are here; give them as data"):
        training_texts(make_linear())


def test_labels_that_are_not_certain_are_shown_with_their_shares():
    def nearest(scores, count, **given):
        train = read_pairs(TEXTS, scores, **given).splits["train"]
        return [
            (near.labels, near.shares) for near in nearest_texts(make_linear(), ["a b c"], "train", train, count)[0]
        ]

    doubted = [{"World": 0.75, "Sports": 0.25}, {"Sports": 1.0}] * 10
    assert nearest(doubted, 1) == [(("World", "Sports"), (0.75, 0.25))]
    assert (("Sports",), (1.0,)) in nearest(doubted, 20)
    several = [{"World": 0.75, "Sports": 0.5}, {"Sports": 1.0}] * 10  # they do not add up to 1
    assert nearest(several, 1) == [(("World", "Sports"), (0.75, 0.5))]
    assert nearest([0.1, 0.7] * 10, 1, regression=True) == [(("1",), (0.1,))]


def test_texts_of_a_regression_are_read_as_scores(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"word{i % 5} a,{i / 50}\n" for i in range(50)))
    config = make_config(model={"name": "linear"})
    model = train(tmp_path / "train.csv", config=config, regression=True, out=tmp_path / "model").artifact
    for data in (None, tmp_path / "train.csv"):
        assert training_texts(model, data)[1].soft.is_regression
