"""What a file costs follows its size: limits that a broken or hostile file meets."""

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pytest

from made_files import write
from rubrica.data.dataset import read_dataset
from rubrica.data.large_files import Limits
from rubrica.errors import DataError

GOOD = b"text,label\r\nfine,a\r\n"


def zip_bytes(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", data)
    return stream.getvalue()


PACKERS = {
    ".gz": lambda data: gzip.compress(data, mtime=0), ".bz2": bz2.compress, ".xz": lzma.compress,
    ".zip": lambda data: zip_bytes(data),
    ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}  # fmt: skip


@pytest.mark.parametrize("packing", PACKERS)
def test_a_file_that_is_made_to_fill_a_disk_is_refused(tmp_path, packing):
    limits = Limits(large_bytes=1 << 16)
    data = GOOD + b"fine,a\r\n" * (1 << 20)
    path = write(tmp_path / f"a.csv{packing}", PACKERS[packing](data))
    assert path.stat().st_size * 200 < len(data)
    with pytest.raises(DataError, match="holds more than 200 times its size, as files do that are made to fill a disk"):
        read_dataset(path, limits=limits)
    assert (
        len(read_dataset(path, limits=Limits(large_bytes=1 << 16, unpacked_times=10**6)).splits["train"].texts)
        == (1 << 20) + 1
    )


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_a_line_that_does_not_fit_into_memory_is_refused(tmp_path, name):
    line = {"a.csv": b"%s,a\n", "a.jsonl": b'{"text": "%s", "label": "a"}\n', "a.txt": b"__label__a %s\n"}[name]
    limits = Limits(large_bytes=100, stretch_bytes=50, block_bytes=1 << 18, line_bytes=1 << 20)
    lines = [line % b"fine"] * 20
    head = b"text,label\n" * (name == "a.csv")
    path = write(tmp_path / name, head + b"".join([*lines, line % (b"x" * (1 << 19)), *lines]))
    assert len(read_dataset(path, limits=limits).splits["train"].texts) == 41
    write(path, head + b"".join([*lines, line % (b"x" * (1 << 21)), *lines]))
    with pytest.raises(
        DataError, match=r"a line of more than 1 MB after byte \d+; is it a file of texts, a row a line\?"
    ):
        read_dataset(path, limits=limits)


def test_a_file_of_too_many_columns_is_refused(tmp_path):
    names = ",".join(["text", "label", *(f"c{i}" for i in range(9999))])
    path = write(tmp_path / "a.csv", names + "\n" + "a," * 10_000 + "a\n")
    with pytest.raises(DataError, match="10001 columns, expected 10000 at most; pass --delimiter"):
        read_dataset(path)
    unnamed = "text,label" + "," * 9998
    write(path, unnamed + "\n" + "a," * 9999 + "a\n")
    assert read_dataset(path).splits["train"].texts[:] == ["a"]
