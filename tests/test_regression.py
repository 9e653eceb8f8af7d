"""A score from 0 to 1 in place of a label: read, learned, scored, saved, and the same by every door."""

import json
import math
from dataclasses import replace

import numpy as np
import onnxruntime
import pandas
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sklearn import metrics

import rubrica
from made_files import csv_bytes, each_size, parquet_bytes, write
from made_words import same
from nodes import ask
from rubrica.cli.main import rubrica as command
from rubrica.data.dataset import check_trainable, read_dataset, read_pairs
from rubrica.errors import ArtifactError, ConfigError, DataError, RubricaError
from rubrica.export.onnx import build_model
from rubrica.export.shrink import folder_sizes
from rubrica.insight.cleaning.wrong_labels import find_wrong_labels
from rubrica.insight.compare import compare
from rubrica.insight.data_doctor import examine_data
from rubrica.insight.model_doctor import examine_model
from rubrica.learning import teacher
from rubrica.learning.identity import hashes_of_labels
from rubrica.predict.classifier import Classifier
from rubrica.scoring.paired import score as score_of_hits
from rubrica.tuning import final
from serving import ask as request
from serving import predict, serving

GOOD, BAD = ["well", "clear", "exact", "careful", "proof"], ["click", "buy", "now", "free", "wow"]
ASKED = ["well clear proof", "click now", "well buy", "", "unheard words"]


def texts_and_scores(count=400, seed=0):
    """Texts whose share of good words is their score, about."""
    draw = np.random.default_rng(seed)
    scores = draw.beta(1, 1, count).round(2).tolist()
    words = [[draw.choice(GOOD if draw.random() < score else BAD) for _ in range(12)] for score in scores]
    return [f"{' '.join(of)} n{place}" for place, of in enumerate(words)], scores


def config_of(name="linear"):
    more = {"num_buckets": 500} if name == "bag" else {}
    return rubrica.make_config(model={"name": name, **more})


@pytest.fixture(scope="module")
def model():
    return rubrica.train(*texts_and_scores(), regression=True, config=config_of())


@pytest.mark.parametrize("name", ["linear", "bag", "gru", "cnn"])
def test_every_family_finds_scores(name):
    model = rubrica.train(*texts_and_scores(800), regression=True, config=config_of(name))
    report = model.evaluate(*texts_and_scores(300, seed=1))
    assert report.r2 > 0.75  # the words are drawn: 12 of them know the score within a tenth
    assert report.mean_absolute_error < 0.12
    high, low, middle, *_ = model.predict(ASKED)
    assert 1 > high > 0.65 > middle > low > 0
    assert low < 0.42
    assert model.artifact.metrics["train_texts"] == 800
    assert model.artifact.sure is None


def test_the_figures_are_scikit_learns(model):
    texts, scores = texts_and_scores(300, seed=1)
    report, found = model.evaluate(texts, scores), np.array(model.predict(texts))
    np.testing.assert_array_equal(found, model.predict_proba(texts)[:, 1])
    assert report.texts == 300
    assert report.mean_absolute_error == pytest.approx(metrics.mean_absolute_error(scores, found))
    assert report.root_mean_squared_error == pytest.approx(metrics.root_mean_squared_error(scores, found))
    assert report.r2 == pytest.approx(metrics.r2_score(scores, found))
    assert report.correlation == pytest.approx(np.corrcoef(scores, found)[0, 1])
    true = np.array(scores)
    assert report.loss == pytest.approx(-(true * np.log(found) + (1 - true) * np.log(1 - found)).mean(), rel=1e-5)
    assert report.main == pytest.approx(1 - report.mean_absolute_error)
    soft = read_pairs(texts, scores, regression=True).splits["train"].soft.probabilities
    hits = model.task.hits(model.logits(texts), (true >= 0.5).astype(int), soft)
    assert score_of_hits(hits) == pytest.approx(report.main, abs=1e-6)
    alike = model.evaluate(["well", "well"], [0.5, 0.5])
    assert (alike.r2, alike.correlation) == (None, None)
    assert "None" not in str(json.dumps(alike.to_json()))


@each_size
def test_every_way_in_gives_the_same(tmp_path, limits, model):
    texts, scores = texts_and_scores(30)
    scores[:3] = [0.0, 1.0, 0.5]
    rows = [{"text": text, "quality": score} for text, score in zip(texts, scores, strict=True)]
    files = {
        "a.csv": csv_bytes(zip(texts, scores, strict=True), header=("text", "quality")),
        "a.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "a.parquet": parquet_bytes({"text": texts, "quality": scores}),
    }
    found = [read_dataset(write(tmp_path / name, data), regression=True, limits=limits) for name, data in files.items()]
    found += [
        read_dataset(pandas.DataFrame(rows), regression=True),
        read_pairs(texts, np.array(scores), regression=True),
    ]
    for data in found:
        train = data.splits["train"]
        assert (data.task.labels, data.task.problem_type) == (("0", "1"), "regression")
        assert list(train.labels) == ["1" if score > 0.5 else "0" for score in scores]
        np.testing.assert_allclose(train.soft.probabilities[:, 1], scores, atol=1e-7)
    reports = [model.evaluate(data) for data in (*found, tmp_path / "a.csv", tmp_path / "a.parquet", rows)]
    assert all(report == reports[0] for report in reports)
    assert model.evaluate(texts, list(map(str, scores))) == reports[0]


@pytest.mark.parametrize(("value", "problem"), [
    ("1.2", "found '1.2', expected a number from 0 to 1; divide by the largest score that there may be"),
    ("-0.1", "found '-0.1', expected"),
    ("nan", "found 'nan', expected"),
    ("x", "found 'x', expected"),
    ("", "no score"),
])  # fmt: skip
def test_what_is_no_score(tmp_path, value, problem):
    path = write(tmp_path / "a.csv", f"text,score\none,0.5\ntwo,{value}\nthree,1\n")
    with pytest.raises(DataError) as caught:
        read_dataset(path, regression=True)
    assert f'{path} line 3: column "score": {problem}' in str(caught.value)
    assert list(read_dataset(path, regression=True, on_bad_row="skip").splits["train"].texts) == ["one", "three"]


def test_what_cannot_be_learned(tmp_path):
    path = write(tmp_path / "a.csv", "text,score,other\none,0.5,1\ntwo,0.5,0\n")
    with pytest.raises(DataError, match=r"every text has the score 0.5, so there is nothing to learn; check column"):
        check_trainable(read_dataset(path, label_column="score", regression=True))
    with pytest.raises(DataError, match='a text has one score, and "score", "other" are several'):
        read_dataset(path, label_column="score,other", regression=True)
    check_trainable(read_pairs(["one", "two"], [0.9, 0.8], regression=True))  # on one side of a half


def test_numbers_without_the_flag_are_names_and_a_hint_says_so(caplog, model):
    read_pairs(["one", "two", "three"], [0.25, "0", 1])
    assert 'labels such as "0.25" are numbers from 0 to 1; pass --regression if they are scores' in caplog.text
    read_pairs(["one", "two"], [0.5, 2])
    assert caplog.text.count("--regression") == 1
    with pytest.raises(ValueError, match=r"found the label '0.25', expected a score; read the data with --regression"):
        model.evaluate(read_pairs(["one", "two"], [0.25, 1]))


def test_a_folder_keeps_it(tmp_path, model):
    model.save(tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert (config["problem_type"], config["thresholds"], config["label2id"]) == ("regression", None, {"0": 0, "1": 1})
    found = rubrica.load(tmp_path / "model")
    assert found.task == model.task
    assert found.predict(ASKED) == model.predict(ASKED)
    assert "mean absolute error" in (tmp_path / "model/README.md").read_text()
    for key, value in {"id2label": {"0": "a", "1": "1"}, "label2id": {"a": 0, "1": 1}}.items():
        config[key] = value
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError):
        rubrica.load(tmp_path / "model")


def test_every_door_gives_the_score(tmp_path, model):
    model.save(tmp_path / "model")
    wanted = model.predict(ASKED)
    assert [row for (row,) in model.scored(ASKED)] == [("1", pytest.approx(score)) for score in wanted]
    lines = "\n".join(model.iter_answers(ASKED, all_classes=True)).split("\n")
    assert [json.loads(line)["score"] for line in lines] == pytest.approx(wanted, abs=1e-6)
    (found,) = ask([{"folder": str(tmp_path / "model"), "texts": ASKED}])
    assert found["answers"] == [["1"]] * len(ASKED)
    np.testing.assert_allclose(np.array(found["probabilities"])[:, 1], wanted, atol=1e-5)
    with serving(tmp_path / "model", folder=tmp_path) as server:
        assert predict(server, ASKED) == [[{"label": "1", "score": pytest.approx(score)}] for score in wanted]
        _, _, answer = request(server, "POST", "/v1/classify", {"input": ASKED})
        assert [(row["label"], row["probs"][1], "labels" in row) for row in answer["data"]] == [
            ("1", pytest.approx(score), False) for score in wanted
        ]
        given = {"name": "text", "shape": [len(ASKED)], "datatype": "BYTES", "data": ASKED}
        _, _, answer = request(server, "POST", "/v2/models/model/infer", {"inputs": [given]})
        assert answer["outputs"][0]["data"] == ["1"] * len(ASKED)


def test_an_onnx_file_gives_the_score():
    model = rubrica.train(*texts_and_scores(100), regression=True, config=config_of("bag"))
    session = onnxruntime.InferenceSession(build_model(model.artifact).SerializeToString())
    inputs = model.config.model.graph_inputs(ASKED, model.artifact.vocab, model.config.data)
    named = {each.name for each in session.get_inputs()}
    _, probabilities = session.run(None, {name: value for name, value in inputs.items() if name in named})
    np.testing.assert_allclose(probabilities[:, 1], model.predict(ASKED), atol=1e-6)


def test_by_the_command_line(tmp_path, model):
    texts, scores = texts_and_scores()
    data = write(tmp_path / "a.csv", csv_bytes(zip(texts, scores, strict=True), header=("text", "quality")))
    out, answers = str(tmp_path / "model"), tmp_path / "answers.parquet"

    def run(*arguments):
        done = CliRunner().invoke(command, list(map(str, arguments)))
        assert done.exit_code == 0, done.output
        return done.stdout

    run("train", data, "--out", out, "--regression", "--model", "linear")
    assert same(rubrica.load(out).artifact, model.artifact)
    assert json.loads(run("evaluate", out, data, "--json")) == model.evaluate(texts, scores).to_json()
    assert "R²: 0." in run("evaluate", out, data)
    assert "classes (a score from 0 to 1): 0, 1" in run("info", out)
    run("predict", out, data, "--out", answers)
    assert pq.read_table(answers)["score"].to_pylist() == pytest.approx(model.predict(texts), abs=1e-6)
    done = CliRunner().invoke(command, ["predict", out, str(data), "--abstain-below", "0.5"])
    assert "this model gives each text a score; leave abstain_below out" in done.output


def test_a_teacher_says_scores_as_numbers(tmp_path):
    data = read_pairs(*texts_and_scores(50), regression=True)
    texts = data.splits["train"].texts
    wanted = [[0.75, 0.25]] * len(texts)
    for say in (
        lambda some: [0.25 for _ in some],
        lambda some: np.full(len(some), 0.25),
        lambda some: [{"1": 0.25} for _ in some],
        lambda some: [{"0": 0.75} for _ in some],
    ):
        np.testing.assert_allclose(teacher.ask(say, data, []).probabilities, wanted)
    for key, value in {"score": 0.25, "scores": {"1": 0.25}}.items():
        lines = "".join(json.dumps({"text": text, key: value}) + "\n" for text in texts)
        said = teacher.ask(write(tmp_path / f"{key}.jsonl", lines), data, [])
        np.testing.assert_allclose(said.probabilities, wanted)
    with pytest.raises(RubricaError, match=r"the teacher: found 'high', expected a number from 0 to 1, such as 0.8"):
        teacher.ask(lambda some: ["high" for _ in some], data, [])


def test_small_scores_are_learned_as_they_are():
    task = read_pairs(["one", "two"], [0.0, 1.0], regression=True).task
    said = list(task.shares(task.labels, np.array([[0.93, 0.07], [1, 0]])))
    assert said == [(0, "0", pytest.approx(0.93)), (0, "1", pytest.approx(0.07)), (1, "0", 1)]


def test_what_does_not_go_together():
    texts, scores = texts_and_scores(50)
    for settings, problem in [
        (
            {"model": {"name": "linear"}, "training": {"class_weight": "balanced"}},
            "lets classes count alike, and a score",
        ),
        ({"model": {"name": "bag", "loss": "hs"}}, "finds one class, and texts have scores"),
    ]:
        with pytest.raises(ConfigError, match=problem):
            rubrica.train(texts, scores, regression=True, config=rubrica.make_config(**settings))


def test_labels_and_scores_are_not_mixed_up(tmp_path, model):
    data = read_pairs(*texts_and_scores(50), regression=True)
    labels = rubrica.train(["one two", "three four"] * 30, ["a", "b"] * 30, config=config_of())
    with pytest.raises(ValueError, match="the model gives labels, and the data have scores; leave --regression out"):
        labels.evaluate(data)
    out = tmp_path / "model"
    rubrica.train(["one two", "three four"] * 30, [0, 1] * 30, config=config_of(), out=out)
    with pytest.raises(ArtifactError, match="holds a model of other texts"):
        rubrica.train(
            ["one two", "three four"] * 30, [0, 1] * 30, config=config_of(), out=out, regression=True, resume=True
        )


def test_a_smaller_model_has_its_own_scores(tmp_path):
    texts, scores = texts_and_scores()
    data = read_pairs(texts, scores, regression=True)
    data = replace(data, splits=data.splits | {"test": data.splits["train"].take(np.arange(100))})
    artifact = rubrica.train(data, config=config_of()).artifact
    small = final._fitted(artifact, data, 0.7 * sum(folder_sizes(artifact).values()))
    assert small.metrics["test"] == Classifier(small).evaluate(data.splits["test"]).to_json()
    assert small.metrics["test"]["r2"] > 0.5


def test_a_run_and_a_search_are_of_these_scores():
    texts, scores = texts_and_scores(50)
    found = [hashes_of_labels(read_pairs(texts, of, regression=True)) for of in (scores, np.sqrt(scores))]
    assert found[0] != found[1]


def test_who_looks_at_labels_says_so(tmp_path, model):
    data = read_pairs(*texts_and_scores(50), regression=True)
    for look in (
        lambda: examine_data(data),
        lambda: examine_model(model, data),
        lambda: compare(model, model, data.splits["train"]),
        lambda: find_wrong_labels(data),
    ):
        with pytest.raises(RubricaError, match="looks at labels, and here a text has a score"):
            look()


def test_going_on_from_a_bag():
    start = rubrica.train(*texts_and_scores(200), regression=True, config=config_of("bag"))
    more = rubrica.train(*texts_and_scores(200, seed=1), regression=True, start=start)
    assert more.evaluate(*texts_and_scores(300, seed=2)).r2 > 0.6
    with pytest.raises(DataError, match="its texts have labels, and the model gives a score"):
        rubrica.train(["one", "two"], ["a", "b"], start=start)
    for named in (["a", "b"] * 50, [["a"], ["a", "b"]] * 50):
        labels = rubrica.train(["one two", "three four"] * 50, named, config=config_of("bag"))
        with pytest.raises(DataError, match="its texts have scores, and the model gives labels; train a new model"):
            rubrica.train(*texts_and_scores(200), regression=True, start=labels)


def test_texts_without_scores_and_a_teacher(monkeypatch):
    texts, scores = texts_and_scores(300)
    known = dict(zip(*texts_and_scores(300, seed=5), strict=True))
    model = rubrica.train(
        texts, scores, regression=True, config=config_of(), unlabeled=list(known),
        teacher=lambda some: [{"1": known.get(text, 0.5), "0": 1 - known.get(text, 0.5)} for text in some],
    )  # fmt: skip
    assert model.artifact.metrics["unlabeled"]["taught"] == 600
    assert math.isfinite(model.artifact.metrics["validation"]["loss"])


@pytest.mark.parametrize("score", [0.0, 0.5, 0.8, 1.0])
def test_scores_that_are_all_the_same_teach_nothing(score):
    with pytest.raises(DataError, match=f"every text has the score {score:g}, so there is nothing to learn"):
        rubrica.train([f"text {number}" for number in range(50)], [score] * 50, config=config_of(), regression=True)


def test_the_linear_part_alone_is_scored_as_it_would_answer_alone():
    """Its logits are too small by far beside a network; alone they are stretched on the held-out texts."""
    texts, scores = texts_and_scores(600)
    config = rubrica.make_config(model={"hidden_size": 8, "embedding_dim": 8}, training={"epochs": 2})
    beside = rubrica.train(texts, scores, config=config, regression=True).artifact.metrics["linear"]["validation"]
    alone = rubrica.train(texts, scores, config=config_of(), regression=True).artifact.metrics["validation"]
    assert beside == pytest.approx(1 - alone["mean_absolute_error"], abs=0.02)
