"""Two models side by side: what differs, and whether their scores differ beyond chance."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from made_files import write_splits
from rubrica.artifact.folder import load_artifact
from rubrica.cli.main import rubrica
from rubrica.data.dataset import Dataset, Examples, read_dataset
from rubrica.errors import DataError, RubricaError
from rubrica.insight.compare import compare, differences, held_out, texts_of_run
from rubrica.learning.train import train
from rubrica.models.config import make_config
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tasks import task_of


class Answering(Classifier):
    """A model whose answers are given."""

    def __init__(self, answers, *, lists=False):
        self.answers = answers
        self._task = task_of(["a", "b"], lists=lists)

    @property
    def task(self):
        return self._task

    def predict(self, texts, **_):
        return self.answers


def compared(first, second, labels, **more):
    examples = Examples([""] * len(labels), labels)
    return compare(Answering(first, **more), Answering(second, **more), examples)


LABELS = ["a", "b"] * 200


def answers(share, seed):
    """Labels of which a share is right."""
    right = np.random.default_rng(seed).random(len(LABELS)) < share
    return [label if good else "ab"[label == "a"] for label, good in zip(LABELS, right, strict=True)]


def test_the_figures_are_those_of_the_texts():
    first, second = answers(0.8, 1), answers(0.8, 2)
    found = compared(first, second, LABELS)
    right = [np.array(given) == LABELS for given in (first, second)]
    assert found["scores"] == [pytest.approx(part.mean()) for part in right]
    assert found["right_alone"] == [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    assert found["difference"] == pytest.approx(right[1].mean() - right[0].mean())
    # The interval is that of the mean of the differences, about 1.96 standard errors to either side.
    each = right[1].astype(float) - right[0]
    wide = 1.96 * each.std() / np.sqrt(len(each))
    assert found["interval"] == [pytest.approx(each.mean() + side * wide, abs=0.01) for side in (-1, 1)]
    assert found["measure"] == "accuracy"


def test_equal_models_differ_by_chance_alone_and_unequal_ones_beyond_it():
    chance = [compared(answers(0.8, 2 * seed), answers(0.8, 2 * seed + 1), LABELS)["verdict"] for seed in range(40)]
    assert sum(verdict == "a difference beyond chance" for verdict in chance) <= 5
    assert compared(answers(0.7, 1), answers(0.9, 2), LABELS)["verdict"] == "a difference beyond chance"
    assert compared(answers(0.8, 1), answers(0.8, 1), LABELS)["p"] == 1.0


def test_one_text_says_nothing():
    assert compared(["a"], ["b"], ["a"])["verdict"] == "no difference beyond chance"


def test_several_labels_are_compared_by_micro_f1():
    labels = [("a",), ("a", "b"), (), ("b",)] * 20
    found = compared([["a"], ["a"], [], ["a"]] * 20, [["a"], ["a", "b"], [], ["b"]] * 20, labels, lists=True)
    assert found["measure"] == "micro-F1"
    assert found["scores"] == [pytest.approx(2 * 2 / (3 + 4)), 1.0]
    assert found["right_alone"] == [0, 40]
    with pytest.raises(RubricaError, match="one model gives one label and the other several"):
        compare(Answering(["a"]), Answering([["a"]], lists=True), Examples([""], ["a"]))


@pytest.fixture
def runs(tmp_path, tiny_news, monkeypatch):
    """Two bags that differ by their seed, and a file to compare them on."""
    monkeypatch.chdir(tmp_path)
    test = tiny_news.splits["test"]
    rows = [json.dumps({"text": text, "label": label}) for text, label in zip(test.texts, test.labels, strict=True)]
    (tmp_path / "test.jsonl").write_text("\n".join(rows))
    for seed in (0, 1):
        config = make_config(model={"name": "bag"}, training={"seed": seed, "epochs": 3})
        train("mini-news", out=tmp_path / str(seed), config=config)
    return tmp_path


def test_the_command_says_what_differs(runs, capsys):
    def run(*arguments):
        rubrica(["compare", "0", "1", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    found = json.loads(run("--json"))  # mini-news, which both were tested on
    assert found["differences"] == {"training.seed": [0, 1]}
    assert (found["split"], found["texts"]) == ("test", len(read_dataset("mini-news").splits["test"].texts))
    scores = [json.loads((runs / name / "metrics.json").read_text())["test"]["accuracy"] for name in "01"]
    assert found["scores"] == [pytest.approx(score) for score in scores]
    text = run("test.jsonl")
    assert "training.seed" in text
    assert "test.jsonl, 40 texts: accuracy" in text
    assert "beyond chance" in text


def test_a_run_says_what_it_was_made_of(runs):
    run = json.loads((runs / "0" / "metrics.json").read_text())["run"]
    assert run["data"]["name"] == "mini-news"
    assert run["data"]["train"]["texts"] == len(read_dataset("mini-news").splits["train"].texts)
    assert run.keys() == {
        "asked",
        "data",
        "start",
        "version",
        "kernels",
        "threads",
        "processes",
        "python",
        "numpy",
        "git",
    }
    first, other = load_artifact(runs / "0"), train("mini-news", config=make_config(model={"name": "linear"})).artifact
    assert {"model.name", "model.cost", "words", "run.data.name"} <= differences(first, other).keys()
    assert not differences(other, other)


@pytest.mark.parametrize("model", ["bag", "linear", "gru"])
def test_a_run_is_repeated_from_its_settings(tmp_path, tiny_news, model):
    data = write_splits(tmp_path / "data", tiny_news)
    flags = ["--model", model, "--epochs", "2", "--seed", "5"]
    for out, more in (("first", flags), ("again", ["--recipe", str(tmp_path / "first" / "config.json")])):
        done = CliRunner().invoke(rubrica, ["-q", "train", str(data), *more, "--out", str(tmp_path / out)])
        assert done.exit_code == 0, done.output
    first, again = (tmp_path / name / "model.safetensors" for name in ("first", "again"))
    assert first.read_bytes() == again.read_bytes()
    assert not differences(load_artifact(first.parent), load_artifact(again.parent))


def test_texts_that_changed_are_not_compared_on(runs, tiny_news):
    model = train("mini-news", config=make_config(model={"name": "bag"})).artifact  # saved nowhere: it has no record
    with pytest.raises(RubricaError, match="does not name data that is here; give DATA"):
        texts_of_run(model, None)
    kept = {"run": {"data": {"name": "mini-news", "test": {"texts": 1, "sha256": "0"}}}}
    with pytest.raises(DataError, match="its test split is not as the training read it"):
        texts_of_run(replace(model, metrics=kept), None)
    with pytest.raises(RubricaError, match="was trained on mini-news, which has no split validation; give DATA, texts"):
        texts_of_run(replace(model, metrics=kept), "validation")


def test_a_split_is_found_or_asked_for(tiny_news):
    assert held_out(tiny_news, None)[0] == "test"
    assert held_out(tiny_news, "train")[0] == "train"
    for splits, split in (({"train": None, "other": None}, None), (tiny_news.splits, "dev")):
        with pytest.raises(DataError, match="give data with a split"):
            held_out(Dataset("news", splits, ("text",), "label", tiny_news.task), split)


def test_labels_that_a_model_does_not_know_are_said(runs, caplog):
    model = Classifier(load_artifact(runs / "0"))
    compare(model, model, Examples(["some words", "other words"], ["no such label", "another"]))
    assert 'the first model knows none of the labels of these texts: "another", "no such label"' in caplog.text
    assert "the second model knows none" in caplog.text
