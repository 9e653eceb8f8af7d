"""The page says what the facts bear, in two languages, and nothing that a text or a label could smuggle in."""

import re
import tomllib
from html.parser import HTMLParser
from string import Formatter

import pytest

from made_pages import EVIL, HISTORY, findings, many_labels, one_label, pages
from rubrica.data.stored_texts import hash_of_texts
from rubrica.errors import ConfigError, FileError, MissingExtraError
from rubrica.insight.pages import language as speaking
from rubrica.insight.pages import page as paging
from rubrica.insight.pages.language import LANGUAGES, read_language
from rubrica.insight.pages.measure import measure, measured_before
from rubrica.insight.pages.page import check_page, findings_page, report, write_page
from rubrica.notebook import printable

VOID = {"meta", "br", "link", "img", "hr", "input"}
NAMES = ["one", "one-ru", "several", "ninety", "ninety-several", "findings", "nothing-found", "unscored", "hostile"]


class Reader(HTMLParser):
    """The text of a page, its tags, attributes and ids; it fails where a tag is not closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.links, self.tags, self.attributes, self.text = [], [], [], set(), [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        for name in ("href", "xlink:href", "clip-path"):
            self.links += re.findall(r"#([\w-]+)", found.get(name, ""))
        self.links += found.get("aria-labelledby", "").split()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += "" if self.open and self.open[-1] == "style" else data


def words(page):
    return " ".join(Reader(page.html).text.split())


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_well_formed_and_lead_nowhere_else(name):
    html = pages()[name].html
    reader = Reader(html)
    assert len(reader.ids) == len(set(reader.ids))
    assert set(reader.links) <= set(reader.ids)
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not [key for key, _ in reader.attributes if key.startswith("on") or key == "src"]
    assert all(value.startswith("#") for key, value in reader.attributes if key in ("href", "xlink:href"))
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html
    assert not re.search(r"@import|url\((?!#)", html)
    assert html.encode("utf-8").decode("utf-8") == html
    assert len(html.encode()) < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_has_words(name):
    html = pages()[name].html
    for tag in re.findall(r"<svg\b[^>]*>", html):
        assert 'role="img"' in tag
        assert len(re.search(r'aria-label="([^"]*)"', tag)[1]) > 20
    for plot in pages()[name].plots:
        assert len(plot.description) > 20


def test_the_same_inputs_give_the_same_bytes():
    made = [
        report(*one_label(history=HISTORY), findings(), data="news.csv", split="test", compared=("bag", 0.7))
        for _ in range(2)
    ]
    assert made[0].html == made[1].html == pages()["one"].html


def test_strangers_words_are_text_and_never_markup():
    html = pages()["hostile"].html
    assert not re.search(r"<script|<img|</style>(?!\n</head>)|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", html, re.I)
    assert "{{ 7 * 7 }}" in html
    text = words(pages()["hostile"])
    assert text.count("<script>alert(1)</script>") > 20
    assert "新闻 😀" in text


def test_what_no_page_can_hold_is_marked():
    assert printable("a\x00b\ud800c\td\né\x85\ufffe\u202e") == "a�b�c\td\né���"


def test_the_first_screen_says_how_good_it_is():
    text = words(pages()["one"])
    found = measure(*one_label()).scores["accuracy"]
    assert f"Of 600 texts, the model answers {found:.1%} rightly" in text
    assert "A bag of words, trained on the same texts for comparison, reaches 70.0%" in text
    assert "bag on news.csv" in text
    assert "micro-F1 of" in words(pages()["several"])


def test_every_wrong_cell_leads_to_its_texts():
    model, examples = one_label()
    html, confusion = pages()["one"].html, measure(model, examples).scores["confusion"]
    for row, counts in enumerate(confusion):
        for column, count in enumerate(counts):
            leads = f'<a id="cell-{row}-{column}" href="#texts-{row}-{column}"' in html
            assert leads == (row != column and count > 0)
            assert (f'<article id="texts-{row}-{column}">' in html) == leads


def test_many_labels_have_a_drawn_matrix_and_a_list_of_mistakes():
    page = pages()["ninety"]
    assert '<table class="matrix' not in page.html
    assert "40 labels with the most mistakes, of 90" in words(page)
    assert page.html.count("<details class=\"group\"") == 24  # fmt: skip
    assert "All 78 others" in words(page)
    assert "confusion" not in [plot.name for plot in pages()["several"].plots]


def test_a_model_without_texts_shows_its_training():
    text = words(pages()["unscored"])
    assert "No texts were left to score this model" in text
    assert "Loss" in text
    assert "Label by label" not in text


def test_scores_alone_are_said_to_be_alone():
    model, examples = one_label()
    page = report(model, measured=measured_before(measure(model, examples).scores), data="a.csv", split="validation")
    assert "held out of the training" in words(page)
    assert '<a id="cell' not in page.html
    assert '<table class="matrix' in page.html
    assert "reliability" not in [plot.name for plot in page.plots]
    model, examples = many_labels()
    page = report(model, measured=measured_before(measure(model, examples).scores), split="validation")
    assert "has a micro-F1 of" in words(page)
    assert "19 times in 20" not in words(page).split("Label by label")[0]


def test_scores_of_texts_that_were_learned_are_said_to_say_nothing():
    model, examples = one_label()
    model.artifact.metrics["run"] = {"data": {"train": {"sha256": hash_of_texts(examples.texts)}}}
    assert "trained on these very texts" in words(report(model, examples))
    assert "trained on these very texts" not in words(pages()["one"])


def test_findings_come_gravest_first_with_cost_remedy_and_rows():
    text = words(pages()["findings"])
    assert "1 error, 1 warning, 1 note" in text
    assert text.index("An error:") < text.index("What to do rubrica clean") < text.index("A note:")
    assert "Costs 7.4 ± 0.9 points: Oil prices climb." in text
    html = pages()["findings"].html
    assert "<code><span>data.lowercase</span> <span>=</span> <span>true</span></code>" in html
    assert "<code><span>Do" not in html
    assert "train, row 12" in text
    assert "ничего дурного" in words(pages()["nothing-found"])


@pytest.mark.parametrize("verdict", ["calibrated", "too_sure", "too_unsure"])
def test_the_verdict_on_probabilities_follows_them(verdict):
    import numpy as np

    model, examples = one_label(["a", "b"], 4000, sure=0.0)
    draw = np.random.default_rng(1)
    said = draw.uniform(0.55, 0.85, 4000)
    kept = said + {"calibrated": 0.0, "too_sure": -0.1, "too_unsure": 0.1}[verdict]
    right = draw.random(4000) < kept
    truths = np.array([label == "b" for label in examples.labels])
    logit = np.log(said / (1 - said)) * np.where(right == truths, 1, -1)
    model._given = np.stack([np.zeros(4000), logit], axis=1).astype(np.float32)
    text = words(report(model, examples))
    sentences = {"calibrated": "mean what they say", "too_sure": "It is too sure", "too_unsure": "It is too modest"}
    assert [name for name, sentence in sentences.items() if sentence in text] == [verdict]


def test_both_languages_have_the_same_sentences_with_the_same_places():
    tables = [tomllib.loads((speaking.FOLDER / f"{name}.toml").read_text(encoding="utf-8")) for name in LANGUAGES]
    assert LANGUAGES == ("en", "ru")
    for table in tables:
        assert table.keys() == tables[0].keys()
        for section in table:
            assert table[section].keys() == tables[0][section].keys()
    for name in tables[0]["sentences"]:
        places = [
            {place for _, place, _, _ in Formatter().parse(table["sentences"][name])} - {None} for table in tables
        ]
        assert places[0] == places[1], name


def test_every_sentence_is_said_somewhere():
    folder = speaking.FOLDER.parent
    sources = "".join(
        path.read_text(encoding="utf-8") for path in [*folder.glob("*.py"), *folder.glob("templates/*.j2")]
    )
    built = re.compile(
        r"severity_|compared_|learning_(loss|score|slope)|(\w+)_(title|about)|surest_|too_|calibrated|uneven|train|held$"
    )
    silent = [name for name in read_language("en").sentences if f'"{name}"' not in sources and not built.match(name)]
    assert silent == []


def test_numbers_are_written_as_the_language_writes_them():
    english, russian = read_language("en"), read_language("ru")
    assert (english.number(12345.678, 1), russian.number(12345.678, 1)) == ("12,345.7", "12\u00a0345,7")
    assert (english.percent(0.1234), russian.percent(0.1234)) == ("12.3%", "12,3\u00a0%")
    assert [english.percent(share) for share in (0, 1, 0.99999, 0.00001)] == ["0.0%", "100.0%", "> 99.9%", "< 0.1%"]
    assert [english.count("texts", number) for number in (0, 1, 2, 21)] == ["0 texts", "1 text", "2 texts", "21 texts"]
    expected = ["0 текстов", "1 текст", "3 текста", "5 текстов", "11 текстов", "14 текстов", "21 текст", "112 текстов"]
    assert [russian.count("texts", number) for number in (0, 1, 3, 5, 11, 14, 21, 112)] == expected


def test_an_unknown_language_is_an_error():
    with pytest.raises(ConfigError, match="known: en, ru"):
        findings_page([], data="a", language="de")


def test_sentences_escape_what_is_put_into_them():
    assert str(read_language("en").say("compared_bag", score="<b>")).endswith("&lt;b&gt;.")


def test_a_page_is_written_with_its_plots_beside_it(tmp_path):
    assert write_page(pages()["one"], tmp_path / "deep" / "a.html") == [
        tmp_path / "deep" / "a.html", tmp_path / "deep" / "a_plots"
    ]  # fmt: skip
    assert (tmp_path / "deep" / "a.html").read_text(encoding="utf-8") == pages()["one"].html
    names = sorted(path.name for path in (tmp_path / "deep" / "a_plots").iterdir())
    assert names == ["confusion.png", "learning-loss.png", "learning-score.png", "lengths.png", "reliability.png"]
    for path in (tmp_path / "deep" / "a_plots").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
    write_page(pages()["one"], tmp_path / "deep" / "a.html")  # an older page is replaced
    assert write_page(pages()["findings"], tmp_path / "b.html") == [tmp_path / "b.html"]


def test_pictures_of_an_older_page_do_not_stay(tmp_path):
    write_page(pages()["one"], tmp_path / "a.html")
    write_page(pages()["unscored"], tmp_path / "a.html")
    names = sorted(path.name for path in (tmp_path / "a_plots").iterdir())
    assert names == ["learning-loss.png", "learning-score.png"]


def test_hostile_names_are_drawn(tmp_path):
    write_page(pages()["hostile"], tmp_path / "a.html")
    assert len(list((tmp_path / "a_plots").iterdir())) == 5


def test_a_place_that_cannot_hold_a_page_is_found_at_once(tmp_path):
    with pytest.raises(FileError, match="is a folder, expected the name of a file"):
        check_page(tmp_path)
    (tmp_path / "a_plots").write_text("")
    with pytest.raises(FileError, match="the plots go into a folder of this name"):
        check_page(tmp_path / "a.html")


def test_missing_libraries_name_the_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name.split(".")[0])

    monkeypatch.setattr("rubrica.errors.import_module", missing)
    for call in (lambda: report(*one_label()), lambda: findings_page([], data="a"), lambda: check_page("a.html")):
        with pytest.raises(MissingExtraError, match=r"jinja2 is not installed.*rubrica\[report\]"):
            call()


def test_evil_is_evil():
    """The texts of the hostile page hold what a page cannot."""
    with pytest.raises(UnicodeEncodeError):
        EVIL.encode("utf-8")
    assert "\x00" in EVIL


def test_only_libraries_of_the_extra_are_asked_for():
    assert set(paging.LIBRARIES) == {"jinja2", "matplotlib", "scipy"}
