"""Small data for every test; nothing is downloaded, and no cache of the user is touched."""

import os
from pathlib import Path

import numpy as np
import pytest

# One thread: the tests are small, and torch's results depend on the number.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("RUBRICA_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def shared():
    """The folder of real data beside the checkout."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder ../shared with real data")
    return folder


@pytest.fixture
def tiny_vectors():
    """20 words x 6, lower case, with `unk` in the middle."""
    from rubrica.vectors import Vectors

    words = ["<user>", "the", "cup", "goal", "team", "oil", "bank", "unk", "price", "robot", "planet", "code"]
    words += ["vote", "treaty", "border", ".", ",", "a", "wins", "falls"]
    matrix = np.random.default_rng(1).normal(size=(len(words), 6)).astype(np.float32)
    return Vectors(words, matrix, "tiny")


@pytest.fixture
def tiny_news():
    """A data set of four classes that three epochs learn: 160 texts to train on, 40 to test."""
    from rubrica.data import Dataset, Examples

    keys = {
        "World": ["vote", "treaty", "border"],
        "Sports": ["cup", "goal", "team"],
        "Business": ["oil", "bank", "price"],
        "Sci/Tech": ["robot", "planet", "code"],
    }
    draw = np.random.default_rng(7)

    def examples(count):
        labels = [str(label) for label in draw.choice(list(keys), count)]
        texts = []
        for label in labels:
            words = list(draw.choice([*keys[label], "the", "a", "wins", "falls", "Zebra"], draw.integers(3, 12)))
            texts.append(" ".join([str(draw.choice(keys[label])), *map(str, words)]) + ".")
        return Examples(texts, labels)

    return Dataset("tiny", {"train": examples(160), "test": examples(40)}, ("text",), "label", list(keys))
