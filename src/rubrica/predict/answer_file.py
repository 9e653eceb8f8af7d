"""The answers to a file of texts, written to a file: one for each text, in order; a killed prediction goes on.

    OUT.unfinished/         beside OUT, gone once OUT is written
        prediction.json     the model, the texts and the options
        000000.jsonl        the answers to the first 65,536 texts, about; written whole
    OUT.prediction.json     with `resume` that file stays, so a later call can tell whether OUT has its answers

A Parquet file gets a column for each field of an answer; columns of the texts' own file are kept in front of them.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rubrica import __version__
from rubrica.data.table import Table
from rubrica.errors import FileError, require
from rubrica.files import check_place, locked, sha256_of, user_path, written_whole
from rubrica.predict.classifier import Classifier

_ROWS = 1 << 16  # texts of a part; a kill loses one part at most
_SCORES = 1 << 22  # numbers of a part with all classes, about
_RUN = "prediction.json"
THERE = "is there already; give another --out, or remove it"
OTHERS = "has answers of another model, other texts, other flags or another version; remove it to begin anew"
UNKNOWN = "is there already, and nothing says what it answers; give another --out, or remove it"
Part = tuple[Sequence[str], Table | None]


def answer_file(
    classifier: Classifier,
    parts: Iterable[Part],
    out: Path | str,
    run: dict[str, Any] | None,
    *,
    resume: bool = False,
    all_classes: bool = False,
    abstain_below: float | None = None,
    advance: Callable[[str], object] = str,
) -> int | None:
    """Answer all texts and write the answers to `out`; returns how many texts this call answered.

    With `resume` it returns None where `out` has all these answers already.

    Args:
        classifier: The model.
        parts: The texts, with the rows that they stand in, if there are any.
        out: A new `.jsonl` or `.parquet` file.
        run: What the answers depend on, for JSON; parts that are there already are kept where it is the same. None
            keeps none, since nobody knows whether the texts are the same.
        resume: See above; a file beside `out` then keeps what the answers depend on.
        all_classes: As in `Classifier.iter_answers`.
        abstain_below: As there.
        advance: Called behind each part with how many texts are answered.

    Raises:
        FileError: If `out` is there, has another suffix, or cannot be written; if the columns of the texts' file do not
            fit into Parquet; if what is unfinished is of another prediction, or another process writes it; with
            `resume`, if `out` has other answers, or nobody knows which.
    """
    out, size = user_path(out), part_size(classifier, all_classes=all_classes)
    if resume and is_answered(out, run, size):
        return None
    with parts_of(out, run, size, resume=resume) as folder:
        suffix, answered, read, names = out.suffix.lower(), 0, 0, list[Path]()
        for number, (texts, table) in enumerate(chunks(parts, size, keep_rows=suffix == ".parquet")):
            names.append(folder / f"{number:06d}{suffix}")
            read += len(texts)
            if not names[-1].exists():
                lines = classifier.iter_answers(texts, all_classes=all_classes, abstain_below=abstain_below)
                with written_whole(names[-1]) as part, part.open("wb") as file:
                    write_part(file, suffix, lines, table)
                answered += len(texts)
            advance(f"{read:,} texts")
        join_parts(names, out)
    return answered


def is_answered(out: Path, run: dict[str, Any] | None, size: int) -> bool:
    """Whether `out` is there, with the answers of this run; what a kill left beside it goes then.

    Raises:
        FileError: If it is there with other answers, or nobody knows with which.
    """
    if not out.exists():
        return False
    # A kill may have come between the answers and the note.
    note = next((place for place in (_note(out), unfinished(out) / _RUN) if place.exists()), None)
    if run is None or note is None:
        raise FileError(out, UNKNOWN)
    if note.read_bytes() != _text(run, size):
        raise FileError(out, OTHERS)
    if unfinished(out).exists():
        _finish(out, keep_note=True)
    return True


@contextmanager
def parts_of(out: Path, run: dict[str, Any] | None, size: int, *, resume: bool = False) -> Iterator[Path]:
    """The folder of the parts of an answer file, for this process alone; it goes when the block has joined them.

    Args:
        out: A new `.jsonl` or `.parquet` file.
        run: As in `answer_file`.
        size: How many texts a part has.
        resume: As there.

    Raises:
        FileError: As in `answer_file`.
    """
    check_suffix(out)
    if out.exists():
        raise FileError(out, THERE)
    check_place(out)
    folder = unfinished(out)
    folder.mkdir(exist_ok=True)
    with locked(folder) as alone, explained_columns(out):
        if alone is False:
            raise FileError(folder, "another process writes these answers; wait for it, or give another --out")
        _note(out).unlink(missing_ok=True)  # of answers that were removed
        _begin(folder, None if run is None else _text(run, size))
        yield folder
        _finish(out, keep_note=resume and run is not None)


def check_suffix(out: Path) -> str:
    """The suffix of an answer file, in lower case.

    Raises:
        FileError: If answers are not written as such a file.
    """
    suffix = out.suffix.lower()
    if suffix not in (".jsonl", ".parquet"):
        raise FileError(out, f"answers are written as .jsonl or .parquet, not {suffix or 'without a suffix'}")
    return suffix


def part_size(classifier: Classifier, *, all_classes: bool) -> int:
    """How many texts are a part: whole batches of the model."""
    rows = _SCORES // classifier.task.num_classes if all_classes else _ROWS
    return classifier.whole_batches(max(1, min(_ROWS, rows)))


def unfinished(out: Path) -> Path:
    """Where the parts of an answer file are while it is not complete."""
    return out.with_name(f"{out.name}.unfinished")


def has_parts(folder: Path) -> bool:
    """Whether there are answers in a folder of parts."""
    return any(folder.glob("[0-9]*"))


def _note(out: Path) -> Path:
    """What answers depend on that are complete."""
    return out.with_name(f"{out.name}.{_RUN}")


def _text(run: dict[str, Any], size: int) -> bytes:
    return json.dumps(run | {"version": __version__, "size": size}).encode()


def _finish(out: Path, *, keep_note: bool) -> None:
    """Remove the parts, whose answers are in `out`."""
    if keep_note and (unfinished(out) / _RUN).exists():
        (unfinished(out) / _RUN).replace(_note(out))
    shutil.rmtree(unfinished(out), ignore_errors=True)


def stamp(path: Path | str) -> Any:
    """Identifies a model folder by the hash of its manifest, and a file by its size and time."""
    path = user_path(path)
    if (path / "manifest.json").is_file():
        return sha256_of(path / "manifest.json")
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _begin(folder: Path, run: bytes | None) -> None:
    """Make sure that the parts in the folder are of this prediction; parts that nobody can tell are removed.

    Raises:
        FileError: If they are of another.
    """
    kept, text = folder / _RUN, b"null" if run is None else run
    before = kept.read_bytes() if kept.exists() else text
    if before != text and has_parts(folder):
        raise FileError(folder, OTHERS)
    if run is None:
        for part in folder.glob("??????.*"):
            part.unlink()
    with written_whole(kept) as part:
        part.write_bytes(text)


def chunks(parts: Iterable[Part], size: int, *, keep_rows: bool) -> Iterator[tuple[list[str], Any]]:
    """Yield `size` texts at a time, with their rows as a pyarrow table where they are asked for and there."""
    texts, tables = list[str](), list[Any]()
    for more, table in parts:
        texts += more
        if keep_rows and table is not None:
            tables.append(require("pyarrow", "data").table(table.columns))
        while len(texts) >= size:
            yield texts[:size], _take(tables, size)
            del texts[:size]
    if texts:
        yield texts, _take(tables, size)


def _take(tables: list[Any], size: int) -> Any:
    """The first rows of the tables, which lose them."""
    if not tables:
        return None
    joined = require("pyarrow", "data").concat_tables(tables, promote_options="permissive")
    tables[:] = [joined.slice(size)]
    return joined.slice(0, size)


def write_part(file: IO[bytes], suffix: str, lines: Iterable[str], table: Any) -> None:
    """Write the answers to some texts, and the rows that the texts stand in."""
    if suffix == ".jsonl":
        file.writelines(f"{some}\n".encode() for some in lines)
        return
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    answers = [json.loads(line) for some in lines for line in some.split("\n")]
    scores = pa.map_(pa.string(), pa.float64())
    kinds = {"label": pa.string(), "labels": pa.list_(pa.string()), "score": pa.float64(), "scores": scores}
    columns = {} if table is None else dict(zip(table.column_names, table.columns, strict=True))
    for name in answers[0]:
        values = [list(found.items()) if isinstance(found := answer[name], dict) else found for answer in answers]
        columns[_free(name, columns)] = pa.array(values, kinds[name])
    parquet.write_table(pa.table(columns), file)


def _free(name: str, taken: Iterable[str]) -> str:
    """A name for a column of the answers that the file does not have yet."""
    while name in taken:
        name = f"predicted_{name}"
    return name


def join_parts(parts: Sequence[Path], out: Path) -> None:
    """Write all parts into one file."""
    if out.suffix.lower() == ".jsonl":
        with written_whole(out) as whole, whole.open("wb") as file:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, file)
        return
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    schemas = [parquet.read_schema(part) for part in parts] or [pa.schema([])]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    with written_whole(out) as whole, parquet.ParquetWriter(whole, schema) as file:
        for part in parts:
            file.write_table(parquet.read_table(part).cast(schema))


@contextmanager
def explained_columns(out: Path) -> Iterator[None]:
    """Turn what pyarrow says of columns into a sentence."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:  # pyarrow's errors are some of these
        if not type(error).__module__.startswith("pyarrow"):
            raise
        reason = str(error).partition("\n")[0]
        raise FileError(out, f"a column does not fit into Parquet ({reason}); write the answers as .jsonl") from None
