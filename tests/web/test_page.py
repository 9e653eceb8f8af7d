"""The page in headless Chromium, as `rubrica serve` answers with it and as `rubrica export --web` writes it."""

import csv
import io
import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from browser import launched
from made_models import make
from rubrica import explain, load
from rubrica.artifact.folder import save_artifact
from rubrica.cli.main import rubrica as command
from serving import serving
from static import Quiet

Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> é 😀 \u202e abc"
EXAMPLES = ["Oil prices climb again", "The cup final", EVIL]
CSV = [
    ["id", "text", "label"],
    ["1", "Oil prices climb; again", "x"],
    ["2", 'The "cup" final', ""],
    ["3", "two\nlines", "y"],
    ["4", "", "z"],
]


@pytest.fixture(scope="module")
def folders(models, tmp_path_factory):
    """Two models as folders, with examples and a report."""
    folder = tmp_path_factory.mktemp("page")
    models["gru and linear"].save(folder / "news")
    models["several, linear"].save(folder / "several")
    (folder / "examples.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in EXAMPLES), encoding="utf-8")
    report = "<!DOCTYPE html><html lang=en><link rel=icon href=data:,><title>A report</title>Scores"
    (folder / "report.html").write_text(report, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def places(folders):
    """The addresses of the page: of the server, and of a static host."""
    models = [str(folders / "news"), f"other={folders / 'several'}"]
    more = ["--examples", str(folders / "examples.csv"), "--report", str(folders / "report.html")]
    command.main(["export", *models, "--web", str(folders / "web"), *more], standalone_mode=False)
    static = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folders / "web")))
    threading.Thread(target=static.serve_forever, daemon=True).start()
    with serving(*models, *more, folder=folders) as server:
        yield {"served": f"http://127.0.0.1:{server.port}", "static": f"http://127.0.0.1:{static.server_port}"}
    static.shutdown()
    static.server_close()


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


class Opened:
    """The page, and what it asked of others and complained of: nothing."""

    def __init__(self, browser, address, width=1280, **more):
        self.foreign, self.complaints = [], []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, **{"locale": "en"} | more)
        self.page.set_default_timeout(20_000)
        self.page.on(
            "request",
            lambda request: request.url.startswith((address, "data:", "blob:")) or self.foreign.append(request.url),
        )
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{address}/")

    def __enter__(self):
        self.page.wait_for_selector("#models article")
        return self.page

    def __exit__(self, kind, *error):
        if kind is None:
            assert (self.foreign, self.complaints) == ([], [])
        self.page.close()


def until(page, expression, value=None):
    """Wait until an expression is true. Playwright's own waiting needs a page that lets strings become code."""
    for _ in range(400):
        if page.evaluate(expression, value):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def read(page, text):
    """Type a text; the answers when they are of this text."""
    page.fill("#text", text)
    until(page, "text => document.querySelector('.marked')?.textContent === text", text)
    return page.locator("#models article").all()


@pytest.mark.parametrize("way", ["served", "static"])
def test_what_is_typed_is_answered_as_by_the_model(browser, places, folders, way):
    model = load(folders / "news")
    with Opened(browser, places[way]) as page:
        assert page.locator("#problem").is_hidden()
        for text in EXAMPLES:
            first, second = read(page, text)
            label, share = first.locator(".answer").inner_text().rsplit(", ", 1)
            assert label == model.predict([text])[0]
            assert float(share.rstrip("%")) == pytest.approx(100 * model.predict_proba([text]).max(), abs=0.06)
            assert first.locator(".scores li").count() == 4
            found = explain(model, text, beliefs=True)
            titles = first.locator(".marked b").evaluate_all(
                "all => all.map(each => parseFloat(each.title.replace('−', '-')))"
            )
            shares = found.reasons[0].shares.tolist()
            assert max(titles, key=abs) == pytest.approx(max(shares, key=abs), abs=1e-3)
            points = first.locator(".beliefs polyline").first.get_attribute("points").split()
            assert len(points) == len(found.tokens) + 1
            assert second.locator("h3").inner_text() == "other"
        assert page.evaluate("document.images.length") == 0
        page.fill("#text", "")
        until(page, "!document.querySelector('.marked')")
        assert "Without a word" in page.locator(".answer").first.inner_text()


@pytest.mark.parametrize("way", ["served", "static"])
def test_the_second_model_can_go_and_come_back(browser, places, way):
    with Opened(browser, places[way]) as page:
        assert page.locator("#models article").count() == 2
        page.select_option("#other", label="no second model")
        until(page, "document.querySelectorAll('#models article').length === 1")
        page.select_option("#other", label="other")
        until(page, "document.querySelectorAll('#models article').length === 2")


@pytest.mark.parametrize("way", ["served", "static"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_file_comes_back_with_answers(browser, places, folders, way, separator):
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(CSV)
    with Opened(browser, places[way]) as page:
        page.set_input_files(
            "#csv", {"name": "mine.csv", "mimeType": "text/csv", "buffer": text.getvalue().encode("utf-8-sig")}
        )
        page.wait_for_selector("#start", state="visible")
        assert page.locator("#rows").inner_text() == "mine.csv: 4 rows, 3 columns"
        assert page.locator("#column").evaluate("each => each.selectedOptions[0].textContent") == "text"
        page.click("#start")
        with page.expect_download() as download:
            page.locator("#done a").click()
        assert download.value.suggested_filename == "mine-answers.csv"
        with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file, delimiter=separator)
        assert head == [*CSV[0], "predicted label", "score"]
        assert [row[:3] for row in rows] == CSV[1:]
        model, texts = load(folders / "news"), [row[1] for row in CSV[1:]]
        assert [row[3] for row in rows] == model.predict(texts)
        assert [float(row[4]) for row in rows] == pytest.approx(
            model.predict_proba(texts).max(axis=1).tolist(), abs=1e-4
        )


def test_a_long_file_shows_how_far_it_is_and_can_be_stopped(browser, places):
    rows = "text\n" + "the cup final and so on\n" * 100_000
    with Opened(browser, places["static"]) as page:
        # A page gets a dropped file as it gets a chosen one.
        page.evaluate("""rows => {
            const dropped = new DataTransfer();
            dropped.items.add(new File([rows], "long.csv"));
            document.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
        }""", rows)  # fmt: skip
        page.click("#start")
        until(page, "document.getElementById('progress').value > 0")
        assert "of 100,000 rows" in page.locator("#left").inner_text()
        page.click("#stop")
        page.wait_for_selector("#done a")
        assert "what is done can be kept" in page.locator("#done").inner_text()
        assert page.locator("#start").is_visible()
        page.set_input_files("#csv", {"name": "empty.csv", "mimeType": "text/csv", "buffer": b"text\n"})
        page.wait_for_selector("#problem", state="visible")
        assert "empty.csv has no row" in page.locator("#problem").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("way", ["served", "static"])
def test_the_page_fits_and_axe_has_no_objection(browser, places, way, width):
    for scheme, locale in (("light", "en"), ("dark", "ru")):
        with Opened(browser, places[way], width, color_scheme=scheme, locale=locale) as page:
            assert page.evaluate("document.documentElement.lang") == locale
            read(page, "The cup final and " + "anotherverylongword" * 9)
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            page.set_input_files("#csv", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"text\nOil prices\n"})
            page.click("#start")
            page.wait_for_selector("#done a")
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
            found = Axe().run(page)
            assert found.response["passes"]
            grave = [fault for fault in found.response["violations"] if fault["impact"] in ("serious", "critical")]
            assert not grave, [(fault["id"], fault["nodes"][0]["html"]) for fault in grave]


def test_every_word_is_said_in_both_languages(browser, places):
    said = {}
    for locale in ("en", "ru"):
        with Opened(browser, places["static"], locale=locale) as page:
            words = page.evaluate("async () => (await import('/words.js')).WORDS")
            page.click("[data-language=ru]" if locale == "en" else "[data-language=en]")
            other = {"en": "ru", "ru": "en"}[locale]
            assert page.evaluate("document.documentElement.lang") == other
            assert page.locator("h1").inner_text() == words[other]["title"] == page.title()
            said[other] = page.inner_text("main")
    assert words["en"].keys() == words["ru"].keys()
    assert not {word for word in words["en"].values() if len(word) > 3 and word in said["ru"]} - {
        "Macro-F1",
        "Micro-F1",
    }


FOCUS = """() => {
  const here = document.activeElement, shown = here.id === "csv" ? here.previousElementSibling : here;
  return [here.outerHTML.slice(0, 80), getComputedStyle(shown).outlineStyle];
}"""


def test_everything_is_reached_by_tab(browser, places):
    kinds = 'a[href], button, textarea, select, summary, input, [tabindex="0"]'
    shown = "all => all.filter(each => each.checkVisibility()).map(each => each.outerHTML.slice(0, 80))"
    with Opened(browser, places["served"], 390) as page:
        wanted, reached = page.locator(kinds).evaluate_all(shown), []
        for _ in wanted:
            page.keyboard.press("Tab")
            html, outline = page.evaluate(FOCUS)
            assert outline != "none", html
            reached.append(html)
        assert reached == wanted
        read(page, "The cup final")
        until(
            page,
            "document.getElementById('spoken').textContent.startsWith(document.querySelector('.answer').textContent)",
        )


@pytest.mark.parametrize("way", ["served", "static"])
def test_the_models_and_the_report_are_shown(browser, places, way):
    with Opened(browser, places[way]) as page:
        cards = page.locator("#cards").inner_text()
        assert "gru and linear" in cards
        assert "Business, Sci/Tech, Sports, World, long" in cards
        page.click("#report a")
        until(page, "document.title === 'A report'")


def test_a_key_is_asked_for(browser, folders):
    with ExitStack() as stack:
        server = stack.enter_context(serving(folders / "news", folder=folders, env={"RUBRICA_API_KEY": "let-me-in"}))
        page = browser.new_page(locale="en")
        page.goto(f"http://127.0.0.1:{server.port}/")
        for key in ("wrong", "let-me-in"):
            page.wait_for_selector("#key", state="visible")
            assert "with a key only" in page.locator("#problem").inner_text()
            page.fill("#key", key)
            page.keyboard.press("Enter")
        page.wait_for_selector("#models article")
        assert page.locator("#locked").is_hidden()
        page.close()


def test_a_model_without_scores_and_a_server_that_ended(browser, tmp_path):
    make("gru")[0].save(tmp_path / "gru")
    with serving(tmp_path / "gru", folder=tmp_path) as server:
        page = browser.new_page(locale="en")
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.wait_for_selector("#models article")
        assert page.locator("#cards dl").count() == 1
        assert page.locator("#second").is_hidden()
    page.fill("#text", "a")
    page.wait_for_selector("#problem", state="visible")
    assert "The server does not answer" in page.locator("#problem").inner_text()
    page.close()


def test_scores_that_are_no_shares_are_numbers(browser, tmp_path):
    made = make("gru")[0].artifact
    scores = {"texts": 30, "mean_absolute_error": 0.0414, "r2": -0.25, "correlation": 0.981}
    save_artifact(replace(made, metrics={"validation": scores}), tmp_path / "graded")
    with serving(tmp_path / "graded", folder=tmp_path) as server:
        page = browser.new_page(locale="en")
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.wait_for_selector("#models article")
        shown = page.locator("#cards dl").nth(1).inner_text().split("\n")
        assert shown == ["Mean absolute error", "0.041", "R²", "-0.25", "Correlation", "0.981"]
        page.close()


def test_from_a_disk_the_page_says_what_to_do(browser, places, folders):
    page = browser.new_page()
    page.goto((folders / "web" / "index.html").as_uri())
    assert "python -m http.server" in page.locator("#problem").inner_text()
    page.close()


def test_no_two_files_have_one_name():
    js = Path(__file__).parents[2] / "js"
    assert not {path.name for path in js.iterdir()} & {path.name for path in (js / "page").iterdir()}
