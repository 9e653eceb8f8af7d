"""Files of data, damaged: they are read, or refused in one sentence, quickly and in little memory."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from functools import partial

import pyarrow as pa
import pytest

from contract import all_found, check_rows
from integers import with_gzip_numbers, with_zip_numbers
from made_files import TINY, csv_bytes, jsonl_bytes, parquet_bytes
from mutants import survives
from rubrica.data.large_files import USUAL

pytestmark = pytest.mark.usefixtures("own_heap")

ROWS = [("a fine film", "good"), ('two "lost" hours,\nall lost', "bad"), ("фильм", "good"), ("", "bad")] * 3


def zipped(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("news.csv", data)
    return stream.getvalue()


COLUMNS = {name: [row[place] for row in ROWS] for place, name in enumerate(("text", "label"))}
FILES = {
    "news.csv": csv_bytes(ROWS),
    "news.tsv": csv_bytes(ROWS, "\t"),
    "semicolons.csv": "sep=;\r\ntext;label\r\na;b\r\nc;d\r\n".encode("utf-16"),
    "news.jsonl": jsonl_bytes(ROWS),
    "array.json": json.dumps([{"text": text, "label": [label]} for text, label in ROWS]).encode(),
    "columns.json": json.dumps(COLUMNS).encode(),
    "news.parquet": parquet_bytes(COLUMNS),
    "news.txt": b"__label__good a fine film\n\n__label__bad __label__long two hours\n" * 3,
    "news.csv.gz": gzip.compress(csv_bytes(ROWS)),
    "news.csv.bz2": bz2.compress(csv_bytes(ROWS)),
    "news.csv.xz": lzma.compress(csv_bytes(ROWS)),
    "news.csv.zst": pa.compress(csv_bytes(ROWS), "zstd", asbytes=True),
    "news.csv.zip": zipped(csv_bytes(ROWS)),
}


WAYS = {"small": {"limits": USUAL}, "large": {"limits": TINY}, "skip": {"limits": USUAL, "on_bad_row": "skip"}}


@pytest.fixture(params=WAYS)
def readers(request):
    return {name: (content, partial(check_rows, **WAYS[request.param])) for name, content in FILES.items()}


def test_damaged_files(readers, tmp_path):
    assert 0 < survives(readers, tmp_path, 400, 1) < 400


@pytest.mark.parametrize(("name", "variants"), [("news.csv.gz", with_gzip_numbers), ("news.csv.zip", with_zip_numbers)])
def test_every_number_of_a_packed_file(tmp_path, name, variants):
    (tmp_path / name).write_bytes(FILES[name])
    check_rows(tmp_path / name)  # imports what is imported late
    found, tried = all_found(check_rows, tmp_path / name, variants(FILES[name]))
    assert 0 < found < tried


@pytest.mark.slow
def test_forty_thousand_damaged_files(readers, tmp_path):
    survives(readers, tmp_path, 13_500, 2)
