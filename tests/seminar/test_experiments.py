"""The five experiments as one command."""

import json
import sys

import numpy as np
import pytest

import rubrica
from interrupts import interrupt_training
from made_files import write_splits
from rubrica.cli import main as cli
from rubrica.errors import DataError, MissingExtraError
from rubrica.seminar import experiments as seminar
from rubrica.seminar.experiments import EXPERIMENTS, run_seminar
from rubrica.vectors.stored import save_vectors

NAMES = ["cnn", "rnn", "gru", "gru-vectors", "gru-frozen"]


def test_the_five_run_and_write_what_came_out(tiny_news, tiny_vectors, tmp_path):
    report = run_seminar(tiny_news, tiny_vectors, tmp_path / "out")
    assert [row["experiment"] for row in report["experiments"]] == NAMES == list(EXPERIMENTS)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["experiment"] for row in results] == NAMES
    for row, shown in zip(results, report["experiments"], strict=True):
        assert row.keys() == {"experiment", "loss", "accuracy", "train_seconds"}
        model = rubrica.load(tmp_path / "out" / "models" / row["experiment"])
        test = tiny_news.splits["test"]
        scores = model.evaluate(test.texts, test.labels).to_json()
        assert scores["accuracy"] == row["accuracy"]
        assert scores["confusion"] == shown["confusion"]
        # 40 texts are a batch of 32 and one of 8, and both weigh the same.
        losses = [model.evaluate(test.texts[i:j], test.labels[i:j]).to_json()["loss"] for i, j in ((0, 32), (32, 40))]
        assert row["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
        assert shown["updates"] == 5
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(name in page for name in NAMES)


def test_unknown_words_are_counted_among_the_test_tokens(tiny_news, tiny_vectors, tmp_path):
    data = run_seminar(tiny_news, tiny_vectors, tmp_path / "out")["data"]
    tokens = [word for text in tiny_news.splits["test"].texts for word in text.replace(".", " .").split()]
    assert data["unknown_words"] == [("Zebra", tokens.count("Zebra"))]
    assert data["unknown_share"] == tokens.count("Zebra") / len(tokens)


def test_ctrl_c_keeps_the_experiments_that_ended(tiny_news, tiny_vectors, tmp_path, monkeypatch):
    interrupt_training(monkeypatch, seminar, "gru")
    report = run_seminar(tiny_news, tiny_vectors, tmp_path / "out")
    assert [row["experiment"] for row in report["experiments"]] == ["cnn", "rnn"]
    assert report["interrupted"]  # the command ends with 130
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())) == 2


def test_test_is_needed(tiny_news, tiny_vectors, tmp_path):
    del tiny_news.splits["test"]
    with pytest.raises(DataError, match="no test split"):
        run_seminar(tiny_news, tiny_vectors, tmp_path / "out")


def test_the_labels_of_test_are_those_of_train(tiny_news, tiny_vectors, tmp_path):
    tiny_news.splits["test"].labels[3] = "Weather"
    with pytest.raises(DataError, match=r"\(test\): the model does not know the label 'Weather'"):
        run_seminar(tiny_news, tiny_vectors, tmp_path / "out")


@pytest.mark.parametrize("library", ["matplotlib", "jinja2"])
def test_a_library_of_the_page_is_missed_before_minutes_of_work(
    tiny_news, tiny_vectors, tmp_path, monkeypatch, library
):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(seminar, "train_corpus", None)  # is not reached
    with pytest.raises(MissingExtraError, match=rf"{library} is not installed"):
        run_seminar(tiny_news, tiny_vectors, tmp_path / "out")


def test_the_command_prints_one_table(tiny_news, tiny_vectors, tmp_path, monkeypatch, capsys):
    save_vectors(tiny_vectors, tmp_path / "v.txt")
    data = write_splits(tmp_path / "data", tiny_news)
    arguments = ["seminar", "--data", data, "--vectors", tmp_path / "v.txt", "--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["rubrica", *map(str, arguments)])
    cli.main()
    out, err = capsys.readouterr()
    for expected in (*NAMES, "68.74%", "1.4489"):
        assert expected in out
    assert "report.html" in err
