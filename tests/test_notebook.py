"""What a notebook shows: the figures are there, and no text becomes markup."""

import re
from html.parser import HTMLParser

import pytest

from made_pages import EVIL, findings, many_labels, one_label
from rubrica.data.dataset import Dataset, Examples
from rubrica.notebook import bar, shaded, shown
from rubrica.scoring.tally import score_all
from rubrica.scoring.tasks import task_of


def words(html):
    """The text of a piece of HTML, which must be whole."""

    class Reader(HTMLParser):
        text, open = "", ()

        def handle_starttag(self, tag, attrs):
            self.open = (*self.open, tag)
            assert not [name for name, _ in attrs if name != "style"]

        def handle_endtag(self, tag):
            assert self.open[-1] == tag
            self.open = self.open[:-1]

        def handle_data(self, data):
            self.text += f" {data}"

    reader = Reader()
    reader.feed(html)
    assert reader.open == ()
    html.encode("utf-8")
    assert not re.search(r"<script|<img|[\x00-\x08]", html)
    return " ".join(reader.text.split())


def dataset(texts, labels, *, lists=False):
    names = sorted({name for label in labels for name in ([label] if isinstance(label, str) else label)})
    split = Examples(texts, labels)
    return Dataset("news.csv", {"train": split, "test": split}, ("text",), "label", task_of(names, lists=lists))


def test_a_data_set_shows_its_labels_by_number_and_its_first_texts():
    made = dataset(["one", "two", "three", "four"], ["b", "a", "b", "b"])
    text = words(made._repr_html_())
    assert "news.csv 2 labels; texts: train 4, test 4" in text
    assert "label train test b 3 3 a 1 1" in text
    assert "b one a two b three" in text
    assert "four" not in text


def test_several_labels_of_a_text_are_counted_each():
    made = dataset(["one", "two"], [("a", "b"), ("b",)], lists=True)
    text = words(made._repr_html_())
    assert "b 2 2 a 1 1" in text
    assert "a, b one" in text


def test_of_many_labels_and_long_texts_a_part_is_shown():
    made = dataset(["word " * 200] * 40, [f"label {place}" for place in range(40)])
    text = words(made._repr_html_())
    assert "and 28 more" in text
    assert text.count("word") < 150


@pytest.mark.parametrize("made", [one_label, many_labels])
def test_scores_show_themselves(made):
    model, examples = made()
    report = score_all(model.task, model.logits(examples.texts), model.task.encode(examples.labels))
    text = words(report._repr_html_())
    assert text.startswith("accuracy" if made is one_label else "micro-F1")
    for row in report.per_class:
        assert f"{row.label} {row.precision:.3f} {row.recall:.3f} {row.f1:.3f} {row.texts}" in text
    if made is one_label:
        assert " ".join(["World", *map(str, report.confusion[0])]) in text


def test_a_model_shows_what_it_is_and_its_scores():
    scores = {"accuracy": 0.9, "macro_f1": 0.8, "texts": 1200, "per_class": []}
    model, _ = one_label(test=scores)
    text = words(model._repr_html_())
    assert text.startswith("bag ")
    assert "labels World, Sports, Business, Sci/Tech" in text
    assert "test accuracy 0.9000, macro-F1 0.8000, 1,200 texts" in text


def test_a_finding_shows_its_remedy_and_its_rows():
    texts = [words(finding._repr_html_()) for finding in findings()]
    assert "An error: Oil prices climb error" in texts[1]
    assert "Costs 7.4 ± 0.9 points: Oil prices climb." in texts[1]
    assert "What to do: data.lowercase = true" in texts[1]
    assert "train, row 12" in texts[1]
    assert "Costs" not in texts[0]


def test_strangers_words_stay_words():
    model, examples = one_label([EVIL, "b"], 60, words=EVIL)
    report = score_all(model.task, model.logits(examples.texts), model.task.encode(examples.labels))
    named = dataset(examples.texts, examples.labels)
    for value in (model, report, named, *findings(EVIL)):
        assert "<script>alert(1)</script>" in words(value._repr_html_())


def test_bars_and_colours_stay_within_their_bounds():
    assert "transparent 100%" in bar(1.7, "x")
    assert "transparent 0%" in bar(-1, "x")
    assert "rgba(1,2,3,0.60)" in shaded(1, "x", "1,2,3")
    assert shown([1, 2, 3], 3) == ([1, 2, 3], "")
