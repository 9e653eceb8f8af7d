"""Files of word vectors, damaged: they are read, or refused in one sentence, quickly and in little memory."""

import gzip
import json

import numpy as np
import pytest

from contract import check_vectors
from mutants import survives
from rubrica.vectors.stored import _read_cached, _write_cached, read_vectors, save_vectors
from rubrica.vectors.word_vectors import Vectors

pytestmark = pytest.mark.usefixtures("own_heap")

WORDS = ["the", "cup", "Ωmega", "ё", "oil", "unk"]


@pytest.fixture
def made():
    return Vectors(WORDS, np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), "made")


@pytest.fixture
def readers(made, tmp_path):
    """Each format: its bytes and what reads it."""
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("v.txt", "v.bin"):
        save_vectors(made, kept / name)
    text = (kept / "v.txt").read_bytes()
    (kept / "headless.vec").write_bytes(text.partition(b"\n")[2])
    (kept / "tabs.txt").write_bytes(text.replace(b" ", b"\t"))
    (kept / "v.txt.gz").write_bytes(gzip.compress(text))
    return {path.name: (path.read_bytes(), lambda path: check_vectors(read_vectors(path))) for path in kept.iterdir()}


def model2vec(made, folder):
    """A folder of model2vec's: a table and a tokenizer."""
    from safetensors.numpy import save_file

    folder.mkdir(exist_ok=True)
    save_file({"embeddings": made.matrix}, folder / "model.safetensors")
    tokenizer = {"model": {"type": "WordPiece", "vocab": {word: place for place, word in enumerate(WORDS)}}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def folder_readers(made, tmp_path):
    """The files of a model2vec folder: the damaged file is put into a whole folder."""
    found = {}
    for name in ("model.safetensors", "tokenizer.json"):

        def read(path, name=name):
            folder = model2vec(made, tmp_path / "model2vec")
            (folder / name).write_bytes(path.read_bytes())
            check_vectors(read_vectors(folder))

        found[f"m2v-{name}"] = ((model2vec(made, tmp_path / "model2vec") / name).read_bytes(), read)
    return found


def cache_readers(made, tmp_path):
    """The files of a cache entry, which is either whole or not there."""
    entry, found = tmp_path / "entry", {}
    for name in ("matrix.f32", "words.json", "sums.json"):

        def read(path, name=name):
            _write_cached(entry, made)
            (entry / name).write_bytes(path.read_bytes())
            table = _read_cached(entry)
            if table is not None:  # what is not refused is what was written
                assert table[0] == WORDS
                assert table[1].tobytes() == made.matrix.tobytes()

        _write_cached(entry, made)
        found[f"cache-{name}"] = ((entry / name).read_bytes(), read)
    return found


@pytest.fixture
def all_readers(readers, made, tmp_path):
    return readers | folder_readers(made, tmp_path) | cache_readers(made, tmp_path)


def test_damaged_vectors(all_readers, tmp_path):
    assert 0 < survives(all_readers, tmp_path, 500, 1) < 500


@pytest.mark.slow
def test_twenty_thousand_damaged_vectors(all_readers, tmp_path):
    survives(all_readers, tmp_path, 20_000, 2)
