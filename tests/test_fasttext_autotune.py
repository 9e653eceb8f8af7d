"""The search for a classifier's settings: what it proposes, what it is judged by, and how it ends."""

import random
from pathlib import Path

import numpy as np
import pytest

import rubrica.fasttext as ours
from interrupts import interrupt
from rubrica.fasttext import autotune
from rubrica.fasttext.arguments import read_arguments
from rubrica.fasttext.meter import Meter
from rubrica.fasttext.metric import Metric, read_metric, read_size
from rubrica.fasttext.proposals import change, first_changes
from rubrica.kernels import native

needs_trainer = pytest.mark.skipif(native.library() is None, reason="training of fastText models is native")


@pytest.fixture
def files(tmp_path):
    draw = random.Random(5)
    for name, count in (("train", 300), ("valid", 90)):
        lines = []
        for _ in range(count):
            label = draw.choice("abc")
            words = [f"{label}{draw.randrange(9)}" for _ in range(3)] + [
                f"common{draw.randrange(20)}" for _ in range(5)
            ]
            lines.append(f"__label__{label} {' '.join(draw.sample(words, len(words)))}\n")
        (tmp_path / name).write_text("".join(lines))
    return {"input": str(tmp_path / "train"), "autotuneValidationFile": str(tmp_path / "valid"), "verbose": 0}


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("f1", Metric("f1")),
        ("f1:__label__a", Metric("f1", label="__label__a")),
        ("precisionAtRecall:30", Metric("precisionAtRecall", 0.3)),
        ("recallAtPrecision:12.5:__label__a:b", Metric("recallAtPrecision", 0.125, "__label__a:b")),
    ],
)
def test_metrics(text, metric):
    assert read_metric(text) == metric


@pytest.mark.parametrize(
    "text",
    ["", "f2", "f1:", "precisionAtRecall", "precisionAtRecall:", "recallAtPrecision:1.2.3", "precisionAtRecall:300"],
)
def test_unknown_metrics(text):
    with pytest.raises(ValueError, match="autotuneMetric is"):
        read_metric(text)


def test_sizes():
    assert [read_size(text) for text in ("", "12", "3k", "2M", "1g")] == [None, 12, 3000, 2_000_000, 10**9]
    for text in ("M", "2.5M", "-1", "2 M", "2T"):
        with pytest.raises(ValueError, match="autotuneModelSize is"):
            read_size(text)


def test_scores_of_metrics():
    meter = Meter(2, "ab".index, keeps_scores=True)
    gold = np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1])
    answers, scores = np.array([[0], [1], [1], [1]], np.int32), np.array([[0.9], [0.8], [0.7], [0.6]], np.float32)
    meter.add(gold, answers, scores, np.ones(4, np.int32))
    assert read_metric("f1").score(meter, None) == 0.75
    assert read_metric("f1:a").score(meter, 0) == pytest.approx(2 / 3)
    assert read_metric("precisionAtRecall:50:b").score(meter, 1) == pytest.approx(2 / 3)  # 0.8 wrong, 0.7 and 0.6 right
    assert read_metric("recallAtPrecision:100").score(meter, None) == 0.25


def test_given_arguments_stay():
    values, given = read_arguments((), {"dim": 7, "wordNgrams": 4, "autotuneValidationFile": "x"}, supervised=True)
    generator = np.random.default_rng(0)
    proposed = first_changes(values, given, 1000, 3)
    for _ in range(200):
        proposed.append(change(values, proposed[-1], given, generator))
    assert not any({"dim", "wordNgrams"} & changes.keys() for changes in proposed)
    assert {changes["minn"] for changes in proposed} > {0, 2}
    assert all(0.01 <= changes["lr"] <= 5 and 1 <= changes["epoch"] <= 100 for changes in proposed)
    assert all(changes["bucket"] >= 10_000 for changes in proposed)


def test_nothing_is_hashed_where_no_runs_are_read():
    values, given = read_arguments((), {"autotuneValidationFile": "x"}, supervised=True)
    for changes in first_changes(values, given, 1000, 3):
        assert (changes["bucket"] == 0) == (changes["wordNgrams"] == 1 and changes["maxn"] == 0)


@needs_trainer
def test_a_search_finds_a_model_and_says_its_settings(files):
    model = ours.train_supervised(**files, autotuneDuration=2, minn=2, seed=3)
    assert model.test(files["autotuneValidationFile"])[1] > 0.95
    assert model.minn == 2
    assert model.get_dimension() == model.dim


@needs_trainer
@pytest.mark.parametrize("metric", ["f1:__label__a", "precisionAtRecall:50", "recallAtPrecision:50:__label__b"])
def test_every_metric_ends_in_a_model(files, metric):
    assert ours.train_supervised(**files, autotuneDuration=1, autotuneMetric=metric).labels


@needs_trainer
def test_what_cannot_be_done_is_said(files):
    with pytest.raises(ValueError, match="'__label__z', which train does not have"):
        ours.train_supervised(**files, autotuneDuration=1, autotuneMetric="f1:__label__z")
    with pytest.raises(RuntimeError, match="give a larger autotuneDuration"):
        ours.train_supervised(**files, autotuneDuration=0)
    with pytest.raises(RuntimeError, match="give a larger autotuneModelSize"):
        ours.train_supervised(**files, autotuneDuration=1, autotuneModelSize="1k")
    with pytest.raises(ValueError, match="cannot be opened"):
        ours.train_supervised(**files | {"autotuneValidationFile": "none"}, autotuneDuration=1)


@needs_trainer
def test_what_can_be_seen_before_a_training_is_said_before_it(files, tmp_path, monkeypatch):
    monkeypatch.setattr(autotune, "fit", lambda *given: pytest.fail("a training began"))
    (tmp_path / "empty").write_text("")
    (tmp_path / "foreign").write_text("__label__foreign a1 a2\nno label\n")
    (tmp_path / "a").write_text("__label__a a1 a2\n")
    for changes, message in (
        ({"autotuneModelSize": "abc"}, "autotuneModelSize is 'abc'"),
        ({"autotuneMetric": "f1:__label_a"}, "which train does not have; did you mean '__label__a'"),
        ({"autotuneMetric": "recallAtPrecision:101"}, "autotuneMetric is 'recallAtPrecision:101'"),
        ({"autotuneValidationFile": str(tmp_path / "empty")}, r"empty: no line has a label that train has"),
        ({"autotuneValidationFile": str(tmp_path / "foreign")}, r"foreign: no line has a label that train has"),
        ({"autotuneValidationFile": str(tmp_path / "a"), "autotuneMetric": "f1:__label__b"}, r"a: no line has the lab"),
    ):
        with pytest.raises(ValueError, match=message):
            ours.train_supervised(**files | changes, autotuneDuration=1)


@needs_trainer
@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose_0_is_silent(files, caplog, capfd, verbose):
    caplog.set_level("INFO")
    ours.train_supervised(**files | {"verbose": verbose}, autotuneDuration=1)
    assert bool(caplog.records) == bool(verbose)
    assert capfd.readouterr() == ("", "")


@needs_trainer
def test_the_file_is_as_small_as_was_asked_for(files, tmp_path):
    with Path(files["input"]).open("a") as file:  # fastText counts ten bytes a word, and no letters
        file.writelines(f"__label__a {'long' * 20}{i}\n" for i in range(400))
    size = 30_000
    model = ours.train_supervised(
        **files, autotuneDuration=3, autotuneModelSize=size, wordNgrams=2, bucket=5000, dim=6, thread=2
    )
    model.save_model(tmp_path / "small.ftz")
    assert model.is_quantized()
    assert size - 100 < (tmp_path / "small.ftz").stat().st_size <= size
    assert model.test(files["autotuneValidationFile"])[1] > 0.8


@needs_trainer
def test_ctrl_c_keeps_the_best(files, monkeypatch):
    calls = interrupt(monkeypatch, autotune, "fit", call=3)
    model = ours.train_supervised(**files, autotuneDuration=60)
    assert calls == [1, 2, 3]
    assert model.test(files["autotuneValidationFile"])[1] > 0.9
    interrupt(monkeypatch, autotune, "fit", call=1)
    with pytest.raises(KeyboardInterrupt):
        ours.train_supervised(**files, autotuneDuration=60)
