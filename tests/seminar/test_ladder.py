"""The ladder: its rungs are what they say, and what it writes is what was measured."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from interrupts import interrupt, interrupt_training
from made_files import write_splits
from rubrica.cli import main as cli
from rubrica.data.dataset import Examples
from rubrica.errors import MissingExtraError
from rubrica.learning.train import train_dataset
from rubrica.models.config import load_recipe, make_config
from rubrica.seminar import ladder
from rubrica.seminar.ladder import LADDERS, RUNGS, SEEDS, climb, compare, run_ladder, welch
from rubrica.vectors.stored import save_vectors
from settings import changed


@pytest.fixture
def two_rungs(monkeypatch):
    """Of each ladder the two lowest rungs."""
    monkeypatch.setattr(ladder, "RUNGS", RUNGS[:2])


@pytest.mark.parametrize("name", LADDERS)
def test_it_stands_on_the_seminar_and_ends_at_the_default(name):
    configs = [config for _, config in climb(name)]
    assert configs[0] == load_recipe(f"seminar-{name}")
    default = make_config()
    # The seed is the runs' own; the network is the ladder's.
    assert configs[-1] == default.replace(model={"name": name}, training={"seed": configs[0].training.seed})


@pytest.mark.parametrize("name", LADDERS)
def test_each_rung_changes_what_it_says_and_nothing_else(name):
    configs = [config for _, config in climb(name)]
    for rung, before, after in zip(RUNGS[1:], configs[:-1], configs[1:], strict=True):
        found = {
            (section, key)
            for section, values in after.to_dict().items()
            for key, value in values.items()
            if section != "beside" and value != before.to_dict()[section][key]
        }
        assert found == {(section, key) for section, values in rung.settings.items() for key in values}, rung.name
        # The linear model has no settings of its own in a ladder: it comes with its defaults, in one of the rungs.
        assert before.beside == (None if before.model.stands_alone else make_config().beside)
        assert (after.beside != before.beside) == (rung.name == "n-grams")


def test_welch_is_that_of_scipy():
    generator = np.random.default_rng(0)
    for first, second, shift, scale in [(2, 2, 0, 1), (3, 3, 1, 1), (3, 3, 50, 1), (3, 5, 0.5, 20), (10, 10, 2, 0.1)]:
        a, b = generator.normal(size=first), generator.normal(loc=shift, scale=scale, size=second)
        expected = scipy.stats.ttest_ind(a, b, equal_var=False).pvalue
        assert welch(a, b) == pytest.approx(expected, rel=1e-4)


def test_welch_of_one_group_without_spread_is_that_of_scipy():
    assert welch([0.25, 0.25, 0.25], [0.5, 0.51, 0.53]) == pytest.approx(
        scipy.stats.ttest_1samp([0.5, 0.51, 0.53], 0.25).pvalue, rel=1e-6
    )


def test_welch_without_spread_is_certain():
    assert welch([0.25, 0.25], [0.25, 0.25]) == 1
    assert welch([0.25, 0.25], [0.5, 0.5]) == 0


@pytest.mark.parametrize(
    ("after", "mark"), [([0.90, 0.91, 0.92], "**"), ([0.815, 0.825, 0.835], "*"), ([0.79, 0.82, 0.80], "")]
)
def test_the_mark_is_that_of_the_p_value(after, mark):
    before = [0.79, 0.80, 0.79]
    row = compare(before, after)
    p = scipy.stats.ttest_ind(before, after, equal_var=False).pvalue
    assert row["p"] == pytest.approx(p, rel=1e-4)
    assert row["mark"] == mark == ("**" if p < 0.01 else "*" if p < 0.05 else "")
    assert row["points"] == pytest.approx(100 * (np.mean(after) - np.mean(before)))


def test_one_seed_says_nothing_of_chance():
    assert compare([0.8], [0.9]) == {"points": pytest.approx(10), "p": None, "mark": ""}
    assert compare(None, [0.9, 0.8]) == {"points": None, "p": None, "mark": ""}


@pytest.mark.usefixtures("two_rungs")
def test_two_rungs_write_what_was_measured(tiny_news, tiny_vectors, tmp_path):
    report = run_ladder(tiny_news, tiny_vectors, tmp_path / "out", seeds=SEEDS[:2])
    assert [(row["ladder"], row["rung"]) for row in report["rungs"]] == [
        (name, rung) for name in ("rnn", "gru") for rung in ("seminar", "case")
    ]
    written = json.loads((tmp_path / "out" / "ladder.json").read_text())
    assert written == json.loads(json.dumps(report))
    assert (tmp_path / "out" / "ladder.png").read_bytes().startswith(b"\x89PNG")
    for row in written["rungs"]:
        for seed, accuracy in zip(SEEDS, row["accuracy"], strict=False):
            config = load_recipe(f"seminar-{row['ladder']}").replace(**row["settings"]).replace(training={"seed": seed})
            assert train_dataset(tiny_news, tiny_vectors, config)[1].metrics["test"]["accuracy"] == accuracy
        assert row["accuracy_std"] == pytest.approx(np.std(row["accuracy"], ddof=1))


def test_the_last_rung_is_what_train_does(tiny_news, tiny_vectors, tmp_path, monkeypatch):
    top = {}
    for rung in RUNGS:
        for section, values in rung.settings.items():
            top.setdefault(section, {}).update(values)
    monkeypatch.setattr(ladder, "RUNGS", (RUNGS[-1]._replace(settings=top),))
    train = tiny_news.splits["train"]  # so few texts that not every seed gets all of test right
    news = replace(tiny_news, splits=tiny_news.splits | {"train": Examples(train.texts[:24], train.labels[:24])})
    rows = run_ladder(news, tiny_vectors, tmp_path / "out", seeds=(1, 2))["rungs"]
    assert len({accuracy for row in rows for accuracy in row["accuracy"]}) > 1
    for row in rows:
        for seed, accuracy in zip((1, 2), row["accuracy"], strict=True):
            config = changed(make_config(), [f"model.name={row['ladder']}", f"training.seed={seed}"])
            assert train_dataset(news, tiny_vectors, config)[1].metrics["test"]["accuracy"] == accuracy


@pytest.mark.usefixtures("two_rungs")
def test_ctrl_c_keeps_the_rungs_that_ended(tiny_news, tiny_vectors, tmp_path, monkeypatch, caplog):
    interrupt_training(monkeypatch, ladder, "gru, case, seed 1")
    run_ladder(tiny_news, tiny_vectors, tmp_path / "out", seeds=SEEDS[:2])
    written = json.loads((tmp_path / "out" / "ladder.json").read_text())
    assert written["interrupted"]
    assert [(row["ladder"], row["rung"]) for row in written["rungs"]] == [
        ("rnn", "seminar"), ("rnn", "case"), ("gru", "seminar"),
    ]  # fmt: skip
    assert (tmp_path / "out" / "ladder.png").exists()
    assert "interrupted; the 3 rungs that are done are kept" in caplog.text
    assert str(tmp_path / "out" / "ladder.json") in caplog.text


@pytest.mark.parametrize("library", ["matplotlib", "scipy"])
def test_a_missing_library_is_named_before_minutes_of_work(tiny_news, tiny_vectors, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(ladder, "train_corpus", None)  # is not reached
    with pytest.raises(MissingExtraError, match=rf"{library} is not installed"):
        run_ladder(tiny_news, tiny_vectors, tmp_path / "out")


@pytest.mark.usefixtures("two_rungs")
def test_ctrl_c_in_the_first_rung_leaves_nothing(tiny_news, tiny_vectors, tmp_path, monkeypatch):
    interrupt(monkeypatch, ladder, "train_corpus")
    with pytest.raises(KeyboardInterrupt):
        run_ladder(tiny_news, tiny_vectors, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("two_rungs")
def test_the_command_prints_the_ladders(tiny_news, tiny_vectors, tmp_path, monkeypatch, capsys):
    save_vectors(tiny_vectors, tmp_path / "v.txt")
    data = write_splits(tmp_path / "data", tiny_news)
    arguments = ["seminar", "--ladder", "--seeds", "2", "--data", data, "--vectors", tmp_path / "v.txt"]
    monkeypatch.setattr(sys, "argv", ["rubrica", *map(str, arguments), "--out", str(tmp_path / "out")])
    monkeypatch.setenv("COLUMNS", "150")
    cli.main()
    out, err = capsys.readouterr()
    for row in json.loads((tmp_path / "out" / "ladder.json").read_text())["rungs"]:
        assert f"{100 * row['accuracy_mean']:.2f}" in out
        assert row["fault"] in out
    assert "p < 0.05" in out
    assert "ladder.png" in err


@pytest.mark.usefixtures("two_rungs")
def test_ctrl_c_ends_the_command_with_what_is_done(tiny_news, tiny_vectors, tmp_path, monkeypatch, capsys):
    interrupt_training(monkeypatch, ladder, "gru, seminar, seed 57005")
    save_vectors(tiny_vectors, tmp_path / "v.txt")
    data = write_splits(tmp_path / "data", tiny_news)
    arguments = ["seminar", "--ladder", "--seeds", "1", "--data", data, "--vectors", tmp_path / "v.txt"]
    monkeypatch.setattr(sys, "argv", ["rubrica", *map(str, arguments), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130
    assert "rnn: " in capsys.readouterr().out


def test_seeds_are_of_the_ladder(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["rubrica", "seminar", "--seeds", "2"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert "--ladder" in capsys.readouterr().err
