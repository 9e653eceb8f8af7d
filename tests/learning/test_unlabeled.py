"""Texts without labels: what a training learns of them, by every way in, and when it leaves them alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import rubrica
from interrupts import interrupt
from made_words import KNOWN, NEW, config_of, labelled, same, texts_of
from rubrica.cli.main import rubrica as command
from rubrica.corpus.corpus import build_corpus
from rubrica.data.dataset import Examples, read_dataset, read_pairs
from rubrica.errors import ConfigError, DataError
from rubrica.kernels import native
from rubrica.learning import training, unlabeled
from rubrica.learning.checkpoint import Stage
from rubrica.learning.teacher import ask
from rubrica.learning.unlabeled import answer, hold_out_texts, leave_out_known
from rubrica.models.config import make_config
from rubrica.scoring.shares import shares_of_one, shares_of_several

FEWER = np.tile([0.6, -0.4], 50)  # 0.1 on the mean, with a standard error of 0.05


def unlabelled():
    """A known word, and new words beside it."""
    known, labels = texts_of(KNOWN, 1000, 2)
    draw = np.random.default_rng(3)
    return [" ".join([text.split()[0], *draw.choice(NEW[label], 3)]) for text, label in zip(known, labels, strict=True)]


@pytest.mark.parametrize(("name", "several"), [("linear", False), ("linear", True), ("bag", False)])
def test_words_that_only_unlabelled_texts_have_are_learned(name, several, monkeypatch):
    monkeypatch.setattr(unlabeled, "_stays", lambda *_: True)  # few held-out texts tell little
    model = rubrica.train(labelled(several), config=config_of(name), unlabeled=unlabelled())
    found = model.artifact.metrics["unlabeled"]
    assert found == {
        "texts": len(leave_out_known(unlabelled(), labelled())),
        "word_vectors": False,
        "answers_learned": True,
    }
    asked, truth = texts_of(NEW, 100, 5)
    alone = rubrica.train(labelled(several), config=config_of(name))
    right = [
        np.mean([label in found for found, label in zip(each.predict(asked), truth, strict=True)])
        for each in (model, alone)
    ]
    assert right[0] > 0.7
    assert right[1] < 0.65  # it knows none of the words


def test_what_does_not_stay_leaves_nothing(monkeypatch):
    monkeypatch.setattr(unlabeled, "_stays", lambda *_: False)
    model, alone = (rubrica.train(labelled(), config=config_of(), unlabeled=texts) for texts in (unlabelled(), None))
    assert model.artifact.metrics["unlabeled"]["answers_learned"] is False
    assert same(model.artifact, alone.artifact)


@pytest.mark.parametrize(
    ("losses", "right", "stays"),
    [
        (FEWER, range(60), True),
        (FEWER, range(4, 62), True),  # two fewer are right, and six others
        (FEWER, range(58), False),  # two fewer, and no other
        (-FEWER, range(60), False),
        (-FEWER, range(80), False),
        (FEWER - 0.13, range(60), True),  # worse on the mean, but not clearly
    ],
)
def test_what_is_clearly_worse_does_not_stay(monkeypatch, losses, right, stays):
    """How much less the loss of each of 100 texts is, and which are right; of the other model the first 60 were."""

    def of(losses, right):
        scores = {"loss": float(losses.mean()), "accuracy": len(right) / 100}
        return SimpleNamespace(metrics={"interrupted": False, "validation": scores}, losses=losses, right=right)

    def judge(model, _):
        return model.losses, np.stack([np.isin(np.arange(100), model.right), np.full(100, 2)], axis=1).astype(int)

    monkeypatch.setattr(unlabeled, "_judge", judge)
    before = np.linspace(0, 1, 100)
    assert unlabeled._stays(of(before - losses, right), of(before, range(60)), None, "made") is stays


def test_a_validation_text_with_a_label_that_train_lacks_judges_nothing():
    data, alone = labelled(), labelled()
    texts, labels = texts_of(KNOWN, 60, 9)
    alone.splits["validation"] = Examples(texts, labels)
    data.splits["validation"] = Examples([*texts, "odd"], [*labels, "never"])
    models = [rubrica.train(each, config=config_of(), unlabeled=unlabelled()) for each in (data, alone)]
    assert same(*(model.artifact for model in models))


def test_strings_that_all_name_files_are_files(tmp_path):
    (tmp_path / "one.txt").write_text("some words\nother words\n")
    (tmp_path / "two.txt").write_text("more\n")
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    expected = ["some words", "other words", "more"]
    for given in ([one, two], [str(one), str(two)], (one, str(two))):
        assert list(unlabeled.read_unlabeled(given, labelled())) == expected
    texts = [str(one), "is no file", "long " * 1000]
    assert list(unlabeled.read_unlabeled(texts, labelled())) == texts


def test_every_way_in_gives_the_same_model(tmp_path):
    texts = [*unlabelled(), "a, text"]
    (tmp_path / "rest.txt").write_text("\n".join(texts))
    (tmp_path / "rest.csv").write_text("text,label\n" + "\n".join(f'"{text}",nobody' for text in texts))
    data = labelled()
    rows = zip(data.splits["train"].labels, data.splits["train"].texts, strict=True)
    (tmp_path / "train.csv").write_text("label,text\n" + "\n".join(",".join(row) for row in rows))
    ways = [texts, np.array(texts), str(tmp_path / "rest.txt"), tmp_path / "rest.csv", [tmp_path / "rest.txt"]]
    first, *others = [rubrica.train(data, config=config_of(), unlabeled=way).artifact for way in ways]
    assert all(same(first, other) for other in others)
    flags = ["--model", "linear", "--seed", "3", "--unlabeled", str(tmp_path / "rest.csv")]
    out = str(tmp_path / "model")
    done = CliRunner().invoke(command, ["train", str(tmp_path / "train.csv"), *flags, "--out", out])
    assert done.exit_code == 0, done.output
    assert f"learned from {first.metrics['unlabeled']['texts']:,} unlabelled texts: " in done.output
    saved = rubrica.load(out).artifact
    assert same(first, saved)
    assert saved.metrics["run"]["data"]["unlabeled"]["texts"] == first.metrics["unlabeled"]["texts"]


@pytest.mark.skipif(native.library() is None, reason="word vectors are made by the native core")
def test_a_network_starts_at_word_vectors_of_all_texts(monkeypatch):
    monkeypatch.setattr(unlabeled, "_stays", lambda *_: True)
    monkeypatch.setattr(unlabeled, "_LEAST_TEXTS", 100)
    config = make_config(model={"name": "gru", "hidden_size": 4, "with_linear": False}, training={"epochs": 1})
    model = rubrica.train(labelled(), config=config, unlabeled=unlabelled())
    assert model.artifact.metrics["unlabeled"] | {"texts": 0} == {
        "texts": 0, "word_vectors": True, "answers_learned": True,
    }  # fmt: skip
    assert model.config.model.embedding_dim == 100
    assert set(NEW["sport"]) < set(model.artifact.vocab.words)
    again = rubrica.train(labelled(), config=config, unlabeled=unlabelled())
    assert same(model.artifact, again.artifact)


def test_texts_that_the_data_has_are_left_out(caplog):
    data = labelled()
    data.splits["test"] = Examples(["a test text"], ["sport"])
    known = data.splits["train"].texts[0]
    assert leave_out_known(["new", "", known, "a test text", "new", "other"], data) == ["new", "other"]
    assert not caplog.messages
    assert leave_out_known([known], data) == []
    assert caplog.messages == ["no unlabelled text is left; the model learns from labels alone"]


def test_the_model_that_answers_has_not_seen_the_held_out_texts():
    judged = hold_out_texts(labelled(), config_of())
    assert len(judged.splits["validation"].texts) > 10
    assert not {id(text) for text in judged.splits["train"].texts} & {id(t) for t in judged.splits["validation"].texts}
    few = labelled()
    few.splits["train"] = Examples(few.splits["train"].texts[:8], few.splits["train"].labels[:8])
    assert hold_out_texts(few, config_of()) is None
    model = rubrica.train(few, config=config_of(), unlabeled=["new text"])
    assert model.artifact.metrics["unlabeled"] == {"texts": 1, "word_vectors": False, "answers_learned": False}


def test_a_text_counts_once():
    model = rubrica.train(labelled(), config=config_of()).artifact
    answered = answer(model, unlabelled()[:50])
    sums = dict.fromkeys(answered.examples.texts, 0.0)
    for text, weight in zip(answered.examples.texts, answered.weights.tolist(), strict=True):
        sums[text] += weight
    copies = {text: unlabelled()[:50].count(text) for text in sums}
    assert {text: round(value, 5) for text, value in sums.items()} == copies


def test_shares():
    probabilities = np.array([[0.6, 0.35, 0.05], [0.04, 0.05, 0.91]])
    found = list(shares_of_one("abc", probabilities))
    assert [(text, label) for text, label, _ in found] == [(0, "a"), (0, "b"), (1, "c")]
    np.testing.assert_allclose([share for *_, share in found], [0.6 / 0.95, 0.35 / 0.95, 1])
    many = list(shares_of_one([str(i) for i in range(30)], np.full((1, 30), 1 / 30)))  # none is probable
    assert len(many) == 30
    found = list(shares_of_several("ab", np.array([[0.4, 0.9], [0.1, 0.1]])))
    sets = [(0, ("a", "b")), (0, ("b",)), (0, ()), (1, ("a", "b")), (1, ())]
    assert [(text, labels) for text, labels, _ in found] == sets
    np.testing.assert_allclose([share for *_, share in found], [0.4, 0.5, 0.1, 0.1, 0.9])
    (nine, none), *_ = [list(shares_of_several("abcdefghij", np.full((1, 10), 0.87)))]  # many labels: in tenths
    assert (nine[1], none[1]) == (tuple("abcdefghij"), ())
    np.testing.assert_allclose([nine[2], none[2]], [0.9, 0.1])


@pytest.mark.parametrize("more", [{"time_budget": 5.0}, {"start": "a model"}])
def test_what_does_not_go_together(more, tmp_path):
    if "start" in more:
        more = {"start": rubrica.train(labelled(), config=config_of("bag"))}
    with pytest.raises(ConfigError, match=r"unlabelled texts and .* do not go together; leave one of them out"):
        rubrica.train(labelled(), config=config_of("bag"), unlabeled=["a"], **more)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        rubrica.train(labelled(), config=config_of(), unlabeled=tmp_path / "nowhere.txt")
    with pytest.raises(TypeError):
        rubrica.train(labelled(), config=config_of(), unlabeled=["a", object()])


def test_without_new_texts_the_model_is_that_of_the_labels():
    data = labelled()
    model, alone = (
        rubrica.train(data, config=config_of(), unlabeled=texts) for texts in (data.splits["train"].texts, None)
    )
    assert model.artifact.metrics["unlabeled"]["texts"] == 0
    assert same(model.artifact, alone.artifact)


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path, monkeypatch):
    """It stops at the last of three trainings; checkpoints bring back what was done."""
    monkeypatch.setattr(unlabeled, "_stays", lambda *_: True)
    given = {"config": config_of("bag"), "unlabeled": unlabelled(), "checkpoint_every": 0.0}
    whole = rubrica.train(labelled(), out=tmp_path / "whole", **given).artifact

    class Killed(BaseException):
        pass

    offer, count = Stage.offer, []

    def stop(stage, *more, **named):
        offer(stage, *more, **named)
        count.append(stage.number)
        if stage.number and len(count) > 60:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "offer", stop)
        with pytest.raises(Killed):
            rubrica.train(labelled(), out=tmp_path / "stopped", **given)
    again = rubrica.train(labelled(), out=tmp_path / "stopped", **given).artifact
    assert same(whole, again)
    assert not (tmp_path / "stopped.checkpoint").exists()


@pytest.mark.parametrize(("place", "name", "call"), [
    (unlabeled, "answer", 1), (unlabeled, "_judge", 1), (training, "join", 2), (training, "join", 3),
])  # fmt: skip
def test_ctrl_c_keeps_the_best_model_that_was_trained_whole(place, name, call, monkeypatch, tmp_path):

    def stays(model, best, held, what):
        unlabeled._judge(model, held)
        return True

    monkeypatch.setattr(unlabeled, "_stays", stays)
    alone = rubrica.train(labelled(), config=config_of("bag"))
    calls = interrupt(monkeypatch, place, name, call=call)
    model = rubrica.train(labelled(), config=config_of("bag"), unlabeled=unlabelled(), out=tmp_path / "model")
    assert len(calls) == call
    found = model.artifact.metrics
    assert found["interrupted"]
    assert found["steps"] == alone.artifact.metrics["steps"] or call == 3
    texts, labels = texts_of(KNOWN, 100, 5)
    assert rubrica.load(tmp_path / "model").evaluate(texts, labels).accuracy > 0.9


def test_balanced_classes_count_the_parts_of_answers():
    """A teacher that doubts gives each text to three classes, of which it mostly means the first."""
    labels, texts = ("a", "b", "c"), [f"text {number}" for number in range(90)]
    data = read_pairs(texts, [labels[number % 3] for number in range(90)])
    said = np.tile(np.float32([0.7, 0.2, 0.1]), (300, 1))
    answered = unlabeled._share_out(data.task, [([f"more {i}" for i in range(300)], said)], "answers")
    corpus = build_corpus(answered.behind(data), None, make_config().data)
    weights = np.concatenate([np.ones(90, np.float32), answered.weights])
    corpus = corpus.with_split("train", replace(corpus.splits["train"], weights=weights, own=90))
    config = make_config(training={"class_weight": "balanced"})
    rows = np.arange(len(weights))
    train = training.balance(corpus, config, rows).splits["train"]
    mass = np.bincount(train.targets, train.weights)
    np.testing.assert_allclose(mass, mass.mean(), rtol=1e-4)


def test_files_are_read_as_the_data_was(tmp_path):
    data = labelled()
    rows = zip(data.splits["train"].labels, data.splits["train"].texts, strict=True)
    (tmp_path / "train.csv").write_text(
        "y;q\n" + "\n".join(f"{label};caf\xe9 {text}" for label, text in rows), "cp1252"
    )
    more = [f"caf\xe9 {text}" for text in unlabelled()[:50]]
    (tmp_path / "rest.csv").write_text("q;other\n" + "\n".join(f"{text};1" for text in more), "cp1252")
    (tmp_path / "rest.txt").write_text("\n".join(more), "utf-8")  # of another format: it is read by itself
    scored = "".join(f"{text};0.9;0.1\n" for text in more)
    (tmp_path / "scores.csv").write_text("q;food;sport\n" + scored, "cp1252")
    layout = {"text_columns": "q", "label_column": "y", "delimiter": ";", "encoding": "cp1252"}
    source = read_dataset(tmp_path / "train.csv", **layout)
    (tmp_path / "named.csv").write_text("text;food;sport\nanother one;0.9;0.1\n")  # without the column of the data
    assert list(unlabeled.read_unlabeled(tmp_path / "named.csv", source)) == ["another one"]
    bare = read_dataset(tmp_path / "train.csv", **layout | {"columns": "y,q"})
    assert ask(tmp_path / "named.csv", bare, []).texts == ["another one"]
    texts, *others = [
        unlabeled.read_unlabeled(way, source) for way in (more, tmp_path / "rest.csv", str(tmp_path / "rest.txt"))
    ]
    assert all(list(other) == list(texts) for other in others)
    said = ask(tmp_path / "scores.csv", source, [])
    assert said.texts == list(dict.fromkeys(more))
    np.testing.assert_allclose(said.probabilities[0], [0.9, 0.1], rtol=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_train_texts_are_texts_and_not_their_labels(several, monkeypatch):
    def teacher(texts):
        return [{"food": 0.75, "sport": 0.25}] * len(texts)

    monkeypatch.setattr(unlabeled, "_stays", lambda *_: True)
    data = labelled(several)
    model = rubrica.train(data, config=config_of(), unlabeled=unlabelled())
    more = len(leave_out_known(unlabelled(), data))
    assert model.artifact.metrics["train_texts"] == len(data.splits["train"].texts) + more
    model = rubrica.train(data, config=config_of(), unlabeled=unlabelled(), teacher=teacher)
    assert model.artifact.metrics["train_texts"] == len(data.splits["train"].texts) + more


def test_the_bag_beside_learns_the_labels_alone():
    data = labelled()
    data = replace(data, splits=data.splits | {"test": data.splits["train"].take(np.arange(50))})
    config = make_config(model={"name": "gru", "with_linear": False, "hidden_size": 8}, training={"epochs": 1})
    given = (unlabelled(), None)
    bags = [rubrica.train(data, config=config, unlabeled=texts).artifact.metrics["bag"] for texts in given]
    assert bags[0] == bags[1]
    assert bags[0].keys() == {"validation", "test"}
