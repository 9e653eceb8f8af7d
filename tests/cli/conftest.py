"""The command in this process, and a folder that it worked in."""

import csv
import logging
import subprocess
import sys

import numpy as np
import pytest

from rubrica.cli import main as cli
from rubrica.vectors.stored import save_vectors
from rubrica.vectors.word_vectors import Vectors
from settings import QUICK


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process: exit code, stdout, stderr."""

    def call(*arguments, stdin=None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "argv", ["rubrica", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        finally:
            logging.getLogger("rubrica").handlers.clear()
            logging.getLogger("rubrica").setLevel(logging.NOTSET)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with a data set, vectors, and a model trained on them by the command."""
    home = tmp_path_factory.mktemp("home")
    keys = {"Sport, local": ["cup", "goal"], "Наука": ["robot", "planet"], "oil": ["bank", "price"]}
    draw = np.random.default_rng(0)
    for split, count in (("train", 120), ("test", 30)):
        with (home / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["label", "text"])
            for i in range(count):
                label = list(keys)[i % 3]
                words = [str(word) for word in draw.choice([*keys[label], "the", 'a "quoted"', "x,y"], 5)]
                writer.writerow([label, f"{draw.choice(keys[label])} {' '.join(words)}"])
    words = ["<user>", "the", "cup", "goal", "robot", "planet", "bank", "price", "unk"]
    save_vectors(Vectors(words, draw.normal(size=(9, 5)).astype(np.float32), "v"), home / "v.txt")
    command = [sys.executable, "-m", "rubrica", "train", home, "--vectors", home / "v.txt", *QUICK]
    subprocess.run([*command, "--out", home / "model"], check=True, capture_output=True)
    return home
