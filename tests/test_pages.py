"""Every example of the pages is run: its files are written, its commands print what it shows, its Python runs.

The Russian twins have the very same examples, which a test says, so the English pages alone are run.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nodes import node
from ragged import needs_native
from rubrica.kernels import native

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ["data", "explain", "browser", "from-fasttext", "clean"]
BIN = Path(sys.executable).parent
_BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """The name that stands before each block of code, its language and its lines."""
    return [match.groups() for match in _BLOCK.finditer((DOCS / page).read_text(encoding="utf-8"))]


def commands(block):
    """Each command of a block, and what is shown below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def alike(text):
    """What a page prints; without the core, whose last digits the pages show, in 4 digits."""
    if native.library() is not None:
        return text
    return re.sub(r"\d+\.\d{5,}", lambda number: f"{float(number[0]):.4f}", text)


@pytest.mark.parametrize("page", [*PAGES[:3], *(pytest.param(page, marks=needs_native) for page in PAGES[3:])])
def test_every_example_does_what_the_page_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, ran = {}, 0
    path = f"{BIN}:{Path(node()).parent}:$PATH" if page == "browser" else f"{BIN}:$PATH"
    for name, language, content in blocks(f"{page}.md"):
        if name:
            Path(name).write_text(content, encoding="utf-8")
        elif language == "python":
            exec(content, names)
        elif language == "html":
            assert page == "browser"  # tests/web/test_browser.py opens pages
        else:
            assert language == "console"
            for command, shown in commands(content):
                done = subprocess.run(
                    f"export PATH={path}; {{ {command}; }} 2>&1",
                    shell=True, executable="/bin/bash", capture_output=True, text=True, encoding="utf-8",
                )  # fmt: skip
                assert alike(done.stdout) == alike(shown), command
                ran += 1
    assert ran > 5


@pytest.mark.parametrize("page", PAGES)
def test_the_twin_has_the_same_examples(page):
    english, russian = (
        [(name, language, re.sub(r"#.*", "", content)) for name, language, content in blocks(twin)]
        for twin in (f"{page}.md", f"{page}.ru.md")
    )
    assert english == russian


@pytest.mark.parametrize("page", ["data.md", "data.ru.md"])
def test_the_page_has_every_flag_and_every_suffix(page):
    from rubrica.cli.main import rubrica
    from rubrica.data.files import FORMATS
    from rubrica.data.layout import GIVEN_BY_USER
    from rubrica.data.packed import OPENERS

    text = (DOCS / page).read_text(encoding="utf-8")
    reading = [option for option in rubrica.commands["data"].params if option.name in GIVEN_BY_USER]
    flags = [flag for option in reading for flag in option.opts]
    assert len(flags) == len(GIVEN_BY_USER)
    assert not [word for word in (*flags, *FORMATS, *OPENERS, *GIVEN_BY_USER) if word not in text]
