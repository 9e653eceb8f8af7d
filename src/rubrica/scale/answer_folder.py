"""Answers in a folder of files, on any storage; the workers write them, and a killed prediction goes on.

    OUT/_prediction.json        what the answers depend on
    OUT/000000-000000.parquet   the answers to the first 65,536 texts, about; written whole
    OUT/_SUCCESS                empty; says that the answers are complete, as Spark and Hadoop say it

Readers of folders pass over names that begin with `_`. Nobody can lock a folder of a remote storage: two commands that
write one folder at the same time write the same files.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rubrica.data.addresses import Address, name_of, place_of
from rubrica.errors import FileError, require
from rubrica.predict.answer_file import OTHERS, THERE, UNKNOWN

_RUN, _DONE = "_prediction.json", "_SUCCESS"
Target = tuple[Any, str]
"""A storage, and a folder there."""


def is_folder(out: str) -> bool:
    """Whether answers are written as a folder of files: to an address, or where a path ends in `/`."""
    return "://" in out or out.endswith("/")


def is_complete(out: str, run: dict[str, Any]) -> bool:
    """Whether all answers of a run are in a folder.

    Raises:
        FileError: If it has all answers of another, or nobody knows of which; if it cannot be read.
    """
    storage, path = _target_of(out)
    try:
        if not _exists(storage, f"{path}/{_DONE}"):
            return False
        if not _exists(storage, f"{path}/{_RUN}"):
            raise FileError(name_of(out), UNKNOWN)
        _check_run(storage, path, out, run)
    except OSError as error:
        raise _unwritable(name_of(out), error) from None
    return True


@contextmanager
def answer_folder(out: str, run: dict[str, Any]) -> Iterator[tuple[Target, set[str]]]:
    """Yield where the parts are written to and the names of the ones that are there; behind the block all are there.

    Args:
        out: A path or an address.
        run: What the answers depend on, for JSON.

    Raises:
        FileError: If the folder holds something else, or answers that depend on something else, or cannot be written.
    """
    fs = require("pyarrow.fs", "data")
    storage, path = _target_of(out)
    path = path.rstrip("/")
    try:
        found = storage.get_file_info(fs.FileSelector(path, allow_not_found=True))
        names = {info.base_name for info in found}
        if _DONE in names or (names and _RUN not in names):
            raise FileError(name_of(out), THERE)
        if not names:
            storage.create_dir(path, recursive=True)
            store_part((storage, path), _RUN, json.dumps(run).encode())
        _check_run(storage, path, out, run)
        yield (storage, path), {name for name in names if not name.startswith(("_", "."))}
        store_part((storage, path), _DONE, b"")
    except OSError as error:
        raise _unwritable(name_of(out), error) from None


def _check_run(storage: Any, path: str, out: str, run: dict[str, Any]) -> None:
    """Make sure that the answers in a folder are of this run.

    Raises:
        FileError: If they are of another.
    """
    with storage.open_input_stream(f"{path}/{_RUN}") as file:
        if file.read() != json.dumps(run).encode():
            raise FileError(name_of(out), OTHERS)


def store_part(target: Target, name: str, data: bytes) -> bytes:
    """Write a file whole; a worker that takes the place of a dead one writes it once more. Returns nothing to send.

    Raises:
        FileError: If it cannot be written.
    """
    storage, path = target
    # An object of a remote storage appears when it is closed. On a disk a file is moved to its place when it is whole.
    moves = storage.type_name == "local"
    place = f"{path}/.{name}.part" if moves else f"{path}/{name}"
    try:
        with storage.open_output_stream(place) as file:
            file.write(data)
        if moves:
            storage.move(place, f"{path}/{name}")
    except OSError as error:
        raise _unwritable(f"{path}/{name}", error) from None
    return b""


def _target_of(out: str) -> Target:
    """Where a path or an address leads.

    Raises:
        DataError: If the server cannot be asked.
        FileError: If nobody can write there.
    """
    place = place_of(out)
    if not isinstance(place, Address):
        return require("pyarrow.fs", "data").LocalFileSystem(), str(place.absolute())
    found = place.file_system()
    if found is None:
        raise FileError(place, "the web takes no files; give a path, or an address such as s3://bucket/answers.parquet")
    return found


def _unwritable(place: str, error: OSError) -> FileError:
    reason = error.strerror or str(error).partition("\n")[0]
    return FileError(place, f"cannot be written ({reason}); give another --out")


def _exists(storage: Any, path: str) -> bool:
    return storage.get_file_info(path).type == require("pyarrow.fs", "data").FileType.File
