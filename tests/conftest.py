"""Small data for every test; nothing is downloaded, and no cache of the user is touched."""

import gc
import itertools
import logging
import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from cases import examples

# One thread: the tests are small, and torch's results depend on the number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure. A test says how many cases it draws with `examples`, the others draw 100.
hypothesis.settings.register_profile("untimed", examples(100), deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _caches(tmp_path_factory):
    """The cache of the fixtures that live longer than a test, and the folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("RUBRICA_CACHE", str(folder))
        yield folder


_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def _private_cache(_caches, monkeypatch):
    monkeypatch.setenv("RUBRICA_CACHE", str(_caches / str(next(_NUMBERS))))


@pytest.fixture(autouse=True)
def _log():
    """A command says how much is logged, for the whole process; a fixture of a module may have run one."""
    logger = logging.getLogger("rubrica")
    logger.setLevel(logging.NOTSET)
    logger.handlers = []


@pytest.fixture(scope="module")
def own_heap():
    """What a test makes is measured alone, and not the process of the tests.

    Its 700,000 objects and more take Python's collector a second each time that it looks through all of them; here it
    does not. And pytest keeps no log: the warnings of ten thousand trainings take 50 MB.
    """
    gc.collect()
    gc.freeze()
    logging.disable()
    yield
    logging.disable(logging.NOTSET)
    gc.unfreeze()


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
    from rubrica.vectors.word_vectors import Vectors

    words = ["<user>", "the", "cup", "goal", "team", "oil", "bank", "unk", "price", "robot", "planet", "code"]
    words += ["vote", "treaty", "border", ".", ",", "a", "wins", "falls"]
    matrix = np.random.default_rng(1).normal(size=(len(words), 6)).astype(np.float32)
    return Vectors(words, matrix, "tiny")


@pytest.fixture
def tiny_news():
    """A data set of four classes that three epochs learn: 160 texts to train on, 40 to test."""
    from rubrica.data.dataset import Dataset, Examples
    from rubrica.scoring.tasks import task_of

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

    return Dataset(
        "tiny", {"train": examples(160), "test": examples(40)}, ("text",), "label", task_of(list(keys), lists=False)
    )


@pytest.fixture(scope="session")
def instruction_sets():
    """The native core of each instruction set that this processor has, as contexts in which the kernels run on it.

    Without a compiler there is numpy alone, in the one context that is left.
    """
    from unittest.mock import patch

    from rubrica.kernels import border, native

    class Live:
        """The functions of one library, where the kernels look for those of the best."""

        def __init__(self, library):
            self.patch = patch.object(native, "library", lambda: library)

        def __enter__(self):
            border.bind.cache_clear()
            self.patch.start()

        def __exit__(self, *error):
            self.patch.stop()
            border.bind.cache_clear()

    best = native.library()
    if best is None:
        return [Live(None)]
    level = best.rubrica_cpu_level()
    files = sorted(native.FOLDER.glob("librubrica-*"))
    names = [path for path in files if path.stem.endswith("baseline") or int(path.stem[-1]) <= level]
    return [*(Live(native._load(path)[0]) for path in names), Live(None)]
