"""Every whole number of the binary headers of a model, at the values where a width ends: an answer, or a sentence."""

import struct

import pytest

from contract import all_found, check_fasttext, check_model, check_vectors
from integers import fields_of, with_fields, with_tensor_numbers
from made_fasttext import FASTTEXT, made_fasttext
from made_models import make_bag, random_artifact, resign
from rubrica.artifact.fasttext_file import write_fasttext
from rubrica.artifact.folder import save_artifact
from rubrica.vectors.subwords import read_subwords

pytestmark = pytest.mark.usefixtures("own_heap")

LINES = ["w0 w1 goal", "", "__label__0 w2 w2 w2"]
NORMS = {"norms.ftz": {"dsub": 2, "output": True, "norms": True, "embedding_dim": 3, "loss": "hs"}}


class Walk:
    """Goes through a file of fastText's by its documented layout, and notes where its whole numbers are."""

    def __init__(self, data):
        self.data, self.place, self.fields = data, 0, []

    def take(self, layout):
        """The numbers of a layout of `struct`, whose fields are noted."""
        found = struct.unpack_from(f"<{layout}", self.data, self.place)
        fields, self.place = fields_of(layout, self.place)
        self.fields += [field for field in fields if field[1] != "d"]
        return found

    def matrix(self, *, quantised):
        norms = self.take("B")[0] if quantised else 0
        rows, width = self.take("2q")
        if not quantised:
            self.place += 4 * rows * width
            return
        (size,) = self.take("i")
        self.place += size
        self.centroids()
        if norms:
            self.place += rows
            self.centroids()

    def centroids(self):
        width = self.take("4i")[0]
        self.place += 4 * 256 * width


def fields_of_fasttext(data):
    walk = Walk(data)
    walk.take("2i12id")
    entries, _, _, _, pruned = walk.take("3i2q")
    for _ in range(entries):
        walk.place = data.index(b"\0", walk.place) + 1
        walk.take("qb")
    walk.take("i" * 2 * max(0, pruned))
    for _ in ("input", "output"):
        walk.matrix(quantised=walk.take("B")[0])
    assert walk.place == len(data)
    return walk.fields


def check_file(path):
    check_fasttext(path, LINES)
    if path.suffix == ".bin" and not path.stem.startswith("skipgram"):
        check_model(path)
    check_vectors(read_subwords(path, path.name))


def check_fields(folder, every):
    found = tried = 0
    for name, settings in (FASTTEXT | NORMS).items():
        path = folder / name
        write_fasttext(*made_fasttext(**settings), path)
        check_file(path)
        data = path.read_bytes()
        more = all_found(check_file, path, with_fields(data, fields_of_fasttext(data)), every)
        found, tried = found + more[0], tried + more[1]
    assert 0 < found < tried
    return tried


def test_some_numbers_of_a_fasttext_file(tmp_path):
    assert check_fields(tmp_path, 9) > 150


@pytest.mark.slow
def test_every_number_of_a_fasttext_file(tmp_path):
    assert check_fields(tmp_path, 1) > 1500


def check_tensors(folder, every):
    """The numbers of `model.safetensors`, its hash made right again."""

    def check(path):
        resign(path.parent)
        check_model(path.parent)

    found = tried = 0
    for name, artifact in (("bag", make_bag(2)), ("linear", random_artifact("linear", lists=True))):
        path = save_artifact(artifact, folder / name) / "model.safetensors"
        check(path)
        more = all_found(check, path, with_tensor_numbers(path.read_bytes()), every)
        found, tried = found + more[0], tried + more[1]
    assert found < tried


def test_some_numbers_of_the_tensors(tmp_path):
    check_tensors(tmp_path, 5)


@pytest.mark.slow
def test_every_number_of_the_tensors(tmp_path):
    check_tensors(tmp_path, 1)
