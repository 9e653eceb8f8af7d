"""Every whole number in the headers of vectors, at the values where a width ends: the right vectors, or a sentence."""

import gzip
import io
import json
import zipfile

import numpy as np
import pytest

from contract import all_found, check_vectors
from integers import STRANGE, with_gzip_numbers, with_numbers, with_tensor_numbers, with_zip_numbers
from rubrica.vectors.stored import _read_cached, _write_cached, read_vectors, save_vectors
from rubrica.vectors.word_vectors import Vectors

pytestmark = pytest.mark.usefixtures("own_heap")

WORDS = ["the", "cup", "Ωmega"]


@pytest.fixture
def made():
    return Vectors(WORDS, np.array([[1, 2], [-0.5, 1e-9], [0, 3]], np.float32), "made")


def with_header(data):
    """The line `V E` with each number at each strange value."""
    header, _, rest = data.partition(b"\n")
    for place in (0, 1):
        for value in STRANGE:
            numbers = header.decode().split(" ")
            numbers[place] = str(value)
            changed = " ".join(numbers)
            yield changed, changed.encode() + b"\n" + rest


def zipped(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("v.txt"), data)
    return stream.getvalue()


def check_as_made(made, path):
    """A file holds the first of the made words with their vectors, or it is refused."""
    found = read_vectors(path)
    check_vectors(found)
    assert found.words == WORDS[: len(found.words)]
    np.testing.assert_array_equal(found.matrix, made.matrix[: len(found.words)])


def check_files(made, folder, every):
    found = tried = 0
    for name in ("v.txt", "v.bin"):
        save_vectors(made, folder / name)
    text, binary = ((folder / name).read_bytes() for name in ("v.txt", "v.bin"))
    packed = {"v.txt.gz": gzip.compress(text, mtime=0), "v.txt.zip": zipped(text)}
    for name, with_sizes in (("v.txt.gz", with_gzip_numbers), ("v.txt.zip", with_zip_numbers)):
        (folder / name).write_bytes(packed[name])
        check_as_made(made, folder / name)  # imports what is imported late
        more = all_found(lambda path: check_as_made(made, path), folder / name, with_sizes(packed[name]), every)
        found, tried = found + more[0], tried + more[1]
    for name, data in (("v.txt", text), ("v.bin", binary)):
        more = all_found(lambda path: check_vectors(read_vectors(path)), folder / name, with_header(data), every)
        found, tried = found + more[0], tried + more[1]
    assert 0 < found < tried


def check_folder(made, folder, every):
    """The files of a model2vec folder."""
    from safetensors.numpy import save_file

    save_file({"embeddings": made.matrix, "mapping": np.array([2, 1, 0])}, folder / "model.safetensors")
    tokenizer = {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 2, "content": "c"}]}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    check_vectors(read_vectors(folder))
    for name, variants in (("model.safetensors", with_tensor_numbers), ("tokenizer.json", with_numbers)):
        whole = (folder / name).read_bytes()
        found, tried = all_found(
            lambda path: check_vectors(read_vectors(path.parent)), folder / name, variants(whole), every
        )
        (folder / name).write_bytes(whole)
        assert found < tried


def check_cache(made, folder, every):
    """The sums of a cache entry: it is what was written, or it is not there."""

    def check(path):
        table = _read_cached(path.parent)
        if table is not None:
            assert table[0] == WORDS
            assert table[1].tobytes() == made.matrix.tobytes()

    _write_cached(folder, made)
    assert _read_cached(folder) is not None
    all_found(check, folder / "sums.json", with_numbers((folder / "sums.json").read_bytes()), every)


def check_all(made, folder, every):
    for check in (check_files, check_folder, check_cache):
        place = folder / check.__name__
        place.mkdir()
        check(made, place, every)


def test_some_numbers_of_vectors(made, tmp_path):
    check_all(made, tmp_path, 4)


@pytest.mark.slow
def test_every_number_of_vectors(made, tmp_path):
    check_all(made, tmp_path, 1)
