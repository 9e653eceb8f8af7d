"""What the linear model says of texts that it has not learned; the oracle is the linear model of every day."""

from dataclasses import replace

import numpy as np
import pytest

from interrupts import interrupt
from rubrica.corpus.corpus import Corpus, Split
from rubrica.data.stored_texts import StoredTexts
from rubrica.learning import crossval
from rubrica.learning import linear as linear_training
from rubrica.learning.crossval import Features
from rubrica.learning.job import Job
from rubrica.models.config import make_config
from rubrica.models.linear import Linear
from rubrica.scoring.tasks import task_of

EXACT = {"tolerance": 1e-6, "passes": 2000}  # then the order of the texts has no effect


def data_of(tiny_news, kind):
    """Task, texts and targets with one label of four, one of two, or several."""
    train = tiny_news.splits["train"]
    texts, targets = list(train.texts), tiny_news.task.encode(train.labels)
    if kind == "two":
        return task_of(["no", "yes"], lists=False), texts, targets % 2
    if kind == "several":
        matrix = np.eye(4, dtype=np.uint8)[targets]
        matrix[::3, 1] = 1
        matrix[5] = 0
        return task_of(list("abcd"), lists=True), texts, matrix
    return tiny_news.task, texts, targets


def trained_logits(task, texts, targets, rows, asked, **settings):
    """What `train_linear` says that learned some rows."""
    model = {"name": "linear"} | settings
    config = make_config(model=model, training={"epochs": EXACT["passes"]})
    corpus = Corpus(None, None, 0, task, {"train": Split(None, targets, texts)})
    trained = linear_training.train_linear(Job(corpus, config, rows), tolerance=EXACT["tolerance"], keep=1.0)
    return trained.logits(corpus.splits["train"], asked)


@pytest.mark.parametrize("kind", ["four", "two", "several"])
@pytest.mark.parametrize("informed", [True, False])
@pytest.mark.parametrize("few", [5000, 50])
def test_a_training_on_some_rows_is_the_linear_models(tiny_news, monkeypatch, kind, informed, few):
    """Above `few` texts a feature must be in two of those that are learned, not in two of all."""
    monkeypatch.setattr(linear_training, "_FEW", few)
    monkeypatch.setattr(crossval, "_STRETCH", 37)
    task, texts, targets = data_of(tiny_news, kind)
    rows, asked = np.arange(0, 160, 2), np.arange(1, 160, 2)
    features = Features.read(task, texts, targets, model=Linear(class_information=informed))
    found = features.logits(features.fit(rows, **EXACT), asked)
    expected = trained_logits(task, texts, targets, rows, asked, class_information=informed)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.abs(found - features.logits(features.fit(asked, **EXACT), asked)).max() > 0.1


def test_other_settings_reach_the_training(tiny_news):
    task, texts, targets = data_of(tiny_news, "four")
    rows = np.arange(0, 160, 2)
    model = Linear(word_ngrams=1, char_ngrams=0)
    features = Features.read(task, texts, targets, model=model)
    expected = trained_logits(task, texts, targets, rows, rows, word_ngrams=1, char_ngrams=0, cost=0.05)
    np.testing.assert_allclose(features.logits(features.fit(rows, cost=0.05, **EXACT), rows), expected, atol=2e-4)


def test_each_row_is_answered_by_the_model_of_the_other_folds(tiny_news):
    task, texts, targets = data_of(tiny_news, "four")
    features = Features.read(task, texts, targets)
    found, folds = features.out_of_sample(folds=4, seed=3), features.folds(np.arange(160), 4, 3)
    for fold in range(4):
        fitted = features.fit(np.flatnonzero(folds != fold), seed=3)
        held = np.flatnonzero(folds == fold)
        np.testing.assert_array_equal(found[held], features.logits(fitted, held))
    np.testing.assert_array_equal(found, features.out_of_sample(folds=4, seed=3))
    assert (found != features.out_of_sample(folds=4, seed=4)).any()
    rows = np.arange(3, 160, 3)
    some = Features.read(task, texts, targets[rows], rows)
    alone = some.out_of_sample(seed=1)
    np.testing.assert_allclose(features.out_of_sample(rows, seed=1), alone, atol=0.05)  # up to the descent's tolerance
    assert np.mean(alone.argmax(axis=1) == targets[rows]) > 0.8


@pytest.mark.parametrize("kind", ["four", "two", "several"])
def test_the_odds_are_a_naive_bayes_of_the_other_folds(tiny_news, kind):
    """The oracle counts features text by text."""
    task, texts, targets = data_of(tiny_news, kind)
    features = Features.read(task, texts, targets, model=Linear(word_ngrams=1, char_ngrams=0))
    found, folds = features.second_opinions(folds=4, seed=1)[1], features.folds(np.arange(160), 4, 1)
    entries, classes = features.entries, range(task.num_classes)
    own = [set(entries.indices[a : a + n].tolist()) for a, n in zip(entries.places, entries.sizes, strict=True)]
    labels = [set(np.flatnonzero(row).tolist()) if kind == "several" else {int(row)} for row in targets]
    learned = np.flatnonzero(folds != 2)
    fitted = features.fit(learned, seed=1)
    shares = [np.mean([label in labels[row] for row in learned]) for label in classes]
    for row in np.flatnonzero(folds == 2)[:10].tolist():
        expected = np.zeros(len(shares))
        place = int(entries.places[row])
        for k in range(place, place + int(entries.sizes[row])):
            having = [i for i in learned.tolist() if int(entries.indices[k]) in own[i]]
            for label, share in enumerate(shares):
                count = sum(label in labels[i] for i in having)
                odds = np.log((count + 3 * share) / (len(having) + 3) / share)
                expected[label] += odds * fitted.entries.values[k]
        np.testing.assert_allclose(found[row], expected, atol=1e-4)


def test_duplicates_are_in_one_fold_and_each_class_in_all(tiny_news):
    task, texts, targets = data_of(tiny_news, "four")
    texts, targets = [*texts, *(text.upper() + "!" for text in texts[:50])], np.append(targets, targets[49::-1])
    features = Features.read(task, texts, targets)
    folds = features.folds(np.arange(210), 5, 0)
    same = {}
    for text, fold in zip(texts, folds.tolist(), strict=True):
        same.setdefault("".join(filter(str.isalnum, text.lower())), set()).add(fold)
    assert all(len(found) == 1 for found in same.values())
    for label in range(4):
        counts = np.bincount(folds[:160][targets[:160] == label], minlength=5)
        assert counts.min() > 0
    assert np.ptp(np.bincount(folds, minlength=5)) < 30


def test_folds_do_not_depend_on_how_python_hashes(tiny_news):
    task, texts, targets = data_of(tiny_news, "several")
    features = Features.read(task, texts, targets)
    other = replace(features, keys=np.random.default_rng(0).permutation(10**6)[features.keys % 997])
    other = replace(other, keys=-features.keys)
    rows = np.arange(160)
    np.testing.assert_array_equal(features.folds(rows, 5, 7), other.folds(rows, 5, 7))


def test_the_rarest_label_spreads_a_text(tiny_news):
    task, texts, targets = data_of(tiny_news, "several")
    rare = [7, 30, 64, 101, 140]
    targets[:, 0], targets[rare, 0] = 0, 1
    targets[rare, 1:] = 1
    folds = Features.read(task, texts, targets).folds(np.arange(160), 5, 0)
    assert sorted(folds[rare].tolist()) == [0, 1, 2, 3, 4]


def test_the_same_texts_may_have_other_targets(tiny_news):
    task, texts, targets = data_of(tiny_news, "four")
    features, rows = Features.read(task, texts, targets), np.arange(160)
    other = replace(features, targets=(targets + 1) % 4)
    answers = other.logits(other.fit(rows), rows).argmax(axis=1)
    assert np.mean(answers == (targets + 1) % 4) > 0.9


@pytest.mark.parametrize("texts", [["", " ", ""], ["oil", "cup", "vote"], ["oil"], ["oil", "OIL!", "oil"]])
def test_few_texts_or_empty_ones_have_finite_answers(texts):
    targets = np.arange(len(texts)) % 3
    features = Features.read(task_of(list("abc"), lists=False), texts, targets)
    found = features.out_of_sample()
    assert found.shape == (len(texts), 3)
    assert np.isfinite(found).all()
    if len(set(features.keys.tolist())) == 1:
        assert not found.any()


def test_texts_may_lie_on_disk(tiny_news):
    task, texts, targets = data_of(tiny_news, "four")
    one, other = (Features.read(task, some, targets).out_of_sample() for some in (texts, StoredTexts(texts)))
    np.testing.assert_array_equal(one, other)


def test_threads_change_nothing(tiny_news, monkeypatch):
    task, texts, targets = data_of(tiny_news, "four")
    features = Features.read(task, texts, targets)
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("RUBRICA_THREADS", threads)
        found.append(features.out_of_sample())
    np.testing.assert_array_equal(*found)


def test_ctrl_c_ends_it(tiny_news, monkeypatch):
    task, texts, targets = data_of(tiny_news, "four")
    features = Features.read(task, texts, targets)
    interrupt(monkeypatch, crossval, "descend", call=2)
    with pytest.raises(KeyboardInterrupt):
        features.out_of_sample()
