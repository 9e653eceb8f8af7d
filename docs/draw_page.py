"""Draws docs/page.png, the page that shows what two models of the built-in corpus read: `python docs/draw_page.py`."""

import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

from playwright.sync_api import sync_playwright

import rubrica
from rubrica.export.browser import export_web

OUT = Path(__file__).parent / "page.png"
EXAMPLES = (
    "Oil prices climb again",
    "Champions lose the cup final after a late penalty",
    "New telescope finds water",
)
TEXT = "Champions of the software cup: a telescope club wins the final"
BROWSERS = ("chromium", "google-chrome", "chrome")


def draw(address: str) -> None:
    """Type a text on the page, and keep what it shows.

    Args:
        address: Of the folder that `rubrica export --web` wrote.
    """
    with sync_playwright() as driver:
        path = next(filter(None, map(which, BROWSERS)), None)
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1200, "height": 1280}, locale="en")
        page.goto(address)
        page.fill("#text", TEXT)
        page.wait_for_selector(".beliefs")
        page.mouse.click(5, 5)  # no field has the focus
        page.wait_for_timeout(500)
        page.screenshot(path=OUT, clip={"x": 40, "y": 20, "width": 1120, "height": 1205})
        browser.close()


def main() -> None:
    """Train, write the folder, and open it."""
    with tempfile.TemporaryDirectory() as folder:
        for name, model in (("news", "gru"), ("linear", "linear")):
            rubrica.train("mini-news", config=rubrica.make_config(model={"name": model})).save(f"{folder}/{name}")
        web = f"{folder}/web"
        export_web({name: f"{folder}/{name}" for name in ("news", "linear")}, web, examples=EXAMPLES)
        handler = partial(SimpleHTTPRequestHandler, directory=web)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        draw(f"http://127.0.0.1:{server.server_port}/")


if __name__ == "__main__":
    main()
