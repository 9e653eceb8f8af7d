"""The doctor of data names what was planted, and is silent on sound data."""

import json
import random
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rubrica.config.groups import DataSettings
from rubrica.data.dataset import Dataset, Examples, read_dataset, read_pairs
from rubrica.errors import DataError
from rubrica.insight.data_checks.apart import area, told_apart
from rubrica.insight.data_checks.labels import check_spellings, check_splits
from rubrica.insight.data_checks.more_labels import Curve, forecast
from rubrica.insight.data_checks.near import similar_pairs
from rubrica.insight.data_checks.sample import Sample
from rubrica.insight.data_checks.scripts import check_scripts
from rubrica.insight.data_doctor import CHECKS, examine_data
from rubrica.insight.findings import KINDS, SEVERITIES, Finding, at_least, ordered
from rubrica.insight.pages.language import read_language
from rubrica.insight.pages.translation import translate
from rubrica.scoring.tasks import task_of
from rubrica.text.tokenizer import tokenize
from rubrica.vectors.word_vectors import Vectors

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TEXTS = 800
SIZES = {"train": 1200, "test": 250}
MONEY = {"percent", "million", "dollars", "thousand", "profit", "bank"}


@pytest.fixture(scope="module")
def bench():
    """The plants of the benchmark, and its way of making a data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import doctor
        import planted

        yield doctor, planted


@pytest.fixture(scope="module")
def sound(bench):
    """mini-news as one source: both splits are drawn from all of its texts."""
    doctor, _ = bench
    data = read_dataset("mini-news")
    rows = [row for part in data.splits.values() for row in zip(part.texts, part.labels, strict=True)]
    random.Random(3).shuffle(rows)
    rows = doctor.without_twins(rows)[:TEXTS]
    return {"train": rows[TEXTS // 4 :], "test": rows[: TEXTS // 4]}


def several(splits):
    """The same texts, with a second label on some."""
    return {
        name: [(text, (label, "money") if {*text.split()} & MONEY else (label,)) for text, label in rows]
        for name, rows in splits.items()
    }


@pytest.mark.parametrize("lists", [False, True])
def test_no_warning_on_sound_data(bench, sound, lists):
    doctor, _ = bench
    found = examine_data(doctor.as_dataset(several(sound) if lists else sound))
    assert not at_least(found, "warning"), [finding.title for finding in at_least(found, "warning")]


@pytest.mark.parametrize("lists", [False, True])
def test_planted_faults_are_named(bench, sound, lists):
    doctor, planted = bench
    splits, missed = several(sound) if lists else sound, []
    for kind, (plant, strengths) in planted.PLANTS.items():
        found = at_least(examine_data(doctor.as_dataset(plant(splits, strengths[-1], random.Random(5)))), "warning")
        if not {finding.kind for finding in found} & ({kind} | doctor.ALSO.get(kind, set())):
            missed.append(kind)
        for finding in found:
            check_finding(finding)
    assert not missed


def check_finding(finding: Finding):
    """A person and a machine can read it."""
    assert finding.kind in KINDS
    assert finding.severity in SEVERITIES
    assert finding.title[0].isalnum()
    assert not finding.title.endswith(".")
    assert finding.why.endswith(".")
    assert translate(finding, read_language("ru"))[1] == "ru", finding.kind
    assert all(row.row >= 1 and "\n" not in row.text for row in finding.rows)
    json.dumps(finding.to_json(), allow_nan=False)


def test_a_class_that_test_lacks_is_named_among_many():
    """The others differ by chance, and all of them together by as much as the one that is gone."""
    draw = np.random.default_rng(0)
    shares = np.array([3, *[1] * 19]) / 22
    labels = {name: [f"class {n:02}" for n in draw.choice(20, size, p=shares)] for name, size in SIZES.items()}

    def kinds(labels):
        splits = {name: Examples([f"text {i}" for i in range(len(own))], own) for name, own in labels.items()}
        task = task_of(sorted(set(labels["train"])), lists=False)
        sample = Sample(Dataset("d", splits, ("text",), "label", task), None, DataSettings(split_unspaced=False))
        return {finding.kind for finding in check_splits(sample)}

    assert not kinds(labels)
    labels["test"] = [label for label in labels["test"] if label != "class 00"]
    assert kinds(labels) == {"label-shift"}


def test_a_rare_label_may_follow_from_texts_though_hardly_an_answer_gets_it():
    """One text in ten is about money, and half of all labels "money" are right: no answer but "other" pays."""
    draw = np.random.default_rng(0)
    about = draw.random(1500) < 0.1
    labels = np.where(draw.random(1500) < np.where(about, 0.5, 0.05), "money", "other").tolist()
    said = [["the river and the hill", "a bank lends dollars"][int(money)] for money in about]
    texts = [f"{text} {draw.integers(10**6)} {draw.integers(10**6)}" for text in said]

    def kinds(labels):
        data = Dataset(
            "d", {"train": Examples(texts, labels)}, ("text",), "label", task_of(["money", "other"], lists=False)
        )
        return {finding.kind for finding in examine_data(data)}

    assert "unrelated-labels" not in kinds(labels)
    assert "unrelated-labels" in kinds(draw.permutation(labels).tolist())


@pytest.mark.parametrize("at_random", [True, False])
def test_classes_that_overlap_are_told_from_wrong_labels(at_random):
    """Six subjects; one label in twelve is another one: any other, or the one that a part of the text is about."""
    draw, names = np.random.default_rng(1), [f"class {number}" for number in range(6)]
    subjects, texts, labels = draw.integers(6, size=3000), [], []
    for subject in subjects.tolist():
        about = [subject] * 6 + [subject ^ 1] * 3 + draw.integers(6, size=3).tolist()
        texts.append(" ".join(f"word{one}x{draw.integers(30)}" for one in about))
        other = (subject + int(draw.integers(1, 6))) % 6 if at_random else subject ^ 1
        labels.append(names[other if draw.random() < 1 / 12 else subject])
    data = Dataset("d", {"train": Examples(texts, labels)}, ("text",), "label", task_of(names, lists=False))
    (found,) = [finding for finding in examine_data(data) if finding.kind == "label-noise"]
    assert found.figures["share"] == pytest.approx(1 / 12, abs=0.03)
    assert found.severity == ("warning" if at_random else "note")
    assert ("wrong" in found.title, "doubtful" in found.title) == (at_random, not at_random)


def check_words(vectors_of, settings, texts=None):
    """The kinds of findings about the words of some texts, with vectors of these words."""
    texts = texts or ["The Cup goes to Velford", "a goal for Velford", "The bank raises rates", "rates fall for a bank"]
    labels = ["sport", "sport", "money", "money"]
    matrix = np.random.default_rng(0).normal(size=(len(vectors_of), 3)).astype(np.float32)
    data = Dataset(
        "d", {"train": Examples(texts, labels)}, ("text",), "label", task_of(["money", "sport"], lists=False)
    )
    return {finding.kind: finding for finding in examine_data(data, Vectors(vectors_of, matrix, "v"), settings)}


def test_words_that_the_vectors_lack():
    lower = ["the", "cup", "goes", "to", "velford", "a", "goal", "for", "bank", "raises", "rates", "fall"]
    found = check_words(lower, DataSettings(lowercase=False))
    assert found["capitals-unknown"].figures["lowercased"] == 0
    assert set(found["capitals-unknown"].figures["words"]) == {"The", "Cup", "Velford"}
    assert not {"capitals-unknown", "unknown-words"} & check_words(lower, DataSettings()).keys()
    found = check_words(lower[:6], DataSettings())
    total, unknown = 17, 8  # goal for; bank raises rates; rates fall for ... bank
    assert found["unknown-words"].figures["share"] == pytest.approx(unknown / total, abs=0.06)
    assert found["unknown-words"].figures["by_class"]["money"] > found["unknown-words"].figures["by_class"]["sport"]
    chinese = ["新闻报道说", "体育比赛今天", "银行加息", "利率下降"]
    found = check_words(list("新闻报道说体育比赛今天银行加息利率下降"), DataSettings(split_unspaced=False), chinese)
    assert found["unspaced-script"].figures == {"whole": 1.0, "split": 0.0}


def pairs_by_hand(texts, alike):
    """The pairs of similar texts, by sets of their pieces."""
    sets = [set(words) | set(pairwise(words)) for words in map(tokenize, texts)]
    documents = Counter(piece for pieces in sets for piece in pieces)
    weight = {piece: np.log((2 + len(texts)) / count) for piece, count in documents.items()}
    found = {}
    for (i, a), (j, b) in combinations(enumerate(sets), 2):
        share = sum(weight[p] for p in a & b) / max(1e-9, sum(weight[p] for p in a | b))
        if share >= alike:
            found[i, j] = share
    return found


def test_similar_texts_by_brute_force():
    draw = random.Random(0)
    words = [f"w{number}" for number in range(400)]
    texts = [" ".join(draw.choices(words, k=draw.randrange(3, 30))) for _ in range(300)]
    texts += [" ".join(word for word in draw.choice(texts).split() if draw.random() < 0.93) for _ in range(200)]
    texts += ["", "", texts[0], texts[0]]
    data = Dataset("d", {"train": Examples(texts, ["a", "b"] * 252)}, (), "", task_of("ab", lists=False))
    part = Sample(data, None, DataSettings(lowercase=False, split_unspaced=False)).train
    found = similar_pairs(part.ids, part.offsets, alike=0.6)
    named = {(a, b): share for a, b, share in zip(*map(np.ndarray.tolist, found), strict=True)}
    expected = pairs_by_hand(texts, 0.6)
    assert len(expected) > 150
    assert named.keys() <= expected.keys()
    assert len(named) >= 0.99 * len(expected)
    assert all(share == pytest.approx(expected[pair], abs=1e-4) for pair, share in named.items())


def test_two_groups_told_apart():
    draw = np.random.default_rng(0)
    scores, positive = draw.integers(0, 20, 300), draw.random(300) < 0.3
    assert area(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    owners = np.repeat(np.arange(400, dtype=np.int32), 5)
    words = draw.integers(0, 30, 2000).astype(np.int32)
    second = np.arange(400) % 2 == 1
    assert abs(told_apart(owners, words, np.arange(400), second).area - 0.5) < 0.15
    words[second[owners] & (draw.random(2000) < 0.5)] = 7
    found = told_apart(owners, words, np.arange(400), second)
    assert found.area > 0.9
    assert found.log_odds.argmax() == 7
    assert told_apart(owners, words, np.arange(400), second, without=7).log_odds[7] == 0


def test_a_curve_goes_on_as_it_began():
    sizes = np.array([250.0, 500, 1000, 2000, 4000])
    for floor, power in ((0.0, 0.3), (0.0, 0.6), (0.05, 0.5)):
        errors = floor + 1.5 * sizes**-power
        found = forecast(Curve(sizes, errors, 20_000), [4000, 20_000])
        truth = floor + 1.5 * np.array([4000, 20_000]) ** -power
        assert np.abs(found.errors - truth).max() < (0.02 if floor else 0.01)
        assert (found.low <= truth).all()
        assert (truth <= found.high).all()
    flat = forecast(Curve(sizes, np.full(5, 0.2), 20_000), [40_000])
    assert flat.low[0] <= 0.2 <= flat.high[0] + 0.02
    perfect = forecast(Curve(sizes, np.zeros(5), 1000), [40_000])
    assert np.isfinite([*perfect.errors, *perfect.low, *perfect.high]).all()


def kinds_in(texts, labels, **others):
    lists = isinstance(labels[0], tuple)
    names = sorted({name for label in labels for name in (label if lists else (label,))})
    splits = {"train": Examples(texts, labels)} | {name: Examples(*rows) for name, rows in others.items()}
    found = examine_data(Dataset("d", splits, ("text",), "label", task_of(names, lists=lists)))
    for finding in found:
        check_finding(finding)
    return {finding.kind for finding in found}


def test_data_at_its_limits():
    assert "empty-texts" in kinds_in(["", "", ""], ["a", "b", "a"])
    assert "empty-texts" in kinds_in(["", " "], [("a",), ("a", "b")])
    kinds_in(["one", "two"], ["a", "b"])
    kinds_in(["one", "two"], [("a", "b"), ()])
    assert {"conflicting-labels", "duplicates"} <= kinds_in(["x y z"] * 6, ["a", "b"] * 3)
    assert {"leak", "unknown-labels"} <= kinds_in(["x y z", "u v w"], ["a", "b"], test=(["x y z"], ["c"]))
    assert "unknown-labels" in kinds_in(["x", "z"], [("a",), ("b",)], test=(["y"], [("a", "c")]))
    kinds_in(["\ud800 \0", "long " * 100_000], ["a", "b"])


def test_the_same_label_in_two_spellings():
    def spelled(*names):
        rows = [name for name, count in names for _ in range(count)]
        task = task_of(sorted({name for name, _ in names}), lists=False)
        data = Dataset("d", {"train": Examples(["text"] * len(rows), rows)}, (), "", task)
        found = list(check_spellings(Sample(data, None, DataSettings())))
        return [sorted(group) for finding in found for group in finding.figures["classes"]]

    assert spelled(("World", 50), ("world", 2)) == [["World", "world"]]
    assert spelled(("sci-tech", 50), ("Sci Tech", 50)) == [["Sci Tech", "sci-tech"]]
    assert spelled(("Business", 50), ("Busines", 1), ("Sports", 60)) == [["Busines", "Business"]]
    assert spelled(("Sports", 100), ("Sprots", 3)) == [["Sports", "Sprots"]]
    assert spelled(("import", 50), ("export", 50)) == []
    assert spelled(("level 1", 100), ("level 2", 2)) == []  # a digit is the meaning
    assert spelled(("cat", 100), ("cut", 1)) == []
    assert spelled(("Sports", 10), ("Sprots", 8)) == []  # as frequent: a class


SENTENCES = {
    "English": "the ministers of the two countries met in the capital and said that they would come back",
    "German": "die Minister der beiden Länder haben sich in der Hauptstadt getroffen und werden nicht bleiben",
    "French": "les ministres des deux pays se sont vus dans la capitale et ne sont pas restés pour la nuit",
    "Spanish": "los ministros de los dos países se vieron en la capital y no se quedaron por la noche",
    "Russian": "министры двух стран встретились в столице и сказали, что они не останутся на ночь",
}


def test_languages():
    rows = [*[SENTENCES["English"]] * 6, *SENTENCES.values()]
    data = Dataset("d", {"train": Examples(rows, ["a"] * len(rows))}, (), "", task_of(["a"], lists=False))
    found = {finding.kind: finding.figures for finding in check_scripts(Sample(data, None, DataSettings()))}
    assert found["other-language"]["usual"] == "English"
    assert found["other-language"]["others"] == {"German": 1, "French": 1, "Spanish": 1, "Russian": 1}
    assert found["other-script"]["others"] == {"CYRILLIC": 1}


def test_a_sample_of_a_large_split_is_the_same_each_time(sound):
    texts, labels = map(list, zip(*sound["train"], strict=True))
    data = Dataset("d", {"train": Examples(texts, labels)}, (), "", task_of(sorted(set(labels)), lists=False))
    first, again = (Sample(data, None, DataSettings(), most=100).train for _ in range(2))
    assert len(first) == 100
    assert first.rows.tolist() == again.rows.tolist() == sorted(set(first.rows.tolist()))
    assert first.texts == [texts[row] for row in first.rows]
    row = first.show(7)
    assert texts[row.row - 1] == first.texts[7]
    assert len(CHECKS) > 10


def test_the_gravest_finding_comes_first():
    made = [
        Finding(kind="leak", severity=severity, title="t", why="w.", remedy="r", figures={}) for severity in SEVERITIES
    ]
    assert [finding.severity for finding in ordered(made)] == ["error", "warning", "note"]
    assert len(at_least(made, "warning")) == 2


def test_a_trial_says_what_a_fault_costs(bench, sound):
    doctor, planted = bench

    def cost(kind, share):
        splits = planted.PLANTS[kind][0](sound, share, random.Random(5))
        found = {finding.kind: finding for finding in examine_data(doctor.as_dataset(splits), trials=True)}
        check_finding(found[kind])
        assert found[kind].cost.spread >= 0
        return found[kind].cost.points

    assert cost("give-away", 0.95) > 1  # without the word the class is missed
    assert cost("leak", 0.3) >= 0
    assert cost("duplicates", 0.6) >= 0
    assert cost("truncation", 0.9) > 5  # what is read says nothing
    assert abs(cost("markup", 0.6)) < 3


@pytest.mark.parametrize(("label", "problem"), [("good", r'one class only \("good"\)'), ([], "no text has a label")])
def test_less_than_two_classes_are_one_sentence(label, problem):
    with pytest.raises(DataError, match=f"{problem}, expected at least 2 classes; check column"):
        examine_data(read_pairs([f"text {number}" for number in range(60)], [label] * 60))


@pytest.mark.parametrize("count", [4, 8, 20, 60])
def test_a_handful_of_sound_texts_raises_no_alarm(sound, count, caplog):
    texts, labels = zip(*sound["train"][:count], strict=True)
    with caplog.at_level("INFO", "rubrica"):
        found = examine_data(read_pairs(texts, labels))
    assert not {"unrelated-labels", "label-noise", "same-classes", "boilerplate"} & {finding.kind for finding in found}
    assert f"{count} texts are too few to judge their labels by a model" in caplog.text
