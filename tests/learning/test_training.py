"""From texts to a saved model."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import rubrica
from interrupts import interrupt
from made_files import write_splits
from made_models import learn
from made_networks import ALONE, NETWORKS
from rubrica import files as cache
from rubrica.corpus import corpus as corpus_module
from rubrica.corpus.corpus import build_corpus
from rubrica.data import stored_texts
from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import ArtifactError, DataError
from rubrica.learning import bag as bag_module
from rubrica.learning import linear as linear_module
from rubrica.learning import training
from rubrica.learning.job import Job
from rubrica.learning.linear import train_linear
from rubrica.learning.network import initial_table
from rubrica.learning.train import prepare_vectors, train
from rubrica.models.config import load_recipe, make_config
from rubrica.models.storage import store_table, take_rows
from rubrica.predict.classifier import Classifier
from rubrica.scoring import task as task_module
from rubrica.scoring.tasks import task_of
from rubrica.vectors.stored import save_vectors
from rubrica.vectors.word_vectors import Vectors
from settings import changed

# The vectors given here are drawn, and not worth keeping still for.
QUICK = changed(
    make_config(),
    [
        "training.epochs=8",
        "training.batch_size=16",
        "training.lr=0.02",
        "training.freeze_steps=0",
        "model.hidden_size=16",
    ],
)


SHORT, ONE = (changed(QUICK, [f"training.epochs={epochs}"]) for epochs in (2, 1))
ONE_ALONE = changed(ONE, [ALONE])
LINEAR = load_recipe("linear")
QUICK_BAG = changed(load_recipe("bag"),
    ["training.epochs=30", "training.lr=1.0", "training.label_smoothing=0.0", "model.num_buckets=1000"]
)  # fmt: skip


@pytest.mark.parametrize("name", ["bag", *NETWORKS])
@pytest.mark.parametrize("with_vectors", [True, False])
def test_every_model_learns_what_can_be_learned(tiny_news, tiny_vectors, name, with_vectors):
    # Held-out texts and the second training are the same for every family.
    plain = ["training.adversarial=0.0", "data.validation_fraction=0.0"]
    config = QUICK_BAG if name == "bag" else changed(QUICK, [*NETWORKS[name], *plain])
    model = learn(tiny_news, config, tiny_vectors if with_vectors else None)
    test = tiny_news.splits["test"]
    assert model.artifact.metrics["test"]["accuracy"] >= 0.9
    assert model.evaluate(test.texts, test.labels).to_json()["accuracy"] == model.artifact.metrics["test"]["accuracy"]


@pytest.mark.parametrize("name", ["bag", "linear", "cnn", "rnn", "gru", "lstm", "mingru", "drnn"])
@pytest.mark.parametrize("with_test", [True, False])
def test_of_two_texts_a_class_every_model_learns_and_says_once_that_it_is_not_calibrated(caplog, name, with_test):
    texts, labels = ["the cup", "a cup", "the bank", "a bank"], ["sport", "sport", "oil", "oil"]
    splits = {"train": Examples(texts, labels)}
    if with_test:
        splits["test"] = Examples(["his cup", "her bank"], ["sport", "oil"])
    config = {"bag": QUICK_BAG, "linear": LINEAR}.get(name) or changed(QUICK, [f"model.name={name}"])
    model = train(Dataset("few", splits, ("text",), "label", task_of(["oil", "sport"], lists=False)), config=config)
    assert model.predict(texts) == labels
    assert caplog.text.count("4 texts are too few to hold some out; probabilities are not calibrated") == 1
    assert "validation" not in model.artifact.metrics
    assert ("test" in model.artifact.metrics) == with_test
    compared = model.artifact.metrics.keys() & {"bag", "linear"}
    beside = model.artifact.config.beside is not None
    assert compared == ({"linear" if beside else "bag"} if with_test and name not in ("bag", "linear") else set())


def letters(counts):
    """Texts of a word for each class, as many of each class as `counts` says."""
    texts = [f"{label}{label} {chr(103 + i)}x" for label, count in counts.items() for i in range(count)]
    return Examples(texts, [label for label, count in counts.items() for _ in range(count)])


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (dict.fromkeys("abcdefghijklmnopqrstuvwxyz", 4), "bag: 10 of 104 texts are held out, of 10 of the 26 classes"),
        (dict.fromkeys("abcdef", 4), "bag: 24 texts are too few to hold some out; probabilities"),
        (dict.fromkeys("abcdef", 1), "bag: every class has one text only, so none is held out; probabilities"),
        ({"a": 3, "b": 1}, "bag: 4 texts are too few to hold some out; probabilities"),
        ({"a": 30, "b": 30}, None),
    ],
)
def test_what_is_held_out_is_said(caplog, counts, said):
    caplog.set_level("INFO")
    data = Dataset("few", {"train": letters(counts)}, ("text",), "label", task_of([*counts], lists=False))
    model = train(data, config=QUICK_BAG)
    assert ("held out" in caplog.text or "hold some out" in caplog.text) == (said is not None)
    assert said is None or said in caplog.text
    assert ("validation" in model.artifact.metrics) == (len(counts) == 26 or said is None)


def test_a_saved_seminar_model_scores_test_as_the_training_did(tiny_news, tiny_vectors, tmp_path):
    """The other recipes are in the tests of the seminar."""
    trained = learn(tiny_news, load_recipe("seminar-gru"), tiny_vectors, tmp_path / "model")
    loaded, test = rubrica.load(tmp_path / "model"), tiny_news.splits["test"]
    got, expected = loaded.evaluate(test.texts, test.labels).to_json(), trained.artifact.metrics["test"]
    assert got["confusion"] == expected["confusion"]
    assert got["loss"] == pytest.approx(expected["loss"], abs=1e-5)
    assert loaded.config.model.embedding_dim == tiny_vectors.dim


@pytest.mark.parametrize("config", [SHORT, QUICK_BAG, LINEAR], ids=["gru", "bag", "linear"])
def test_the_saved_settings_repeat_the_training(tiny_news, tmp_path, config):
    first = learn(tiny_news, config, out=tmp_path / "model")
    again = learn(tiny_news, load_recipe(str(tmp_path / "model" / "config.json")))
    for name, tensor in first.artifact.tensors.items():
        np.testing.assert_array_equal(tensor, again.artifact.tensors[name])


def test_untrained_words_of_the_vectors_are_taken_along_unless_no_text_can_hold_them(tiny_news, tmp_path):
    words = ["<user>", "cup", "Cup", "harbour", "don't", "unk", "oil", "quai\u0308"]
    matrix = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    vectors = Vectors(words, matrix, "v")
    extended = learn(tiny_news, ONE_ALONE, vectors)
    assert extended.artifact.vocab.words[:6] == ["<user>", "cup", "harbour", "unk", "oil", "qua\u00ef"]
    assert "planet" in extended.artifact.vocab.words  # of train; the vectors lack it
    model = learn(tiny_news, changed(ONE_ALONE, ["model.extend_vectors=false"]), vectors)
    assert model.artifact.vocab.words == ["<user>", "cup", "harbour", "unk", "oil", "qua\u00ef"]
    table = take_rows(model.artifact.tensors, "embedding.weight", np.arange(5))
    stored = store_table({"embedding.weight": matrix[[3, 1]]}, "embedding.weight", "int8")
    harbour, cup = take_rows(stored, "embedding.weight", np.arange(2))
    np.testing.assert_array_equal(table[2], harbour)
    assert not np.allclose(table[1], cup)  # trained


@pytest.mark.parametrize("name", ["bag", "linear", *NETWORKS])
def test_training_leaves_the_random_numbers_of_others_alone(tiny_news, name):
    import torch

    def states():  # that of `random` is in test_loop.py: beartype, which watches over the tests, draws from it
        return np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    learn(tiny_news, {"bag": QUICK_BAG, "linear": LINEAR}.get(name) or changed(ONE, NETWORKS[name]))
    assert states() == before


@pytest.mark.parametrize("name", ["bag", "gru"])
def test_a_model_with_cased_vectors_reads_texts_as_written_and_says_so(tiny_news, tmp_path, name):
    texts = [text.title() for text in tiny_news.splits["train"].texts]
    data = replace(tiny_news, splits=tiny_news.splits | {"train": replace(tiny_news.splits["train"], texts=texts)})
    words = ["The", "Cup", "Goal", "Bank", "Oil", "Planet", "unk"]
    vectors = Vectors(words, np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32), "v")
    config = QUICK_BAG if name == "bag" else ONE
    model = learn(data, config, vectors, out=tmp_path / "model")
    assert {"Cup", "Goal"} <= set(model.artifact.vocab.words)
    assert json.loads((tmp_path / "model" / "config.json").read_text())["data"]["lowercase"] is False
    again = rubrica.load(tmp_path / "model")
    np.testing.assert_allclose(again.predict_proba(texts[:9]), model.predict_proba(texts[:9]), atol=1e-6)
    assert not np.allclose(again.predict_proba(["Cup Goal"]), again.predict_proba(["cup goal"]))
    assert prepare_vectors(data, None, config)[1].data.lowercase is True


def test_the_random_table_is_the_one_that_the_whole_table_would_start_from(tiny_news, tiny_vectors):
    import torch

    config = changed(load_recipe("seminar-gru"), ["model.embedding_dim=6"])
    corpus = build_corpus(tiny_news, tiny_vectors, config.data)
    torch.manual_seed(3)
    whole = torch.nn.Embedding(len(tiny_vectors.words), 6).weight
    after = torch.rand(3)
    torch.manual_seed(3)
    job = Job(corpus, config, np.arange(1), tiny_vectors)
    assert torch.equal(initial_table(job), whole[torch.from_numpy(corpus.rows)])
    assert torch.equal(torch.rand(3), after)


def test_a_validation_split_of_the_data_is_used_as_it_is(tiny_news):
    splits = {"train": tiny_news.splits["train"], "validation": tiny_news.splits["test"]}
    metrics = learn(Dataset("x", splits, ("text",), "label", tiny_news.task), ONE).artifact.metrics
    assert metrics["train_texts"] == 160
    assert metrics["validation"]["texts"] == 40
    assert "test" not in metrics


def test_a_tenth_of_train_is_held_out_and_then_learned_too(tiny_news, monkeypatch):
    whole = learn(tiny_news, LINEAR).artifact
    assert whole.metrics["refitted"]
    assert whole.metrics["train_texts"] == 160
    assert whole.metrics["validation"]["texts"] in range(14, 19)
    corpus = build_corpus(tiny_news, None, LINEAR.data)
    tensors = train_linear(Job(corpus, LINEAR, np.arange(160))).tensors
    weight = np.float32(whole.metrics["weights"]["linear"])
    expected = store_table({"linear.weight": weight * tensors["linear.weight"]}, "linear.weight", "int8")
    np.testing.assert_array_equal(whole.tensors["linear.weight"], expected["linear.weight"])
    np.testing.assert_array_equal(whole.tensors["linear.scale"], expected["linear.scale"])
    monkeypatch.setattr(training, "_NEGLIGIBLE", 1.0)
    part_of_it = learn(tiny_news, LINEAR).artifact.metrics
    assert "refitted" not in part_of_it
    assert part_of_it["train_texts"] + part_of_it["validation"]["texts"] == 160
    assert part_of_it["weights"] == whole.metrics["weights"]


def test_no_more_texts_are_held_out_than_are_of_use(tiny_news, monkeypatch):
    monkeypatch.setattr(training, "MOST_HELD", 8)
    assert learn(tiny_news, LINEAR).artifact.metrics["validation"]["texts"] in range(6, 11)


@pytest.mark.parametrize("interrupted", ["gru", "linear"])
def test_interrupted_while_learning_all_of_train_the_first_model_is_kept(tiny_news, monkeypatch, interrupted):
    original = training.train_members

    def second_interrupted(job, **named):
        fitted = original(job, **named)
        if "all of train" in job.title:
            # A linear model that Ctrl-C met is alone.
            members = fitted.members if interrupted == "gru" else fitted.members[1:]
            members[0].history.interrupted = True
            fitted = fitted._replace(members=members)
        return fitted

    monkeypatch.setattr(training, "train_members", second_interrupted)
    kept = train(tiny_news, config=SHORT).artifact
    monkeypatch.setattr(training, "train_members", original)
    monkeypatch.setattr(training, "_NEGLIGIBLE", 1.0)
    first = learn(tiny_news, SHORT).artifact
    assert "refitted" not in kept.metrics
    assert kept.metrics["train_texts"] == first.metrics["train_texts"]
    assert kept.metrics["interrupted"]
    assert "bag" not in kept.metrics
    for name, tensor in first.tensors.items():
        np.testing.assert_array_equal(kept.tensors[name], tensor)


def test_ctrl_c_while_all_of_train_is_read_keeps_the_first_model(tiny_news, monkeypatch):
    interrupt(monkeypatch, linear_module, "_read", call=2)
    metrics = learn(tiny_news, LINEAR).artifact.metrics
    assert metrics["interrupted"]
    assert "refitted" not in metrics
    assert metrics["train_texts"] + metrics["validation"]["texts"] == 160


def test_the_parts_of_a_model_are_weighed_and_added(tiny_news, tmp_path):
    both = learn(tiny_news, changed(QUICK, ["training.epochs=5"]), out=tmp_path / "model")
    weights = both.artifact.metrics["weights"]
    assert set(weights) == {"gru", "linear"}
    assert min(weights.values()) > 0  # both say something
    texts = tiny_news.splits["test"].texts
    alone = replace(both.artifact, config=changed(QUICK, ["model.with_linear=false"]))
    other = replace(both.artifact, config=changed(QUICK, ["model.name=linear"]))
    expected = Classifier(alone).logits(texts) + Classifier(other).logits(texts)
    np.testing.assert_allclose(both.logits(texts), expected, atol=1e-5)
    np.testing.assert_allclose(rubrica.load(tmp_path / "model").logits(texts), expected, atol=1e-5)


def test_metrics_are_written_as_they_went(tiny_news, tmp_path):
    learn(tiny_news, changed(QUICK, [ALONE]), out=tmp_path / "model")
    lines = [json.loads(line) for line in (tmp_path / "model" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 50]
    assert [line["epoch"] for line in lines if "validation_loss" in line] == list(range(1, 9))


def test_vectors_may_be_a_path(tiny_news, tiny_vectors, tmp_path):
    save_vectors(tiny_vectors, tmp_path / "v.txt")
    model = learn(tiny_news, ONE_ALONE, tmp_path / "v.txt")
    assert model.artifact.vectors == "v.txt"  # a model travels; the folders of this machine stay at home


def test_given_vectors_keep_still_at_first(tiny_news, tiny_vectors):
    frozen = changed(SHORT, [ALONE, "training.freeze_steps=100000", "training.storage=float32"])
    model = learn(tiny_news, frozen, tiny_vectors)
    words = {word: i for i, word in enumerate(model.artifact.vocab.words)}
    here = [(words[word], i) for i, word in enumerate(tiny_vectors.words) if word in words]
    assert len(here) > 5
    scale = frozen.model.embedding_std / tiny_vectors.matrix.std()
    for place, i in here:
        row = model.artifact.tensors["embedding.weight"][place]
        np.testing.assert_allclose(row, scale * tiny_vectors.matrix[i], atol=1e-6)


@pytest.mark.parametrize("with_vectors", [False, True])
def test_drawn_vectors_never_keep_still(tiny_news, tiny_vectors, with_vectors):
    """Without vectors, and where these only say which words there are."""
    settings = [f"model.embedding={'random' if with_vectors else 'pretrained'}"]
    vectors = tiny_vectors if with_vectors else None
    free = learn(tiny_news, changed(ONE_ALONE, settings), vectors)
    frozen = learn(tiny_news, changed(ONE_ALONE, [*settings, "training.freeze_epochs=9"]), vectors)
    for name, tensor in free.artifact.tensors.items():
        np.testing.assert_array_equal(frozen.artifact.tensors[name], tensor)


def test_the_output_folder_is_checked_before_any_work(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(ArtifactError, match="not empty"):
        train(tmp_path / "no-such-data.csv", out=tmp_path / "full")


def test_one_class_is_nothing_to_learn():
    dataset = Dataset("x", {"train": Examples(["a", "b"], ["1", "1"])}, ("text",), "label", task_of(["1"], lists=False))
    with pytest.raises(DataError, match="one class only"):
        train(dataset)


def test_a_network_alone_is_compared_with_a_bag_on_the_same_texts(tiny_news, tmp_path):
    model = train(tiny_news, config=changed(ONE, ["model.with_linear=false"]), out=tmp_path / "model")
    bag = changed(load_recipe("bag"), [f"training.seed={QUICK.training.seed}"])
    alone = train(tiny_news, config=bag).artifact.metrics
    expected = {split: alone[split]["accuracy"] for split in ("validation", "test")}
    assert model.artifact.metrics["bag"] == expected
    assert "bag" not in alone
    assert json.loads((tmp_path / "model" / "metrics.json").read_text())["bag"] == expected


@pytest.mark.parametrize(("place", "name", "call"), [(bag_module, "train", 1), (training, "hold_out", 2)])
def test_ctrl_c_in_the_comparison_keeps_the_model_and_leaves_the_bag_out(tiny_news, monkeypatch, place, name, call):
    calls = interrupt(monkeypatch, place, name, call=call)
    metrics = train(tiny_news, config=changed(ONE, ["model.with_linear=false"])).artifact.metrics
    assert len(calls) == call
    assert "bag" not in metrics
    assert not metrics["interrupted"]


def test_a_bag_is_trained_without_torch(tiny_news, tmp_path):
    data = write_splits(tmp_path / "data", tiny_news)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import rubrica\n"
        "config = rubrica.load_recipe('bag').replace(training={'epochs': 30, 'lr': 1.0})\n"
        "model = rubrica.train(sys.argv[1], config=config, out=sys.argv[2])\n"
        "assert model.artifact.metrics['test']['accuracy'] > 0.85, model.artifact.metrics\n"
    )
    subprocess.run([sys.executable, "-c", code, str(data), str(tmp_path / "model")], check=True)


def test_an_interrupted_bag_keeps_what_it_learned(tiny_news, monkeypatch):
    interrupt(monkeypatch, bag_module, "train", call=3)
    metrics = learn(tiny_news, QUICK_BAG).artifact.metrics
    assert metrics["interrupted"]
    assert metrics["steps"] == 2 * -(-metrics["train_texts"] // QUICK_BAG.training.batch_size)


@pytest.mark.parametrize("name", ["bag", "gru"])
def test_ids_in_a_file_and_scores_in_stretches_change_nothing(tiny_news, monkeypatch, name):
    config = QUICK_BAG if name == "bag" else SHORT
    expected = learn(tiny_news, config).artifact
    monkeypatch.setattr(corpus_module, "_IN_MEMORY", 50)
    monkeypatch.setattr(stored_texts, "STRETCH", 7)
    monkeypatch.setattr(task_module, "_STRETCH", 7)
    monkeypatch.setattr(corpus_module, "_RENUMBERED", 11)
    monkeypatch.setattr(training, "_SCORED", 3)
    monkeypatch.setattr(cache, "IN_MEMORY_BYTES", 0)
    found = learn(tiny_news, config).artifact
    for tensor, values in expected.tensors.items():
        np.testing.assert_array_equal(found.tensors[tensor], values)
    for split in ("validation", "test"):
        assert found.metrics[split]["confusion"] == expected.metrics[split]["confusion"]
        assert found.metrics[split]["loss"] == pytest.approx(expected.metrics[split]["loss"], rel=1e-6)


@pytest.mark.parametrize(("given", "problem"), [
    ({"config": "linear"}, r"config is 'linear' \(str\); make settings by rubrica.make_config"),
    ({"config": {"model": {"name": "linear"}}}, r"\(dict\); make settings by rubrica.make_config"),
    ({"vectors": {"oak": [1.0]}}, r"vectors is .* \(dict\); give a file, a name of `rubrica vectors list` or rub"),
    ({"start": 3}, r"start is 3 \(int\), expected a model or its folder"),
])  # fmt: skip
def test_what_is_none_of_the_arguments_of_train(tiny_news, given, problem):
    with pytest.raises(TypeError, match=problem):
        train(tiny_news, **given)
