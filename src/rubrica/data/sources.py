"""Where a data set lies: a file, a folder with a file a split, here or on a server; the hub; `mini-news`; objects."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from rubrica.data.addresses import Address, Place, place_of
from rubrica.data.files import FORMATS, file_suffix, read_parts
from rubrica.data.large_files import Limits
from rubrica.data.layout import Layout
from rubrica.data.table import Table, arrow_parts, tables_of
from rubrica.errors import DataError
from rubrica.progress import Show, silent

SPLITS = ("train", "validation", "test")
MINI_NEWS = "mini-news"

_SPLIT_NAMES = {"valid": "validation", "val": "validation", "dev": "validation"} | {name: name for name in SPLITS}
_SHARD = re.compile(r"(?P<split>[a-z]+)(-\d+-of-(?P<count>\d+)(-[0-9a-f]+)?)?")
_LOST_SLASH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]")
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(:[\w.-]+)?")


def find_splits(source: Any, layout: Layout, limits: Limits, show: Show = silent) -> dict[str, Iterator[Table]]:
    """The splits of a data set by name, at least one, in the order of `SPLITS`: the tables of each, at least one.

    Raises:
        DataError: If nothing is there, or a folder or hub data set has no train split and not exactly one other.
        MissingExtraError: If `datasets` is not installed, for a hub id.
        TypeError: If an object is no table.
    """
    if not isinstance(source, str | Path):
        return _objects(source, limits)
    name, path = str(source), place_of(source)
    if isinstance(path, Address):
        return _splits_in(path, layout, limits, show)
    try:
        if path.exists():
            return _splits_in(path, layout, limits, show)
    except OSError as error:
        raise DataError(name, f"cannot be read ({error.strerror or error}); check who may read it") from None
    pathlike = isinstance(source, Path) or not _HUB_ID.fullmatch(name) or file_suffix(path) in FORMATS
    if pathlike or ("/" not in name and path.suffix):
        # A `Path` of an address has lost a slash.
        advice = "pass an address as a string" if _LOST_SLASH.match(name) else "check the spelling"
        raise DataError(name, f"no such file or folder (looked from {Path.cwd()}); {advice}")
    return _mini_news() if name == MINI_NEWS else _hub_splits(name, limits)


def _objects(source: Any, limits: Limits) -> dict[str, Iterator[Table]]:
    """The splits of a mapping of them, such as a `DatasetDict`; any other table is train."""
    if not isinstance(source, Mapping) or ("train" not in source and not _SPLIT_NAMES.keys() & source.keys()):
        return {"train": tables_of(source, limits)}
    named = _by_split("the given data", source)
    return {split: tables_of(named[split], limits) for split in SPLITS if split in named}


def _by_split(place: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a data set by the names that splits have here; others stay as they are called.

    Raises:
        DataError: If two parts are one split.
    """
    named: dict[str, Any] = {}
    for name, part in parts.items():
        split = _SPLIT_NAMES.get(name, name)
        if split in named:
            raise DataError(place, f"two parts are the {split} split ({', '.join(parts)}); leave one out")
        named[split] = part
    return named


def _splits_in(path: Place, layout: Layout, limits: Limits, show: Show) -> dict[str, Iterator[Table]]:
    files = files_of(path)
    read = partial(read_parts, layout=layout, limits=limits, show=show)
    return {split: chain.from_iterable(map(read, files[split])) for split in SPLITS if split in files}


def files_of(path: Place) -> dict[str, list[Place]]:
    """The files of each split of a file or folder; several are the shards of one split, in order.

    Raises:
        DataError: If a folder has no train split and not exactly one other.
    """
    files = _split_files(path) if path.is_dir() else {"train": [path]}
    if not files:  # `hf download` keeps the files of a data set one folder deeper
        folders = [folder for folder in _by_name(path) if folder.is_dir()]
        inside = {folder.name: found for folder in folders if (found := _split_files(folder))}
        if len(inside) > 1:
            raise DataError(path, f"several folders hold data ({', '.join(inside)}); pass one of them")
        files = next(iter(inside.values()), {})
    if "train" not in files and len(files) != 1:
        present = ", ".join(f"{split}.*" for split in files) or "neither"
        formats = " ".join(FORMATS)
        raise DataError(path, f"found {present}, expected train.* and test.* in one of the formats {formats}")
    return files


def _split_files(folder: Place) -> dict[str, list[Place]]:
    """The files of each split: one, or all its shards."""
    files: dict[str, list[Place]] = {}
    shards: dict[str, set[str | None]] = {}
    for file in _by_name(folder):
        match = _SHARD.fullmatch(file.name.lower().partition(".")[0])
        split = _SPLIT_NAMES.get(match["split"]) if match else None
        if match and split and file_suffix(file) in FORMATS and file.is_file():
            files.setdefault(split, []).append(file)
            shards.setdefault(split, set()).add(match["count"])
    for split, found in files.items():
        count, *others = shards[split]
        if others or (count is None and len(found) > 1):
            names = ", ".join(file.name for file in found)
            raise DataError(folder, f"several files for the {split} split ({names}); keep one")
        if count is not None and int(count) != len(found):
            raise DataError(folder, f"{len(found)} of {int(count)} shards of {split}; download the others")
    return files


def _by_name(folder: Place) -> list[Place]:
    return sorted(folder.iterdir(), key=lambda inside: inside.name)


def _hub_splits(name: str, limits: Limits) -> dict[str, Iterator[Table]]:
    from rubrica.data.hub import read_hub  # late: a file needs no network

    found = _by_split(name, {split: table for split, table in read_hub(name).items() if table.num_rows})
    present = [split for split in SPLITS if split in found]
    if "train" not in found and len(present) != 1:
        names = f"splits {', '.join(found)}" if found else "no split with rows"
        raise DataError(name, f"found {names}, expected train and test")
    return {split: arrow_parts(name, found[split], limits) for split in present}


def _mini_news() -> dict[str, Iterator[Table]]:
    from rubrica.data.mini_news import TOPICS, build_mini_news  # late: a file needs no stories

    names = {"label": list(TOPICS)}  # not in alphabetical order
    return {
        split: iter([Table(MINI_NEWS, {"text": texts, "label": list(map(TOPICS.index, labels))}, names)])
        for split, (texts, labels) in build_mini_news().items()
    }
