"""No whole number that a user or a model folder can give ends in anything but an answer or a sentence.

Every integer setting of every family and way of training is tried, found by its schema, in a process of its own: what
a number could do to the native core would end this one.
"""

import hashlib
import json
import subprocess
import sys
from typing import Annotated, get_args, get_origin

import pytest

from rubrica.config.groups import DataSettings
from rubrica.config.schema import fields_of
from rubrica.models.families import FAMILIES
from rubrica.models.linear import Linear

NUMBERS = [-1, 0, 2**30, 2**31, 2**32 - 1, 2**32 + 1, 2**63]
QUICK = {"bag", "linear"}  # without torch; the others are slow to start

# Runs `rubrica` once for each number, and prints the exit codes.
FLAGS = """
import json, shutil, sys
from rubrica.cli.main import main
data, folder, flags, number_of = sys.argv[1:4] + sys.argv[4:5]
codes = []
for number in json.loads(number_of):
    given = [part.replace("NUMBER", str(number)) for part in json.loads(flags)]
    sys.argv = ["rubrica", "-q", "train", data, "--out", folder, *given]
    shutil.rmtree(folder, ignore_errors=True)
    try:
        main()
        codes.append(0)
    except SystemExit as stop:
        codes.append(stop.code)
print(json.dumps(codes))
"""

# Opens a model folder and answers, once for each folder.
FOLDERS = """
import json, sys
import rubrica
found = []
for folder in sys.argv[1:]:
    try:
        found.append(len(rubrica.load(folder).predict(["oil prices climb", ""])))
    except rubrica.RubricaError as error:
        assert str(error)
        found.append("error")
print(json.dumps(found))
"""


def integers(kind):
    """The settings of a group whose type is a whole number, or a list of them."""
    for key, hint in fields_of(kind).items():
        inner = get_args(hint)[0] if get_origin(hint) in (Annotated, tuple) else hint
        inner = get_args(inner)[0] if get_origin(inner) is Annotated else inner
        if inner is int:
            yield key, get_origin(hint) is tuple


def settings_of(name):
    kind = FAMILIES[name]
    groups = {"model": kind, "training": kind.training, "data": DataSettings}
    if kind(name=name).stands_alone is False:
        groups["beside"] = Linear
    return [(section, key, listed) for section, group in groups.items() for key, listed in integers(group)]


def marks_of(name, key):
    """In the usual run: all of the bag and of the linear model, and of one network what is its own."""
    shown = name in QUICK or (name == "gru" and key in ("hidden_size", "char_ngrams"))
    return () if shown else pytest.mark.slow


EVERY_SETTING = [
    pytest.param(name, *setting, marks=marks_of(name, setting[1])) for name in FAMILIES for setting in settings_of(name)
]
EVERY_FAMILY = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "news.csv"
    rows = ["text,label"] + [f"the {word} of day {i},{word}" for i in range(12) for word in ("cup", "bank")]
    path.write_text("\n".join(rows) + "\n")
    return path


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("name", "section", "key", "listed"), EVERY_SETTING)
def test_a_flag_with_any_number_is_obeyed_or_refused(news, tmp_path, name, section, key, listed):
    value = "[NUMBER]" if listed else "NUMBER"
    flags = ["--model", name, "--set", f"{section}.{key}={value}"]
    if (section, key) != ("training", "epochs"):
        flags += ["--epochs", "1"]
    codes = run(FLAGS, news, tmp_path / "model", json.dumps(flags), json.dumps(NUMBERS))
    assert len(codes) == len(NUMBERS)
    assert set(codes) <= {0, 2}
    assert codes[0] == 2  # no setting takes -1
    assert codes[-1] == 2  # nor 2^63


@pytest.mark.parametrize("flag", ["--epochs", "--batch-size", "--seed"])
def test_a_named_flag_with_any_number_is_obeyed_or_refused(news, tmp_path, flag):
    given = ["--model", "bag", flag, "NUMBER"]
    codes = run(FLAGS, news, tmp_path / "model", json.dumps(given), json.dumps(NUMBERS))
    assert set(codes) <= {0, 2}


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_a_recipe_with_any_number_is_obeyed_or_refused(news, tmp_path, name):
    section, key, listed = settings_of(name)[0]
    for number in NUMBERS:
        model = f'[model]\nname = "{name}"\n' + ("" if section == "model" else f"[{section}]\n")
        (tmp_path / f"{number}.toml").write_text(f"{model}{key} = {[number] if listed else number}\n")
    recipe = ["--recipe", f"{tmp_path}/NUMBER.toml"]
    codes = run(FLAGS, news, tmp_path / "model", json.dumps(recipe), json.dumps(NUMBERS))
    assert set(codes) <= {0, 2}


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_a_folder_with_any_number_answers_or_is_refused(news, tmp_path, name):
    small = ["--set", "model.num_buckets=1000"] if name == "bag" else []
    run(FLAGS, news, tmp_path / "model", json.dumps(["--model", name, "--epochs", "1", *small]), "[0]")
    changed = []
    for section, key, listed in [*settings_of(name), ("", "unknown_id", False), ("", "rubrica_format", False)]:
        for number in NUMBERS:
            folder = tmp_path / f"{section}-{key}-{number}"
            folder.mkdir()
            for path in (tmp_path / "model").iterdir():
                (folder / path.name).write_bytes(path.read_bytes())
            content = json.loads((folder / "config.json").read_text())
            (content[section] if section else content)[key] = [number] if listed else number
            (folder / "config.json").write_text(json.dumps(content))
            manifest = json.loads((folder / "manifest.json").read_text())
            manifest["config.json"] = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
            (folder / "manifest.json").write_text(json.dumps(manifest))
            changed.append(folder)
    found = run(FOLDERS, *changed)
    assert len(found) == len(changed)
    assert set(found) <= {2, "error"}
