"""scikit-learn's contract. Its `check_estimator` runs nothing on an estimator of texts; these are its checks."""

import copy
import io
import pickle
import warnings
from dataclasses import replace

import joblib
import numpy as np
import pandas
import pyarrow
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.validation import check_is_fitted

import rubrica
from rubrica import TextClassifier
from rubrica.learning.train import train
from rubrica.models.config import load_recipe, make_config
from rubrica.scoring.tasks import task_of
from rubrica.vectors.stored import save_vectors
from settings import changed

SMALL = {"model.num_buckets": 1000}
BAG = TextClassifier("bag", epochs=30, lr=1.0, settings=SMALL)
LINEAR = TextClassifier("linear")
GRU = TextClassifier("gru", epochs=4, batch_size=16, lr=0.02, hidden_size=8)
ALL = [BAG, LINEAR, GRU]
IDS = ["bag", "linear", "gru"]
GRU_ALONE = clone(GRU).set_params(settings={"model.with_linear": False, "training.adversarial": 0.0})
SINGLE = [BAG, LINEAR, GRU_ALONE]


@pytest.fixture
def news(tiny_news):
    split = tiny_news.splits["train"]
    return split.texts, np.array(split.labels)


@pytest.fixture
def test_news(tiny_news):
    split = tiny_news.splits["test"]
    return split.texts, np.array(split.labels)


def same_model(one, other):
    first, second = one.classifier_.artifact.tensors, other.classifier_.artifact.tensors
    return first.keys() == second.keys() and all(first[name].tobytes() == second[name].tobytes() for name in first)


# What needs no data: scikit-learn's own checks.


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimators_unfitted",
    ],
)
def test_checks_of_scikit_learn(check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(estimator_checks, check)("TextClassifier", clone(LINEAR))


def test_tags():
    tags = get_tags(BAG)
    assert tags.estimator_type == "classifier"
    assert (tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array) == (True, True, False)
    assert tags.target_tags.required


# What scikit-learn checks with numbers, here with texts.


@pytest.mark.parametrize("estimator", ALL, ids=IDS)
def test_it_learns_and_answers_as_a_classifier_does(news, test_news, estimator, capsys):
    texts, labels = news
    copies, parameters = (list(texts), labels.copy()), copy.deepcopy(estimator.get_params())
    model = clone(estimator)
    assert model.fit(texts, labels) is model
    assert model.classes_.tolist() == sorted(set(labels))
    assert not hasattr(model, "n_features_in_")
    check_is_fitted(model)
    state = {name: value for name, value in vars(model).items() if name != "classifier_"}
    answers, p = model.predict(test_news[0]), model.predict_proba(test_news[0])
    assert model.score(*test_news) == accuracy_score(test_news[1], answers) > 0.9
    assert answers.shape == (40,)
    assert answers.dtype == labels.dtype
    assert p.shape == (40, 4)
    np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], answers)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert log_loss(test_news[1], p) < 0.7
    # Nothing that was given has changed, and answers change nothing.
    assert (texts, labels.tolist()) == (copies[0], copies[1].tolist())
    assert model.get_params() == parameters
    assert {name: value for name, value in vars(model).items() if name != "classifier_"} == state
    # Each text by itself, and in any order.
    np.testing.assert_allclose(np.vstack([model.predict_proba([text]) for text in test_news[0]]), p, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(test_news[0][::-1]), p[::-1], atol=1e-6)
    assert model.predict([]).shape == (0,)
    assert model.predict_proba([]).shape == (0, 4)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("estimator", SINGLE, ids=IDS)
def test_the_seed_decides_and_a_second_fit_is_a_first_one(news, estimator):
    model = clone(estimator).set_params(epochs=2, random_state=5).fit(*news)
    again = clone(model).fit(*news)
    assert same_model(model, again)
    assert same_model(model.fit(*news), again)
    assert not same_model(model, clone(model).set_params(random_state=6).fit(*news))


def test_it_learns_what_the_command_learns(tiny_news, news):
    config = changed(load_recipe("bag"), ["model.num_buckets=1000", "training.seed=3", "training.epochs=5"])
    task = task_of(sorted(tiny_news.task.labels), lists=False)
    dataset = type(tiny_news)("x", {"train": tiny_news.splits["train"]}, ("text",), "label", task)
    expected = train(dataset, config=config)
    found = TextClassifier("bag", epochs=5, random_state=3, settings=SMALL).fit(*news)
    assert found.classifier_.config == expected.config
    for name, tensor in expected.artifact.tensors.items():
        np.testing.assert_array_equal(found.classifier_.artifact.tensors[name], tensor)


@pytest.mark.parametrize("estimator", ALL, ids=IDS)
def test_a_copy_answers_alike(news, test_news, estimator):
    model = clone(estimator).set_params(epochs=1).fit(*news)
    expected = model.predict_proba(test_news[0])  # first, so that whatever it keeps for later is there
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), joblib.load(file)):
        np.testing.assert_array_equal(other.predict_proba(test_news[0]), expected)
        assert other.get_params() == model.get_params()


def test_a_model_that_was_loaded_can_be_pickled(tiny_news, tmp_path):
    texts = tiny_news.splits["test"].texts
    train(tiny_news, config=load_recipe("linear"), out=tmp_path / "model")
    loaded = rubrica.load(tmp_path / "model")
    expected = loaded.logits(texts)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(loaded)).logits(texts), expected)


def test_a_missing_text_is_warned_of(news, caplog):
    clone(LINEAR).fit([None, *news[0][1:-1], ""], news[1])
    assert "row 1: an empty text (and 1 more)" in caplog.text


def test_ctrl_c_ends_a_search_and_keeps_what_was_learned(news, monkeypatch):
    model = clone(LINEAR)
    original = rubrica.estimator.train_dataset

    def interrupted(*given, **named):
        corpus, artifact = original(*given, **named)
        return corpus, replace(artifact, metrics=artifact.metrics | {"interrupted": True})

    monkeypatch.setattr(rubrica.estimator, "train_dataset", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*news)
    assert model.score(*news) > 0.9
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(clone(LINEAR), *news, cv=2)


def objects(values):
    return np.array(values, object)


@pytest.mark.parametrize(
    "column",
    [
        tuple,
        np.array,
        lambda x: np.array(x, object),
        pandas.Series,
        pyarrow.array,
        lambda x: pyarrow.chunked_array([x]),
    ],
    ids=["tuple", "numpy", "objects", "pandas", "pyarrow", "chunked"],
)
def test_texts_may_come_in_any_column(news, column):
    texts, labels = news[0][:40], news[1][:40]
    expected = clone(LINEAR).fit(texts, labels)
    found = clone(LINEAR).fit(column(texts), column(labels.tolist()))
    assert same_model(expected, found)
    np.testing.assert_array_equal(found.predict_proba(column(texts)), expected.predict_proba(texts))


# Weights


@pytest.mark.parametrize("estimator", SINGLE, ids=IDS)
def test_weights(news, estimator):
    texts, labels = news[0][:80], news[1][:80]
    estimator = clone(estimator).set_params(epochs=2)
    plain = clone(estimator).fit(texts, labels)
    for even in (1, np.full(len(texts), 3.0)):
        assert same_model(plain, clone(estimator).fit(texts, labels, even))
    weights = np.ones(len(texts))
    weights[::3] = 0
    kept = weights > 0
    without = clone(estimator).fit([text for text, keep in zip(texts, kept, strict=True) if keep], labels[kept])
    assert same_model(without, clone(estimator).fit(texts, labels, weights))
    weights[::3] = 2
    uneven = clone(estimator).fit(texts, labels, weights)
    assert not same_model(plain, uneven)
    assert same_model(uneven, clone(estimator).fit(texts, labels, list(weights * 8)))


def test_what_weighs_more_is_answered_more_often(news):
    """The same texts under two labels: the heavier one wins. (A validation part has both, and says: none.)"""
    linear = TextClassifier("linear", settings={"data.validation_fraction": 0.0})
    texts = news[0][:40] * 2
    labels = np.repeat(["a", "b"], 40)
    for heavy in ("a", "b"):
        by_text = clone(linear).fit(texts, labels, np.where(labels == heavy, 5.0, 1.0))
        assert set(by_text.predict(texts)) == {heavy}
        light = "b" if heavy == "a" else "a"
        by_class = clone(linear).set_params(class_weight={heavy: 5.0, light: 1.0}).fit(texts, labels)
        assert same_model(by_text, by_class)
        # 4 texts beside 40: balanced, each of the 4 weighs ten times as much.
        few = [*texts[:40], *texts[:4]], np.array([light] * 40 + [heavy] * 4)
        balanced = clone(linear).set_params(class_weight="balanced").fit(*few)
        assert same_model(balanced, clone(linear).fit(*few, np.where(few[1] == heavy, 10.0, 1.0)))
        assert set(balanced.predict(texts[:4])) == {heavy}
        assert light in clone(linear).fit(*few).predict(texts[:4])
        # Both at once are multiplied.
        twice = np.where(np.arange(44) % 2, 2.0, 1.0)
        both = clone(linear).set_params(class_weight="balanced").fit(*few, twice)
        product = clone(linear).fit(*few, np.where(few[1] == heavy, 10.0, 1.0) * twice)
        np.testing.assert_allclose(both.predict_proba(texts), product.predict_proba(texts), atol=0.02)
        assert not same_model(both, balanced)


# Settings


def test_settings_and_vectors_reach_the_training(news, tiny_vectors, tmp_path):
    model = clone(GRU).set_params(
        epochs=1, vectors=tiny_vectors, dropout=0.1, cost=np.float64(2), random_state=np.int64(7),
        settings={"model.pooling": "max", "beside.char_ngrams": 3, "training.lr": 9.0},
    ).fit(*news)  # fmt: skip
    expected = {
        "model": {"name": "gru", "pooling": "max", "hidden_size": 8},
        "beside": {"cost": 2.0, "char_ngrams": 3},
        "training": {"epochs": 1, "batch_size": 16, "lr": 0.02, "dropout": 0.1, "seed": 7},
    }
    found = model.classifier_.config.to_dict()
    for section, values in expected.items():
        assert {key: found[section][key] for key in values} == values
    assert found["model"]["embedding_dim"] == tiny_vectors.dim
    save_vectors(tiny_vectors, tmp_path / "v.txt")
    from_file = clone(model).set_params(vectors=str(tmp_path / "v.txt")).fit(*news)
    np.testing.assert_allclose(from_file.predict_proba(news[0]), model.predict_proba(news[0]), atol=1e-5)


def test_a_recipe_may_be_a_name_or_a_file(tmp_path):
    assert TextClassifier()._config() == make_config()
    assert TextClassifier("seminar-gru")._config() == load_recipe("seminar-gru")
    (tmp_path / "mine.toml").write_text('[model]\nname = "lstm"\n')
    assert TextClassifier(tmp_path / "mine.toml")._config() == changed(make_config(), ["model.name=lstm"])


@pytest.mark.parametrize("count", [2, 3])
def test_of_few_texts_none_is_held_out(count):
    texts, labels = ["good film", "bad film"] * count, ["yes", "no"] * count
    model = TextClassifier("linear").fit(texts, labels)
    assert "validation" not in model.classifier_.artifact.metrics
    assert model.predict(["good film", "bad film"]).tolist() == ["yes", "no"]


# In scikit-learn's company


def lower(texts):
    return [text.lower() for text in texts]


def test_search_pipeline_and_cross_validation(news, test_news):
    search = GridSearchCV(
        Pipeline([("prep", FunctionTransformer(lower)), ("clf", TextClassifier("linear"))]),
        {"clf__model": ["bag", "linear"], "clf__epochs": [5], "clf__settings": [None, {"training.storage": "float32"}]},
        cv=2,
        n_jobs=1,
        error_score="raise",
    ).fit(*news)
    assert search.best_params_["clf__model"] == "linear"  # so few texts are too few for a bag
    assert search.score(*test_news) > 0.9
    other = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(other.predict_proba(test_news[0]), search.predict_proba(test_news[0]))
    scores = cross_val_score(BAG, *news, cv=StratifiedKFold(2), scoring="f1_macro", error_score="raise")
    assert scores.min() > 0.8


@pytest.mark.parametrize("ensemble", [True, False])
def test_calibrated(news, test_news, ensemble):
    model = CalibratedClassifierCV(LINEAR, cv=2, ensemble=ensemble).fit(*news, sample_weight=np.ones(len(news[0])))
    assert model.score(*test_news) > 0.9
    np.testing.assert_allclose(model.predict_proba(test_news[0]).sum(axis=1), 1)


# What cannot be used


@pytest.mark.parametrize(
    ("texts", "labels", "weights", "error", "match"),
    [
        ("one text", ["a"], None, TypeError, "pass a list"),
        (["x", "y"], "ab", None, TypeError, "labels is one string"),
        (3, ["a"], None, TypeError, "expected a list of texts"),
        ({"x": 1}, ["a"], None, TypeError, "expected a list of texts"),
        ([], [], None, ValueError, "found 0 texts"),
        (["x", "y"], ["a"], None, ValueError, "found 2 texts and 1 labels"),
        (["x", [3]], ["a", "b"], None, TypeError, r"text 1 is \[3\] \(list\), expected a string"),
        (["x", b"y"], ["a", "b"], None, TypeError, "expected a string"),
        (np.array([["x", "y"]]), ["a", "b"], None, ValueError, r"shape \(1, 2\)"),
        (pandas.DataFrame({"text": ["x"], "id": [1]}), ["a"], None, TypeError, "pass one column"),
        (["x", "y"], None, None, ValueError, "requires y to be passed, but the target y is None"),
        (["x", "y"], ["a", None], None, ValueError, "label 1 is missing"),
        (["x", "y"], ["a", float("nan")], None, ValueError, "label 1 is missing"),
        (["x", "y"], ["a", "a"], None, ValueError, r"one class only \(a\)"),
        (["x", "y"], [[], []], None, ValueError, "y has no label; give texts of at least two classes"),
        (["x", "y"], ["a", "b"], [1.7e308, 1e308], ValueError, "numbers with an infinite sum"),
        (["x", "y"], ["a", "b"], [1, 0], ValueError, "one class only"),
        (["x", "y"], [0.5, 1.5], None, ValueError, "Unknown label type"),
        (["x", "y"], np.array([[0, 1], [1, 2]]), None, ValueError, "a matrix of 0 and 1"),
        (["x", "y"], pandas.DataFrame([[0, 1], [1, 2]]), None, ValueError, "labels hold 2"),
        (["x", "y"], ["a", "b"], [1], ValueError, r"sample_weight.shape is \(1,\), expected \(2,\)"),
        (["x", "y"], ["a", "b"], [1, -1], ValueError, "negative"),
        (["x", "y"], ["a", "b"], [1, float("nan")], ValueError, "NaN"),
        (["x", "y"], ["a", "b"], [0, 0], ValueError, "only zeros"),
    ],
)
def test_what_cannot_be_learned_from_is_said(texts, labels, weights, error, match):
    with pytest.raises(error, match=match):
        TextClassifier("linear").fit(texts, labels, weights)


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"model": "grue"}, ValueError, "model is 'grue'; did you mean 'gru'"),
        ({"model": 3}, TypeError, "model is 3"),
        ({"model": "linear", "cost": 0}, ValueError, "model.cost is 0"),
        ({"epochs": "many"}, ValueError, "training.epochs is 'many'"),
        ({"random_state": np.random.RandomState(0)}, ValueError, "training.seed is"),
        ({"settings": ["model.pooling=max"]}, TypeError, "expected a dict"),
        ({"settings": {"model.poling": "max"}}, ValueError, "did you mean 'pooling'"),
        ({"settings": {"pooling": "max"}}, ValueError, "unknown section"),
        ({"model": "linear", "vectors": "v.txt"}, ValueError, "reads no word vectors"),
        ({"class_weight": "heavy"}, ValueError, "class_weight"),
        ({"class_weight": {"a": 0, "b": 1}}, ValueError, "finite weights above 0"),
    ],
)
def test_a_bad_parameter_is_refused_in_fit(parameters, error, match):
    model = TextClassifier(**parameters)
    with pytest.raises(error, match=match):
        model.fit(["x", "y"], ["a", "b"])


def test_other_faults(news):
    for method in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(TextClassifier(), method)(["x"])
    model = clone(LINEAR).fit(*news)
    with pytest.raises(TypeError, match=r"text 0 is b'a' .bytes., expected a string"):
        model.predict([b"a"])
    with pytest.raises(TypeError, match="pass a list"):
        model.predict_proba("one text")
    with pytest.warns(DataConversionWarning):
        assert same_model(model, clone(LINEAR).fit(news[0], news[1][:, None]))


# Several labels of a text
