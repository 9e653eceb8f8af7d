"""Every kind of page in a browser: it asks for nothing, fits, works with the keyboard, and axe has no objection."""

from functools import cache

import pytest

from browser import launched
from made_models import make
from made_pages import EVIL, pages
from rubrica.insight.explanations.explain import explain
from rubrica.insight.explanations.show import render_page
from rubrica.insight.pages.page import write_page

Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe

NAMES = ["one", "one-ru", "several", "ninety", "ninety-several", "findings", "nothing-found", "unscored", "hostile",
         "explained"]  # fmt: skip
WIDTHS = [1280, 390]


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@cache
def explained():
    """The page of two explanations of a network: of a text with everything that may stand in one, and of a long one."""
    model, _ = make("gru")
    return render_page([explain(model, text, beliefs=True) for text in (f"a b {EVIL} c", "a b c d " * 60)], "Why")


class Opened:
    """A page in the browser, and what it asked for and complained of."""

    def __init__(self, browser, folder, name, width, scheme="light"):
        path = folder / f"{name}.html"
        path.write_text(explained() if name == "explained" else pages()[name].html, encoding="utf-8")
        self.requests, self.complaints = [], []
        self.page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())
        self.requests.remove(path.as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.page.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_and_asks_for_nothing(browser, folder, name, width):
    with Opened(browser, folder, name, width) as opened:
        for is_open in ("false", "true"):
            opened.page.evaluate(f"document.querySelectorAll('details').forEach(each => each.open = {is_open})")
            assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert opened.requests == []
        assert opened.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_grave(browser, folder, name, scheme):
    with Opened(browser, folder, name, 390, scheme) as opened:
        background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(253, 251, 247)", "dark": "rgb(24, 23, 21)"}[scheme]
        # Six of each page: axe takes a second for a hundred texts, and the others are made alike.
        opened.page.evaluate("[...document.querySelectorAll('details')].slice(0, 6).forEach(each => each.open = true)")
        found = Axe().run(opened.page)
        assert found.response["passes"]
        grave = [fault for fault in found.response["violations"] if fault["impact"] in ("serious", "critical")]
        assert not grave, [(fault["id"], fault["nodes"][0]["html"]) for fault in grave]


FOCUS = """() => {
  const here = document.activeElement, style = getComputedStyle(here), box = here.getBoundingClientRect()
  return {name: here.tagName + '#' + here.id + '|' + here.textContent.trim().slice(0, 40),
          outline: style.outlineStyle != 'none' && parseFloat(style.outlineWidth) >= 2,
          seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight, body: here == document.body}
}"""
REACHABLE = """() => [...document.querySelectorAll('a[href], summary, [tabindex="0"]')]
  .filter(each => each.checkVisibility())
  .map(each => each.tagName + '#' + each.id + '|' + each.textContent.trim().slice(0, 40))"""


@pytest.mark.parametrize("name", ["one", "several", "ninety", "findings", "explained"])
def test_tab_reaches_everything_with_a_visible_focus(browser, folder, name):
    with Opened(browser, folder, name, 390) as opened:
        wanted, reached = opened.page.evaluate(REACHABLE), []
        assert wanted
        for _ in wanted:
            opened.page.keyboard.press("Tab")
            focus = opened.page.evaluate(FOCUS)
            assert focus["outline"], focus
            assert focus["seen"], focus
            reached.append(focus["name"])
        assert reached == wanted


@pytest.mark.parametrize("width", WIDTHS)
def test_enter_in_a_cell_shows_its_texts_and_leads_back(browser, folder, width):
    shown = (
        "[...document.querySelectorAll('.behind article')].filter(each => each.checkVisibility()).map(each => each.id)"
    )
    with Opened(browser, folder, "one", width) as opened:
        page = opened.page
        first = page.evaluate(shown)
        assert len(first) == 1  # the most frequent mistake is shown at once
        cell = page.locator("a[id^=cell-]").nth(5)
        wanted = cell.get_attribute("href")[1:]
        assert [wanted] != first
        cell.focus()
        page.keyboard.press("Enter")
        assert page.evaluate(shown) == [wanted]
        assert page.locator(f"#{wanted} h3").evaluate("each => each.getBoundingClientRect().top < innerHeight")
        page.keyboard.press("Tab")  # from the texts on, not from the top of the page
        assert page.evaluate("document.activeElement.closest('article')?.id") == wanted
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == f"#{cell.get_attribute('id')}"


def test_the_summary_opens_with_the_keyboard(browser, folder):
    with Opened(browser, folder, "ninety", 1280) as opened:
        summary = opened.page.locator("details.more > summary")
        summary.focus()
        opened.page.keyboard.press("Enter")
        assert opened.page.locator("details.more").evaluate("each => each.open")
        assert opened.page.locator("details.more tbody tr").first.is_visible()


def test_strangers_words_run_nothing(browser, folder):
    with Opened(browser, folder, "explained", 1280) as opened:
        assert opened.page.evaluate("document.querySelectorAll('script, img, iframe').length") == 0
    with Opened(browser, folder, "hostile", 1280) as opened:
        assert opened.page.evaluate("document.querySelectorAll('script, img, iframe').length") == 0
        assert "{{ 7 * 7 }}" in opened.page.title()


def test_a_blocked_script_would_be_noticed(browser, folder):
    """The rules of the page hold: what it must not do is a complaint."""
    html = pages()["findings"].html.replace("</main>", "<script>1</script><img src='https://example.invalid/a'></main>")
    (folder / "broken.html").write_text(html, encoding="utf-8")
    page, complaints = browser.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto((folder / "broken.html").as_uri())
    page.wait_for_timeout(100)
    assert len([text for text in complaints if "Content Security Policy" in text]) == 2
    page.close()


def test_pictures_are_beside_the_page(tmp_path):
    write_page(pages()["unscored"], tmp_path / "a.html")
    assert (tmp_path / "a_plots" / "learning-loss.png").stat().st_size > 5000
