"""`rubrica predict --ray`: texts on any storage, answered by many workers of Ray.

    pieces -> parts -> parts with answers -> one file, or a folder that the workers write

The road is a dataset of Ray Data, https://docs.ray.io/en/latest/data/data.html. A row of it is a piece of a file, or a
part: a name, and 65,536 texts, about, with their columns as bytes of Arrow. So Ray never cuts a part, nor looks into a
column. The name of a part says where it stands, so the answers have the order of the texts although no worker waits for
another. A worker that dies is replaced, and its piece is answered once more.

Where there are enough pieces for all workers, a worker reads its pieces itself. Else, as with one large CSV file, some
processes read, and send parts to the workers.

Departure from the usual way: Rubrica's own readers read the files. Ray's would make dates of texts that look like
dates, and cut a batch in two, on which the answers of a model depend that reads padding as words.
"""

import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rubrica import __version__
from rubrica.data.addresses import name_of
from rubrica.data.pieces import Piece, cut
from rubrica.files import user_path, written_whole
from rubrica.predict.answer_file import check_suffix, is_answered, join_parts, part_size, parts_of
from rubrica.predict.classifier import Classifier
from rubrica.scale.answer_folder import answer_folder, is_complete, is_folder, store_part
from rubrica.scale.cluster import cluster, explained
from rubrica.scale.worker import Answers, Part, read_parts, result_of, send_parts

_PIECES = 4  # of a worker, at least, that reads them itself; with fewer, the last ones would keep some workers waiting
_SMALL = 1 << 20  # bytes; Ray joins smaller blocks of parts, and a larger part is a block of its own


def answer_on_ray(
    classifier: Classifier,
    source: str,
    out: str,
    run: dict[str, Any],
    *,
    workers: int | None = None,
    resume: bool = False,
    advance: Callable[[str], object] = str,
    all_classes: bool = False,
    abstain_below: float | None = None,
    **layout: Any,
) -> int | None:
    """Answer all texts of a file or a folder on Ray; returns how many texts this call answered.

    Args:
        classifier: The model; it travels to the workers, each of which opens it once.
        source: A path, or an address such as `s3://bucket/texts`; the workers must see it.
        out: A new `.jsonl` or `.parquet` file of this machine, as `answer_file` writes it. An address, or a path that
            ends in `/`, becomes a folder of such files, which the workers write.
        run: As in `answer_file`.
        workers: How many, with a processor each; None takes all processors of the cluster.
        resume: Where `out` has all these answers already, nothing is done and None is returned.
        advance: Called behind each part with how many texts are answered.
        all_classes: As in `Classifier.iter_answers`.
        abstain_below: As there.
        layout: How to read the texts, see `Layout`.

    Raises:
        RubricaError: As in `answer_file`; or if the texts or the cluster cannot be used.
    """
    options = {"all_classes": all_classes, "abstain_below": abstain_below}
    size = part_size(classifier, all_classes=all_classes)
    suffix = check_suffix(Path(name_of(out).rstrip("/")))
    pieces, stamp = cut(source, size, classifier.config.training.batch_size, layout)
    run = run | {"texts": stamp, "ray": True}
    read = partial(read_parts, out=out, layout=layout, size=size, suffix=suffix)
    answer = {"classifier": classifier, "out": out, "suffix": suffix, "options": options, "version": __version__}
    whole, count = run | {"version": __version__, "size": size}, 0
    if resume and (is_complete(out, whole) if is_folder(out) else is_answered(user_path(out), run, size)):
        return None
    with cluster(workers) as ray, explained(ray):
        if is_folder(out):
            with answer_folder(out, whole) as (target, done):
                parts = _parts(ray, pieces, read, answer | {"store": partial(store_part, target)}, done, workers)
                for _, texts, _ in parts:
                    count += texts
                    advance(f"{count:,} texts")
            return count
        place = user_path(out)
        with parts_of(place, run, size, resume=resume) as folder:
            done = {part.name for part in folder.glob(f"??????-??????{suffix}")}
            for name, texts, data in _parts(ray, pieces, read, answer | {"store": send_part}, done, workers):
                with written_whole(folder / name) as part:
                    part.write_bytes(data)
                count += texts
                advance(f"{count:,} texts")
            join_parts(sorted(folder.glob(f"??????-??????{suffix}")), place)
    return count


def _parts(
    ray: Any,
    pieces: list[Piece],
    read: Callable[..., Iterator[Part]],
    answer: dict[str, Any],
    done: set[str],
    workers: int | None,
) -> Iterator[tuple[str, int, bytes]]:
    """Yield the name of each part that is not done, how many texts it has, and its bytes, as workers finish them."""
    workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    rows = [{"number": number, "piece": pickle.dumps(piece)} for number, piece in enumerate(pieces)]
    parts = ray.data.from_items(rows, override_num_blocks=len(rows))
    parts.context.target_max_block_size = _SMALL
    parts.context.enable_progress_bars = parts.context.print_on_execution_start = False
    read = partial(read, done=done)
    if len(rows) >= _PIECES * workers:
        answer = answer | {"read": read}
    else:  # it takes no processor from the workers, which may have all of them
        readers = ray.data.TaskPoolStrategy(size=min(workers, len(rows)))
        parts = parts.map_batches(
            partial(send_parts, read=read), batch_size=1, batch_format="pyarrow", num_cpus=0, compute=readers
        )
    pool = ray.data.ActorPoolStrategy(size=workers)
    parts = parts.map_batches(
        Answers, fn_constructor_kwargs=answer, batch_size=1, batch_format="pyarrow", num_cpus=1, compute=pool
    )
    for block in parts.iter_batches(batch_size=None, batch_format="pyarrow"):
        for row in block.to_pylist():
            yield result_of(row)


def send_part(name: str, data: bytes) -> bytes:
    """A worker sends the part, and the command writes it."""
    return data
