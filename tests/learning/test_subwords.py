"""A bag that reads the characters of words: what it gains, and that it answers alike wherever it is asked."""

import numpy as np
import pytest

from made_models import learn
from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import ConfigError, RubricaError
from rubrica.export.onnx import build_model
from rubrica.export.shrink import keep_words, store
from rubrica.models.config import make_config
from rubrica.predict.classifier import Classifier, load
from rubrica.scoring.tasks import task_of
from rubrica.vectors.word_vectors import Vectors

STEMS = {"sport": ["torwart", "stürmer", "Schiedsrichter"], "küche": ["pfanne", "löffel", "backofen"]}
ENDINGS = ["", "s", "chen", "lein", "haft", "macher", "kunst", "zeit", "los", "weise", "ung", "art"]


def sentences():
    """Each compound stands in train once, and test has compounds of its own: every word of test is unknown."""
    rows = [(f"der {stem}{end}", label) for label, stems in STEMS.items() for stem in stems for end in ENDINGS]
    order = np.random.default_rng(0).permutation(len(rows))
    parts = {"train": order[:48], "test": order[48:]}
    splits = {name: Examples(*map(list, zip(*(rows[i] for i in part), strict=True))) for name, part in parts.items()}
    return Dataset("words", splits, ("text",), "label", task_of(sorted(STEMS), lists=False))


def config_of(max_n=5, **settings):
    return make_config(model={"name": "bag", "num_buckets": 5000, "max_n": max_n}, training={"epochs": 30}, **settings)


@pytest.fixture(scope="module")
def model():
    return learn(sentences(), config_of())


def test_unseen_words_are_known_by_their_characters(model):
    assert model.artifact.metrics["test"]["accuracy"] >= 0.95
    assert learn(sentences(), config_of(max_n=0)).artifact.metrics["test"]["accuracy"] < 0.7
    assert model.predict(["TORWARTCHENS", "Löfel"]) == ["sport", "küche"]


def test_a_word_that_train_had_once_has_runs_but_no_row(model):
    assert model.artifact.vocab.words == ["<pad>", "<unk>", "der"]
    assert "Runs of 3 to 5 characters" in model.config.model.describe(model_facts(model))


def model_facts(model):
    from rubrica.models.family import Facts

    return Facts(len(model.artifact.vocab.words), 0, None, 128, 30)


def test_the_scores_of_a_training_are_those_of_the_saved_model(model, tmp_path):
    texts, labels = sentences().splits["test"].texts, sentences().splits["test"].labels
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.logits(texts), model.logits(texts))
    assert again.evaluate(texts, labels).to_json()["loss"] == model.artifact.metrics["test"]["loss"]


def test_a_text_alone_has_the_answer_that_it_has_among_others(model):
    texts = ["", "der backofenzeit", "\0", "é😀 北京", "pfannenart der torwartzeit", " ".join(ENDINGS)]
    alone = np.concatenate([model.logits([text]) for text in texts])
    np.testing.assert_allclose(alone, model.logits(texts), atol=1e-6)  # the head is a matrix product


def test_numpy_answers_alike(model, instruction_sets):
    texts = [*sentences().splits["test"].texts, "", "Löfel 北京"]
    found = []
    for library in instruction_sets:
        with library:
            found.append(Classifier(model.artifact).logits(texts))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-6)


@pytest.mark.parametrize("storage", ["bfloat16", "int8", "int4"])
@pytest.mark.parametrize("repeat", [1, 300])
def test_stored_in_fewer_bytes(model, storage, repeat):
    """A few texts expand the rows in use, many the whole table: the answers are the same."""
    stored = Classifier(store(model.artifact, storage))
    texts = sentences().splits["test"].texts[:4]
    whole = Classifier(store(stored.artifact, "float32"))
    np.testing.assert_allclose(stored.logits(texts * repeat), whole.logits(texts * repeat), atol=1e-5)


def test_a_word_that_is_taken_out_is_read_by_its_characters(model):
    smaller = Classifier(keep_words(model.artifact, 2))
    assert smaller.predict(["der torwartchens"]) == ["sport"]


def test_a_bag_on_given_vectors(model):
    draw = np.random.default_rng(1)
    vectors = Vectors(["der", "zeit", "torwart", "unused"], draw.normal(size=(4, 16)).astype(np.float32), "made")
    for extended in (True, False):
        config = config_of().replace(model={"extend_vectors": extended})
        found = learn(sentences(), config, vectors)
        assert found.artifact.metrics["test"]["accuracy"] >= 0.9
        report = found.evaluate(sentences().splits["test"].texts, sentences().splits["test"].labels)
        assert report.loss == pytest.approx(found.artifact.metrics["test"]["loss"], abs=1e-6)


def test_what_it_cannot_do_is_a_sentence(model):
    with pytest.raises(ConfigError, match=r"model.max_n is 2, below model.min_n \(3\)"):
        config_of(max_n=2)
    pytest.importorskip("onnx")
    with pytest.raises(RubricaError, match=r"a bag with model.max_n has no ONNX form"):
        build_model(model.artifact)


def test_words_behind_the_end_of_a_text_do_not_move_the_others():
    """They are counted, but no id of theirs is read; with vectors the ids are renumbered."""
    vectors = Vectors(["der", "zeit"], np.ones((2, 16), np.float32), "made")
    data = sentences()
    texts = [f"{text} behind{i} the{i} end{i}" for i, text in enumerate(data.splits["train"].texts)]
    data.splits["train"] = Examples(texts, data.splits["train"].labels)
    config = config_of(data={"max_length": 2}).replace(model={"extend_vectors": False})
    found = learn(data, config, vectors)
    report = found.evaluate(data.splits["test"].texts, data.splits["test"].labels)
    assert report.loss == pytest.approx(found.artifact.metrics["test"]["loss"], abs=1e-6)
    assert report.accuracy >= 0.9
