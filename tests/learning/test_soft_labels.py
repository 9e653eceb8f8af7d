"""Training on labels that are not certain: every family finds the probabilities; each row counts as it should."""

import json

import numpy as np
import pandas
import pytest
from click.testing import CliRunner

import rubrica
from made_files import write
from made_words import config_of, same
from rubrica.cli.main import rubrica as command
from rubrica.corpus.corpus import build_corpus
from rubrica.corpus.spread import spread
from rubrica.data.dataset import Dataset, Examples, read_pairs
from rubrica.errors import ConfigError, DataError
from rubrica.insight.cleaning.wrong_labels import find_wrong_labels
from rubrica.insight.model_doctor import examine_model
from rubrica.learning.identity import identity_of
from rubrica.learning.train import train_dataset
from rubrica.learning.training import balanced_weights
from rubrica.models.config import make_config
from rubrica.scoring.tasks import task_of

WORDS = {"red": {"a": 0.8, "b": 0.1, "c": 0.1}, "green": {"a": 0.1, "b": 0.6, "c": 0.3}, "blue": {"c": 1.0}}
SEVERAL = {"red": {"a": 0.8, "b": 0.7}, "green": {"b": 0.3}, "blue": {"a": 0.1, "b": 0.9, "c": 1.0}}


def texts_and_scores(words, count=600, seed=0):
    """Texts that begin with a word, each with what the word means; no two texts are near-duplicates."""
    draw = np.random.default_rng(seed)
    texts = [f"{word} {word} {number}" for number, word in enumerate(draw.choice(sorted(words), count))]
    return texts, [words[text.split()[0]] for text in texts]


def settings_of(name, **training):
    model = {"name": name} | ({"num_buckets": 500} if name == "bag" else {})
    return make_config(model=model, training={"seed": 3, **training})


@pytest.mark.parametrize("words", [WORDS, SEVERAL], ids=["one", "several"])
@pytest.mark.parametrize(("name", "near"), [("linear", 0.15), ("bag", 0.05), ("gru", 0.1), ("cnn", 0.1)])
def test_every_family_finds_the_probabilities(name, near, words):
    texts, scores = texts_and_scores(words)
    model = rubrica.train(texts, scores, config=settings_of(name))
    for word, wanted in words.items():
        found = dict(zip(model.labels, model.predict_proba([f"{word} {word} x"])[0].tolist(), strict=True))
        assert found == pytest.approx({"a": 0, "b": 0, "c": 0} | wanted, abs=near)  # a margin is less than the logit
    metrics = model.artifact.metrics
    assert metrics["train_texts"] == len(texts)  # and not rows
    assert metrics["refitted"]
    best = np.mean([entropy(found, several=words is SEVERAL) for found in scores])
    for loss in (model.evaluate(texts, scores).loss, metrics["validation"]["loss"]):
        assert best - 0.05 < loss < best + 1.1 * near


def entropy(scores, *, several):
    """The loss of who knows the probabilities, in nats."""
    p = np.array([scores.get(name, 0.0) for name in "abc"])
    if several:
        p = np.concatenate([p, 1 - p])
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


@pytest.mark.parametrize("name", ["linear", "bag"])
def test_a_text_is_learned_as_rows_that_count_in_part(name):
    texts, scores = texts_and_scores({"red": {"a": 0.75, "b": 0.25}, "green": {"a": 0.5, "b": 0.5}}, 60)
    config = config_of(name).replace(
        data={"validation_fraction": 0.0, "min_count": 1}
    )  # a text has two rows here, so each word is counted twice
    soft = train_dataset(read_pairs(texts, scores), None, config)[1]
    rows = [(text, label, share) for text, found in zip(texts, scores, strict=True) for label, share in found.items()]
    repeated = Examples([text for text, *_ in rows], [label for _, label, _ in rows])
    by_hand = Dataset("made", {"train": repeated}, (), "", task_of("ab", lists=False))
    weights = np.array([share for *_, share in rows], np.float32)
    assert same(soft, train_dataset(by_hand, None, config, weights)[1])


def test_weights_of_texts_are_shared_out():
    data = read_pairs(["one", "two", "three"], [{"a": 0.5, "b": 0.5}, {"a": 1}, {"b": 0.75, "a": 0.25}])
    split = build_corpus(data, None, make_config().data).splits["train"]
    rows, texts_of = spread(split, data.task)
    assert (texts_of.tolist(), rows.targets.tolist()) == ([0, 0, 1, 2, 2], [0, 1, 0, 0, 1])
    assert (rows.weights.tolist(), rows.own, list(rows.texts)[2:]) == (
        [0.5, 0.5, 1, 0.25, 0.75],
        5,
        ["two", "three", "three"],
    )
    assert rows.tokens.ids.tolist() == split.tokens.ids[[0, 0, 1, 2, 2]].tolist()


def test_the_loss_and_what_is_right():
    texts, scores = texts_and_scores(WORDS)
    model = rubrica.train(texts, scores, config=config_of())
    sure = [max(found, key=found.get) for found in scores]
    report, certain = model.evaluate(texts, scores), model.evaluate(texts, sure)
    assert report.accuracy == certain.accuracy == 1
    p = model.predict_proba(texts).astype(float)
    wanted = np.array([[found.get(name, 0) for name in model.labels] for found in scores])
    assert report.loss == pytest.approx(-(wanted * np.log(p)).sum(axis=1).mean(), rel=1e-5)
    assert certain.loss < report.loss
    assert model.evaluate(read_pairs(texts, scores)) == report
    assert model.evaluate(texts, [*scores[:-1], sure[-1]]).loss != report.loss  # one of them certain
    with pytest.raises(ValueError, match="label 1: no label has a score above 0"):
        model.evaluate(["one", "two"], [{"a": 1, "b": 0}, {"a": 0, "b": 0}])


def test_labels_are_read_for_the_model():
    texts = ["soup in a pan", "goal and match"]
    one = rubrica.train(texts * 40, ["food", "sport"] * 40, config=config_of())
    several = rubrica.train(texts * 40, [["food"], ["food", "sport"]] * 40, config=config_of())
    found = [{"food": 0.5, "sport": 0.5}, {"food": 1.0}]  # alone these are texts of one label
    for asked in (found, read_pairs(texts, found)):
        report = several.evaluate(*((texts, asked) if asked is found else (asked,)))
        assert [row.texts for row in report.per_class] == [2, 1]
    found = [{"food": 0.5, "sport": 0.3}, {"food": 0.4, "sport": 0.5}]  # alone they may have several
    assert one.evaluate(read_pairs(texts, found)).accuracy == one.evaluate(texts, found).accuracy == 1
    assert one.evaluate(texts, [{"food": 1.0}, {"sport": 1.0}]).accuracy == 1
    assert one.evaluate(texts, ["{'food': 0.9, 'sport': 0.1}", "sport"]).accuracy == 1
    frame = pandas.DataFrame({"food": [0.9, 0.2], "sport": [0.1, 0.8]})
    assert one.evaluate(texts, frame) == one.evaluate(texts, frame.to_dict("records"))


def test_balanced_classes_count_the_parts():
    texts, _ = texts_and_scores(WORDS, 200)
    scores = [{"a": 0.98, "b": 0.02} if place % 10 else {"a": 0.02, "b": 0.98} for place in range(200)]
    data = read_pairs(texts, scores)
    rows, _ = spread(build_corpus(data, None, make_config().data).splits["train"], data.task)
    found = balanced_weights(data.task, rows.targets, np.arange(len(rows.targets)), rows.weights)
    for label in (0, 1):
        assert (found * rows.weights)[rows.targets == label].sum() == pytest.approx(100)


def test_what_takes_certain_labels_alone():
    texts, scores = texts_and_scores(WORDS, 50)
    with pytest.raises(ConfigError, match="finds one class, and texts have scores"):
        rubrica.train(texts, scores, config=make_config(model={"name": "bag", "loss": "hs"}))
    with pytest.raises(DataError, match="labels are scores, which say themselves how sure they are"):
        find_wrong_labels(read_pairs(texts, scores))


def test_the_doctor_does_not_call_doubt_a_fault():
    texts, scores = texts_and_scores({"red": {"a": 0.7, "b": 0.3}, "green": {"a": 0.3, "b": 0.7}}, 400)
    model = rubrica.train(texts[:300], scores[:300], config=config_of())
    found = examine_model(model, read_pairs(texts[300:], scores[300:]))
    assert "miscalibrated" not in {finding.kind for finding in found}


def test_by_the_command_line(tmp_path):
    texts, scores = texts_and_scores(WORDS)
    rows = [{"text": text, "label": found} for text, found in zip(texts, scores, strict=True)]
    data = write(tmp_path / "train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write(tmp_path / "test.jsonl", "".join(json.dumps(row) + "\n" for row in rows[:50]))
    out, page = tmp_path / "model", tmp_path / "page.html"
    run = CliRunner().invoke(command, ["train", str(tmp_path), "--out", str(out), "--model", "linear"])
    assert run.exit_code == 0, run.output
    model = rubrica.load(out)
    assert same(model.artifact, rubrica.train(texts, scores, config=settings_of("linear", seed=0)).artifact)
    for flags in ([], ["--report", str(page)]):
        run = CliRunner().invoke(command, ["evaluate", str(out), str(tmp_path), "--json", *flags])
        assert json.loads(run.stdout)["loss"] == model.artifact.metrics["test"]["loss"]
    run = CliRunner().invoke(command, ["evaluate", str(out), str(data), "--json"])
    assert json.loads(run.stdout) == model.evaluate(texts, scores).to_json()


def test_a_checkpoint_is_of_these_scores():
    texts, scores = texts_and_scores(WORDS, 50)
    other = [{"a": 0.8, "b": 0.12, "c": 0.08} if found == WORDS["red"] else found for found in scores]
    named = [identity_of(read_pairs(texts, of), None, config_of(), None, None).what for of in (scores, other)]
    assert [name for name in named[0] if named[0][name] != named[1][name]] == ["labels of train"]


def test_going_on_from_a_bag_with_a_label_more():
    texts, scores = texts_and_scores(WORDS)
    start = rubrica.train(["red one", "green two"] * 100, ["z", "b"] * 100, config=config_of("bag"))
    model = rubrica.train(texts, scores, start=start)
    assert model.labels == ["b", "z", "a", "c"]
    found = dict(zip(model.labels, model.predict_proba(["red red x"])[0].tolist(), strict=True))
    assert found == pytest.approx({"a": 0.8, "b": 0.1, "c": 0.1, "z": 0}, abs=0.06)


def test_texts_without_labels_and_a_teacher():
    texts, scores = texts_and_scores(WORDS)
    more = [f"{word} new" for word in WORDS]
    model = rubrica.train(
        texts, scores, config=config_of(), unlabeled=more, teacher=lambda some: [WORDS["red"] for _ in some]
    )
    assert model.artifact.metrics["unlabeled"]["texts"] == 3
    assert model.artifact.metrics["train_texts"] >= len(texts)
