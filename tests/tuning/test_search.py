"""The search: what is given up, what wins, and what is refused."""

import json
from zlib import crc32

import numpy as np
import pytest

import rubrica
from made_searches import capitals, dataset, judged_by, plain, quick, same, several, tuning_of, without_torch
from rubrica.errors import ConfigError, DataError, RubricaError
from rubrica.export.shrink import TooLargeError
from rubrica.scoring import paired
from rubrica.tuning import parts
from rubrica.tuning.parts import LateError, make_parts
from rubrica.vectors.word_vectors import Vectors


@pytest.fixture(autouse=True)
def _no_torch(monkeypatch):
    without_torch(monkeypatch)


# What wins


def test_what_is_clearly_better_is_found():
    """Only capitals tell the class, and the defaults read none."""
    found = quick(dataset(*capitals()))
    assert found.model.config.model.keep_case
    told = tuning_of(found)
    assert told["default_score"] < 0.7 < 0.95 < told["score"]
    assert told["lead"] == pytest.approx(told["score"] - told["default_score"])
    assert told["chance"] < 0.001
    assert told["winner"] > 1
    assert [row["trial"] for row in found.rows] == [1, 2, 3, 4]
    assert found.rows[0]["settings"] == {"model.name": "linear"}
    texts, labels = capitals(seed=5)
    assert found.model.evaluate(texts, labels).accuracy > 0.95


def test_the_defaults_stay_where_nothing_is_better_by_more_than_luck():
    found = quick(trials=6)
    assert tuning_of(found)["winner"] == 1
    assert found.model.config == rubrica.make_config(model={"name": "linear"}).replace(
        data=found.model.config.data.to_dict(), training=found.model.config.training.to_dict()
    )
    alone = rubrica.train(dataset(*plain()), config=rubrica.make_config(model={"name": "linear"}))
    assert all(
        found.model.artifact.tensors[name].tobytes() == t.tobytes() for name, t in alone.artifact.tensors.items()
    )


def test_texts_with_several_labels_get_their_thresholds():
    found = quick(dataset(*several()))
    assert tuning_of(found)["measure"] == "micro-F1"
    assert tuning_of(found)["score"] > 0.8
    assert len(found.model.task.thresholds) == 2
    assert found.model.predict(["soup goal"]) == [["food", "sport"]] or found.model.predict(["soup goal"]) == [
        ["sport", "food"]
    ]


def test_a_single_lucky_trial_among_many_is_no_winner(monkeypatch):
    def right(number, changes, fold):
        draw = np.random.default_rng([fold, len(str(changes)), crc32(str(changes).encode())])
        return np.where(draw.random(100) < 0.3, draw.random(100) < 0.7, np.arange(100) < 70)

    monkeypatch.setattr(paired.Lead, "clearly_behind", property(lambda lead: False))
    judged_by(monkeypatch, right)
    found = quick(trials=12)
    assert max(row["lead"] for row in found.rows) > 0
    assert tuning_of(found)["winner"] == 1


def test_test_is_not_looked_at_before_the_settings_are_chosen(monkeypatch):
    """The test split says the opposite of train, and would tell a search that reads it so."""
    texts, labels = plain(noise=0.0)
    opposite = [("sport" if label == "food" else "food") for label in labels]
    seen = []
    monkeypatch.setattr(parts, "train_dataset", lambda data, *a, **k: seen.append(data) or original(data, *a, **k))
    original = rubrica.learning.train.train_dataset
    with_test = quick(dataset(texts, labels, test=(texts, opposite)), trials=3)
    without = quick(dataset(texts, labels), trials=3)
    assert same(with_test, without)
    assert tuning_of(with_test)["score"] == tuning_of(without)["score"] > 0.9
    assert with_test.model.artifact.metrics["test"]["accuracy"] < 0.1
    assert all(set(data.splits) == {"train", "validation"} for data in seen)


def test_a_validation_split_judges_in_the_place_of_train():
    texts, labels = capitals()
    data = dataset(texts[:140], labels[:140], validation=(texts[140:], labels[140:]))
    found = quick(data)
    assert tuning_of(found)["judged_texts"] == 100
    assert found.model.config.model.keep_case


def test_word_vectors_are_a_choice_beside_none():
    """The classes are told by words that train hardly repeats; the vectors know which are alike."""
    draw, kinds = np.random.default_rng(0), ("food", "sport")
    numbers = draw.permutation(np.arange(1000, 1800)).tolist()
    words = {"food": [f"w{i}" for i in numbers[:400]], "sport": [f"w{i}" for i in numbers[400:]]}
    labels = [kinds[i % 2] for i in range(240)]
    texts = [" ".join(draw.choice(words[label], 3)) for label in labels]
    matrix = np.repeat([[3.0, 0.0], [0.0, 3.0]], 400, axis=0) + draw.normal(0, 0.1, (800, 2))
    vectors = Vectors([*words["food"], *words["sport"]], matrix.astype(np.float32), "made vectors")
    found = quick(dataset(texts, labels), vectors=vectors, trials=3)
    assert [row["settings"].get("vectors") for row in found.rows] == [None, None, "made vectors"]
    assert found.model.artifact.vectors == "made vectors"
    assert tuning_of(found)["settings"] == {"model.name": "bag", "vectors": "made vectors"}


# What is given up


def test_a_trial_is_given_up_when_it_is_clearly_behind(monkeypatch):
    """As a loop in Python says of the same answers."""
    shares = {}

    def right(number, changes, fold):
        share = shares.setdefault(str(changes), 0.9 - 0.04 * len(shares))
        return np.random.default_rng([fold, len(shares)]).random(100) < share

    calls = judged_by(monkeypatch, right)
    found = quick(trials=6)
    folds = {row["trial"] - 1: row["parts"] for row in found.rows}
    assert calls == [(trial, fold) for trial, count in folds.items() for fold in range(count)]
    assert folds[0] == 5
    assert min(folds.values()) < 5
    answers = {number: [right_again(shares, number, fold) for fold in range(5)] for number in folds}
    best = 0
    for number in list(folds)[1:]:
        expected = 5
        for fold in range(1, 5):
            ours, theirs = (np.concatenate(answers[each][:fold]).astype(float) for each in (number, best))
            behind = (theirs - ours).mean()
            default = np.concatenate(answers[0][:fold]).mean()
            whole = np.concatenate(answers[best]).mean() - np.concatenate(answers[0]).mean()
            if behind > (ours - theirs).std(ddof=1) / np.sqrt(len(ours)) and ours.mean() - default < whole:
                expected = fold
                break
        assert folds[number] == expected
        assert (found.rows[number]["state"] == "given up") == (expected < 5)
        if expected == 5 and np.concatenate(answers[number]).mean() > np.concatenate(answers[best]).mean():
            best = number


def right_again(shares, number, fold):
    share = list(shares.values())[number]
    return np.random.default_rng([fold, number + 1]).random(100) < share


def test_large_data_need_fewer_parts():
    few, many = (make_parts(dataset(*plain(count)), 0) for count in (400, 30_000))
    assert (few.folds, many.folds) == (5, 4)
    assert few.final_cost == pytest.approx(1.9 / 0.8)


def test_the_parts_share_no_text_and_cover_train():
    texts, labels = plain(100)
    texts = [*texts, *(text.upper() for text in texts[:30])]  # the same but for capitals
    data = make_parts(dataset(texts, [*labels, *labels[:30]]), 3)
    held = [data.part(fold).data.splits["validation"].texts for fold in range(5)]
    assert sorted(text for part in held for text in part) == sorted(texts)
    for fold in range(5):
        learned = {text.lower() for text in data.part(fold).data.splits["train"].texts}
        assert not learned & {text.lower() for text in held[fold]}


def test_a_class_with_a_single_text_stays_in_train():
    texts, labels = plain(200)
    found = quick(dataset([*texts, "a lone text"], [*labels, "rare"]), trials=2)
    assert found.model.labels == ["food", "rare", "sport"]


def test_too_few_texts_are_one_sentence():
    with pytest.raises(DataError, match=r"20 texts are too few to choose settings on; train with `rubrica train`"):
        quick(dataset(*plain(20)))
    with pytest.raises(DataError, match="texts are too few to choose settings on"):  # a part would have no text
        quick(dataset(["goal and match", "soup in a pan", "a late goal", "salt"] * 20, ["sport", "food"] * 40))


# What has no score


@pytest.mark.parametrize("fault", [RubricaError("diverged"), MemoryError(), RuntimeError("out of memory\nat line 3")])
def test_a_trial_that_fails_does_not_end_the_search(monkeypatch, fault):
    from rubrica.tuning import tune as tuning

    original = tuning._judge

    def judge(parts, vectors, size, tried, fold, seconds):
        if tried.number == 1:
            raise fault
        return original(parts, vectors, size, tried, fold, seconds)

    monkeypatch.setattr(tuning, "_judge", judge)
    found = quick(dataset(*capitals()))
    assert [row["state"] for row in found.rows].count("failed") == 1
    assert found.rows[1]["note"] == (str(fault).splitlines() or ["MemoryError"])[0]
    assert found.rows[1]["score"] is None
    assert len(found.rows) == 4


@pytest.mark.parametrize("fault", [RubricaError("diverged"), MemoryError(), RuntimeError("out of memory")])
def test_a_failure_on_further_parts_does_not_end_the_search(monkeypatch, fault):
    from rubrica.tuning import tune as tuning

    original = tuning._judge

    def judge(parts, vectors, size, tried, fold, seconds):
        if fold >= 5:  # of the first round there are five
            raise fault
        return original(parts, vectors, size, tried, fold, seconds)

    monkeypatch.setattr(tuning, "_judge", judge)
    monkeypatch.setattr("rubrica.tuning.search._SURE", 0.0)  # nothing is beyond doubt
    found = quick(dataset(*capitals()))
    assert len(found.rows) == 4
    assert tuning_of(found)["winner"] > 1


def test_where_the_defaults_have_no_score_the_best_of_the_others_wins(monkeypatch):
    from rubrica.tuning import tune as tuning

    original = tuning._judge

    def judge(parts, vectors, size, tried, fold, seconds):
        if tried.number == 0:
            raise TooLargeError("too large", 1000)
        return original(parts, vectors, size, tried, fold, seconds)

    monkeypatch.setattr(tuning, "_judge", judge)
    told = tuning_of(quick())
    assert told["default_score"] is None
    assert told["default_note"] == "1,000 bytes at the least"
    assert told["winner"] > 1
    monkeypatch.setattr(tuning, "_judge", lambda *a: (_ for _ in ()).throw(TooLargeError("too large", 1000)))
    with pytest.raises(RubricaError, match="no settings could be judged; the first had: 1,000 bytes"):
        quick()


def test_where_the_defaults_take_too_long_they_are_trained_without_a_search(monkeypatch, tmp_path):
    from rubrica.tuning import tune as tuning

    def late(*given):
        raise LateError("too slow")

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "_judge", late)
        found = quick(out=tmp_path / "m")
    assert found.rows == []
    assert [path.name for path in found.files] == ["trials.jsonl"]
    assert tuning_of(found)["score"] is None
    assert same(found, quick(trials=1))
    for path in (tmp_path / "m").iterdir():
        path.unlink()
    assert len(quick(out=tmp_path / "m").rows) == 4  # with more time there is a search


def test_a_training_is_stopped_when_its_model_could_not_be_trained_in_time():
    data = make_parts(dataset(*plain()), 0).part(0)
    config = rubrica.make_config(model={"name": "bag", "num_buckets": 1000}, training={"epochs": 100_000})
    with pytest.raises(LateError, match=r"stopped after 0\.5 s"):
        parts.judge(data, config, None, seconds=0.5)


# Sizes


def test_every_trial_and_the_model_keep_the_size(tmp_path):
    found = quick(dataset(*plain(), test=plain(100, seed=9)), size=14_000, out=tmp_path / "m")
    assert all(row["bytes"] is None or row["bytes"] <= 14_000 for row in found.rows)
    assert sum(path.stat().st_size for path in (tmp_path / "m").iterdir()) <= 14_000
    model = rubrica.load(tmp_path / "m")
    assert model.evaluate(*plain(100, seed=9)).accuracy == model.artifact.metrics["test"]["accuracy"]
    assert "validation" not in model.artifact.metrics  # of the larger model


def test_a_model_that_is_small_enough_is_left_as_it_is():
    assert same(quick(size=1e9, trials=1), quick(trials=1))


# What is given


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"seconds": 0}, "seconds is 0, expected a length of time above 0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"size": -1}, "size is -1, expected a number of bytes above 0"),
        ({"trials": 0}, "trials is 0, expected a number above 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(given, problem):
    with pytest.raises(ConfigError, match=problem):
        quick(**given)


def test_a_size_that_no_model_has():
    with pytest.raises(RubricaError, match=r"none of 4 trials fits into 100 bytes; the smallest model has [\d,]+"):
        quick(size=100)


def test_the_summary_has_only_finite_numbers(tmp_path):
    found = quick(out=tmp_path / "m", trials=3)
    text = (tmp_path / "m/metrics.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert set(tuning_of(found)) == {
        "trials", "seconds", "measure", "judged_texts", "winner", "settings", "default_score", "score", "best", "lead",
        "standard_error", "chance",
    }  # fmt: skip
    assert [path.name for path in found.files] == ["trials.jsonl", "trials.png"]
    assert (tmp_path / "m.search/trials.png").stat().st_size > 10_000


def test_more_parts_judge_the_best_trial_while_its_lead_may_be_luck(monkeypatch):
    """One part takes so long that a trial has one; the best one and the defaults then get the others."""

    def right(number, changes, fold):
        hits = np.arange(100) < 70
        hits[70 : 71 + fold] = len(changes) > 1  # a text more, then two more
        return hits

    calls = judged_by(monkeypatch, right, lambda number: 10.0)
    found = quick(trials=3, seconds=150.0)
    assert calls[:5] == [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1)]
    assert tuning_of(found)["winner"] == 3
    assert found.rows[2]["parts"] == found.rows[0]["parts"] == (len(calls) - 1) // 2
    assert found.rows[1]["parts"] == 1


def test_the_time_kept_for_a_trial_that_does_not_win_is_used(monkeypatch):
    """The second trial is slow, and its lead may be luck: to train with it would take most of the time that is left."""

    def right(number, changes, fold):
        hits = np.arange(100) < 70
        hits[70:71] = number == 1 and fold == 0  # a text more
        hits[:5] = number < 2  # and the others are worse
        return hits

    for slow in (10.0, 20.0):  # it has all its parts; the time is not enough for them
        calls = judged_by(monkeypatch, right, lambda number, slow=slow: slow if number == 1 else 1.0, moves=True)
        found = quick(seconds=160.0, trials=200)
        assert tuning_of(found)["winner"] == 1
        assert tuning_of(found)["seconds"] > 145
        assert len({number for number, _ in calls}) > 10
        assert found.rows[1]["state"] == ("judged" if slow == 10 else "too slow")
