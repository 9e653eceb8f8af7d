"""The browser that opens pages in tests: Chromium or Chrome of this machine; `make test` installs one where it can."""

import os
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "google-chrome", "chrome")
# As root there is no sandbox. The others keep the browser from asking its makers anything.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def launched():
    """A headless browser. Without one a test is skipped, but not where native kernels are insisted on, as in CI."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = f"no browser opens the pages: install one of {', '.join(NAMES)}"
        if os.environ.get("RUBRICA_KERNELS") == "native":
            pytest.fail(reason)
        pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
