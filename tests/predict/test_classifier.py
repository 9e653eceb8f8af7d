"""Answers without torch equal torch's, in any order and any company."""

import json
import subprocess
import sys
from dataclasses import replace

import datasets
import numpy as np
import pandas
import polars
import pyarrow
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rubrica
from made_models import CASES, LABELS, TEXTS, make
from made_networks import NETWORKS
from rubrica.artifact.folder import save_artifact
from rubrica.models.family import Inputs
from rubrica.predict.classifier import Classifier
from rubrica.scoring.task import Task
from rubrica.text.batching import pad_batch


def torch_probabilities(model, classifier, texts):
    """In the order of the texts, in batches of the training size."""
    tokens = classifier.artifact.vocab.encode(texts, classifier.config.data.max_length)
    rows = []
    for start in range(0, len(texts), 3):
        ids, lengths = pad_batch(tokens, np.arange(start, min(start + 3, len(texts))))
        known = torch.from_numpy(lengths) if classifier.config.model.mask_padding else None
        rows.append(model(torch.from_numpy(ids), known).softmax(1))
    return torch.cat(rows).detach().numpy()


@pytest.mark.parametrize(("name", "pooling", "masked", "both"), CASES, ids=str)
def test_probabilities_equal_torch(name, pooling, masked, both):
    classifier, model = make(name, pooling, masked, both)
    got = classifier.predict_proba(TEXTS)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, torch_probabilities(model, classifier, TEXTS), atol=1e-5)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_in_float64_give_logits_in_float64(name):
    """To which a graph of ONNX is held: rounded on the way they would hide what it rounds."""
    classifier, model = make(name)
    weights = {key: tensor.astype(np.float64) for key, tensor in classifier.artifact.tensors.items()}
    tokens = classifier.artifact.vocab.encode(TEXTS, 128)
    ids, lengths = pad_batch(tokens, np.arange(len(TEXTS)))
    expected = model.double()(torch.from_numpy(ids), torch.from_numpy(lengths)).detach()
    found = classifier.config.model.logits(weights, Inputs(tokens, (), len(TEXTS)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["rnn", "gru"])
def test_probabilities_equal_torch_where_the_seminar_starts(name):
    classifier, model = make(name, "last", False, init="uniform01")
    np.testing.assert_allclose(
        classifier.predict_proba(TEXTS), torch_probabilities(model, classifier, TEXTS), atol=1e-5
    )


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=25)
@given(texts=st.lists(st.text("abc é\0😀.", max_size=40), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_a_masked_model_scores_a_text_alike_in_any_company(name, texts, seed):
    classifier, _ = make(name)
    alone = np.vstack([classifier.predict_proba([text]) for text in texts])
    order = np.random.default_rng(seed).permutation(len(texts))
    together = classifier.predict_proba([texts[i] for i in order])
    np.testing.assert_allclose(together, alone[order], atol=1e-6)


def test_one_answer_a_text_in_order():
    classifier, _ = make("gru")
    answers = classifier.predict(TEXTS * 100)
    assert len(answers) == 800
    assert answers == classifier.predict(TEXTS) * 100
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 3)


def test_what_is_no_list_of_texts_is_refused():
    classifier, _ = make("gru")
    with pytest.raises(TypeError, match=r"texts is one string \('a fine film'\.\.\.\); pass a list"):
        classifier.predict("a fine film")
    with pytest.raises(TypeError, match=r"text 1 is b'a' \(bytes\), expected a string"):
        classifier.predict(["a", b"a"])


def test_a_wrong_label_is_found_before_any_text_is_answered(monkeypatch):
    classifier = make("gru")[0]
    monkeypatch.setattr(classifier, "logits", None)
    with pytest.raises(ValueError, match="label 1: a text has 2 labels, and the model gives one"):
        classifier.evaluate(["a", "b"], ["World", ("World", "Sports")])
    with pytest.raises(ValueError, match="label 1: no label"):
        classifier.evaluate(["a", "b"], ["World", None])


def test_evaluate_counts_what_predict_says():
    classifier, _ = make("gru")
    answers = classifier.predict(TEXTS)
    scores = classifier.evaluate(TEXTS, answers).to_json()
    assert scores["accuracy"] == 1
    assert classifier.evaluate(np.array(TEXTS, object), np.array(answers)).to_json() == scores
    wrong = [LABELS[(LABELS.index(answer) + 1) % 3] for answer in answers]
    assert classifier.evaluate(TEXTS, wrong).to_json()["accuracy"] == 0
    with pytest.raises(ValueError, match="1 texts and 2 labels"):
        classifier.evaluate(["a"], LABELS[:2])
    with pytest.raises(ValueError, match="at least one"):
        classifier.evaluate([], [])


def test_a_label_that_the_model_does_not_know_counts_as_wrong(caplog):
    classifier, _ = make("gru")
    answers = classifier.predict(TEXTS)
    known = classifier.evaluate(TEXTS[1:], answers[1:])
    assert not caplog.messages
    found = classifier.evaluate(TEXTS, ["Sport", *answers[1:]])
    assert caplog.messages == [
        'the given data: 1 of 8 texts has a label that the model does not know ("Sport", did you mean "Sports"?); '
        "it counts as wrong"
    ]
    assert (found.accuracy, found.loss) == (7 / 8, known.loss)
    assert found.per_class[3] == ("Sport", 0, 0, 0, 1)
    assert [row[3] for row in found.confusion] == [0] * 4
    assert sum(found.confusion[3]) == 1


def test_where_the_model_knows_no_label_there_are_scores_and_no_loss(caplog):
    classifier, _ = make("gru")
    found = classifier.evaluate(TEXTS, range(8), abstain_below=0.3).to_json()
    assert (found["accuracy"], found["macro_f1"], found["loss"]) == (0, 0, None)
    assert caplog.messages == [
        "the given data: 8 of 8 texts have labels that the model does not know "
        '("0"; "1"; "2"; "3"; "4"; ...); they count as wrong'
    ]
    json.dumps(found, allow_nan=False)
    with pytest.raises(
        ValueError, match=r'1,001 labels that the model does not know \("0", "1", "10", ...\); check that'
    ):
        classifier.evaluate(["a"] * 1001, range(1001))


@pytest.mark.parametrize(
    ("labels", "column"),
    [
        (["1", "2", "true"], [1, 2, True]),
        (["1", "2", "true"], ["1.0", " 2\n", "TRUE"]),
        (["1", "2", "true"], np.array([1, 2, 1], np.int8)),
        (["1.0", " 2", "True"], [1.0, "2", np.True_]),  # of a model from before
        (["1.0", "1", "True"], ["1.0", 1, "true"]),
        (["\u00e9", "2", ""], ["e\u0301", 2.0, ""]),
    ],
)
def test_a_label_may_have_any_spelling(labels, column, caplog):
    task = Task(tuple(labels))
    place = [0, 1, 0] if isinstance(column, np.ndarray) else [0, 1, 2]
    assert task.encode(column).tolist() == place
    classifier = make("gru")[0]
    named = Classifier(replace(classifier.artifact, task=task))
    assert named.evaluate(["a", "b", "c"], column) == named.evaluate(["a", "b", "c"], [labels[i] for i in place])
    assert not caplog.messages


def test_a_column_of_labels_may_be_of_any_library():
    pandas, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    (classifier, _), texts, labels = make("gru"), ["a b c", "p", "a"], ["Business", "World", "World"]
    plain = classifier.evaluate(texts, labels)
    for column in (pandas.Series, pa.array, np.array, tuple):
        assert classifier.evaluate(column(texts), column(labels)) == plain
    with pytest.raises(TypeError, match="labels is one string"):
        classifier.evaluate(["a"], "World")


NO_TORCH = """
import sys
sys.modules["torch"] = None  # what an environment without torch amounts to: importing it fails
sys.modules["pyarrow"] = None
import rubrica
for folder in sys.argv[1:]:
    model = rubrica.load(folder)
    print(model.predict(["a b c"]), model.predict_proba(["a b c"]).shape)
"""


def test_saved_models_answer_where_torch_is_not_installed(tmp_path):
    expected = ""
    for name in NETWORKS:
        classifier, _ = make(name)
        folder = save_artifact(classifier.artifact, tmp_path / name)
        assert rubrica.load(folder).labels == LABELS
        expected += f"{classifier.predict(['a b c'])} (1, 3)\n"
    command = [sys.executable, "-c", NO_TORCH, *(tmp_path / name for name in NETWORKS)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == expected


# Texts and labels of any library


TABLES = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "numpy": lambda texts: np.array(texts, object),
    "numpy column": lambda texts: np.array(texts, object)[:, None],
    "series": lambda texts: pandas.Series(texts, range(len(texts), 0, -1)),
    "category": lambda texts: pandas.Series(texts, dtype="category"),
    "frame": lambda texts: pandas.DataFrame({"any": texts}),
    "polars": polars.Series,
    "polars frame": lambda texts: polars.DataFrame({"any": texts}),
    "pyarrow": pyarrow.array,
    "chunked": lambda texts: pyarrow.chunked_array([texts[:1], texts[1:]]),
    "pyarrow table": lambda texts: pyarrow.table({"any": texts}),
    "dataset": lambda texts: datasets.Dataset.from_dict({"any": texts}),
    "column of a dataset": lambda texts: datasets.Dataset.from_dict({"any": texts, "id": [0] * len(texts)})["any"],
    "dicts": lambda texts: [{"any": text} for text in texts],
}
SEVERAL = {
    "frame": lambda texts: pandas.DataFrame({"text": texts, "id": 1}),
    "polars frame": lambda texts: polars.DataFrame({"text": texts, "id": [1] * len(texts)}),
    "pyarrow table": lambda texts: pyarrow.table({"text": texts, "id": [1] * len(texts)}),
    "dataset": lambda texts: datasets.Dataset.from_dict({"text": texts, "id": [1] * len(texts)}),
    "dicts": lambda texts: [{"text": text, "id": 1} for text in texts],
}


@pytest.mark.parametrize("column", TABLES)
def test_texts_may_come_in_any_column(column):
    classifier, _ = make("gru")
    expected = classifier.predict_proba(TEXTS)
    np.testing.assert_array_equal(classifier.predict_proba(TABLES[column](list(TEXTS))), expected)


@pytest.mark.parametrize("table", SEVERAL)
def test_a_table_of_several_columns_is_no_column(table):
    classifier, _ = make("gru")
    with pytest.raises(TypeError, match="pass one column"):
        classifier.predict(SEVERAL[table](list(TEXTS)))
    with pytest.raises(ValueError, match="expected one dimension"):
        classifier.predict(np.array([TEXTS[:2], TEXTS[:2]], object))


def test_a_missing_text_is_the_empty_text_and_a_number_is_what_is_written():
    classifier, _ = make("gru")
    texts = [None, float("nan"), pandas.NA, 5, 0.5, True, "e\u0301"]
    expected = classifier.predict_proba(["", "", "", "5", "0.5", "True", "\xe9"])
    np.testing.assert_array_equal(classifier.predict_proba(texts), expected)


def test_the_best_labels_of_each_text():
    classifier, _ = make("gru")
    found = classifier.predict(TEXTS, k=2)
    assert [labels[0] for labels in found] == classifier.predict(TEXTS)
    order = np.argsort(-classifier.predict_proba(TEXTS), axis=1)
    assert found == [[LABELS[place] for place in row[:2]] for row in order]
    assert {len(labels) for labels in classifier.predict(TEXTS, k=99)} == {len(LABELS)}
    with pytest.raises(ValueError, match="k is 0, expected at least 1"):
        classifier.predict(TEXTS, k=0)
    with pytest.raises(ValueError, match="give k or abstain_below"):
        classifier.predict(TEXTS, k=1, abstain_below=0.5)


def test_a_saved_model_is_the_same_model(tmp_path):
    classifier, _ = make("gru")
    classifier.save(tmp_path / "model")
    np.testing.assert_array_equal(
        rubrica.load(tmp_path / "model").predict_proba(TEXTS), classifier.predict_proba(TEXTS)
    )
    with pytest.raises(rubrica.RubricaError, match="model"):
        classifier.save(tmp_path / "model")


def test_a_data_set_is_scored_as_its_texts_and_labels_are(tmp_path):
    classifier, _ = make("gru")
    labels = [LABELS[place % len(LABELS)] for place in range(len(TEXTS))]
    expected = classifier.evaluate(TEXTS, labels)
    frame = pandas.DataFrame({"text": TEXTS, "label": labels})
    frame.to_csv(tmp_path / "a.csv", index=False)
    for data in (frame, tmp_path / "a.csv", rubrica.read_dataset(frame), {"train": frame[:1], "test": frame}):
        assert classifier.evaluate(data) == expected


def test_lines_of_json_answer_what_predict_answers():
    model, texts = make("gru")[0], ["a b", "c", "b b a"]

    def labels(given):
        lines = "\n".join(model.iter_answers(given, all_classes=False)).split("\n")
        return [json.loads(line)["label"] for line in lines]

    expected = model.predict(texts)
    for column in (list, iter, np.array, pandas.Series, pyarrow.array, lambda x: pandas.DataFrame({"text": x})):
        assert labels(column(texts)) == expected
    for other, problem in (("a b", "pass a list"), (None, "expected a list of texts"), ({"a": 1}, "expected a list")):
        with pytest.raises(TypeError, match=problem):
            model.iter_answers(other, all_classes=False)
    with pytest.raises(ValueError, match="3 is no probability"):
        model.iter_answers(texts, all_classes=False, abstain_below=3)


def test_a_keyword_of_evaluate_that_is_none_has_a_sentence():
    with pytest.raises(TypeError, match="there is no keyword 'abstain'; did you mean 'abstain_below'"):
        make("gru")[0].evaluate(["a"], ["x"], abstain=0.5)
    assert repr(make("gru")[0]) == "<Classifier: gru, 3 labels>"
