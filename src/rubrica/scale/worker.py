"""What a worker of `rubrica predict --ray` does: it reads pieces, answers parts, and stores them.

A part is a name, 65,536 texts, about, and the rows that they stand in. On its way from one process to another it is a
row of a table, with bytes of Arrow in it. An error that a user can cause is such a row, too: Ray would print two pages
of its own stack for an exception of a worker.
"""

import io
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rubrica.data.pieces import read_piece
from rubrica.errors import RubricaError, require
from rubrica.predict.answer_file import chunks, explained_columns, write_part
from rubrica.predict.classifier import Classifier
from rubrica.scale.cluster import check_version

Part = tuple[str, list[str], Any]
"""A name, texts, and the rows that they stand in as a table of pyarrow, or None."""
Read = Callable[[dict[str, Any]], Iterator[Part]]
"""Reads the piece that a row of a dataset is."""
Store = Callable[[str, bytes], bytes]
"""What a worker does with the name and the bytes of a part; returns the bytes that go to the command."""


def read_parts(
    row: dict[str, Any],
    *,
    out: str,
    layout: dict[str, Any],
    size: int,
    suffix: str,
    done: set[str],
) -> Iterator[Part]:
    """Read a piece; yield the parts that are not done."""
    number, piece = row["number"], pickle.loads(row["piece"])
    with explained_columns(Path(out)):
        texts_and_rows = read_piece(piece, layout)
        for part, (texts, table) in enumerate(chunks(texts_and_rows, size, keep_rows=suffix == ".parquet")):
            name = f"{number:06d}-{part:06d}{suffix}"
            if name not in done:
                yield name, texts, table


def send_parts(batch: Any, read: Read) -> Iterator[Any]:
    """Read pieces for the workers."""
    pa = require("pyarrow", "data")
    for row in batch.to_pylist():
        try:
            for name, texts, table in read(row):
                column = pa.table({"text": pa.array(texts, pa.large_string())})
                yield _row(name, texts=_packed(column), rows=None if table is None else _packed(table))
        except RubricaError as error:
            yield _row("", texts=None, rows=None, fault=error)


class Answers:
    """A worker with the model; Ray wants a class, and makes one object of it in each worker.

    Args:
        classifier: The model.
        out: Where the answers go, for messages.
        suffix: What the answers are written as.
        options: Of `Classifier.iter_answers`.
        version: Of the command's Rubrica.
        store: See `Store`.
        read: How to read a piece; without it, parts come.
    """

    def __init__(
        self,
        *,
        classifier: Classifier,
        out: str,
        suffix: str,
        options: dict[str, Any],
        version: str,
        store: Store,
        read: Read | None = None,
    ) -> None:
        os.environ["RUBRICA_THREADS"] = "1"  # a worker has one processor
        self._classifier, self._out, self._suffix = classifier, Path(out), suffix
        self._options, self._version, self._store, self._read = options, version, store, read

    def __call__(self, batch: Any) -> Iterator[Any]:
        """Answer the texts of pieces or parts."""
        for row in batch.to_pylist():
            try:
                check_version(self._version)
                for name, texts, table in _received(row) if self._read is None else self._read(row):
                    yield _row(name, data=self._store(name, self._answered(texts, table)), count=len(texts))
            except RubricaError as error:
                yield _row("", data=None, count=0, fault=error)

    def _answered(self, texts: list[str], table: Any) -> bytes:
        file = io.BytesIO()
        with explained_columns(self._out):
            write_part(file, self._suffix, self._classifier.iter_answers(texts, **self._options), table)
        return file.getvalue()


def _received(row: dict[str, Any]) -> Iterator[Part]:
    """The part that a reader sent, or the error."""
    if row["fault"] is not None:
        raise pickle.loads(row["fault"])
    table = None if row["rows"] is None else _unpacked(row["rows"])
    yield row["name"], _unpacked(row["texts"]).column("text").to_pylist(), table


def _row(name: str, *, fault: RubricaError | None = None, count: int | None = None, **data: bytes | None) -> Any:
    """A table of one row; there may be more than 2 GB of bytes in it."""
    pa = require("pyarrow", "data")
    columns = {key: pa.array([value], pa.large_binary()) for key, value in data.items()}
    columns["fault"] = pa.array([None if fault is None else pickle.dumps(fault)], pa.large_binary())
    return pa.table({"name": [name], "count": pa.array([count], pa.int64()), **columns})


def _packed(table: Any) -> bytes:
    """A table as bytes of Arrow."""
    pa, ipc = require("pyarrow", "data"), require("pyarrow.ipc", "data")
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _unpacked(data: bytes) -> Any:
    return require("pyarrow.ipc", "data").open_stream(data).read_all()


def result_of(row: dict[str, Any]) -> tuple[str, int, bytes]:
    """The name of a part, how many texts it has, and its bytes, of a row that a worker made.

    Raises:
        RubricaError: What the worker found wrong.
    """
    if row["fault"] is not None:
        raise pickle.loads(row["fault"])
    return row["name"], row["count"], row["data"]
