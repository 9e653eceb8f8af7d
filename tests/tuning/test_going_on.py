"""A search that is stopped: by a kill, by another process, by Ctrl-C; and what goes on with it."""

import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rubrica
from made_searches import capitals, dataset, judged_by, plain, quick, same, tuning_of, without_torch
from rubrica.errors import ArtifactError
from rubrica.tuning import parts


@pytest.fixture(autouse=True)
def _no_torch(monkeypatch):
    without_torch(monkeypatch)


# Going on


def test_the_same_seed_tries_the_same_settings(tmp_path):
    first, again = (quick(dataset(*capitals()), seed=3, trials=9) for _ in range(2))
    assert [row["settings"] for row in first.rows] == [row["settings"] for row in again.rows]
    assert [row["score"] for row in first.rows] == [row["score"] for row in again.rows]
    assert same(first, again)


def test_a_search_goes_on_where_it_was_stopped(tmp_path):
    """With more trials it ends as one that was never stopped: Optuna's draws depend on the trials before alone."""
    data = dataset(*capitals())  # of which the best is beyond doubt, so no further parts are asked
    whole = quick(data, trials=8, out=tmp_path / "whole")
    part = quick(data, trials=6, out=tmp_path / "part")
    for path in (tmp_path / "part").iterdir():
        path.unlink()
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "train_dataset", lambda *a, **k: calls.append(0) or original(*a, **k))
        original = rubrica.learning.train.train_dataset
        more = quick(data, trials=8, out=tmp_path / "part")
    assert len(calls) == sum(row["parts"] for row in more.rows[6:])
    assert [row["settings"] for row in more.rows] == [row["settings"] for row in whole.rows]
    assert [row["score"] for row in more.rows] == [row["score"] for row in whole.rows]
    assert part.rows == more.rows[:6]
    assert same(more, whole)
    assert [json.loads(line) for line in (tmp_path / "part.search/trials.jsonl").read_text().splitlines()] == more.rows


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from made_searches import LONG, dataset, plain
from rubrica.tuning import tune
tune.find_spec = lambda name: None
tune.run_tuning(dataset(*plain()), seconds=LONG, trials=40, out={out!r})
"""


def test_a_killed_search_goes_on(tmp_path):
    out = tmp_path / "m"
    command = [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parents[1]), out=str(out))]
    for lines in (20, 60):  # of the journal, when it is killed
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        journal = tmp_path / "m.search/journal.log"
        while not journal.exists() or journal.read_bytes().count(b"\n") < lines + 10:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')  # a line that was not written to its end
    found = quick(trials=9, out=out)
    assert len(found.rows) >= 9
    whole = quick(trials=len(found.rows))
    assert [row["settings"] for row in found.rows] == [row["settings"] for row in whole.rows]
    assert [row["score"] for row in found.rows] == [row["score"] for row in whole.rows]


def test_the_time_of_earlier_processes_counts(monkeypatch, tmp_path):
    judged_by(monkeypatch, lambda number, changes, fold: np.arange(100) < 70)
    quick(trials=2, out=tmp_path / "m")
    with (tmp_path / "m.search/journal.log").open() as file:
        spent = max(json.loads(line).get("user_attr", {}).get("spent", 0) for line in file)
    for path in (tmp_path / "m").iterdir():
        path.unlink()
    found = quick(trials=50, out=tmp_path / "m", seconds=spent)
    assert len(found.rows) == 2
    assert tuning_of(found)["seconds"] > spent


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"data": dataset(*plain(seed=1))}, "texts"),
        ({"data": dataset(plain()[0], plain(seed=1)[1])}, "labels"),
        ({"seed": 1}, "seed"),
        ({"size": 20_000}, "size"),
    ],
)
def test_another_search_is_refused(other, name, tmp_path):
    quick(trials=1, out=tmp_path / "m")
    for path in (tmp_path / "m").iterdir():
        path.unlink()
    with pytest.raises(ArtifactError, match=rf"m\.search: the search that was begun here had other {name}"):
        quick(trials=1, out=tmp_path / "m", **other)


def test_a_foreign_or_broken_folder_is_refused(tmp_path):
    (tmp_path / "m.search").mkdir()
    (tmp_path / "m.search/mine.txt").write_text("")
    with pytest.raises(ArtifactError, match="is for a search alone"):
        quick(out=tmp_path / "m")
    quick(out=tmp_path / "n", trials=1)
    for path in (tmp_path / "n").iterdir():
        path.unlink()
    answers = tmp_path / "n.search/answers/0000-1.npy"
    whole = answers.read_bytes()
    for broken in (b"", whole[:50], whole[:-8], b"x" + whole):
        answers.write_bytes(broken)
        with pytest.raises(ArtifactError, match=r"0000-1\.npy: .*remove .*n\.search to begin anew"):
            quick(out=tmp_path / "n", trials=1)
    answers.write_bytes(whole)
    (tmp_path / "n.search/journal.log").write_text('{"op_code": 99}\n{}\n')
    with pytest.raises(ArtifactError, match=r"journal\.log: broken"):
        quick(out=tmp_path / "n", trials=1)
    (tmp_path / "n.search/search.json").write_text("[" * 5000)
    with pytest.raises(ArtifactError, match=r"search\.json: cannot be read"):
        quick(out=tmp_path / "n", trials=1)


# Ctrl-C


def interrupted_in(monkeypatch, call):
    """Ctrl-C in a training of the search, counted from 1."""
    calls, original = [], parts.train_dataset

    def impatient(*args, **given):
        calls.append(0)
        corpus, artifact = original(*args, **given)
        artifact.metrics["interrupted"] = len(calls) == call
        return corpus, artifact

    monkeypatch.setattr(parts, "train_dataset", impatient)
    return calls


def test_ctrl_c_ends_the_search_and_trains_with_the_best_so_far(monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    calls = interrupted_in(monkeypatch, 17)
    found = quick(dataset(*capitals()), out=tmp_path / "m", trials=30)
    assert len(calls) == 17
    assert found.model.config.model.keep_case
    assert "Ctrl-C again leaves it for later" in caplog.text
    assert rubrica.load(tmp_path / "m").artifact.metrics["tuning"]["winner"] > 1


def test_ctrl_c_before_a_trial_is_judged_leaves_a_search_to_go_on_with(monkeypatch, tmp_path):
    interrupted_in(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        quick(out=tmp_path / "m")
    assert not (tmp_path / "m").exists()
    found = quick(out=tmp_path / "m")
    assert same(found, quick())


def test_a_second_ctrl_c_saves_no_model(monkeypatch, tmp_path, caplog):
    from rubrica.tuning import final

    interrupted_in(monkeypatch, 17)
    original = final.train_dataset

    def impatient(*args, **given):
        corpus, artifact = original(*args, **given)
        artifact.metrics["interrupted"] = True
        return corpus, artifact

    with monkeypatch.context() as patch:
        patch.setattr(final, "train_dataset", impatient)
        with pytest.raises(KeyboardInterrupt):
            quick(dataset(*capitals()), out=tmp_path / "m", trials=30)
    assert "m.search: to go on with this search, run the same command again" in caplog.text
    assert not (tmp_path / "m").exists()
    assert quick(dataset(*capitals()), out=tmp_path / "m", trials=4).model.config.model.keep_case
