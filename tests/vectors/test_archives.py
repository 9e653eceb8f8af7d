"""Packed files of vectors: each program's, whole, cut and damaged."""

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pyarrow
import pytest

from rubrica.errors import VectorsError
from rubrica.vectors.stored import read_vectors

TEXT = b"3 2\nsun 1 2\nmoon 3 4.5\nstar -5e-1 6\n"
BINARY = b"3 2\n" + b"".join(
    word + b" " + np.array(row, "<f4").tobytes()
    for word, row in ((b"sun", [1, 2]), (b"moon", [3, 4.5]), (b"star", [-0.5, 6]))
)


def zipped(*files):
    """A zip archive of files, each a name and its content."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files:
            opened.writestr(zipfile.ZipInfo(name), content)
    return archive.getvalue()


def zstd(content):
    packed = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(packed, "zstd") as opened:
        opened.write(content)
    return packed.getvalue().to_pybytes()


PACK = {
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "zip": lambda content: zipped(("folder/", b""), ("folder/v.txt", content), ("__MACOSX/._v.txt", b"x")),
}
every_packer = pytest.mark.parametrize("packer", PACK)


def write(folder, content):
    path = folder / "vectors"  # whose name says nothing
    path.write_bytes(content)
    return path


@every_packer
@pytest.mark.parametrize("content", [TEXT, TEXT[4:], BINARY], ids=["header", "text", "binary"])
@pytest.mark.parametrize("block_bytes", [1, 8 << 20])
def test_a_packed_file_is_read(tmp_path, packer, content, block_bytes):
    vectors = read_vectors(write(tmp_path, PACK[packer](content)), block_bytes=block_bytes)
    assert vectors.words == ["sun", "moon", "star"]
    np.testing.assert_array_equal(vectors.matrix, [[1, 2], [3, 4.5], [-0.5, 6]])


@every_packer
def test_more_than_a_head_is_read(tmp_path, packer):
    lines = b"".join(b"w%d %d 0.5\n" % (i, i) for i in range(20_000))
    vectors = read_vectors(write(tmp_path, PACK[packer](lines)))
    np.testing.assert_array_equal(vectors.matrix[:, 0], np.arange(20_000))


@every_packer
@pytest.mark.parametrize("content", [TEXT, BINARY], ids=["text", "binary"])
def test_every_cut_of_a_packed_file_is_an_error(tmp_path, packer, content):
    packed = PACK[packer](content)
    for size in range(len(packed)):
        with pytest.raises(VectorsError) as caught:
            read_vectors(write(tmp_path, packed[:size]))
        # Of fewer bytes nobody can tell that they are packed.
        assert size < 10 or f"the {packer} file is cut off or damaged" in str(caught.value)


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zip"])  # a zstd file has no sum to check
def test_any_damage_of_a_packed_file_is_an_error_or_harmless(tmp_path, packer):
    whole = PACK[packer](TEXT)
    for at in range(len(whole)):
        for change in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[at] ^= change
            try:
                vectors = read_vectors(write(tmp_path, bytes(damaged)))
            except VectorsError:
                continue
            assert vectors.words == ["sun", "moon", "star"]
            np.testing.assert_array_equal(vectors.matrix, [[1, 2], [3, 4.5], [-0.5, 6]])


def test_a_packed_file_inside_a_packed_file_is_named(tmp_path):
    with pytest.raises(VectorsError, match="a bzip2 file inside an archive; unpack it once"):
        read_vectors(write(tmp_path, gzip.compress(bz2.compress(TEXT))))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("v.50d.txt", TEXT), ("v.100d.txt", TEXT)], r"a zip archive of v\.50d\.txt, v\.100d\.txt, expected one file"),
        ([(f"{i}", TEXT) for i in range(9)], r"a zip archive of 0, 1, 2, 3, 4, \.\.\., expected one file"),
        ([], "a zip archive of no files, expected one file"),
        ([("v.txt", b"")], "the file is empty"),
    ],
)
def test_a_zip_archive_without_just_one_file_is_named(tmp_path, files, message):
    with pytest.raises(VectorsError, match=message):
        read_vectors(write(tmp_path, zipped(*files)))


@pytest.mark.parametrize(
    ("place", "value", "message"), [(6, 1, "with a password"), (8, 99, "an uncommon kind .*; unpack it yourself")]
)
def test_a_zip_archive_that_python_cannot_unpack_is_named(tmp_path, place, value, message):
    archive = bytearray(zipped(("v.txt", TEXT)))
    entry = archive.index(b"PK\x01\x02")
    archive[place] = archive[entry + place + 2] = value  # of the file, and of the list of files
    with pytest.raises(VectorsError, match=message):
        read_vectors(write(tmp_path, bytes(archive)))


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"sun 1 2\n" + b"x" * (40 << 20), "line 2: a line of more than 4 MB, expected a word and its numbers"),
        (b"x" * (40 << 20), "one column"),
        (b"3 2\n" + b"\xff\x80" * (20 << 20), "word 1 of 3"),
    ],
    ids=["line", "first", "word"],
)
def test_a_line_without_an_end_is_not_unpacked_into_memory(tmp_path, packer, content, sentence):
    with pytest.raises(VectorsError, match=sentence):
        read_vectors(write(tmp_path, PACK[packer](content)), block_bytes=1 << 20)


@pytest.mark.parametrize(
    "content",
    [b"sun 1 2\n" * (10 << 20), b"9000000 2\n" + b"w \x00\x00\x80\x3f\x00\x00\x00\x40" * 9_000_000],
    ids=["text", "binary"],
)
def test_a_file_that_is_made_to_fill_the_memory_is_refused(tmp_path, content):
    path = write(tmp_path, gzip.compress(content, mtime=0))
    assert path.stat().st_size * 200 < len(content)
    with pytest.raises(VectorsError, match=r"holds more than 200 times its size, .*; if it is right, unpack it"):
        read_vectors(path)


def test_a_refused_archive_is_closed(tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.txt", "oak 1 2")
        archive.writestr("b.txt", "elm 1 2")
    with pytest.raises(VectorsError, match="expected one file") as caught:
        read_vectors(tmp_path / "two.zip")
    frames = [frame for frame in caught.traceback if "archive" in frame.locals]  # they keep it alive
    assert frames
    assert all(frame.locals["archive"].fp is None for frame in frames)
