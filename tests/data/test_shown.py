"""While a large file is read, its reader tells how far it is."""

import gzip
import json
from dataclasses import replace

import pytest

from made_files import TINY, csv_bytes, jsonl_bytes, parquet_bytes, write
from rubrica.data import json_files
from rubrica.data.files import read_parts
from rubrica.data.layout import Layout

ROWS = [(f"a text {i}", "ab"[i % 2]) for i in range(300)]
CSV = csv_bytes(ROWS)
FILES = {
    "a.csv": CSV,
    "a.tsv": csv_bytes(ROWS, delimiter="\t"),
    "a.jsonl": jsonl_bytes(ROWS),
    "array.json": json.dumps([{"text": text, "label": label} for text, label in ROWS]).encode(),
    "a.parquet": parquet_bytes({"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}),
    "a.txt": "".join(f"__label__{label} {text}\n" for text, label in ROWS).encode(),
}


def told(path, limits):
    """What `show` was told, by title, while all rows were read."""
    found = {}
    rows = 0
    for table in read_parts(path, Layout(), limits, lambda title, *bytes: found.setdefault(title, []).append(bytes)):
        rows += len(next(iter(table.columns.values())))
    assert rows == len(ROWS)
    return found


@pytest.mark.parametrize("name", FILES)
def test_the_bytes_of_a_file_are_told_up_to_the_last(name, tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "_AT_A_TIME", 20)
    path = write(tmp_path / name, FILES[name])
    limits = replace(TINY, stretch_bytes=1000, block_bytes=1000, part_rows=50)
    found = told(path, limits)[f"reading {path}"]
    sizes = {size for _, size in found}
    done = [done for done, _ in found]
    assert sizes == {path.stat().st_size}
    assert done == sorted(done)
    assert len(done) > 3
    assert done[-1] >= path.stat().st_size - 3


def test_what_is_unpacked_is_told_in_bytes_of_the_packed_file(tmp_path):
    path = write(tmp_path / "a.csv.gz", gzip.compress(CSV * 1))
    found = told(path, TINY)
    assert set(found) == {f"unpacking {path}", f"reading {path}"}
    assert found[f"unpacking {path}"][-1] == (path.stat().st_size, path.stat().st_size)
