"""Files of data made for a test: the bytes of each format, and limits that make every file a large one."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rubrica.data.large_files import USUAL, Limits


def csv_bytes(rows, delimiter=",", header=("text", "label"), **options):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, **options).writerows([header, *rows])
    return stream.getvalue().encode()


def jsonl_bytes(rows):
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows).encode()


def parquet_bytes(columns, metadata=None):
    stream = io.BytesIO()
    table = pa.table(columns) if isinstance(columns, dict) else columns
    pq.write_table(table.replace_schema_metadata(metadata), stream)
    return stream.getvalue()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def rows_of(examples):
    return list(zip(examples.texts, examples.labels, strict=True))


def write_splits(folder, dataset):
    """A folder that is read as this data set."""
    for split, examples in dataset.splits.items():
        write(folder / f"{split}.jsonl", jsonl_bytes(rows_of(examples)))
    return folder


# Files of any size are mapped and read in tiny parts, some rows are longer than a block, and every text is stored.
TINY = Limits(large_bytes=0, stretch_bytes=8, block_bytes=40, part_rows=2)

each_size = pytest.mark.parametrize("limits", [USUAL, TINY], ids=["small", "large"])
"""Both ways of reading a file: all of it, and in parts."""


def class_label(*names):
    features = {"label": {"names": list(names), "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
    return {"huggingface": json.dumps({"info": {"features": features}})}
