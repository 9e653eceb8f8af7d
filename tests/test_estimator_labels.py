"""Labels of the estimator for scikit-learn: of every type, in batches, and as they were given."""

import enum

import numpy as np
import pandas
import pytest
from sklearn.base import clone

from rubrica import TextClassifier

LINEAR = TextClassifier("linear")


@pytest.fixture
def news(tiny_news):
    split = tiny_news.splits["train"]
    return split.texts, np.array(split.labels)


@pytest.mark.parametrize("spell", [int, float, bool, str, object, "category"])
def test_labels_of_any_type_come_back_as_they_were(news, spell):
    numbers = (news[1] == "Sports").astype(int)
    if spell == "category":
        y = pandas.Series(numbers, dtype="category")
    elif spell is object:
        y = np.array(["yes" if number else "no" for number in numbers], object)
    else:
        y = numbers.astype(spell)
    answers = clone(LINEAR).fit(news[0], y).predict(news[0])
    assert answers.dtype == np.asarray(y).dtype
    assert set(answers.tolist()) == set(np.asarray(y).tolist())
    assert np.mean(answers == np.asarray(y)) > 0.9


class Mood(str, enum.Enum):  # noqa: UP042 - as it was written before StrEnum, str() of a member is its name
    GOOD = "aa"
    BAD = "bb"


def test_members_of_an_enum_are_the_strings_that_they_hold(news):
    y = [Mood.GOOD if label == "Sports" else Mood.BAD for label in news[1]]
    model = clone(LINEAR).fit(news[0], y)
    assert model.classes_.tolist() == ["aa", "bb"]
    assert model.score(news[0], y) > 0.9


@pytest.mark.parametrize("mix", [[1, "a"], [True, "no"], [1, "1"]])
@pytest.mark.parametrize("column", [list, lambda x: np.array(x, object), lambda x: pandas.Series(x, dtype=object)])
def test_strings_and_numbers_are_not_mixed(news, mix, column):
    with pytest.raises(
        ValueError, match=r"y has labels of several types \((bool|int), str\); give strings, or numbers"
    ):
        clone(LINEAR).fit(news[0][:40], column(mix * 20))


@pytest.mark.parametrize("first", [[False, True], [0, 1], ["false", "TRUE"], ["true", "TRUE"]])
@pytest.mark.parametrize("then", [[1], [1, 0], ["TRUE"], ["true", "maybe"]])
def test_labels_of_a_later_batch_are_the_known_ones(news, first, then):
    y = [first[label == "Sports"] for label in news[1]]
    model = TextClassifier("bag", epochs=5).partial_fit(news[0], y)
    if isinstance(first[0], str) != isinstance(then[0], str):
        with pytest.raises(ValueError, match="labels of several types"):
            model.partial_fit(news[0][:40], [*then, *then][:2] * 20)
        return
    if first == ["false", "TRUE"] and "true" in then:
        with pytest.raises(ValueError, match="labels that differ in their spelling alone"):
            model.partial_fit(news[0][:40], then * 20)
        return
    model.partial_fit(news[0][: 40 * len(then)], then * 40)
    new = [label for label in then if label not in first]
    assert model.classes_.tolist() == [*sorted(first), *new]
    assert model.predict_proba(news[0][:3]).shape == (3, len(first) + len(new))
    if len(then) == 1:
        model = model.set_params(epochs=50).partial_fit(news[0][:40], then * 40)
        assert np.mean(model.predict(news[0][:40]) == then[0]) > 0.9
