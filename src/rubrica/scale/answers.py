"""`rubrica predict --ray`: texts on any storage, answered by many workers of Ray.

    pieces -> read -> parts -> answer -> parts with answers -> one file, or a folder that the workers write

The road is a dataset of Ray Data, https://docs.ray.io/en/latest/data/data.html. A row of it is a part: a name, and
65,536 texts, about, with their columns as bytes of Arrow. So Ray never cuts a part, nor looks into a column. The name
of a part says where it stands, so the answers have the order of the texts although no worker waits for another. A
worker that dies is replaced, and its part is answered once more.

Departure from the usual way: Rubrica's own readers read the files. Ray's would make dates of texts that look like
dates, and cut a batch in two, on which the answers of a model depend that reads padding as words.

An error that a user can cause is a row, too: Ray would print two pages of its own stack for an exception of a worker.
"""

import io
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rubrica import __version__
from rubrica.data.pieces import Piece, cut, open_storage, read_piece
from rubrica.errors import RubricaError, require
from rubrica.files import user_path, written_whole
from rubrica.predict.answer_file import (
    check_suffix,
    chunks,
    explained_columns,
    join_parts,
    part_size,
    parts_of,
    write_part,
)
from rubrica.predict.classifier import Classifier
from rubrica.scale.answer_folder import answer_folder, is_folder, store_part
from rubrica.scale.cluster import check_version, cluster, explained

Store = Callable[[str, bytes], bytes]
"""What a worker does with the name and the bytes of a part; returns the bytes that go to the command."""
_SMALL = 1 << 20  # bytes; Ray joins smaller blocks of parts, and a larger part is a block of its own


def answer_on_ray(
    classifier: Classifier,
    source: str,
    out: str,
    run: dict[str, Any],
    *,
    workers: int | None = None,
    advance: Callable[[str], object] = str,
    all_classes: bool = False,
    abstain_below: float | None = None,
    **layout: Any,
) -> int:
    """Answer all texts of a file or a folder on Ray; returns how many texts this call answered.

    Args:
        classifier: The model; it travels to the workers, each of which opens it once.
        source: A path, or an address such as `s3://bucket/texts`; the workers must see it.
        out: A new `.jsonl` or `.parquet` file of this machine, as `answer_file` writes it. An address, or a path that
            ends in `/`, becomes a folder of such files, which the workers write.
        run: As in `answer_file`.
        workers: How many, with a processor each; None takes all processors of the cluster.
        advance: Called behind each part with how many texts are answered.
        all_classes: As in `Classifier.iter_answers`.
        abstain_below: As there.
        layout: How to read the texts, see `Layout`.

    Raises:
        RubricaError: As in `answer_file`; or if the texts or the cluster cannot be used.
    """
    options = {"all_classes": all_classes, "abstain_below": abstain_below}
    size = part_size(classifier, all_classes=all_classes)
    suffix = check_suffix(Path(out.rstrip("/")))
    storage, path = open_storage(source)
    pieces, stamp = cut(source, storage, path, size, classifier.config.training.batch_size, layout)
    run = run | {"texts": stamp, "ray": True}
    read = partial(_read, out=out, storage=storage, layout=layout, size=size, suffix=suffix)
    answer = {"classifier": classifier, "out": out, "suffix": suffix, "options": options, "version": __version__}
    count = 0
    with cluster(workers) as ray, explained(ray):
        if is_folder(out):
            with answer_folder(out, run | {"version": __version__, "size": size}) as (target, done):
                parts = _parts(ray, pieces, read, answer | {"store": partial(store_part, target)}, done, workers)
                for _, texts, _ in parts:
                    count += texts
                    advance(f"{count:,} texts")
            return count
        place = user_path(out)
        with parts_of(place, run, size) as folder:
            done = {part.name for part in folder.glob(f"??????-??????{suffix}")}
            for name, texts, data in _parts(ray, pieces, read, answer | {"store": _send}, done, workers):
                with written_whole(folder / name) as part:
                    part.write_bytes(data)
                count += texts
                advance(f"{count:,} texts")
            join_parts(sorted(folder.glob(f"??????-??????{suffix}")), place)
    return count


def _parts(
    ray: Any, pieces: list[Piece], read: Any, answer: dict[str, Any], done: set[str], workers: int | None
) -> Iterator[tuple[str, int, bytes]]:
    """Yield the name of each part that is not done, how many texts it has, and its bytes, as workers finish them."""
    workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    rows = [{"number": number} | asdict(piece) for number, piece in enumerate(pieces)]
    parts = ray.data.from_items(rows, override_num_blocks=len(rows))
    parts.context.target_max_block_size = _SMALL
    parts.context.enable_progress_bars = parts.context.print_on_execution_start = False
    # Reading waits for the storage more than it computes, and must go on while every processor has a worker.
    parts = parts.map_batches(
        partial(read, done=done),
        batch_size=1, batch_format="pyarrow", num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=min(workers, len(rows))),
    )  # fmt: skip
    parts = parts.map_batches(
        _Answers, fn_constructor_kwargs=answer,
        batch_size=1, batch_format="pyarrow", num_cpus=1, compute=ray.data.ActorPoolStrategy(size=workers),
    )  # fmt: skip
    for block in parts.iter_batches(batch_size=None, batch_format="pyarrow"):
        for row in block.to_pylist():
            if row["fault"] is not None:
                raise pickle.loads(row["fault"])
            yield row["name"], row["count"], row["data"]


def _read(
    batch: Any, *, out: str, storage: Any, layout: dict[str, Any], size: int, suffix: str, done: set[str]
) -> Iterator[Any]:
    """Read pieces; yield each part that is not done, a row of a table."""
    for row in batch.to_pylist():
        number = row.pop("number")
        try:
            with explained_columns(Path(out)):
                pieces = read_piece(Piece(**row), storage, layout)
                for part, (texts, table) in enumerate(chunks(pieces, size, keep_rows=suffix == ".parquet")):
                    name = f"{number:06d}-{part:06d}{suffix}"
                    if name not in done:
                        yield _row(name, texts=_packed_texts(texts), rows=None if table is None else _packed(table))
        except RubricaError as error:
            yield _row("", texts=None, rows=None, fault=error)


class _Answers:
    """A worker with the model; Ray wants a class, and makes one object of it in each worker."""

    def __init__(
        self, *, classifier: Classifier, out: str, suffix: str, options: dict[str, Any], version: str, store: Store
    ) -> None:
        os.environ["RUBRICA_THREADS"] = "1"  # a worker has one processor
        self._classifier, self._out, self._suffix = classifier, Path(out), suffix
        self._options, self._version, self._store = options, version, store

    def __call__(self, batch: Any) -> Any:
        """Answer the texts of a part."""
        (row,) = batch.to_pylist()
        if row["fault"] is not None:
            return _row("", data=None, count=0, fault=pickle.loads(row["fault"]))
        try:
            check_version(self._version)
            texts = _unpacked(row["texts"]).column("text").to_pylist()
            table = None if row["rows"] is None else _unpacked(row["rows"])
            file = io.BytesIO()
            with explained_columns(self._out):
                write_part(file, self._suffix, self._classifier.iter_answers(texts, **self._options), table)
            return _row(row["name"], data=self._store(row["name"], file.getvalue()), count=len(texts))
        except RubricaError as error:
            return _row("", data=None, count=0, fault=error)


def _row(name: str, *, fault: RubricaError | None = None, count: int | None = None, **data: bytes | None) -> Any:
    """A table of one row; there may be more than 2 GB of bytes in it."""
    pa = require("pyarrow", "data")
    columns = {key: pa.array([value], pa.large_binary()) for key, value in data.items()}
    columns["fault"] = pa.array([None if fault is None else pickle.dumps(fault)], pa.large_binary())
    return pa.table({"name": [name], "count": pa.array([count], pa.int64()), **columns})


def _send(name: str, data: bytes) -> bytes:
    """The command writes the part."""
    return data


def _packed_texts(texts: list[str]) -> bytes:
    pa = require("pyarrow", "data")
    return _packed(pa.table({"text": pa.array(texts, pa.large_string())}))


def _packed(table: Any) -> bytes:
    """A table as bytes of Arrow."""
    pa, ipc = require("pyarrow", "data"), require("pyarrow.ipc", "data")
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _unpacked(data: bytes) -> Any:
    return require("pyarrow.ipc", "data").open_stream(data).read_all()
