"""Checkpoints: a run that is killed goes on from the last one, and ends with the weights it would have had.

A run is one call of `train`. It trains a few models, one after the other: the members, the same once more on all of
train, a bag to compare with. Each is a stage of the run. The stages follow from the data and the settings alone, so the
same command meets the same stages again, and each goes on from its own newest checkpoint.

    RUN.checkpoint/             beside the model folder RUN, gone once RUN is written
        checkpoint.json         what is trained here, and which checkpoints count with their sha256; written last
        01-000004/              of stage 1; the fourth checkpoint of the run
            state.json          where the training is: epoch, place in it, random states, losses
            state.safetensors   weights, the optimizer's averages

Each file is written under another name, synced and renamed; two checkpoints of the running stage are kept and one of
each earlier stage. A stage offers a checkpoint after every epoch and every few updates; one is written when `every`
seconds have passed since the last, and the next waits 20 times as long as it took to write. A stage that took less than
`every` seconds may have none: it is trained again.
"""

import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rubrica.artifact.tensor_file import map_tensors, write_tensors
from rubrica.environment import processes
from rubrica.errors import ArtifactError, ConfigError, FileError
from rubrica.files import UNFINISHED, locked, sha256_of, written_whole
from rubrica.models.storage import is_finite

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds
_FORMAT = 1
_KEPT = 2  # of the running stage
_SHARE = 20  # the next checkpoint waits this many times as long as the last one took to write
_NAME = re.compile(r"\d{2,4}-\d{6,9}")
_ASIDE = "interrupted"  # the model that Ctrl-C left, while the finished one is written
_NUMBERS, _TENSORS, _LIST = "state.json", "state.safetensors", "checkpoint.json"

Tensors = Mapping[str, NDArray[Any]]
Place = TypeVar("Place")


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A checkpoint in the list."""

    name: Annotated[str, Meta(pattern=f"^{_NAME.pattern}$")]
    sha256: dict[str, str]

    @property
    def stage(self) -> int:
        return int(self.name.partition("-")[0])


class Identity(msgspec.Struct, forbid_unknown_fields=True):
    """What is trained, in values that JSON has.

    Args:
        what: By name what the weights depend on. A training goes on where all of it is the same.
        how: By name what only their last digits depend on, such as the number of threads.
    """

    what: dict[str, Any]
    how: dict[str, Any]


class _List(msgspec.Struct, forbid_unknown_fields=True):
    """The schema of checkpoint.json."""

    format: int
    run: Identity
    checkpoints: list[_Entry]


class State(NamedTuple):
    """Where a training is.

    Args:
        place: A msgspec struct: what is not an array.
        tensors: Of the types that a tensor file has.
    """

    place: Any
    tensors: Tensors


class Saved(NamedTuple):
    """A state as it was read."""

    folder: Path
    numbers: Any
    tensors: Tensors

    def place(self, kind: type[Place]) -> Place:
        """What is not an array.

        Raises:
            ArtifactError: If the JSON does not fit the struct.
        """
        try:
            return msgspec.convert(self.numbers, kind)
        except msgspec.ValidationError as error:
            raise self.broken(str(error)) from None

    def fill(self, arrays: Tensors) -> None:
        """Copy the saved arrays into the arrays of a training.

        Raises:
            ArtifactError: If they have other names, types or shapes, or a number is not finite.
        """
        wanted, found = ({name: (a.dtype, a.shape) for name, a in each.items()} for each in (arrays, self.tensors))
        if wanted != found:
            name = min(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
            raise self.broken(f"tensor {name!r} is {found.get(name)}, expected {wanted.get(name)}")
        for name, array in arrays.items():
            if not _is_sound(self.tensors[name]):
                raise self.broken(f"tensor {name!r} holds a number that is not finite")
            np.copyto(array, self.tensors[name])

    def broken(self, problem: str) -> ArtifactError:
        """The error about this checkpoint."""
        return ArtifactError(self.folder, f"not a checkpoint of this training ({problem}); remove {self.folder.parent}")


@dataclass
class Stage:
    """One training of a run, which may go on from `saved` and is kept from time to time.

    A training without checkpoints has one too, which keeps nothing.
    """

    run: "Checkpoints | None" = None
    number: int = 0
    saved: Saved | None = None
    began: float = 0.0

    def offer(self, make: Callable[[], State], *, is_last: bool = False) -> None:
        """Keep a state if it is time to; asked between two units of work, and once more at the end."""
        if self.run is None or not self.run.writes:
            return
        now = time.monotonic()
        if now >= self.run.due or (is_last and now - self.began >= self.run.every):
            self.run.write(self.number, make)

    def take(self) -> Saved | None:
        """The state to go on from; it is let go, so that its file can be."""
        saved, self.saved = self.saved, None
        return saved


class Checkpoints:
    """The checkpoints of one run; made by `keep_checkpoints`.

    Args:
        folder: Where they are; locked by this process.
        every: Seconds between two.
        writes: Whether they are written here. Of processes that train together the first one writes, all of them read.
    """

    def __init__(self, folder: Path, every: float, *, writes: bool = True) -> None:
        self.folder, self.every, self.due, self.writes = folder, every, time.monotonic() + every, writes
        self._identify: Callable[[], Identity] | None = None
        self._noted = dict[str, Any]()
        self._run: Identity | None = None
        self._entries, self._stages = list[_Entry](), 0

    def __bool__(self) -> bool:
        """Whether there is one to go on from."""
        return bool(self._entries)

    @property
    def identified(self) -> bool:
        """Whether the run is known; its first training says what it is."""
        return self._identify is not None

    def note(self, name: str, value: Any) -> None:
        """Say more of what the weights depend on, before `identify`."""
        self._noted[name] = value

    def identify(self, identify: Callable[[], Identity]) -> None:
        """Say what is trained. The function is called at the first checkpoint, or when there is a list to go on from.

        Raises:
            ArtifactError: If the checkpoints that are here are of another training.
        """

        def whole() -> Identity:
            found = identify()
            return Identity(found.what | self._noted, found.how)

        self._identify = whole
        if not (self.folder / _LIST).exists():
            return
        listed = _read(self.folder / _LIST, _List)
        if listed.format != _FORMAT:
            raise ArtifactError(self.folder, f"format {listed.format}, expected {_FORMAT}; remove the folder")
        self._run = _as_read(whole())
        for name, before, now in _differences(listed.run.what, self._run.what):
            problem = f"the training that was begun here had other {name} ({before}, now {now})"
            raise ArtifactError(self.folder, f"{problem}; repeat it, give another --out, or remove the folder")
        for name, before, now in _differences(listed.run.how, self._run.how):
            text = "%s: begun with %s %s, goes on with %s: weights may differ in their last digits"
            log.warning(text, self.folder, name, before, now)
        self._entries = listed.checkpoints

    def stage(self, title: str) -> Stage:
        """The next training of the run."""
        number, self._stages = self._stages, self._stages + 1
        saved = None
        for entry in reversed([entry for entry in self._entries if entry.stage == number]):
            try:
                saved = self._read(entry)
            except ArtifactError as error:
                log.warning("%s; the checkpoint before it is taken", error)
                continue
            log.info("%s: goes on from %s", title, saved.folder)
            break
        return Stage(self, number, saved, time.monotonic())

    def write(self, stage: int, make: Callable[[], State]) -> None:
        """Keep a state. A disk that is full stops no training: a warning says that nothing was kept."""
        began = time.monotonic()
        try:
            self._write(stage, make())
        except (FileError, ValueError) as error:  # JSON has no number that is not finite
            log.warning("%s; the training goes on without this checkpoint", error)
        now = time.monotonic()
        self.due = now + max(self.every, _SHARE * (now - began) if self.every else 0)

    def _write(self, stage: int, state: State) -> None:
        if not all(map(_is_sound, state.tensors.values())):
            return  # the training diverges, and will say so
        if self._run is None:
            assert self._identify is not None  # the first stage begins behind it
            self._run = _as_read(self._identify())
        last = max((int(path.name.partition("-")[2]) for path in _checkpoints_in(self.folder)), default=0)
        folder = self.folder / f"{stage:02d}-{last + 1:06d}"
        with written_whole(folder, ArtifactError) as part:
            part.mkdir()
            write_tensors(state.tensors, part / _TENSORS)
            (part / _NUMBERS).write_text(json.dumps(msgspec.to_builtins(state.place), allow_nan=False))
            entry = _Entry(folder.name, {name: sha256_of(part / name) for name in (_NUMBERS, _TENSORS)})
        kept = _newest([*self._entries, entry], running=stage)
        with written_whole(self.folder / _LIST, ArtifactError) as part:
            part.write_text(json.dumps(msgspec.to_builtins(_List(_FORMAT, self._run, kept))))
        self._entries, names = kept, {entry.name for entry in kept}
        for old in _checkpoints_in(self.folder):
            if old.name not in names:
                shutil.rmtree(old, ignore_errors=True)

    def _read(self, entry: _Entry) -> Saved:
        folder = self.folder / entry.name
        try:
            for name in (_NUMBERS, _TENSORS):
                if sha256_of(folder / name) != entry.sha256.get(name):
                    raise ArtifactError(folder / name, "damaged")
            return Saved(folder, _read(folder / _NUMBERS, dict[str, Any]), map_tensors(folder / _TENSORS))
        except OSError as error:
            raise ArtifactError(folder, f"cannot be read ({error.strerror or error})") from None

    def discard(self) -> None:
        """Remove all of them: the model is saved, or the training diverged."""
        if self.writes:
            remove_checkpoints(self.folder)
        self._entries = []

    @contextmanager
    def aside(self, model: Path) -> Iterator[None]:
        """Hold a model folder among the checkpoints while another takes its place; it comes back if the block fails."""
        held = self.folder / _ASIDE
        shutil.rmtree(held, ignore_errors=True)  # of a process that was killed here
        model.rename(held)
        try:
            yield
        except BaseException:
            held.rename(model)
            raise
        shutil.rmtree(held, ignore_errors=True)


@contextmanager
def keep_checkpoints(out: Path, every: float) -> Iterator[Checkpoints]:
    """The checkpoints of a run whose model will be written to `out`, for the block; an empty folder goes with it.

    Raises:
        ArtifactError: If the folder cannot be made, or another process trains there.
        ConfigError: If `every` is no length of time.
    """
    if not every >= 0:
        raise ConfigError(f"checkpoint_every is {every}, expected a number of seconds from 0")
    folder = folder_of(out)
    if processes()[0]:
        yield Checkpoints(folder, every, writes=False)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if foreign := next((path for path in folder.iterdir() if not _is_ours(path)), None):
            raise ArtifactError(foreign, f"is no checkpoint, and {folder.name} is for these alone; give another --out")
    except OSError as error:
        raise ArtifactError(folder, f"cannot be made ({error.strerror or error}); give another --out") from None
    with locked(folder) as alone:
        if alone is False:
            raise ArtifactError(folder, "another process trains here; wait for it, or give another --out")
        try:
            yield Checkpoints(folder, every)
        finally:
            with suppress(OSError):  # there are checkpoints
                folder.rmdir()


def folder_of(out: Path) -> Path:
    """Where the checkpoints of a model folder are."""
    return out.with_name(f"{out.name}.checkpoint")


def has_checkpoints(out: Path) -> bool:
    """Whether there is a list of checkpoints for this model folder."""
    return (folder_of(out) / _LIST).is_file()


def remove_checkpoints(folder: Path) -> None:
    """Remove what `Checkpoints` writes, the list first; other files stay, and with them the folder."""
    with suppress(OSError):
        (folder / _LIST).unlink(missing_ok=True)
        for path in folder.iterdir():
            if _is_ours(path):
                shutil.rmtree(path, ignore_errors=True)
        folder.rmdir()


def _checkpoints_in(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return []


def _is_ours(path: Path) -> bool:
    return path.name in (_LIST, _ASIDE) or path.name.startswith(UNFINISHED) or bool(_NAME.fullmatch(path.name))


def _is_sound(tensor: NDArray[Any]) -> bool:
    """Whether weights and averages are finite; a loss of the past need not be."""
    return tensor.dtype == np.float64 or is_finite(tensor)


def generator_text(generator: np.random.Generator) -> str:
    """The state of a generator; its numbers have more digits than other readers of JSON take."""
    return json.dumps(generator.bit_generator.state)


def set_generator(generator: np.random.Generator, text: str, saved: Saved) -> None:
    """Put a generator into a state.

    Raises:
        ArtifactError: If it has no such state.
    """
    try:
        generator.bit_generator.state = json.loads(text)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise saved.broken(f"random state: {error}") from None


def _as_read(run: Identity) -> Identity:
    """The same as JSON gives it back, which has no tuples."""
    return msgspec.json.decode(msgspec.json.encode(run), type=Identity)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(before.keys() | now.keys()):
        if (old := before.get(name)) != (new := now.get(name)):
            yield name, old, new


def _newest(entries: list[_Entry], running: int) -> list[_Entry]:
    stages = sorted({entry.stage for entry in entries})
    of_stage = {stage: [entry for entry in entries if entry.stage == stage] for stage in stages}
    return [entry for stage in stages for entry in of_stage[stage][-(_KEPT if stage == running else 1) :]]


def _read(path: Path, kind: type[Place]) -> Place:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ArtifactError(path, f"cannot be read ({error.strerror or error})") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        problem = f"not the JSON of a checkpoint ({error}); remove {path.parent} to begin anew"
        raise ArtifactError(path, problem) from None
