"""Suspected wrong labels of whole data sets: planted ones are found, and odd data is no trouble."""

from dataclasses import replace

import numpy as np
import pytest

from ragged import needs_native
from rubrica.data.dataset import Dataset, Examples, read_dataset
from rubrica.data.stored_texts import CodedLabels, StoredTexts
from rubrica.errors import DataError
from rubrica.insight.cleaning import wrong_labels
from rubrica.insight.cleaning.wrong_labels import find_wrong_labels, label_issues
from rubrica.scoring.tasks import task_of


def spoiled(dataset, count, seed=0):
    """The data set with other labels at some rows of train, and these rows, counted from 1, with the old labels."""
    draw, train = np.random.default_rng(seed), dataset.splits["train"]
    labels, names, wrong = list(train.labels), list(dataset.task.labels), {}
    for row in draw.choice(len(labels), count, replace=False).tolist():
        wrong[row + 1] = labels[row]
        labels[row] = str(draw.choice([name for name in names if name != labels[row]]))
    return replace(dataset, splits=dataset.splits | {"train": Examples(train.texts, labels)}), wrong


def small(texts, labels, lists=False):
    classes = sorted({name for label in labels for name in (label if lists else [label])})
    return Dataset("small", {"train": Examples(texts, labels)}, ("text",), "label", task_of(classes, lists=lists))


def test_planted_labels_are_found_and_put_right(tiny_news):
    data, wrong = spoiled(tiny_news, 16)
    found = find_wrong_labels(data)
    top = found[:16]
    assert sum(suspect.row in wrong for suspect in top) >= 13
    assert [suspect.probability for suspect in found] == sorted((s.probability for s in found), reverse=True)
    assert all(0.2 <= suspect.probability <= 1 for suspect in found)
    train = data.splits["train"]
    for suspect in found:
        assert (suspect.split, suspect.why) == ("train", "label")
        assert suspect.text == train.texts[suspect.row - 1]
        assert suspect.label == train.labels[suspect.row - 1] != suspect.suggested
    right = [suspect.suggested == wrong[suspect.row] for suspect in top if suspect.row in wrong]
    assert np.mean(right) > 0.8
    assert len(find_wrong_labels(data, least=0.0001)) > len(found)


def test_it_is_the_same_every_time_and_another_with_another_seed(tiny_news):
    data, _ = spoiled(tiny_news, 10)
    assert find_wrong_labels(data) == find_wrong_labels(data)
    assert find_wrong_labels(data, seed=1) != find_wrong_labels(data)


@needs_native
def test_a_tenth_of_the_labels_of_mini_news():
    """2.5 % of its labels are wrong as it comes, and these are found, too."""
    news = read_dataset("mini-news")
    train = Examples(news.splits["train"].texts[:2000], news.splits["train"].labels[:2000])
    data, wrong = spoiled(replace(news, splits={"train": train}), 200)
    found = find_wrong_labels(data)
    assert sum(suspect.row in wrong for suspect in found[:200]) >= 120
    assert 140 < sum(suspect.probability for suspect in found) < 300  # those below 0.2 are not listed


def test_missing_labels_and_added_ones_are_found(tiny_news):
    draw, train = np.random.default_rng(3), tiny_news.splits["train"]
    names = list(tiny_news.task.labels)
    texts = [f"{text} {other}" for text, other in zip(train.texts, train.texts[1:] + train.texts[:1], strict=True)]
    truth = [tuple(sorted({a, b})) for a, b in zip(train.labels, train.labels[1:] + train.labels[:1], strict=True)]
    labels, missing, added = list(truth), [], []
    for row in draw.choice(160, 20, replace=False).tolist():
        if len(labels[row]) == 2:
            missing.append(row + 1)
            labels[row] = labels[row][:1]
        else:
            added.append(row + 1)
            labels[row] = tuple(sorted({*labels[row], next(name for name in names if name not in labels[row])}))
    assert len(missing) > 3
    assert len(added) > 3
    found = find_wrong_labels(small(texts, labels, lists=True))
    top = {suspect.row: suspect for suspect in found[:20]}
    assert len(top.keys() & {*missing, *added}) >= 14
    repaired = [tuple(sorted(top[row].suggested)) == truth[row - 1] for row in top.keys() & {*missing, *added}]
    assert np.mean(repaired) > 0.7
    assert all(isinstance(suspect.suggested, tuple) for suspect in found)


def test_a_rare_class_is_not_doubted(tiny_news):
    train = tiny_news.splits["train"]
    rare = Examples([*train.texts, "odd", "odd one", "very odd", "ODD", "odd!"], [*train.labels, *["rare"] * 5])
    data = replace(tiny_news, splits={"train": rare}, task=task_of([*tiny_news.task.labels, "rare"], lists=False))
    assert all(suspect.label != "rare" for suspect in find_wrong_labels(data, least=0.0001))
    more = Examples([*rare.texts, "oil bank", "goal team"], [*rare.labels, "rare", "rare"])
    judged = find_wrong_labels(replace(data, splits={"train": more}), least=0.0001)
    assert "rare" in {suspect.label for suspect in judged}


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["a", "b", "c"], ["x", "y", "z"]),  # a text for each class
        (["", "", "", ""], ["x", "y", "x", "y"]),
        (["a b"] * 6, ["x", "y"] * 3),  # duplicates that disagree
        (["a b", "c d"], ["x", "y"]),
    ],
)
def test_data_that_says_nothing_is_not_doubted(texts, labels):
    assert find_wrong_labels(small(texts, labels)) == []


def test_duplicates_that_disagree_do_not_vouch_for_themselves(tiny_news):
    """The wrong label of a copy is found, though the same text with the same wrong label is there twice."""
    train = tiny_news.splits["train"]
    row = train.labels.index("Sports")
    texts = [*train.texts, train.texts[row].upper(), train.texts[row] + " !"]
    data = replace(tiny_news, splits={"train": Examples(texts, [*train.labels, "World", "World"])})
    found = {suspect.row: suspect for suspect in find_wrong_labels(data)}
    assert found[161].suggested == found[162].suggested == "Sports"
    assert row + 1 not in found


def test_one_class_cannot_be_judged(tiny_news):
    with pytest.raises(DataError, match="fewer than two classes"):
        find_wrong_labels(small(["a", "b"], ["x", "x"]))
    with pytest.raises(DataError, match="no split validation; give one of train, test"):
        find_wrong_labels(tiny_news, split="validation")


def test_another_split_may_be_judged(tiny_news):
    test = tiny_news.splits["test"]
    labels = [tiny_news.task.labels[1], *test.labels[1:]]
    assert labels[0] != test.labels[0]
    data = replace(tiny_news, splits=tiny_news.splits | {"test": Examples(test.texts, labels)})
    assert find_wrong_labels(data, split="test")[0][:2] == ("test", 1)
    strange = Examples(test.texts, ["other", *test.labels[1:]])
    with pytest.raises(DataError, match="'other'"):
        find_wrong_labels(replace(data, splits={"test": strange}), split="test")


def test_texts_on_disk_are_judged_in_parts(tiny_news, monkeypatch):
    data, wrong = spoiled(tiny_news, 16)
    train = data.splits["train"]
    stored = Examples(StoredTexts(train.texts), CodedLabels(train.labels))
    on_disk = replace(data, splits={"train": stored})
    assert find_wrong_labels(on_disk) == find_wrong_labels(data)
    monkeypatch.setattr(wrong_labels, "_CHARACTERS", sum(map(len, train.texts)) // 2)
    found = find_wrong_labels(on_disk)
    assert sum(suspect.row in wrong for suspect in found[:16]) >= 12
    assert len({suspect.row for suspect in found}) == len(found)


def test_python_gives_texts_and_labels(tiny_news):
    data, _ = spoiled(tiny_news, 16)
    train = data.splits["train"]
    issues = label_issues(train.texts, train.labels)
    assert {issue.row for issue in issues} & {suspect.row for suspect in find_wrong_labels(data)}
    assert issues[0]._fields == ("split", "row", "text", "label", "suggested", "probability", "why")
