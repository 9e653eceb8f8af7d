"""The doctor of models: faults that are planted are named, sound trainings are left in peace, any family will do."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from made_models import OF_EACH_KIND, learn
from rubrica.data.dataset import Dataset, Examples, read_dataset
from rubrica.errors import DataError
from rubrica.insight.findings import KINDS, SEVERITIES, at_least
from rubrica.insight.model_checks.fitting import find_overfitting
from rubrica.insight.model_checks.steps import _lower
from rubrica.insight.model_doctor import data_of_run, examine_model, make_subject
from rubrica.insight.pages.language import read_language
from rubrica.insight.pages.translation import translate
from rubrica.learning.train import train
from rubrica.models.config import make_config
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tasks import task_of
from settings import changed

SMALL = ["model.hidden_size=16", "model.with_linear=false", "model.bidirectional=false", "training.adversarial=0"]


@pytest.fixture(scope="module")
def news():
    """Mini News, 600 texts to train on and 300 others."""
    data = read_dataset("mini-news")
    parts = {"train": 600, "test": 300}
    splits = {
        name: Examples(data.splits[name].texts[:count], data.splits[name].labels[:count])
        for name, count in parts.items()
    }
    return replace(data, splits=splits)


@pytest.fixture(scope="module")
def sound(news):
    return learn(news, changed(make_config(), [*SMALL, "training.storage=float32"]))


def kinds(model, data, **more):
    found = examine_model(model, data, **more)
    json.dumps([finding.to_json() for finding in found], allow_nan=False)
    for finding in found:
        assert finding.kind in KINDS
        assert finding.severity in SEVERITIES
        assert finding.title
        assert finding.why.endswith(".")
        assert finding.remedy
        assert translate(finding, read_language("ru"))[1] == "ru", finding.kind
    return {finding.kind for finding in at_least(found, "warning")}


def with_tensors(model, **changes):
    tensors = model.artifact.tensors
    new = tensors | {
        name.replace("__", "."): change(tensors[name.replace("__", ".")]) for name, change in changes.items()
    }
    return Classifier(replace(model.artifact, tensors=new))


def test_nothing_grave_is_said_of_a_sound_model(sound, news):
    assert kinds(sound, news) == set()


def test_an_answer_that_is_always_the_same_is_named(sound, news):
    lifted = with_tensors(sound, head__bias=lambda bias: bias + np.array([50, 0, 0, 0], np.float32))
    assert {"constant-answer", "learns-nothing"} <= kinds(lifted, news)


def test_a_label_that_is_in_every_answer_is_named(tiny_news):
    def several(part):
        return replace(part, labels=[(label,) for label in part.labels])

    splits = {name: several(part) for name, part in tiny_news.splits.items()}
    data = replace(tiny_news, splits=splits, task=task_of(tiny_news.task.labels, lists=True))
    model = learn(data, changed(make_config(), [*SMALL, "training.storage=float32"]))
    assert "constant-answer" not in kinds(model, data)
    lifted = with_tensors(model, head__bias=lambda bias: bias + np.array([50] + [0] * (len(bias) - 1), np.float32))
    (found,) = [finding for finding in examine_model(lifted, data) if finding.kind == "constant-answer"]
    assert found.title.startswith(f"100.0% of the answers hold {data.task.labels[0]!r}")


def test_logits_that_are_too_large_are_named_with_the_number_that_mends_them(sound, news):
    scaled = with_tensors(sound, head__bias=lambda bias: 6 * bias, head__weight=lambda weight: 6 * weight)
    (found,) = [finding for finding in examine_model(scaled, news) if finding.kind == "miscalibrated"]
    assert found.figures["logits_times"] == pytest.approx(1 / 6, rel=0.5)
    assert "too sure" in found.title


def test_units_that_say_the_same_of_every_text_are_counted(sound, news):
    def kill(weight):  # the candidate of the first eight units is always 1
        weight = weight.copy()
        weight[32:40] += 1e4
        return weight

    dead = with_tensors(sound, cell__bias_ih_l0=kill)
    (found,) = [finding for finding in examine_model(dead, news) if finding.kind == "saturated-units"]
    assert found.figures["saturated_units"]["new l0"] == pytest.approx(0.5)


def test_padding_that_is_read_and_a_start_at_one_side_of_0_are_named(news):
    config = changed(
        make_config(), [*SMALL, "model.mask_padding=false", "model.init=uniform01", "model.pooling=average"]
    )
    model = learn(news, config)
    assert {"padding-read", "start-values"} <= kinds(model, news)
    assert "padding-is-word" not in kinds(model, news)  # <pad> is no word


def test_shuffled_labels_teach_nothing(news):
    train_split = news.splits["train"]
    labels = [str(label) for label in np.random.default_rng(0).permutation(train_split.labels)]
    data = replace(news, splits=news.splits | {"train": replace(train_split, labels=labels)})
    assert "learns-nothing" in kinds(learn(data, changed(make_config(), SMALL)), data)


def test_a_loss_that_falls_slowly_is_no_loss_that_jumps(sound, news):
    def named(losses):
        history = [{"step": i, "loss": loss} for i, loss in enumerate(losses)]
        return kinds(Classifier(replace(sound.artifact, history=history)), news)

    slow = [9 - 0.2 * i for i in range(30)]  # far above a constant answer, whose loss is 1.39
    assert "learning-rate-high" not in named(slow)
    assert "learning-rate-high" in named([*slow, 1.0, *slow])


def test_a_step_is_better_where_its_losses_are_lower_beyond_chance():
    draw, others = np.random.default_rng(0), np.full(200, 1.0)
    noisy, clear = (others - 0.05 + spread * draw.normal(size=200) for spread in (0.5, 0.05))
    assert not _lower(noisy, others, by=0.01)
    assert _lower(clear, others, by=0.01)
    assert not _lower(clear, others, by=0.1)


def test_learning_by_heart_is_grave_where_a_linear_model_answers_more(sound, news):
    def answered(sample, share):
        rows, places = np.arange(len(sample)), np.asarray(sample.targets).copy()
        places[int(share * len(places)) :] += 1
        logits = np.zeros(sample.logits.shape)
        logits[rows, places % logits.shape[1]] = 3
        return replace(sample, logits=logits)

    def severity(linear):
        seen = replace(subject)
        seen.__dict__["baseline"] = SimpleNamespace(logits=lambda texts: answered(seen.held, linear).logits)
        (found,) = find_overfitting(seen)
        return found.severity

    subject = make_subject(sound, news)
    subject = replace(subject, train=answered(subject.train, 1.0), held=answered(subject.held, 0.7))
    assert [severity(linear) for linear in (0.6, 0.7, 0.9)] == ["note", "note", "warning"]


def test_texts_of_another_kind_are_told_apart_with_the_words_that_tell(sound, news):
    test = news.splits["test"]
    other = replace(test, texts=[f"{text} Zebra quotes" if i % 2 else text for i, text in enumerate(test.texts)])
    (found,) = [
        finding
        for finding in examine_model(sound, replace(news, splits=news.splits | {"test": other}))
        if finding.kind == "drift"
    ]
    assert {"zebra", "quotes"} == set(found.figures["words"]["new"][:2])
    assert found.figures["auc"] == pytest.approx(0.75, abs=0.1)  # half of the texts are as before


def test_a_group_that_fails_is_found_by_a_column(sound, news):
    test = news.splits["test"]
    source = ["bad" if i % 5 == 0 else "good" for i in range(len(test.texts))]
    texts = ["nothing to read" if name == "bad" else text for name, text in zip(source, test.texts, strict=True)]
    data = replace(news, splits=news.splits | {"test": replace(test, texts=texts)})
    found = examine_model(sound, data, columns={"source": {"test": source}})
    groups = {finding.figures["group"] for finding in found if finding.kind == "slice-fails"}
    assert "with source 'bad'" in groups


def test_a_table_that_did_not_move_is_named(news):
    from rubrica.vectors.word_vectors import Vectors

    words = sorted({word for text in news.splits["train"].texts for word in text.lower().split() if word.isalpha()})
    vectors = Vectors(words, np.random.default_rng(0).normal(size=(len(words), 20)).astype(np.float32), "v")
    for steps, still in ((10_000, True), (0, False)):
        settings = [*SMALL, f"training.freeze_steps={steps}", "training.epochs=2"]
        model = learn(news, changed(make_config(), settings), vectors)
        assert ("embedding-still" in kinds(model, news, vectors=vectors)) == still


@pytest.mark.parametrize("name", ["bag", "linear", "mingru", "drnn", "cnn"])
def test_every_family_is_examined(name, tiny_news):
    model = learn(tiny_news, changed(make_config(model={"name": name}), ["model.hidden_size=8", "training.epochs=3"]))
    assert not {"padding-read", "start-values", "constant-answer", "exploding-gradient"} & kinds(model, tiny_news)


@pytest.mark.parametrize("kind", OF_EACH_KIND)
def test_random_weights_of_one_or_several_labels_end_in_findings(kind):
    artifact = OF_EACH_KIND[kind]()
    labels = list(artifact.task.labels)
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(["a", "b", "слово", "x"], 12)) for _ in range(60)]
    some = [labels[i % len(labels)] for i in range(60)]
    given = some if artifact.task.has_confusion else [(label,) for label in some]
    data = Dataset("d", {"test": Examples(texts, given)}, ("text",), "label", artifact.task)
    kinds(Classifier(artifact), data)


def test_without_torch_the_answers_are_judged_alone(sound, news, monkeypatch):
    monkeypatch.setattr("rubrica.insight.model_checks.subject.find_spec", lambda name: None)
    subject = make_subject(sound, news)
    assert subject.network is None
    assert subject.inside is None
    kinds(sound, news)


def test_what_was_held_out_of_a_single_file_judges_the_model(news, tmp_path):
    data = replace(news, splits={"train": news.splits["train"]})
    config = changed(make_config(), [*SMALL, "data.validation_fraction=0.04"])
    model = train(data, config=config, out=tmp_path / "model")
    assert "refitted" not in model.artifact.metrics
    subject = make_subject(model, data)
    assert len(subject.held) == model.artifact.metrics["validation"]["texts"]
    assert not set(subject.held.rows.tolist()) & set(subject.train.rows.tolist())
    assert len(subject.train) == model.artifact.metrics["train_texts"]


def test_a_model_that_learned_all_of_a_file_is_judged_by_what_it_learned_alone(news, tmp_path):
    data = replace(news, splits={"train": news.splits["train"]})
    model = train(data, config=changed(make_config(), SMALL), out=tmp_path / "model")
    assert model.artifact.metrics["refitted"]
    subject = make_subject(model, data)
    assert subject.held is None
    assert not {"miscalibrated", "overfitting", "drift"} & kinds(model, data)
    other = replace(data, splits={"train": news.splits["test"]})  # a new file of one split
    assert make_subject(model, other).held.split == "train"
    assert make_subject(model, other).train is None
    assert len(make_subject(model, other, learned=data).train) == 600


def test_the_data_of_a_run_are_found_again_unless_they_changed(news, tmp_path):
    path = tmp_path / "news.csv"
    rows = zip(news.splits["train"].labels, news.splits["train"].texts, strict=True)
    path.write_text("label,text\n" + "".join(f'"{label}","{text}"\n' for label, text in rows if '"' not in text))
    model = train(path, config=make_config(model={"name": "linear"}), out=tmp_path / "model")
    assert list(data_of_run(model.artifact).splits) == ["train"]
    path.write_text(path.read_text() + 'World,"one more"\n')
    assert data_of_run(model.artifact) is None
    path.unlink()
    assert data_of_run(model.artifact) is None


def test_data_without_a_label_that_the_model_knows_is_refused(sound, news):
    data = replace(news, splits={"test": Examples(["a", "b"], ["Opera", "Opera"])})
    with pytest.raises(DataError, match="no text has a label that the model knows"):
        examine_model(sound, data)
