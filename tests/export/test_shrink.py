"""Smaller models: the sizes that were asked for, the words that stay, and what it costs, counted once more here."""

from dataclasses import replace

import click
import numpy as np
import pytest

from made_models import TEXTS, make, make_bag
from rubrica.artifact.folder import load_artifact, save_artifact
from rubrica.cli.units import parse_size
from rubrica.data.dataset import Examples
from rubrica.errors import ArtifactError, RubricaError
from rubrica.export import shrink as export
from rubrica.export.shrink import export_model, folder_sizes, keep_features, keep_words, shrink, store
from rubrica.learning.train import train
from rubrica.models.config import make_config
from rubrica.models.storage import STORAGES, take_rows
from rubrica.predict.classifier import Classifier
from rubrica.text.vocab import Vocab
from settings import changed


def make_large(num_words=5000, unknown_id=1):
    """A gru of many words, with numbers of about the size of a trained table's."""
    artifact = make("gru")[0].artifact
    words = [f"w{i}" for i in range(num_words)]
    table = np.random.default_rng(3).normal(size=(num_words, 5)).astype(np.float32)
    vocab = Vocab(words, unknown_id, True)
    return replace(artifact, vocab=vocab, tensors=artifact.tensors | {"embedding.weight": table})


def size_of(artifact, folder):
    return sum(path.stat().st_size for path in save_artifact(artifact, folder).iterdir())


@pytest.mark.parametrize("storage", STORAGES)
def test_a_stored_model_answers_alike_in_memory_and_from_disk(tmp_path, storage):
    classifier, _ = make("gru")
    stored = store(classifier.artifact, storage)
    loaded = load_artifact(save_artifact(stored, tmp_path / "model"))
    got = Classifier(loaded).predict_proba(TEXTS)
    np.testing.assert_array_equal(got, Classifier(stored).predict_proba(TEXTS))
    # Rounding moves a probability by about a code's step; and where nothing is rounded, by nothing.
    allowed = {"float32": 0, "bfloat16": 0.01, "int8": 0.01, "int4": 0.1}[storage]
    apart = abs(got - classifier.predict_proba(TEXTS)).max()
    assert apart <= allowed
    assert (apart > 0) == (storage != "float32")


@pytest.mark.parametrize("first", STORAGES)
@pytest.mark.parametrize("second", STORAGES)
def test_a_stored_model_can_be_stored_once_more(first, second):
    stored = store(store(make("gru")[0].artifact, first), second)
    assert stored.storage == second
    rows = take_rows(stored.tensors, "embedding.weight", np.arange(18))
    assert abs(rows - make("gru")[0].artifact.tensors["embedding.weight"]).max() < 0.5
    assert ("embedding.scale" in stored.tensors) == (second in ("int8", "int4"))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("unknown_id", [1, 4000])
def test_the_first_words_stay_with_their_rows_and_the_rest_are_unknown(storage, unknown_id):
    artifact = store(make_large(unknown_id=unknown_id), storage)
    kept = keep_words(artifact, 100)
    expected = list(range(100)) if unknown_id == 1 else [*range(99), 4000]
    assert kept.vocab.words == [f"w{i}" for i in expected]
    assert kept.vocab.words[kept.vocab.unknown_id] == f"w{unknown_id}"
    np.testing.assert_array_equal(
        take_rows(kept.tensors, "embedding.weight", np.arange(100)),
        take_rows(artifact.tensors, "embedding.weight", np.array(expected)),
    )
    texts = ["w0 w5 w98", f"w{unknown_id} w3"]
    np.testing.assert_array_equal(Classifier(kept).logits(texts), Classifier(artifact).logits(texts))
    gone = Classifier(kept).logits(["w5 w4321", "w5 never"])
    np.testing.assert_array_equal(gone[0], gone[1])


@pytest.mark.parametrize("storage", ["bfloat16", "int8", "int4"])
def test_a_bag_reads_few_texts_and_many_alike(storage):
    """Few texts take their rows alone out of the tables, many expand these first; the oracle is a float32 bag."""
    stored = store(make_bag(2, num_buckets=40), storage)
    whole = {
        name: take_rows(stored.tensors, name, np.arange(len(stored.tensors[name])))
        for name in ("embedding.weight", "ngrams.weight")
    }
    texts = [*TEXTS, *(f"{first} {second}" for first in "abcdefghijklmnop" for second in "abcdefghijklmnop")]
    expected = Classifier(replace(stored, tensors=stored.tensors | whole, storage="float32")).logits(texts)
    np.testing.assert_allclose(Classifier(stored).logits(texts), expected, atol=1e-6)
    for text, row in zip(texts, expected, strict=True):
        np.testing.assert_allclose(Classifier(stored).logits([text]), row[None], atol=1e-6)


def test_a_bag_keeps_the_ids_that_its_ngrams_are_hashed_from():
    bag = make_bag(2, num_buckets=300)
    bag = replace(bag, vocab=replace(bag.vocab, unknown_id=9))
    with pytest.raises(RubricaError, match="18 words"):
        shrink(bag, 500)
    large = make_large(unknown_id=4000)
    tensors = {name: bag.tensors[name] for name in ("ngrams.weight", "head.weight", "head.bias")}
    config = bag.config
    large = replace(large, config=config, tensors={"embedding.weight": large.tensors["embedding.weight"]} | tensors)
    with pytest.raises(RubricaError, match="4,001 words"):
        shrink(large, 500)


def test_shrink_takes_the_first_step_that_is_small_enough(tmp_path):
    artifact = make_large()
    fixed = size_of(store(keep_words(artifact, 2), "int8"), tmp_path / "fixed")
    # A word of four letters or five, its newline, and its row: 7 bytes (int8), or 5 (4 bits).
    for number, (target, storage, fewest, most) in enumerate(
        [
            (10**9, "int8", 5000, 5000),
            (fixed + 5000 * 14, "int8", 5000, 5000),
            (fixed + 4000 * 13, "int8", 3900, 4300),
            (fixed + 2600 * 13, "int8", 2500, 2900),
            (fixed + 2000 * 13, "int4", 2100, 2600),
            (fixed + 1100 * 11, "int4", 1000, 1300),
        ]
    ):
        small = shrink(artifact, target)
        assert small.storage == storage
        assert fewest <= len(small.vocab.words) <= most
        assert size_of(small, tmp_path / f"small{number}") <= target
        if len(small.vocab.words) < 5000:  # one word more would not fit
            more = keep_words(store(artifact, storage), len(small.vocab.words) + 1)
            assert size_of(more, tmp_path / f"more{number}") > target


def test_words_and_features_go_in_equal_shares_and_the_strongest_features_stay(tiny_news, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_FEWEST", 10)
    trained = train(tiny_news, config=changed(make_config(), ["training.epochs=1"])).artifact
    words, keys = len(trained.vocab.words), trained.tensors["linear.keys"]
    strength = abs(take_rows(trained.tensors, "linear.weight", np.arange(len(keys)))).max(axis=1)
    target = size_of(keep_words(keep_features(trained, 3 * len(keys) // 4), 3 * words // 4), tmp_path / "target")
    small = shrink(trained, target)
    assert small.storage == "int8"
    features = len(small.tensors["linear.keys"])
    assert 3 * len(keys) // 4 - 5 <= features <= 3 * len(keys) // 4 + 5
    assert len(small.vocab.words) == features * words // len(keys)
    assert size_of(small, tmp_path / "small") <= target
    kept = np.isin(keys, small.tensors["linear.keys"])
    assert strength[kept].min() >= strength[~kept].max()
    with pytest.raises(RubricaError, match=r"\(10 words, 10 features, 4 bits") as caught:
        shrink(trained, 500)
    least = int(str(caught.value).split()[7].replace(",", ""))
    assert size_of(shrink(trained, least), tmp_path / "least") == least
    test = tiny_news.splits["test"]
    scores = export_model(
        save_artifact(trained, tmp_path / "trained"),
        tmp_path / "new",
        lambda model: shrink(model, target),
        examples=Examples(test.texts, test.labels),
    )["accuracy"]
    assert scores["before"] == scores["after"] > 0.9


def test_a_model_of_4_bits_that_fits_keeps_all_its_words(tmp_path):
    artifact = store(make_large(), "int4")
    assert shrink(artifact, size_of(artifact, tmp_path / "model")).vocab.words == artifact.vocab.words


def test_a_size_out_of_reach_names_the_least(tmp_path):
    artifact = make_large()
    with pytest.raises(RubricaError, match=r"cannot be made smaller than ([\d,]+) bytes \(1,000 words") as caught:
        shrink(artifact, 500)
    least = int(str(caught.value).split()[7].replace(",", ""))
    assert size_of(shrink(artifact, least), tmp_path / "least") == least
    with pytest.raises(RubricaError, match=f"smaller than {least:,} bytes"):
        shrink(artifact, least - 1)
    # A model with few words keeps all of them.
    with pytest.raises(RubricaError, match=r"\(18 words"):
        shrink(make("gru")[0].artifact, 500)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2M", 2e6),
        ("2m", 2e6),
        ("1.5MB", 1.5e6),
        ("800k", 8e5),
        ("800 kB", 8e5),
        ("1G", 1e9),
        ("1234", 1234),
        ("7B", 7),
    ],
)
def test_sizes_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1M", "2T", "2MiB", "2,5M", "1e6", "²M"])
def test_what_is_no_size(text):
    with pytest.raises(click.BadParameter, match="is no size; give for example 2M"):
        parse_size(text)


def test_the_report_counts_bytes_words_and_answers(tmp_path):
    artifact = make_large()
    folder = save_artifact(artifact, tmp_path / "model")
    texts = [f"w{i} w{4999 - i}" for i in range(200)]
    labels = Classifier(artifact).predict(texts)
    labels[:20] = [artifact.task.labels[(artifact.task.labels.index(label) + 1) % 3] for label in labels[:20]]
    examples = Examples(texts, labels)
    out = tmp_path / "small"
    report = export_model(folder, out, lambda before: shrink(before, 30_000), examples=examples)
    for place, key in ((folder, "before"), (out, "after")):
        assert report["bytes"][key] == {path.name: path.stat().st_size for path in place.iterdir()}
    assert report["words"] == {"before": 5000, "after": len(load_artifact(out).vocab.words)}
    answers = Classifier(load_artifact(out)).predict(texts)
    hits = sum(answer == label for answer, label in zip(answers, labels, strict=True))
    assert report["accuracy"] == {
        "texts": 200,
        "measure": "accuracy",
        "before": 0.9,
        "after": pytest.approx(hits / 200),
    }
    assert 0 < hits < 200
    assert sum(report["bytes"]["after"].values()) <= 30_000


def test_an_unknown_label_counts_as_wrong_and_is_named_once(tmp_path, caplog):
    folder, texts = save_artifact(make_large(), tmp_path / "model"), ["w1", "w2", "w3"]
    labels = Classifier(load_artifact(folder)).predict(texts)
    examples = Examples(texts, [*labels[:2], "Weather"])
    report = export_model(folder, tmp_path / "out", lambda artifact: artifact, examples=examples, name="new.csv")
    assert (report["accuracy"]["before"], report["accuracy"]["after"]) == (2 / 3, 2 / 3)
    assert [message for message in caplog.messages if "Weather" in message] == [
        'new.csv: 1 of 3 texts has a label that the model does not know ("Weather"); it counts as wrong'
    ]


def test_a_failure_leaves_nothing(tmp_path):
    folder = save_artifact(make_large(), tmp_path / "model")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("")
    with pytest.raises(ArtifactError, match="not empty"):
        export_model(folder, tmp_path / "full", lambda artifact: artifact)
    with pytest.raises(ValueError, match="a text has 2 labels, and the model gives one"):
        export_model(folder, tmp_path / "new", lambda artifact: artifact, examples=Examples(["a"], [("World", "b")]))
    with pytest.raises(RubricaError, match="cannot be made smaller"):
        export_model(folder, tmp_path / "new", lambda artifact: shrink(artifact, 1))
    assert {path.name for path in tmp_path.iterdir()} == {"model", "full"}
    assert folder_sizes(tmp_path / "full") == {"precious": 0}
