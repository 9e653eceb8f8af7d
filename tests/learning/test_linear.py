"""The linear model, from texts to a saved folder that answers."""

import math
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.svm import LinearSVC

import rubrica
from interrupts import interrupt
from made_models import learn
from rubrica.artifact.folder import load_artifact, save_artifact
from rubrica.corpus.corpus import Corpus, Split
from rubrica.data.dataset import Dataset, Examples
from rubrica.data.stored_texts import StoredTexts
from rubrica.errors import ArtifactError, ConfigError
from rubrica.export.shrink import store
from rubrica.learning import linear as linear_training
from rubrica.learning.job import Job
from rubrica.learning.train import train
from rubrica.models import linear
from rubrica.models.config import load_recipe, make_config
from rubrica.models.storage import STORAGES
from rubrica.scoring.tasks import task_of
from rubrica.text.ngrams import DocumentCounter, Ngrams, features
from settings import changed


def fit(texts, rows, targets, classes, ngrams, *, weights=None, informed=False, keep=1.0, tolerance=0.1, **settings):
    """What `train_linear` learns from texts, and the slope of each pass; settings are `cost`, `seed` and `passes`."""
    task = task_of([str(i) for i in range(classes)], lists=targets.ndim == 2)
    everything = task.empty_targets(len(texts))
    everything[rows] = targets
    config = make_config(
        model={
            "name": "linear",
            "word_ngrams": ngrams.word_ngrams,
            "char_ngrams": ngrams.char_ngrams,
            "class_information": informed,
            "cost": settings["cost"],
        },
        training={"seed": settings.get("seed", 0), "epochs": settings.get("passes", 20)},
    )
    corpus = Corpus(None, None, 0, task, {"train": Split(None, everything, texts, weights)})
    trained = linear_training.train_linear(Job(corpus, config, rows), tolerance=tolerance, keep=keep)
    slopes = [record["slope"] for record in trained.history.records]
    return SimpleNamespace(part=linear.LinearPart(ngrams, trained.tensors), slopes=slopes)


RECIPE, NGRAMS = load_recipe("linear"), Ngrams(True, 2, 5)


@pytest.fixture
def data(tiny_news):
    train_split = tiny_news.splits["train"]
    targets = np.array([list(tiny_news.task.labels).index(label) for label in train_split.labels])
    return train_split.texts, np.arange(len(targets)), targets


def test_it_learns_and_answers_from_its_folder(tiny_news, tmp_path):
    trained = train(tiny_news, config=RECIPE, out=tmp_path / "model")
    test, metrics = tiny_news.splits["test"], trained.artifact.metrics
    assert metrics["test"]["accuracy"] > 0.9
    assert "bag" not in metrics
    loaded = rubrica.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.logits(test.texts), trained.logits(test.texts))
    assert loaded.evaluate(test.texts, test.labels).to_json()["confusion"] == metrics["test"]["confusion"]
    assert loaded.artifact.vocab.words == ["<pad>", "<unk>"]
    facts = loaded.artifact.facts()
    written = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert facts["model_bytes"] == len(written) - 8 - int.from_bytes(written[:8], "little")
    assert "characters inside a word" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize("name", ["linear", "gru"])
def test_it_may_keep_capitals_where_the_network_reads_none(name, tmp_path):
    examples = Examples(["May"] * 20 + ["may"] * 20, ["month"] * 20 + ["verb"] * 20)
    data = Dataset("months", {"train": examples}, ("text",), "label", task_of(["month", "verb"], lists=False))
    settings = [f"model.name={name}", "training.epochs=1", "data.validation_fraction=0.2", "data.lowercase=true"]
    blind = learn(data, changed(make_config(), settings))
    settings.append(f"{'model' if name == 'linear' else 'beside'}.keep_case=true")
    seeing = learn(data, changed(make_config(), settings), out=tmp_path / "model")
    assert blind.predict_proba(["May"])[0] == pytest.approx(blind.predict_proba(["may"])[0])
    for model in (seeing, rubrica.load(tmp_path / "model")):
        assert model.predict(["May", "may", "May"]) == ["month", "verb", "month"]
    assert "features of a text with their capitals" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize("num_classes", [2, 4])
def test_weights_are_liblinears_on_the_same_features(data, num_classes):
    texts, rows, targets = data
    targets = targets % num_classes
    fitted = fit(texts, rows, targets, num_classes, NGRAMS, cost=0.3, tolerance=1e-6, passes=2000)
    assert fitted.slopes[-1] <= 1e-6
    part = fitted.part
    idf, keys = part.tensors["linear.idf"], part.tensors["linear.keys"]
    entries = features(texts, NGRAMS, part.index, idf, 1)
    dense = np.zeros((len(texts), len(keys)))
    for i, (place, size) in enumerate(zip(entries.places, entries.sizes, strict=True)):
        dense[i, entries.indices[place : place + size]] = entries.values[place : place + size]
    peer = LinearSVC(loss="squared_hinge", dual=True, C=0.3, tol=1e-10, max_iter=1_000_000).fit(dense, targets)
    np.testing.assert_allclose(part.tensors["linear.weight"].T, peer.coef_, atol=1e-4)
    expected = peer.decision_function(dense)
    if num_classes == 2:
        expected = np.stack([-expected, expected], axis=1)
    np.testing.assert_allclose(linear.logits(part, texts), expected, atol=1e-3)


def test_a_text_alone_scores_as_among_others(data):
    texts, rows, targets = data
    part = fit(texts, rows, targets, 4, NGRAMS, cost=0.3).part
    together = linear.logits(part, texts)
    np.testing.assert_array_equal(np.vstack([linear.logits(part, [text]) for text in texts]), together)
    assert linear.logits(part, []).shape == (0, 4)
    np.testing.assert_array_equal(linear.logits(part, ["", "ъ"])[0], part.tensors["linear.bias"])


def test_long_texts_are_numbers_a_few_at_a_time(data, monkeypatch):
    texts, rows, targets = data
    part, seen = fit(texts, rows, targets, 4, NGRAMS, cost=0.3).part, []
    expected = linear.logits(part, texts)

    def watched(stretch, *args):
        seen.append([len(text) for text in stretch])
        return features(stretch, *args)

    monkeypatch.setattr(linear, "features", watched)
    monkeypatch.setattr(linear, "_CHARACTERS", 100)
    monkeypatch.setattr(linear, "_TEXTS", 3)
    long = "oil " * 99
    found = linear.logits(part, [long, *texts, long, long])
    np.testing.assert_array_equal(found[1:-2], expected)
    np.testing.assert_array_equal(found[[0, -1]], linear.logits(part, [long, long]))
    assert all(len(sizes) == 1 or (len(sizes) <= 3 and sum(sizes) <= 100) for sizes in seen)
    assert len(seen) < len(texts)


def test_texts_may_lie_on_disk_and_the_result_depends_on_nothing_but_the_seed(data, monkeypatch):
    texts, rows, targets = data
    monkeypatch.setattr(linear_training, "_STRETCH", 32)
    first, other = (fit(texts, rows[::2], targets[::2], 4, NGRAMS, cost=1.0, seed=seed).part for seed in (3, 4))
    monkeypatch.setenv("RUBRICA_THREADS", "3")
    again = fit(StoredTexts(texts), rows[::2], targets[::2], 4, NGRAMS, cost=1.0, seed=3).part
    for name, tensor in first.tensors.items():
        assert tensor.tobytes() == again.tensors[name].tobytes()
    assert first.tensors["linear.weight"].tobytes() != other.tensors["linear.weight"].tobytes()


def test_classes_may_be_a_matrix_and_texts_may_weigh(data):
    texts, rows, targets = data
    matrix = np.eye(4, dtype=np.uint8)[targets]
    parts = [fit(texts, rows, wanted, 4, NGRAMS, cost=0.3).part for wanted in (targets, matrix)]
    assert parts[0].tensors["linear.weight"].tobytes() == parts[1].tensors["linear.weight"].tobytes()
    # A weight multiplies the cost of its text, and nothing else.
    weights = np.ones(len(rows), np.float32)
    weights[:80] = 2
    weighted = fit(texts, rows, targets, 4, NGRAMS, cost=0.3, weights=weights, tolerance=1e-5, passes=999).part
    halved = fit(texts, rows, targets, 4, NGRAMS, cost=0.6, weights=weights / 2, tolerance=1e-5, passes=999).part
    np.testing.assert_allclose(weighted.tensors["linear.weight"], halved.tensors["linear.weight"], atol=1e-6)
    weights[:80] = 0
    without = fit(texts, rows, targets, 4, NGRAMS, cost=0.3, weights=weights).part
    assert linear.logits(without, texts)[80:].argmax(axis=1).tolist() == targets[80:].tolist()


def test_of_too_many_texts_some_are_learned_from(data, monkeypatch, caplog):
    texts, rows, targets = data
    monkeypatch.setattr(linear_training, "_STRETCH", 16)
    monkeypatch.setattr(linear_training, "_MAX_ENTRIES", 5000)
    with caplog.at_level("INFO", "rubrica"):
        part = fit(texts, rows, targets, 4, NGRAMS, cost=0.3).part
    assert "of 160 texts" in caplog.text
    assert np.mean(linear.logits(part, texts).argmax(axis=1) == targets) > 0.8


@pytest.mark.parametrize("texts", [["", " ", ""], ["oil", "cup", "vote"]])
def test_texts_with_nothing_in_common(texts):
    part = fit(texts, np.arange(3), np.arange(3), 3, NGRAMS, cost=0.3).part
    assert len(part.tensors["linear.keys"]) >= 1
    assert np.isfinite(linear.logits(part, texts)).all()


def test_ctrl_c_keeps_what_was_learned(tiny_news, monkeypatch):
    interrupt(monkeypatch, linear_training, "descend", call=3)
    metrics = train(tiny_news, config=RECIPE).artifact.metrics
    assert metrics["interrupted"]
    assert metrics["test"]["accuracy"] > 0.8


def test_ctrl_c_in_the_linear_model_beside_a_network_leaves_it_alone(tiny_news, tiny_vectors, monkeypatch, tmp_path):
    interrupt(monkeypatch, linear_training, "descend")
    model = train(tiny_news, vectors=tiny_vectors, out=tmp_path / "model")
    assert model.artifact.metrics["interrupted"]
    assert model.config.title == "linear"
    assert rubrica.load(tmp_path / "model").predict(["oil"]) == model.predict(["oil"])


@pytest.mark.parametrize("several", [False, True])
def test_a_feature_counts_by_what_it_says_of_the_classes(several):
    """The oracle goes through texts and features one by one."""
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(list("abcdefgh"), size=4)) for _ in range(60)]
    ngrams, labels = Ngrams(True, 1, 0), 3
    targets = (draw.random((60, labels)) < 0.4).astype(np.uint8) if several else draw.integers(0, labels, 60)
    sets = [set(np.flatnonzero(row)) if several else {row} for row in targets]
    plain, informed = (
        fit(texts, np.arange(60), targets, labels, ngrams, cost=0.3, informed=informed).part.tensors
        for informed in (False, True)
    )
    np.testing.assert_array_equal(plain["linear.keys"], informed["linear.keys"])
    found = np.sort(informed["linear.idf"] / plain["linear.idf"])
    expected = []
    for word in "abcdefgh":
        having = [mine for text, mine in zip(texts, sets, strict=True) if word in text.split()]
        nats = 0.0
        for label in range(labels):
            share = sum(label in mine for mine in sets) / 60
            here = (sum(label in mine for mine in having) + share) / (len(having) + 1)
            nats += here * math.log(here / share)
            if several:
                nats += (1 - here) * math.log((1 - here) / (1 - share))
        expected.append(0.2 + math.sqrt(nats))
    np.testing.assert_allclose(found, sorted(expected), rtol=1e-5)
    assert found[-1] > 1.2 * found[0]


@pytest.mark.parametrize(("few", "known"), [(160, False), (161, True)])
def test_of_few_texts_features_of_one_are_kept(data, monkeypatch, few, known):
    texts, rows, targets = data
    texts = [*texts[:-1], f"{texts[-1]} xylophone"]
    monkeypatch.setattr(linear_training, "_FEW", few)
    part = fit(texts, rows, targets, 4, Ngrams(True, 1, 0), cost=0.3).part
    entries = features(["xylophone"], part.ngrams, part.index, part.tensors["linear.idf"], 1)
    assert bool(entries.sizes[0]) == known


def test_in_fewer_bytes_it_says_nearly_the_same(tiny_news, tmp_path):
    trained = train(tiny_news, config=changed(RECIPE, ["training.storage=float32"]))
    texts, tolerances = tiny_news.splits["test"].texts, {"float32": 0, "bfloat16": 0.02, "int8": 0.02, "int4": 0.3}
    assert set(tolerances) == set(STORAGES)
    for storage, tolerance in tolerances.items():
        folder = save_artifact(store(trained.artifact, storage), tmp_path / storage)
        loaded = rubrica.load(folder)
        assert loaded.artifact.storage == storage
        np.testing.assert_allclose(loaded.logits(texts), trained.logits(texts), atol=tolerance, err_msg=storage)
        assert loaded.logits([]).shape == (0, 4)


def test_tensors_of_another_shape_are_refused(tiny_news, tmp_path):
    artifact = train(tiny_news, config=RECIPE).artifact
    for name in ("linear.keys", "linear.idf", "linear.weight"):
        broken = replace(artifact, tensors=artifact.tensors | {name: artifact.tensors[name][:-1]})
        folder = save_artifact(broken, tmp_path / name)
        with pytest.raises(ArtifactError, match="the config expects"):
            load_artifact(folder)


def test_what_it_cannot_do_it_says(tiny_news, tiny_vectors):
    with pytest.raises(ConfigError, match="reads no word vectors"):
        train(tiny_news, config=RECIPE, vectors=tiny_vectors)
    for name in ("linear", "gru"):  # which has a linear model beside it
        section = "model" if name == "linear" else "beside"
        for setting in ("cost=0", "char_ngrams=17", "word_ngrams=17"):
            with pytest.raises(ConfigError, match=f"{section}.{setting.partition('=')[0]}"):
                changed(make_config(), [f"model.name={name}", f"{section}.{setting}"])


def test_two_classes_have_one_machine(tmp_path):
    texts, labels = ["good film", "bad film", "good", "bad"] * 5, ["yes", "no", "yes", "no"] * 5
    dataset = Dataset("x", {"train": Examples(texts, labels)}, ("text",), "label", task_of(["no", "yes"], lists=False))
    model = train(dataset, config=RECIPE, out=tmp_path / "model")
    assert model.artifact.tensors["linear.weight"].shape[1] == 1
    assert rubrica.load(tmp_path / "model").predict(["a good one", "a bad one"]) == ["yes", "no"]
    logits = model.logits(["good"])
    assert logits[0, 0] == -logits[0, 1]


def test_the_features_of_the_smallest_weights_may_go(data):
    texts, rows, targets = data
    whole, half = (fit(texts, rows, targets, 4, NGRAMS, cost=0.3, keep=keep).part.tensors for keep in (1.0, 0.5))
    kept = np.isin(whole["linear.keys"], half["linear.keys"])
    assert kept.sum() == len(half["linear.keys"]) == -(-len(kept) // 2)
    largest = np.abs(whole["linear.weight"]).max(axis=1)
    assert largest[kept].min() >= largest[~kept].max()
    for name in ("linear.keys", "linear.idf", "linear.weight"):
        np.testing.assert_array_equal(half[name], whole[name][kept])


def test_the_bar_knows_how_far_it_is(data, monkeypatch):
    texts, rows, targets = data
    monkeypatch.setattr(linear_training, "_SLICE", 50)
    bars, notes = [], []

    @contextmanager
    def watched(title, total):
        bars.append(total)
        yield notes.append

    monkeypatch.setattr(linear_training, "progress_bar", watched)
    fitted = fit(texts, rows, targets, 4, NGRAMS, cost=0.3, passes=100)
    assert bars == [100 * 4]  # slices of 160 texts
    assert len(notes) == 4 * len(fitted.slopes)


@pytest.mark.parametrize("lists", [False, True])
def test_features_that_were_dropped_and_came_again_weigh_what_they_should(tiny_news, monkeypatch, lists):
    """More features than are counted: the counts of rare ones are too small, the weights of the kept ones are not."""
    made = tiny_news.splits["train"]
    texts = [f"{text} rare{i} other{i % 40}" for i, text in enumerate(made.texts)]
    labels = [[label, "World"] if lists and label != "World" else [label] for label in made.labels]
    task = task_of(list(tiny_news.task.labels), lists=lists)
    examples = Examples(texts, labels if lists else made.labels)
    data = replace(tiny_news, splits={"train": examples}, task=task)
    config = RECIPE.replace(data={"validation_fraction": 0.0})
    monkeypatch.setattr(linear_training, "_KEPT", 1.0)
    monkeypatch.setattr(linear_training, "_STRETCH", 16)
    expected = learn(data, config).artifact.tensors
    monkeypatch.setattr(linear_training, "DocumentCounter", partial(DocumentCounter, most=1500))
    with np.errstate(all="raise"):
        found = learn(data, config).artifact.tensors
    known = dict(zip(expected["linear.keys"].tolist(), expected["linear.idf"].tolist(), strict=True))
    assert 100 < len(found["linear.keys"]) < len(known)
    for key, weight in zip(found["linear.keys"].tolist(), found["linear.idf"].tolist(), strict=True):
        assert weight == pytest.approx(known[key], rel=1e-6)
