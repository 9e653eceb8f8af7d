"""Files of data made for a test: each format's bytes, and files of any size read as large ones are."""

import csv
import io
import json
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rubrica.data import dataset as data_module
from rubrica.data import files as data_files
from rubrica.data import large_files


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


@contextmanager
def everything_large():
    """Files of any size are mapped and read in tiny parts, and every text is stored."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (data_module, data_files, large_files):
            patch.setattr(module, "LARGE_BYTES", 0)
        patch.setattr(large_files, "_STRETCH_BYTES", 8)
        patch.setattr(data_files, "_BLOCK_BYTES", 40)  # so that some rows are longer than a block
        patch.setattr(data_files, "_PART_ROWS", 2)
        yield


def class_label(*names):
    features = {"label": {"names": list(names), "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
    return {"huggingface": json.dumps({"info": {"features": features}})}
