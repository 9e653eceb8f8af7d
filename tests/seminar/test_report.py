"""The seminar's page says what its numbers bear, and nothing that a label could smuggle in."""

import copy
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from rubrica.errors import MissingExtraError
from rubrica.insight.pages.drawing import spread, thinned
from rubrica.seminar.report import _template, render_seminar

NAMES = ("cnn", "rnn", "gru", "gru-vectors", "gru-frozen")
ACCURACY = {"cnn": 0.85, "rnn": 0.25, "gru": 0.87, "gru-vectors": 0.9, "gru-frozen": 0.901}
VOID = {"meta", "br", "link", "img", "hr", "input"}


def confusion(num_classes, accuracy, per_class=1000):
    """Every class is right equally often and taken for the next one otherwise."""
    right = round(accuracy * per_class)
    matrix = [[0] * num_classes for _ in range(num_classes)]
    for row in range(num_classes):
        matrix[row][row] = right
        matrix[row][(row + 1) % num_classes] += per_class - right
    return matrix


def learned(accuracy):
    """A curve that ends a little below the accuracy."""
    updates = list(range(50, 1501, 50))
    return {
        "update": updates,
        "loss": [1.4 - 0.0005 * step for step in updates],
        "accuracy": [accuracy - 10 / (step + 400) for step in updates],
    }


def experiment(name, num_classes=4, accuracy=None, **changes):
    """One experiment; without a curve unless one is given, for plots take time."""
    accuracy = ACCURACY[name] if accuracy is None else accuracy
    return {
        "experiment": name,
        "loss": 0.4321,
        "accuracy": accuracy,
        "train_seconds": 12.34,
        "updates": 1500,
        "seminar_loss": 0.5678,
        "seminar_accuracy": 0.8765,
        "confusion": confusion(num_classes, accuracy),
        "curve": {"update": [], "loss": [], "accuracy": []},
        "thaw_update": 1001 if name == "gru-frozen" else None,
        **changes,
    }


def report(experiments=None, labels=("World", "Sports", "Business", "Sci/Tech"), **data):
    if experiments is None:
        experiments = [experiment(name, len(labels), curve=learned(ACCURACY[name])) for name in NAMES]
    known = {
        "name": "AG News",
        "train_texts": 24000,
        "test_texts": 4000,
        "labels": list(labels),
        "vectors": "glove-twitter-50",
        "vector_words": 1193514,
        "dim": 50,
        "words_used": 41234,
        "unknown_share": 0.173,
        "unknown_words": [["The", 5211], ["Reuters", 2980], ["39", 777]],
        "tokens_per_text": 43.7,
    }
    rest = {"seed": 7, "machine": "2 cores", "versions": "rubrica 0.1", "created": "2026-01-05", "seconds": 312.4}
    rest["command"] = "rubrica seminar --seed 7"
    return {"data": {**known, **data}, "experiments": experiments, **rest}


def words(page):
    """The page's text as a reader sees it, in one line."""

    class Reader(HTMLParser):
        text, hidden = "", False

        def handle_starttag(self, tag, attrs):
            self.hidden = tag == "style"

        def handle_endtag(self, tag):
            self.hidden = False

        def handle_data(self, data):
            self.text += "" if self.hidden else data

    reader = Reader()
    reader.feed(page)
    return " ".join(reader.text.split())


@pytest.fixture(scope="module")
def page():
    return render_seminar(report())


def test_page_is_well_formed_and_its_ids_are_unique(page):
    class Nesting(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.ids, self.links = [], [], []

        def handle_starttag(self, tag, attrs):
            self.handle_startendtag(tag, attrs)
            if tag not in VOID:
                self.open.append(tag)

        def handle_startendtag(self, tag, attrs):
            attributes = dict(attrs)
            self.ids += [attributes["id"]] if "id" in attributes else []
            for name in ("href", "xlink:href", "clip-path"):
                self.links += re.findall(r"#([\w-]+)", attributes.get(name, ""))
            self.links += attributes.get("aria-labelledby", "").split()

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    nesting = Nesting()
    nesting.feed(page)
    assert nesting.open == []
    assert len(nesting.ids) == len(set(nesting.ids))
    assert len(nesting.links) > 10
    assert set(nesting.links) <= set(nesting.ids)


def test_page_loads_nothing(page):
    assert not re.search(r"https?:|//[\w.]+/|@import|<script|<link|<img|\bsrc=|url\((?!#)", page)


def test_same_report_gives_same_bytes_and_is_left_as_it_was(page):
    given = report()
    before = copy.deepcopy(given)
    assert render_seminar(given) == page
    assert given == before


def test_page_does_not_depend_on_the_readers_matplotlib_settings(page):
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"font.size": 30, "axes.linewidth": 9, "svg.fonttype": "path"}):
        assert render_seminar(report()) == page
        assert matplotlib.rcParams["font.size"] == 30


def test_all_experiments_have_a_row_a_matrix_two_curves_and_a_lesson(page):
    for name in NAMES:
        assert f'aria-label="Confusion matrix of {name}:' in page
        assert len(re.findall(rf"<text[^>]*>{name}</text>", page)) == 2
        assert len(re.findall(rf"</i>{name}<", page)) == 2
        assert f"<h3>{name}</h3>" in page


def test_summary_is_computed(page):
    assert "The best, gru-frozen, is right on 90.1% of them; the last, rnn, on 25.0%" in words(page)
    assert "65.1 points lie between them. Pure guessing is right on 25.0%" in words(page)


def test_numbers_of_ours_and_of_the_seminar_stand_side_by_side(page):
    assert page.count('<td class="figure" data-label="loss / seminar’s">0.432<small>0.568</small></td>') == 5
    assert '>0.850<small>0.876</small><' in page  # fmt: skip


def test_figures_that_the_seminar_lacks_are_dashes():
    page = render_seminar(report([experiment("cnn", seminar_loss=None, seminar_accuracy=None)]))
    assert ">0.432<small>–</small>" in page
    assert ">0.850<small>–</small>" in page
    assert "None" not in page


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_said_and_spoils_no_plot(loss):
    broken = experiment("rnn", loss=loss, curve=learned(0.25))
    broken["curve"]["loss"][-1] = loss
    page = render_seminar(report([broken, experiment("gru", curve=learned(0.87))]))
    assert "not finite" in page
    assert len(re.findall(r"<text[^>]*>rnn</text>", page)) == 1  # of accuracy; its loss has no end to write it at


@pytest.mark.parametrize(("accuracy", "at_chance"), [(0.25, True), (0.29, True), (0.21, True), (0.31, False)])
def test_rnn_is_said_to_be_at_chance_only_where_it_is(accuracy, at_chance):
    text = words(render_seminar(report([experiment("rnn", accuracy=accuracy), experiment("gru")])))
    assert ("It stayed at chance" in text) == at_chance
    assert ("no better than guessing" in text) == at_chance
    assert ("got away from chance" in text) != at_chance


def test_thaw_is_a_line_in_both_plots_where_it_lies_inside_the_run(page):
    assert len(re.findall(r'id="(?:loss|accuracy)-thaw-', page)) == 2
    assert len(re.findall(r"<text[^>]*>thaw</text>", page)) == 2
    assert "marks update 1,001" in words(page)
    assert "before the vectors" not in words(page)


def test_a_run_that_ends_before_the_thaw_says_so_and_draws_no_line():
    page = render_seminar(report([experiment("gru-frozen", updates=1001, curve=learned(0.9))]))
    assert "-thaw-" not in page
    assert ">thaw<" not in page
    assert "ended after 1,001 updates, before the vectors of gru-frozen were due to thaw at update 1,001" in words(page)


def test_nothing_is_said_of_a_thaw_where_nothing_was_frozen():
    assert "thaw" not in words(render_seminar(report([experiment("gru")])))


def test_a_difference_within_the_noise_is_not_called_one(page):
    text = words(page)
    assert "90.0% against 87.0% of gru: 3.0 points more (±1.4)" in text
    assert "90.1% against 90.0% of gru-vectors: nearer than the ±1.3 points" in text


def test_one_experiment_has_nothing_to_be_compared_with():
    text = words(render_seminar(report([experiment("gru-vectors")])))
    assert "One network reads AG News" in text
    assert "against" not in text
    assert "lie between" not in text
    assert "It has 90.0% here." in text


@pytest.mark.parametrize(
    ("unknown", "blamed"),
    [
        ([["The", 3], ["Reuters", 2], ["39", 1]], True),
        ([["The", 3], ["39", 1]], False),
        ([["иранский", 3], ["39", 1], ["Путин", 1]], False),
        ([["Москва", 3], ["Путин", 1]], True),
    ],
)
def test_capital_letters_are_blamed_only_where_most_unknown_words_have_them(unknown, blamed):
    text = words(render_seminar(report([experiment("cnn")], unknown_words=unknown)))
    assert ("written with capital letters" in text) == blamed
    assert ("Capital letters are hardly the reason" in text) != blamed
    assert all(f"{word}{count}" in text for word, count in unknown)


def test_no_unknown_words_need_no_reason():
    text = words(render_seminar(report([experiment("cnn")], unknown_words=[], unknown_share=0.0)))
    assert "0.0% of the words" in text
    assert "apital letters are" not in text


def test_words_of_the_data_are_text_and_never_markup():
    evil = "<script>alert(1)</script>"
    labels = [evil, '"><b onclick=x>', "</style>", "a & b"]
    given = report(
        [experiment("rnn", curve=learned(0.25))],
        labels,
        name=evil,
        vectors=evil,
        unknown_words=[[evil, 1], ["</SCRIPT>", 1]],
    )
    given |= {"machine": evil, "versions": evil, "created": evil, "command": evil}
    page = render_seminar(given)
    assert not re.search(r"<script|<b onclick|</script", page, re.IGNORECASE)
    assert page.count("</style>") == 1
    for text in labels:
        assert text in words(page)


def test_russian_labels_stay_readable():
    labels = ["Спорт", "Экономика", "Наука и техника"]
    page = render_seminar(report([experiment("gru", 3)], labels))
    assert "(Спорт, Экономика, Наука и техника)" in words(page)
    assert "Most often mistaken: Спорт for Экономика (130)" in words(page)


def test_few_classes_have_counts_and_many_have_small_cells():
    few = render_seminar(report([experiment("gru")]))
    assert '<td class="right" style="--d:0.933" title="World, answered World: 870 (87.0%)">870</td>' in few
    many = render_seminar(report([experiment("gru", 30)], [f"topic {i}" for i in range(30)]))
    assert many.count("<td class=\"right\"") == 30  # fmt: skip
    assert 'title="topic 3, answered topic 4: 130 (13.0%)"></td>' in many
    assert "left out" not in words(many)


def test_of_very_many_classes_the_most_frequent_are_shown():
    given = report([experiment("gru", 60)], [f"topic {i}." for i in range(60)])
    matrix = given["experiments"][0]["confusion"]
    for row in range(20):  # the first twenty are rare
        matrix[row] = [count // 10 for count in matrix[row]]
    page = render_seminar(given)
    assert page.count('<td class="right"') == 40
    assert 'scope="row" title="topic 19."' not in page
    assert 'scope="row" title="topic 20."' in page
    assert "the 40 most frequent labels; 20 more are left out" in words(page)


def test_uneven_labels_are_pointed_out(page):
    assert "The labels are uneven" not in words(page)
    given = report([experiment("gru")])
    given["experiments"][0]["confusion"][1] = [0, 6000, 0, 0]
    assert "always answers “Sports” is right on 66.7%" in words(render_seminar(given))


def test_a_network_with_one_answer_is_found_out():
    given = report([experiment("rnn")])
    given["experiments"][0]["confusion"] = [[0, 99, 0, 1]] * 4
    assert "It answers “Sports” for 99.0% of the texts" in words(render_seminar(given))


def test_a_network_without_mistakes_is_praised():
    text = words(render_seminar(report([experiment("gru", accuracy=1.0)])))
    assert "Not one mistake." in text
    assert "Most often mistaken" not in text


def test_a_gap_between_train_and_test_is_named_only_where_there_is_one(page):
    assert "does not carry over" not in words(page)
    overfit = experiment("cnn", curve=learned(0.85))
    overfit["curve"]["accuracy"][-1] = 0.97
    text = words(render_seminar(report([experiment("gru", curve=learned(0.87)), overfit])))
    assert "cnn is right on 97.0% of the texts it learns from, but on 85.0% of the test" in text


def test_a_run_without_curves_says_so():
    page = render_seminar(report([experiment("cnn")]))
    assert "No curves were kept" in page
    assert "<svg" not in page


def test_an_experiment_without_a_curve_is_left_out_of_the_plots_only():
    page = render_seminar(report([experiment("cnn"), experiment("gru", curve=learned(0.87))]))
    assert re.findall(r"<text[^>]*>(cnn|gru)</text>", page) == ["gru", "gru"]
    assert "<h3>cnn</h3>" in page


def test_the_command_is_shown(page):
    assert "<pre><code>rubrica seminar --seed 7</code></pre>" in page


def test_missing_libraries_name_the_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name.split(".")[0])

    _template()  # else jinja2 is what is missing first
    monkeypatch.setattr("rubrica.errors.import_module", missing)
    with pytest.raises(MissingExtraError, match=r"matplotlib is not installed.*rubrica\[report\]"):
        render_seminar(report())
    _template.cache_clear()
    with pytest.raises(MissingExtraError, match=r"jinja2 is not installed.*rubrica\[report\]"):
        render_seminar(report([experiment("cnn")]))


def test_thinned_curves_keep_their_ends():
    assert thinned(3) == [0, 1, 2]
    kept = thinned(10_000)
    assert len(kept) == 400
    assert (kept[0], kept[-1]) == (0, 9_999)


def test_names_at_the_curves_ends_do_not_overlap():
    moved = spread([0.1, 0.97, 0.98, 0.99])
    assert moved[0] == 0.1
    assert moved[-1] == 1.0
    assert all(above - below > 0.0749 for below, above in pairwise(moved))
