"""The examples of docs/serving.md are run against a server, and the Russian page has the same."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nodes import node
from serving import serving

DOCS = Path(__file__).parents[2] / "docs"
BIN = Path(sys.executable).parent
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    return _BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


def rounded(text):
    """Processors differ in the last digits."""
    return re.sub(r"\d+\.\d{4,}", lambda number: f"{float(number[0]):.3f}", text)


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_every_example_does_what_the_page_shows(tmp_path):
    (train, _), *others = [part.partition("\n")[::2] for part in _commands("serving.md")]
    subprocess.run(f"{BIN}/{train}", shell=True, cwd=tmp_path, check=True)
    ran = 0
    with serving(tmp_path / "news-model", folder=tmp_path) as server:
        here = f"http://127.0.0.1:{server.port}"
        for language, content in blocks("serving.md"):
            content = content.replace("http://127.0.0.1:8000", here)
            if language == "python":
                exec(content, {}) if "ray" not in content else None  # tests/scale/test_serving.py runs Ray's
                continue
            if language == "js":
                printed = subprocess.check_output([node(), "--input-type=module", "-e", content], text=True)
                assert printed.strip() == content.rpartition("// ")[2].strip()
                continue
            for command, shown in (part.partition("\n")[::2] for part in _parts(content)):
                if command.startswith("curl"):
                    done = subprocess.run(command, shell=True, capture_output=True, text=True)
                    assert rounded(done.stdout.strip()) == rounded(shown.strip()), command
                    ran += 1
    assert ran == len(others) - 1 > 3


def _parts(content):
    return re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]


def _commands(page):
    return [part for language, content in blocks(page) if language == "console" for part in _parts(content)]


def test_the_twin_has_the_same_examples():
    english, russian = (
        [(language, re.sub(r"#.*", "", content)) for language, content in blocks(page)]
        for page in ("serving.md", "serving.ru.md")
    )
    assert english == russian


@pytest.mark.parametrize("page", ["serving.md", "serving.ru.md"])
def test_the_page_has_every_flag_and_every_route(page):
    from rubrica.cli.serve import serve
    from rubrica.serve.routes import ROUTES

    text = (DOCS / page).read_text(encoding="utf-8")
    flags = [flag for option in serve.params for flag in option.opts if flag.startswith("--")]
    assert not [flag for flag in flags if flag not in text and flag != "--port"]
    assert not [route.path for route in ROUTES if route.path.replace("{name}", "NAME") not in text]
