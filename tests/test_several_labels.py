"""Texts with several labels from the file to the answer, with every model."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import rubrica
from made_models import learn
from rubrica import files as cache
from rubrica.artifact.folder import load_artifact
from rubrica.cli.main import rubrica as command
from rubrica.corpus.corpus import build_corpus
from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import ArtifactError, DataError
from rubrica.export.onnx import build_model
from rubrica.learning import training
from rubrica.learning.device_split import DeviceSplit
from rubrica.learning.train import train
from rubrica.learning.training import balanced_weights
from rubrica.models.config import load_recipe, make_config
from rubrica.scoring.report import headline
from rubrica.scoring.tasks import task_of
from rubrica.seminar.experiments import run_seminar
from settings import changed

QUICK = changed(make_config(),
    ["data.min_count=1", "model.embedding_dim=8", "model.hidden_size=8", "training.epochs=8", "training.batch_size=16",
     "training.lr=0.02", "training.warmup=0.0", "model.with_linear=false",
     "training.label_smoothing=0.0", "training.dropout=0.0", "training.word_dropout=0.0", "training.adversarial=0.0"]
)  # fmt: skip
QUICK_BAG = changed(load_recipe("bag"),
    ["data.min_count=1", "model.num_buckets=1000", "training.epochs=30", "training.label_smoothing=0.0"]
)  # fmt: skip
WORDS = {"oil": ["oil", "crude", "barrel"], "gold": ["gold", "ounce", "mine"], "ship": ["ship", "port", "harbour"]}


@pytest.fixture(scope="module")
def topics():
    """240 texts to train on and 80 to test, of none to three of three topics."""
    draw = np.random.default_rng(3)

    def examples(count):
        texts, labels = [], []
        for i in range(count):
            mine = [label for label in WORDS if draw.random() < 0.4]
            words = [str(word) for label in mine for word in draw.choice(WORDS[label], 2)]
            words += [str(word) for word in draw.choice(["the", "a", "of", "in", f"no{i}"], draw.integers(1, 5))]
            draw.shuffle(words)
            texts.append(" ".join(words))
            labels.append(tuple(mine))
        return Examples(texts, labels)

    return Dataset("topics", {"train": examples(240), "test": examples(80)}, (), "", task_of(sorted(WORDS), lists=True))


def with_validation(data):
    """The data with half of its test texts as validation: no model is trained once more on all of train."""
    test = data.splits["test"]
    half, rest = (Examples(test.texts[part], test.labels[part]) for part in (slice(40), slice(40, 80)))
    return replace(data, splits=data.splits | {"validation": half, "test": rest})


@pytest.fixture(scope="module")
def model(topics, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "model"
    train(topics, config=QUICK_BAG, out=folder)
    return rubrica.load(folder)


@pytest.mark.parametrize("name", ["bag", "cnn", "gru", "mingru", "linear", "gru beside linear"])
def test_every_model_learns_them(topics, name):
    name, beside, _ = name.partition(" beside ")
    settings = [f"model.name={name}", f"model.with_linear={str(bool(beside)).lower()}"]
    settings += ["training.epochs=16"] if name == "cnn" else []  # of which it needs more
    config = QUICK_BAG if name == "bag" else changed(QUICK, settings)
    scores = learn(with_validation(topics), config).artifact.metrics
    assert scores["test"]["micro_f1"] > 0.75, scores["test"]


def test_a_network_is_compared_with_its_linear_part(topics):
    config = changed(QUICK, ["model.name=cnn", "model.with_linear=true", "training.epochs=1"])
    metrics = train(with_validation(topics), config=config).artifact.metrics
    assert set(metrics["linear"]) == {"validation", "test"}
    assert "bag" not in metrics
    alone = train(with_validation(topics), config=config.alone(config.beside)).artifact.metrics
    assert metrics["linear"]["test"] == pytest.approx(alone["test"]["micro_f1"], abs=0.02)


def test_the_runtime_scores_as_training_did(topics, model):
    trained = model.artifact.metrics["test"]
    found = model.evaluate(topics.splits["test"].texts, topics.splits["test"].labels).to_json()
    assert found["loss"] == pytest.approx(trained["loss"], rel=1e-5)
    assert {key: found[key] for key in found if key != "loss"} == {
        key: trained[key] for key in trained if key not in ("loss", "mean_batch_loss")
    }
    assert model.artifact.task.problem_type == "multi_label_classification"


def test_predictions_are_lists_best_first(topics, model):
    texts = [*topics.splits["test"].texts[:20], "", "oil crude gold ounce ship port"]
    probabilities, thresholds = model.predict_proba(texts), model.artifact.task.thresholds
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-model.logits(texts).astype(np.float64))), atol=1e-6)
    for labels, row in zip(model.predict(texts), probabilities, strict=True):
        mine = [(-p, label) for p, label, t in zip(row, model.labels, thresholds, strict=True) if p >= t]
        assert labels == [label for _, label in sorted(mine)]
    assert set(model.predict(texts)[-1]) == set(WORDS)


def test_of_two_labels_a_text_may_have_both(topics, tmp_path):
    """A linear model has one machine for two classes, but two for two labels."""
    two = {
        name: Examples(part.texts, [tuple(label for label in labels if label != "ship") for labels in part.labels])
        for name, part in topics.splits.items()
    }
    data = Dataset("two", two, (), "", task_of(["gold", "oil"], lists=True))
    train(data, config=load_recipe("linear"), out=tmp_path / "m")
    model = rubrica.load(tmp_path / "m")
    assert model.artifact.metrics["test"]["micro_f1"] > 0.95
    assert [set(labels) for labels in model.predict(["oil gold", "the of"])] == [{"gold", "oil"}, set()]
    assert model.artifact.facts()["parameters"] == 4 * model.artifact.num_features + 2  # key, idf, two weights each


def test_thresholds_make_the_answers(model):
    for thresholds, expected in (([0.999, 1e-9, 0.999], ["oil"]), ([0.999, 0.999, 0.999], [])):
        other = rubrica.Classifier(replace(model.artifact, task=replace(model.task, cuts=tuple(thresholds))))
        assert other.predict(["the of", ""]) == [expected, expected]


@pytest.mark.parametrize("every", [False, True])
def test_lines_of_json(model, every):
    texts = ["oil crude barrel and gold ounce mine", "the of"]
    lines = [json.loads(line) for line in "\n".join(model.iter_answers(texts, all_classes=every)).splitlines()]
    probabilities = model.predict_proba(texts)
    for line, labels, row in zip(lines, model.predict(texts), probabilities, strict=True):
        assert line["labels"] == labels
        assert list(line["scores"]) == (model.labels if every else labels)
        for label, value in line["scores"].items():
            assert value == pytest.approx(row[model.labels.index(label)], abs=1e-6)
    assert set(lines[0]["labels"]) == {"oil", "gold"}


def test_evaluate_takes_one_label_for_a_set_and_knows_its_limits(model, tiny_news):
    assert model.evaluate(["oil crude barrel"], ["oil"]) == model.evaluate(["oil crude barrel"], [["oil"]])
    single = train(tiny_news, config=changed(load_recipe("bag"), ["training.epochs=1"]))
    with pytest.raises(ValueError, match="label 0: a text has 2 labels, and the model gives one"):
        single.evaluate(["a"], [("World", "Sports")])
    assert single.artifact.task.thresholds is None


def test_an_unknown_label_beside_known_ones_counts_as_wrong(model, caplog):
    texts, labels = ["oil crude barrel", "gold ounce mine"], [["oil", "iol"], ["gold", "lead"]]
    found = model.evaluate(texts, labels, name="metals.csv")
    assert caplog.messages == [
        "metals.csv: 2 of 2 texts have labels that the model does not know "
        '("iol", did you mean "oil"?; "lead"); they count as wrong'
    ]
    known = model.evaluate(texts, [own[:1] for own in labels])
    assert known.subset_accuracy == 1
    assert found.subset_accuracy == 0
    assert found.loss == known.loss
    assert found.hamming_loss == 2 / 10
    assert found.macro_f1 == 2 / 4
    assert [(row.label, row.recall, row.texts) for row in found.per_class[3:]] == [("iol", 0, 1), ("lead", 0, 1)]


def test_ids_in_a_file_and_scores_in_stretches_change_nothing(topics, model, monkeypatch):
    monkeypatch.setattr(training, "_SCORED", 3)
    monkeypatch.setattr(cache, "IN_MEMORY_BYTES", 0)
    found = train(topics, config=QUICK_BAG).artifact
    for name, tensor in model.artifact.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)
    assert found.task.thresholds == model.artifact.task.thresholds
    assert found.metrics["test"]["per_class"] == model.artifact.metrics["test"]["per_class"]


def test_onnx_answers_with_the_same_probabilities(model, tmp_path):
    import onnxruntime

    session = onnxruntime.InferenceSession(build_model(model.artifact).SerializeToString())
    texts = ["oil of the", "ship gold"]
    tokens = model.artifact.vocab.encode(texts, 10)
    ids = np.zeros((2, 3), np.int64)
    for i, row in enumerate(ids):
        mine = tokens.ids[tokens.offsets[i] : tokens.offsets[i + 1]]
        row[: len(mine)] = mine
    (found,) = session.run(["probabilities"], {"ids": ids, "lengths": tokens.lengths})
    np.testing.assert_allclose(found, model.predict_proba(texts), atol=1e-5)
    assert json.loads(session.get_modelmeta().custom_metadata_map["thresholds"]) == list(model.artifact.task.thresholds)


def test_the_commands(topics, tmp_path):
    for name, part in topics.splits.items():
        rows = [(text, "|".join(labels)) for text, labels in zip(part.texts, part.labels, strict=True) if labels]
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "".join(f"{t},{x}\n" for t, x in rows))
    run = lambda *args: CliRunner().invoke(command, list(map(str, args)), catch_exceptions=False)  # noqa: E731
    model = tmp_path / "model"
    flags = ["--set", "training.label_smoothing=0.0", "--epochs", "30", "--class-weight", "balanced"]
    assert run("train", tmp_path, "--model", "bag", "--out", model, *flags).exit_code == 0
    artifact = load_artifact(model)
    assert artifact.config.training.class_weight == "balanced"
    evaluated = run("evaluate", model, tmp_path).stdout
    scores = json.loads(run("evaluate", model, tmp_path, "--json").stdout)
    assert scores["micro_f1"] > 0.9
    for name in ("micro-F1", "macro-F1", "subset accuracy", "hamming loss"):
        assert name in evaluated
    assert headline(artifact.metrics["test"]) in run("info", model).stdout.replace("\n", " ")
    assert "classes, several of a text: gold, oil, ship" in run("info", model).stdout
    assert json.loads(run("info", model, "--json").stdout)["problem_type"] == "multi_label_classification"
    card = (model / "README.md").read_text()
    assert headline(artifact.metrics["test"]) in card
    assert "Classes, several of a text: gold, oil, ship." in card
    shown = run("data", tmp_path, "--json").stdout
    assert json.loads(shown)["problem_type"] == "multi_label_classification"
    report = run("export", model, "--int8", "--out", tmp_path / "small", "--data", tmp_path).stdout
    assert "micro-F1 on" in report
    assert load_artifact(tmp_path / "small").task.thresholds == artifact.task.thresholds


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"thresholds": [0.5, 0.5]}, "thresholds are not 3 numbers between 0 and 1"),
        ({"thresholds": [0.5, 0.5, 1]}, "thresholds are not 3 numbers between 0 and 1"),
        ({"thresholds": "high"}, "thresholds: expected array .*, got str"),
        ({"thresholds": None}, "which do not fit"),
        ({"problem_type": "single_label_classification"}, "which do not fit"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(topics, tmp_path, change, problem):
    import hashlib

    train(topics, config=changed(QUICK_BAG, ["training.epochs=1"]), out=tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    manifest = tmp_path / "m" / "manifest.json"
    digest = hashlib.sha256(config.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"config.json": digest}))
    with pytest.raises(ArtifactError, match=problem):
        load_artifact(tmp_path / "m")


def test_the_seminar_wants_one_label_a_text(topics, tiny_vectors, tmp_path):
    with pytest.raises(DataError, match="texts with several labels; in the seminar's experiments each text has one"):
        run_seminar(topics, tiny_vectors, tmp_path / "s")


# What counts how much


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_losses_are_torchs(dtype):
    torch.manual_seed(0)
    logits, weights = torch.randn(5, 4, dtype=dtype), torch.tensor([0.5, 2, 0, 1, 1], dtype=dtype)
    classes, sets = torch.tensor([0, 3, 1, 1, 2]), torch.randint(0, 2, (5, 4), dtype=torch.uint8)
    one, several = task_of("abcd", lists=False), task_of("abcd", lists=True)

    def mean_loss(logits, targets, weights, smoothing):
        task = several if targets.ndim == 2 else one
        return task.torch_loss(torch.nn.functional, logits, targets, weights, smoothing)

    cross, binary = torch.nn.functional.cross_entropy, torch.nn.functional.binary_cross_entropy_with_logits
    each = torch.stack([cross(x[None], y[None], label_smoothing=0.1) for x, y in zip(logits, classes, strict=True)])
    assert torch.equal(mean_loss(logits, classes, None, 0.1), cross(logits, classes, label_smoothing=0.1))
    assert mean_loss(logits, classes, weights, 0.1).item() == pytest.approx((each @ weights / 4.5).item())
    wanted = sets.to(dtype)
    assert mean_loss(logits, sets, None, 0.0).item() == pytest.approx(4 * binary(logits, wanted).item(), rel=1e-6)
    soft = binary(logits, 0.8 * wanted + 0.1, reduction="none").sum(1)
    assert mean_loss(logits, sets, weights, 0.2).item() == pytest.approx((soft @ weights / 4.5).item(), rel=1e-6)


def test_balanced_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_sample_weight

    targets = np.random.default_rng(0).choice(4, 200, p=[0.7, 0.2, 0.05, 0.05])
    rows = np.arange(150)
    one, several_of = task_of("abcd", lists=False), task_of("abcd", lists=True)
    weights = balanced_weights(one, targets, rows)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights[rows], compute_sample_weight("balanced", targets[rows]), rtol=1e-6)
    sets = np.eye(4, dtype=np.uint8)[targets]  # one label each: the same
    np.testing.assert_allclose(balanced_weights(several_of, sets, rows), weights, rtol=1e-6)
    several = np.array([[1, 1], [1, 0], [1, 0], [0, 0]], np.uint8)
    np.testing.assert_allclose(
        balanced_weights(task_of("ab", lists=True), several, np.arange(4)), [4 / 3, 2 / 3, 2 / 3, 1]
    )


@pytest.mark.parametrize("name", ["bag", "cnn", "gru", "linear"])
def test_balanced_classes_find_more_of_the_rare_one(tiny_news, name):
    config = changed(QUICK_BAG if name == "bag" else QUICK, [f"model.name={name}", "training.epochs=4"])
    config = changed(config, ["data.validation_fraction=0.0"])  # one training each
    rare = [i for i, label in enumerate(tiny_news.splits["train"].labels) if label == "World"][8:]
    kept = [i for i in range(160) if i not in rare]
    part = tiny_news.splits["train"]
    few = Examples([part.texts[i] for i in kept], [part.labels[i] for i in kept])
    data = Dataset("x", tiny_news.splits | {"train": few}, (), "", tiny_news.task)
    test, sure = tiny_news.splits["test"], {}
    rare_ones = [text for text, label in zip(test.texts, test.labels, strict=True) if label == "World"]
    for weight in ("none", "balanced"):
        model = learn(data, changed(config, [f"training.class_weight={weight}"]))
        sure[weight] = model.predict_proba(rare_ones)[:, model.labels.index("World")].mean()
    assert sure["balanced"] > sure["none"]


def test_a_batch_on_a_device_has_its_sets(topics):
    split = build_corpus(topics, None, QUICK.data).splits["train"]
    (batch,) = DeviceSplit(split, torch.device("cpu")).send([np.array([5, 0, 17])], [1])
    assert batch.gather()[2].tolist() == split.targets[[5, 0, 17]].tolist()


def topics_of_one():
    examples = Examples(["oil crude", "gold mine"] * 4, ["oil", "gold"] * 4)
    return Dataset("one", {"train": examples}, (), "", task_of(["gold", "oil"], lists=False))


def test_it_answers_by_thresholds_and_abstains_by_none(model, topics):
    with pytest.raises(ValueError, match="each label has a threshold"):
        model.predict(["oil"], abstain_below=0.5)
    with pytest.raises(ValueError, match="each label has a threshold"):
        model.evaluate(topics.splits["test"].texts, topics.splits["test"].labels, abstain_below=0.5)
    one_label = train(topics_of_one(), config=QUICK_BAG)
    with pytest.raises(ValueError, match=r"1\.5 is no probability; give 0 to 1"):
        one_label.predict(["oil"], abstain_below=1.5)
    with pytest.raises(ValueError, match=r"1\.5 is no probability; give 0 to 1"):
        one_label.evaluate(["oil"], ["oil"], abstain_below=1.5)
