"""A teacher: what a training learns of its answers, by every way in, and which answers are refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import rubrica
from made_words import KNOWN, NEW, config_of, labelled, same, texts_of
from rubrica.cli.main import rubrica as command
from rubrica.data.dataset import Examples
from rubrica.data.scores import read_scores, score_row
from rubrica.errors import ConfigError, DataError, RubricaError
from rubrica.learning import unlabeled
from rubrica.learning.teacher import ask

LABELS = ("food", "sport")


def knows_all(texts):
    """Of each text the share of words of each label."""
    found = []
    for text in texts:
        sport = np.mean([word in KNOWN["sport"] + NEW["sport"] for word in text.split()])
        found.append({"sport": 0.05 + 0.9 * sport, "food": 0.95 - 0.9 * sport})
    return found


@pytest.fixture
def keep(monkeypatch):
    monkeypatch.setattr(unlabeled, "_stays", lambda *_: True)  # few held-out texts tell little


def new_texts():
    return texts_of(NEW, 300, 1)[0]


def write_scores(path, rows):
    path.write_text("".join(json.dumps({"text": text, "scores": scores}) + "\n" for text, scores in rows))
    return path


@pytest.mark.parametrize(("name", "several"), [("linear", False), ("linear", True), ("bag", False)])
def test_a_student_learns_what_only_the_teacher_knows(name, several, keep):
    model = rubrica.train(labelled(several), config=config_of(name), unlabeled=new_texts(), teacher=knows_all)
    asked, truth = texts_of(NEW, 100, 5)
    right = [label in found for found, label in zip(model.predict(asked), truth, strict=True)]
    assert np.mean(right) > 0.95
    found = model.artifact.metrics["unlabeled"]
    every = set(labelled().splits["train"].texts) | set(new_texts())
    assert found == {
        "texts": len(set(new_texts())), "word_vectors": False, "answers_learned": True, "taught": len(every),
    }  # fmt: skip


def test_every_way_in_gives_the_same_model(tmp_path, keep):
    data, more = labelled(), new_texts()
    every = list(dict.fromkeys([*data.splits["train"].texts, *more]))
    said = knows_all(every)
    jsonl = write_scores(tmp_path / "scores.jsonl", zip(every, said, strict=True))
    table = {"text": every, "scores": said}
    pq.write_table(pa.table(table), tmp_path / "struct.parquet")
    maps = pa.array([list(scores.items()) for scores in said], pa.map_(pa.string(), pa.float64()))
    pq.write_table(pa.table({"text": every, "scores": maps}), tmp_path / "map.parquet")
    columns = {label: [scores[label] for scores in said] for label in LABELS}
    pq.write_table(pa.table({"text": every} | columns), tmp_path / "columns.parquet")

    def as_array(texts):
        return np.array([[scores[label] for label in LABELS] for scores in knows_all(texts)])

    files = [jsonl, tmp_path / "struct.parquet", tmp_path / "map.parquet", tmp_path / "columns.parquet"]
    ways = [knows_all, as_array, str(jsonl), *files]
    first, *others = [rubrica.train(data, config=config_of(), unlabeled=more, teacher=way).artifact for way in ways]
    assert all(same(first, other) for other in others)
    texts, labels = data.splits["train"].texts, data.splits["train"].labels
    rows = (f"{label},{text}\n" for label, text in zip(labels, texts, strict=True))
    (tmp_path / "train.csv").write_text("label,text\n" + "".join(rows))
    (tmp_path / "more.txt").write_text("\n".join(more))
    flags = ["--model", "linear", "--seed", "3", "--unlabeled", str(tmp_path / "more.txt"), "--teacher", str(jsonl)]
    out = str(tmp_path / "model")
    done = CliRunner().invoke(command, ["train", str(tmp_path / "train.csv"), *flags, "--out", out])
    assert done.exit_code == 0, done.output
    assert f"a teacher's answers to {len(every):,} texts" in done.output
    saved = rubrica.load(out).artifact
    assert same(first, saved)
    assert saved.metrics["run"]["data"]["teacher"]["texts"] == len(every)


def test_a_model_teaches(tmp_path, keep):
    texts, labels = texts_of({label: KNOWN[label] + NEW[label] for label in KNOWN}, 600, 4)
    teacher = rubrica.train(texts, labels, config=config_of("bag"), out=tmp_path / "teacher")
    ways = [teacher, tmp_path / "teacher", str(tmp_path / "teacher"), teacher.predict_proba]
    first, *others = [rubrica.train(labelled(), config=config_of(), unlabeled=new_texts(), teacher=way) for way in ways]
    assert all(same(first.artifact, other.artifact) for other in others)
    asked, truth = texts_of(NEW, 100, 5)
    assert np.mean(np.array(first.predict(asked)) == truth) > 0.95


def test_its_answers_to_predicted_texts_can_be_read(tmp_path, keep):
    texts, labels = texts_of({label: KNOWN[label] + NEW[label] for label in KNOWN}, 600, 4)
    rubrica.train(texts, labels, config=config_of("bag"), out=tmp_path / "teacher")
    pq.write_table(pa.table({"text": new_texts()}), tmp_path / "new.parquet")
    given = [str(tmp_path / "new.parquet"), "--all", "--out", str(tmp_path / "scores.parquet")]
    assert CliRunner().invoke(command, ["predict", str(tmp_path / "teacher"), *given]).exit_code == 0
    model = rubrica.train(labelled(), config=config_of(), teacher=tmp_path / "scores.parquet")
    assert model.artifact.metrics["unlabeled"]["taught"] == len(set(new_texts()))
    asked, truth = texts_of(NEW, 100, 5)
    assert np.mean(np.array(model.predict(asked)) == truth) > 0.95


def test_what_is_no_better_does_not_stay(monkeypatch):
    monkeypatch.setattr(unlabeled, "_stays", lambda *_: False)
    model, alone = (rubrica.train(labelled(), config=config_of(), teacher=way) for way in (knows_all, None))
    assert model.artifact.metrics["unlabeled"]["answers_learned"] is False
    assert same(model.artifact, alone.artifact)


def test_the_teacher_sees_no_text_of_test_and_validation(tmp_path):
    data, shown = labelled(), list[str]()
    data.splits["validation"] = Examples(["goal goal goal"] * 5, ["sport"] * 5)
    data.splits["test"] = Examples(["soup soup soup"] * 5, ["food"] * 5)

    def teacher(texts):
        shown.extend(texts)
        return knows_all(texts)

    said = ask(teacher, data, ["a new one"])
    assert shown == said.texts == list(dict.fromkeys([*data.splits["train"].texts, "a new one"]))
    rows = [("soup soup soup", {"sport": 1.0}), ("a new one", {"sport": 1.0}), ("silent", {"sport": 0.0})]
    assert ask(write_scores(tmp_path / "s.jsonl", rows), data, []).texts == ["a new one"]


def test_held_out_texts_are_not_taught():
    data = labelled()
    judged = unlabeled.hold_out_texts(data, config_of())
    found = unlabeled._taught(data.task, ask(knows_all, data, ["a new one"]), judged)
    held = set(judged.splits["validation"].texts)
    assert held
    assert not held & set(found.examples.texts)
    assert "a new one" in found.examples.texts
    np.testing.assert_allclose(found.weights.sum(), len(set(found.examples.texts)), rtol=1e-5)


def test_of_few_labelled_texts_a_teacher_is_believed_and_own_answers_are_not(caplog):
    few = labelled()
    few.splits["train"] = Examples(few.splits["train"].texts[:8], few.splits["train"].labels[:8])
    model = rubrica.train(few, config=config_of(), unlabeled=new_texts(), teacher=knows_all)
    asked, truth = texts_of(NEW, 100, 5)
    assert np.mean(np.array(model.predict(asked)) == truth) > 0.95
    assert model.artifact.metrics["unlabeled"]["answers_learned"] is True
    assert "nothing can be judged: the teacher is believed" in caplog.text
    alone, own = (rubrica.train(few, config=config_of(), unlabeled=texts) for texts in (None, new_texts()))
    assert same(alone.artifact, own.artifact)
    assert "nothing can be judged: the unlabelled texts are left alone" in caplog.text


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"sprot": 0.5}, r"scores name the label 'sprot', which train does not have; did you mean 'sport'\?"),
        ({"sport": 1.5}, r"the score of 'sport' is 1\.5, expected a probability from 0 to 1"),
        ({"sport": -0.1}, r"the score of 'sport' is -0\.1"),
        ({"sport": float("nan"), "food": "much"}, r"the score of 'food' is 'much'"),
        ([["sport", 0.5], ["sport", 0.5]], "the label 'sport' stands twice"),
        ("sport", "found 'sport' as the scores of a text, expected"),
        (None, "found None as the scores of a text, expected"),
    ],
)
def test_scores_that_are_refused(row, problem, tmp_path):
    with pytest.raises(ValueError, match=problem):
        score_row(row, LABELS)
    with pytest.raises(RubricaError, match=problem):
        ask(lambda texts: [row] * len(texts), labelled(), [])
    if row == row and "nan" not in str(row):
        path = write_scores(tmp_path / "scores.jsonl", [("a goal", {"sport": 1}), ("a soup", row)])
        with pytest.raises(DataError, match=rf"scores\.jsonl line 2: {problem}"):
            read_scores(path, LABELS)


def test_files_that_are_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        ask(tmp_path / "nowhere.jsonl", labelled(), [])
    (tmp_path / "lines.txt").write_text("a goal\na soup\n")
    with pytest.raises(DataError, match='holds no scores; expected a column "scores"'):
        ask(tmp_path / "lines.txt", labelled(), [])
    (tmp_path / "other.jsonl").write_text('{"text": "a goal", "points": 3}\n')
    with pytest.raises(DataError, match=r'columns are "?text"?, "?points"?; expected a column "scores"'):
        ask(tmp_path / "other.jsonl", labelled(), [])
    path = write_scores(tmp_path / "twice.jsonl", [("a", {"sport": 1}), ("a", {"sport": 1}), ("a", {"food": 1})])
    with pytest.raises(DataError, match=r"twice\.jsonl line 3: the text 'a' stood before, with other scores"):
        ask(path, labelled(), [])
    with pytest.raises(ConfigError, match="gives no label of any text a score above 0"):
        ask(write_scores(tmp_path / "zero.jsonl", [("a", {"sport": 0})]), labelled(), [])


def test_teachers_that_are_refused():
    with pytest.raises(RubricaError, match="the teacher gave 1 scores for 1024 texts; give scores for each"):
        ask(lambda texts: [{"sport": 1}], labelled(), [f"text {place}" for place in range(2000)])
    other = rubrica.train(["a goal", "a soup"] * 20, ["sports", "food"] * 20, config=config_of())
    problem = r"the teacher gives the label 'sports', which train does not have; did you mean 'sport'\?"
    with pytest.raises(ConfigError, match=problem):
        ask(other, labelled(), [])
    with pytest.raises(TypeError, match=r"teacher is 3 \(int\), expected a model, a file of scores or a function"):
        rubrica.train(labelled(), config=config_of(), teacher=3)
    with pytest.raises(ConfigError, match="a teacher and a time budget do not go together"):
        rubrica.train(labelled(), config=config_of(), teacher=knows_all, time_budget=5.0)


def test_where_a_text_may_have_several_labels_none_is_an_answer(keep):
    data = labelled(several=True)
    taught = [
        rubrica.train(
            data, config=config_of(), unlabeled=["nothing to see", "quite other words"], teacher=says
        ).artifact.metrics["unlabeled"]["taught"]
        for says in (
            lambda texts: [{} if "o" in text.split()[0] else {"food": 1.0} for text in texts],
            lambda texts: [{"food": 0.0 if "o" in text.split()[0] else 1.0} for text in texts],
        )
    ]
    every = len(set(data.splits["train"].texts)) + 2
    assert taught == [every, every]


@pytest.mark.parametrize("make", [pd.DataFrame, pa.table])
@pytest.mark.parametrize("names", [["food", "sport"], ["sport", "food"]])
def test_the_columns_of_a_table_are_found_by_name(make, names):
    shares = {"food": 0.25, "sport": 0.75}
    said = ask(lambda texts: make({name: [shares[name]] * len(texts) for name in names}), labelled(), ["a new one"])
    assert np.unique(said.probabilities, axis=0).tolist() == [[0.25, 0.75]]


def test_what_a_file_leaves_out_is_said(tmp_path, caplog):
    data = labelled()
    held = replace(data, splits=data.splits | {"test": data.splits["train"].take(np.arange(3))})
    rows = [("", {"food": 1.0}), *((text, {"food": 1.0}) for text in (*held.splits["test"].texts, "a new one"))]
    with caplog.at_level("INFO", "rubrica"):
        said = ask(write_scores(tmp_path / "scores.jsonl", dict(rows).items()), held, [])
    assert said.texts == ["a new one"]
    assert "scores of an empty or missing text are left out" in caplog.text
    assert f"the texts of validation and test, {len(set(held.splits['test'].texts))}, are left out" in caplog.text


@pytest.mark.parametrize("answer", [None, 3, "words"])
def test_a_function_that_gives_something_else(answer):
    with pytest.raises(RubricaError, match=r"the teacher gave \d+ scores for \d+ texts; give scores for each"):
        rubrica.train(labelled(), config=config_of(), teacher=lambda texts: answer)
