"""What a fault costs: which settings are tried, and the arithmetic of the difference."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from rubrica.insight import trials
from rubrica.insight.findings import KINDS, Finding
from rubrica.models.config import load_recipe, make_config
from settings import changed


def finding(kind, severity="warning"):
    return Finding(kind=kind, severity=severity, title="t", why="w.", remedy="r", figures={})


def test_each_repair_is_of_a_known_fault_and_holds_settings_that_exist():
    assert trials.REPAIRS.keys() <= KINDS.keys()
    for tables in trials.REPAIRS.values():
        load_recipe("seminar-gru").replace(**tables)


def test_settings_that_are_so_already_are_not_tried():
    config = load_recipe("seminar-gru")
    assert trials.fitting(trials.REPAIRS["start-values"], config) == {"model": {"init": "torch"}}
    assert trials.fitting(trials.REPAIRS["start-values"], config.replace(model={"init": "torch"})) == {}
    assert trials.fitting({"model": {"pooling": "last"}}, load_recipe("seminar-cnn")) == {}  # it has no last state


def test_the_gravest_faults_are_tried_each_repair_once():
    found = [finding("too-short", "note"), finding("padding-read", "error"), finding("saturated-units"),
             finding("start-values", "error"), finding("capitals-unknown"), finding("drift", "error")]  # fmt: skip
    wanted = trials._to_try(found, load_recipe("seminar-gru"))
    assert list(wanted) == ["padding-read", "start-values", "capitals-unknown"]
    inside = [finding("padding-read", "error"), finding("padding-is-word", "error")]  # the mask mends both
    assert list(trials._to_try(inside, load_recipe("seminar-gru"))) == ["padding-read"]


def test_a_fault_is_put_back_into_a_model_without_the_others():
    config = load_recipe("seminar-gru")
    found = [finding("padding-read", "error"), finding("start-values", "error"), finding("drift")]
    mended = config.replace(**trials._all_repairs(found, config))
    assert (mended.model.mask_padding, mended.model.init) == (True, "torch")
    again = mended.replace(**trials._own(trials.REPAIRS["start-values"], config))
    assert (again.model.mask_padding, again.model.init) == (True, "uniform01")


def test_the_cost_is_the_difference_of_the_means_with_student_s_interval(tiny_news):
    before, after = [70.0, 72.0, 69.0], [90.0, 91.5, 88.0]
    data = replace(tiny_news, splits={"train": tiny_news.splits["train"], "validation": tiny_news.splits["test"]})
    cost = trials._cost(before, after, data, {"model": {"init": "torch"}})
    interval = stats.ttest_ind(after, before).confidence_interval(0.95)
    assert cost.points == pytest.approx((interval.low + interval.high) / 2)
    assert cost.spread == pytest.approx((interval.high - interval.low) / 2, rel=1e-3)
    assert cost.trial.startswith("init=torch") or cost.trial.startswith("model.init=torch")


def test_texts_that_judge_are_not_learned_and_test_is_left_alone(tiny_news):
    part = trials._part(tiny_news)
    assert list(part.splits) == ["train", "validation"]
    assert len(part.splits["train"].texts) + len(part.splits["validation"].texts) == 160
    assert sorted([*part.splits["train"].texts, *part.splits["validation"].texts]) == sorted(
        tiny_news.splits["train"].texts
    )


def test_a_fault_that_ruins_a_model_costs_much(tiny_news):
    config = changed(make_config(), ["model.with_linear=false", "model.hidden_size=8", "training.lr=1e-6"])
    config = changed(config, ["training.epochs=6", "training.batch_size=16", "training.adversarial=0"])
    found, *_ = trials.with_costs([finding("learning-rate-low", "error")], config, tiny_news)
    assert found.cost.points > 20 > found.cost.spread
    assert np.isfinite(found.cost.spread)


def test_scores_that_depend_on_the_seed_are_a_fault_of_their_own():
    assert trials._spread([90.0, 90.5, 91.0]) == []
    (found,) = trials._spread([70.0, 80.0, 90.0])
    assert found.kind == "seed-spread"
    assert found.figures["standard_deviation"] == pytest.approx(10.0)


def test_faults_that_no_setting_mends_cost_no_time(tiny_news, monkeypatch):
    monkeypatch.setattr(trials, "_score", lambda *_: pytest.fail("nothing is to be tried"))
    found = [finding("drift", "error")]
    assert trials.with_costs(found, make_config(), tiny_news) == found
