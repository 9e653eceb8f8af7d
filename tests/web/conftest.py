"""Models trained on a few texts of the built-in corpus, and texts to ask them about."""

import logging
import sys

import pytest

from made_models import learn
from made_texts import made_texts
from rubrica.cli import main as cli
from rubrica.data.dataset import Dataset, Examples
from rubrica.data.mini_news import build_mini_news
from rubrica.models.config import make_config
from rubrica.scoring.tasks import task_of

SETTINGS = {
    "linear": {"model": {"name": "linear"}},
    "words": {"model": {"name": "linear", "word_ngrams": 3, "char_ngrams": 0, "keep_case": True}},
    "bag": {"model": {"name": "bag", "num_buckets": 5000, "word_ngrams": 3}},
    "gru and linear": {"training": {"epochs": 1}},
    "small": {"model": {"name": "mingru", "hidden_size": 20, "with_linear": False}, "training": {"epochs": 1}},
}


@pytest.fixture(scope="session")
def news():
    """300 texts to learn from and 30 to be asked about, with one label each."""
    corpus = build_mini_news()
    splits = {name: Examples(texts[:count], labels[:count]) for (name, count), (texts, labels) in zip(
        (("train", 300), ("test", 30)), (corpus["train"], corpus["test"]), strict=True)}  # fmt: skip
    return Dataset("news", splits, ("text",), "label", task_of(sorted(set(splits["train"].labels)), lists=False))


@pytest.fixture(scope="session")
def several(news):
    """The same with several labels a text: the long texts have one more."""

    def doubled(examples):
        lists = [
            (label, "long") if len(text) > 150 else (label,)
            for text, label in zip(examples.texts, examples.labels, strict=True)
        ]
        return Examples(examples.texts, lists)

    splits = {name: doubled(examples) for name, examples in news.splits.items()}
    return Dataset("several", splits, ("text",), "label", task_of([*news.task.labels, "long"], lists=True))


@pytest.fixture(scope="session")
def models(news, several):
    """One label and several: a model of each kind by its name."""
    found = {name: learn(news, make_config(**settings)) for name, settings in SETTINGS.items()}
    for name in ("linear", "bag", "gru and linear"):
        found[f"several, {name}"] = learn(several, make_config(**SETTINGS[name]))
    return found


@pytest.fixture(scope="session")
def texts(news):
    """Texts of the corpus, and 300 that meet the corners of Unicode."""
    return [*news.splits["test"].texts, *made_texts(300)]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process: exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["rubrica", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        logging.getLogger("rubrica").handlers.clear()
        out, err = capsys.readouterr()
        return code, out, err

    return call
