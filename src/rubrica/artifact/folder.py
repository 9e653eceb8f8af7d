"""The deployable folder: what a trained model is on disk.

    model.safetensors   the weights, named as in the torch model; float32, or in fewer bytes (see `models/storage.py`)
    config.json         classes, settings, everything that prediction needs
    vocab.txt           one word a line; the line number, from 0, is the id
    metrics.json        the scores it was saved with
    metrics.jsonl       how its training went: one line per 50 updates, one per validation
    README.md           a model card
    manifest.json       sha256 of each file above

The folder holds tensors and text only: no pickle, no names of types or code. An unknown key is an error. A folder is
written whole or not at all, and nothing in it is trusted before its sha256 is checked. The weights are mapped, not
read: leave a folder alone while its model is in use.

Format 1 had no `storage`, formats 1 and 2 had no `thresholds`, formats 1 to 3 had one flat table of settings for all
families, see `models/older.py`.

Letters: V words, C classes, F features of a linear model.
"""

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.card import model_card
from rubrica.artifact.tensor_file import map_tensors, write_tensors
from rubrica.config.groups import Storage
from rubrica.config.schema import describe
from rubrica.errors import ArtifactError, ConfigError, RubricaError, nearest
from rubrica.files import check_place, sha256_of, user_path, written_whole
from rubrica.models.config import SECTIONS, Config, make_config
from rubrica.models.family import Facts, Shapes, Sizes
from rubrica.models.older import FORMAT, upgrade
from rubrica.models.storage import STORAGES, TABLES, from_bfloat16, is_finite, stored_layout, take_rows, to_bfloat16
from rubrica.scoring.task import Task
from rubrica.scoring.tasks import read_task
from rubrica.text.vocab import Vocab

FILES = ("model.safetensors", "config.json", "vocab.txt", "metrics.json", "metrics.jsonl", "README.md")
_LATER_KEYS: dict[int, dict[str, Any]] = {2: {"storage": "float32"}, 3: {"thresholds": None}}
"""The keys that each format added, and what older folders mean: their weights are float32, a text has one label."""
_BYTES = {"int64": 8, "float32": 4, "uint32": 4, "int32": 4, "bfloat16": 2, "int8": 1, "uint8": 1}

Content = TypeVar("Content")


class _ConfigFile(msgspec.Struct, kw_only=True):
    """The schema of config.json."""

    rubrica_format: int
    problem_type: str
    id2label: dict[str, str]
    label2id: dict[str, int]
    unknown_id: int
    vectors: str | None
    storage: Storage
    thresholds: list[float] | None
    data: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]
    beside: dict[str, Any] = {}
    sure: Annotated[float, msgspec.Meta(ge=0)] | None = None


class _ClassScore(msgspec.Struct):
    """What is read of the figures of a class in metrics.json."""

    label: str
    precision: float
    recall: float
    f1: float
    texts: int


class _Scores(msgspec.Struct):
    """What is read of the scores of a split in metrics.json."""

    texts: int
    per_class: list[_ClassScore] = []
    accuracy: float = 0.0
    micro_f1: float = 0.0
    macro_f1: float = 0.0
    subset_accuracy: float = 0.0
    mean_absolute_error: float = 0.0
    root_mean_squared_error: float = 0.0
    r2: float | None = None
    correlation: float | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model in memory, free of torch.

    Args:
        task: The C class names, and whether a text has one of them.
        vocab: The V words.
        tensors: The weights by name: float32; only the tables are as stored (`take_rows` reads them).
        metrics: The scores, for `metrics.json` and the model card.
        history: Lines for `metrics.jsonl`.
        vectors: Where the word vectors came from, for the card.
        storage: What the tables are rounded to.
        sure: Where the linear model's best label is this far above its second, `predict` does not ask the network
            beside it; None where it always does.
    """

    config: Config
    task: Task
    vocab: Vocab
    tensors: dict[str, NDArray[Any]]
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    vectors: str | None = None
    storage: Storage = "float32"
    sure: float | None = None

    @property
    def num_words(self) -> int:
        """Words that have a vector; 0 of a linear model, which looks no word up."""
        return len(self.vocab.words) if "embedding.weight" in self.tensors else 0

    @property
    def num_features(self) -> int:
        """Features of a linear model, alone or beside a network; 0 without one."""
        return int(np.size(self.tensors.get("linear.keys", ())))

    @property
    def shapes(self) -> Shapes:
        """Name and shape of every tensor, before tables are stored in fewer bytes."""
        features = max(1, self.num_features)  # a linear model without any has one that no text holds
        return self.config.shapes(Sizes(len(self.vocab.words), self.task.num_classes, self.task.num_machines, features))

    def facts(self) -> dict[str, Any]:
        """What `rubrica info` shows, ready for JSON."""
        shapes = self.shapes
        layout = stored_layout(shapes, self.storage).values()
        config = self.config.to_dict()
        if self.config.model.reads_raw:  # fastText's file says nothing of a training of ours
            config = {"model": config["model"]}
        return {
            "model": self.config.title,
            "problem_type": self.task.problem_type,
            "labels": list(self.task.labels),
            "thresholds": self.task.thresholds,
            "words": self.num_words,
            "features": self.num_features,
            "vectors": self.vectors,
            "parameters": sum(map(math.prod, shapes.values())),
            "storage": self.storage,
            "sure": self.sure,
            "model_bytes": sum(_BYTES[dtype] * math.prod(shape) for dtype, shape in layout),
            "metrics": self.metrics,
            "config": config,
        }


def check_writable(folder: Path | str) -> Path:
    """Make sure that a new artifact can be written here, before any work is done for it.

    Raises:
        ArtifactError: If the folder holds something already, or cannot be made.
    """
    folder = user_path(folder)
    check_place(folder, ArtifactError)
    if folder.is_file():
        raise ArtifactError(folder, "the output folder is a file; give a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise ArtifactError(folder, "the output folder is not empty; give a new one, or remove it")
    return folder


def save_artifact(artifact: Artifact, folder: Path | str) -> Path:
    """Write the folder under another name and move it into place when it is complete.

    Raises:
        ArtifactError: If the folder is not empty or cannot be written.
    """
    folder = check_writable(folder)
    with written_whole(folder, ArtifactError) as part:
        write_files(artifact, part)
    return folder


def write_files(artifact: Artifact, folder: Path) -> None:
    """Write the files of a model into a new folder, one after the other; `save_artifact` writes them whole.

    Raises:
        OSError: If a file cannot be written.
        RubricaError: If a score is not finite.
    """
    config, words = artifact.config, artifact.vocab.words
    facts = Facts(len(words), artifact.num_features, artifact.vectors, config.data.max_length, config.training.epochs)
    folder.mkdir()
    narrow = artifact.storage != "float32"
    tensors = {
        name: to_bfloat16(tensor) if narrow and tensor.dtype == np.float32 else tensor
        for name, tensor in artifact.tensors.items()
    }
    write_tensors(tensors, folder / "model.safetensors")
    _write_json(folder / "config.json", _config_json(artifact))
    (folder / "vocab.txt").write_bytes(artifact.vocab.to_bytes())
    _write_json(folder / "metrics.json", artifact.metrics)
    lines = "".join(_to_json(record) + "\n" for record in artifact.history)
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    card = model_card(config, artifact.task, artifact.metrics, facts, artifact.storage)
    (folder / "README.md").write_text(card, encoding="utf-8")
    _write_json(folder / "manifest.json", {name: sha256_of(folder / name) for name in FILES})


def is_model_folder(path: Path | str) -> bool:
    """Whether this is a folder that looks like a model's."""
    path = user_path(path)
    return all((path / name).is_file() for name in ("manifest.json", "vocab.txt"))


def load_artifact(folder: Path | str) -> Artifact:
    """Read and check a folder.

    Raises:
        ArtifactError: If a file is missing, changed or not one of ours.
    """
    folder = user_path(folder)
    try:
        if folder.is_file():
            problem = (
                "is a file and no model; give the folder that `rubrica train --out` wrote, or fastText's .bin or .ftz"
            )
            raise ArtifactError(folder, problem)
        if not folder.is_dir():
            raise ArtifactError(folder, "no such model folder; give the folder that `rubrica train --out` wrote")
        _check_manifest(folder)
        config, task, values = _read_config(folder / "config.json")
        words = _read_text(folder / "vocab.txt", "surrogatepass").split("\n")[:-1]
        if not 0 <= values.unknown_id < len(words):
            problem = f"unknown_id is {values.unknown_id}, but there are {len(words)} words; train and save anew"
            raise ArtifactError(folder / "config.json", problem)
        rule = (setting is not False for setting in (config.data.lowercase, config.data.split_unspaced))
        vocab = Vocab(words, values.unknown_id, *rule)  # a training stores true or false
        metrics = _read_metrics(folder / "metrics.json")
        lines = _read_text(folder / "metrics.jsonl").splitlines()
        history = [_decode(folder / "metrics.jsonl", line, dict[str, int | float]) for line in lines]
        path = folder / "model.safetensors"
        tensors = map_tensors(path)
        artifact = Artifact(config, task, vocab, tensors, metrics, history, values.vectors, values.storage, values.sure)
        return replace(artifact, tensors=_check_tensors(artifact, path))
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error}); check the disk and who may read the folder"
        raise ArtifactError(error.filename or folder, problem) from None


def _config_json(artifact: Artifact) -> dict[str, Any]:
    labels = artifact.task.labels
    return {
        "rubrica_format": FORMAT,
        "problem_type": artifact.task.problem_type,
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "unknown_id": artifact.vocab.unknown_id,
        "vectors": artifact.vectors,
        "storage": artifact.storage,
        "thresholds": artifact.task.thresholds,
        **({} if artifact.sure is None else {"sure": artifact.sure}),
        **artifact.config.to_dict(),
    }


def _read_config(path: Path) -> tuple[Config, Task, _ConfigFile]:
    content = _read_json(path, dict[str, Any])
    found = content.get("rubrica_format", FORMAT)
    if found not in range(1, FORMAT + 1) or isinstance(found, bool):
        raise ArtifactError(path, f"format {found!r:.40}, but this version reads 1 to {FORMAT}; upgrade rubrica")
    later = {key: value for added, keys in _LATER_KEYS.items() if added > found for key, value in keys.items()}
    known = set(_ConfigFile.__struct_fields__) - later.keys()
    if unknown := sorted(content.keys() - known):
        raise ArtifactError(path, f"unknown key {unknown[0]!r} ({nearest(unknown[0], known)}); leave it out")
    content |= later
    if (storage := content.get("storage")) not in STORAGES:
        raise ArtifactError(path, f"storage is {storage!r:.40}; give {describe(Storage)}")
    try:
        values = msgspec.convert(upgrade(content), _ConfigFile)
        labels = sorted(values.label2id, key=values.label2id.__getitem__)
        if not labels or values.id2label != {str(i): label for i, label in enumerate(labels)}:
            raise ValueError('id2label does not number the classes of label2id from "0" on')
        config = make_config(**{section: getattr(values, section) for section in SECTIONS})
        scored = config.model.logits_are_scores
        task = read_task(values.problem_type, labels, values.thresholds, scored=scored)
        one = task.has_confusion and task.gives_labels
        if values.sure is not None and not (config.beside and one and math.isfinite(values.sure)):
            raise ValueError(f"sure is {values.sure}, which a network with a linear model beside it has, for one label")
    except ConfigError as error:
        raise ArtifactError(path, str(error)) from None
    except ValueError as error:  # msgspec's is one
        raise ArtifactError(path, f"{_in_words(error)}; train and save the model anew") from None
    if not config.training.batch_size:
        raise ArtifactError(path, "training.batch_size is 0, expected the size of its training; save anew")
    return config, task, values


def _read_metrics(path: Path) -> dict[str, Any]:
    metrics = _read_json(path, dict[str, Any])
    for split in ("validation", "test"):
        try:
            msgspec.convert(metrics.get(split) or None, _Scores | None)
        except msgspec.ValidationError as error:
            problem = _in_words(error)
            problem = f"scores of {split}: {problem[:1].lower()}{problem[1:]}; copy the whole folder again"
            raise ArtifactError(path, problem) from None
    return metrics


def _check_tensors(artifact: Artifact, path: Path) -> dict[str, NDArray[Any]]:
    """Check the tensors of a file against its config, and return them with the small ones as float32."""
    tensors, shapes = artifact.tensors, artifact.shapes
    expected = {name: f"{dtype} {shape}" for name, (dtype, shape) in stored_layout(shapes, artifact.storage).items()}
    found = {name: f"{array.dtype.name} {array.shape}".replace("uint16", "bfloat16") for name, array in tensors.items()}
    for name in sorted(found.keys() | expected.keys()):
        if (here := found.get(name, "none")) != (there := expected.get(name, "none")):
            problem = f"tensor {name!r} is {here}, the config expects {there}; the file is of another model"
            raise ArtifactError(path, problem)
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            raise ArtifactError(
                path, f"tensor {name!r} holds a number that is not finite; train and save the model anew"
            )
    for name in shapes.keys() & set(TABLES):  # the width of a packed row is in its last half byte, not in its shape
        if not len(tensors[name]):  # a bag that counts words alone has no rows of n-grams
            continue
        numbers = take_rows(tensors, name, np.zeros(1, int)).shape[1]
        if numbers != shapes[name][1]:
            problem = f"tensor {name!r} holds rows of {numbers} numbers, the config expects {shapes[name][1]}"
            raise ArtifactError(path, f"{problem}; the file is of another model")
    small = shapes.keys() - set(TABLES)
    return {
        name: from_bfloat16(tensor) if tensor.dtype == np.uint16 and name in small else tensor
        for name, tensor in tensors.items()
    }


def _check_manifest(folder: Path) -> None:
    inside = folder.resolve()
    for name in ("manifest.json", *FILES):
        if not (folder / name).is_file():
            raise ArtifactError(folder / name, "the file is missing; copy the whole folder again")
        if not (folder / name).resolve().is_relative_to(inside):
            raise ArtifactError(folder / name, "the file is a link out of the folder; copy the file itself into it")
    manifest = _read_json(folder / "manifest.json", dict[str, str])
    if set(manifest) != set(FILES):
        raise ArtifactError(folder / "manifest.json", f"lists {sorted(manifest)}, expected {sorted(FILES)}")
    for name in FILES:
        if sha256_of(folder / name) != manifest[name]:
            raise ArtifactError(folder / name, "the content does not match manifest.json; copy the whole folder again")


def _write_json(path: Path, value: object) -> None:
    path.write_text(_to_json(value, indent=2) + "\n", encoding="utf-8")


def _to_json(value: object, indent: int | None = None) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        raise RubricaError("a score is not finite: the training diverged; train with a smaller step size") from None


def _read_text(path: Path, errors: str = "strict") -> str:
    try:
        return path.read_bytes().decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise ArtifactError(path, f"not UTF-8 ({error}); copy the whole folder again") from None


def _read_json(path: Path, kind: type[Content]) -> Content:
    return _decode(path, _read_text(path), kind)


def _decode(path: Path, text: str, kind: type[Content]) -> Content:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        problem = f"not the expected JSON ({_in_words(error)}); copy the whole folder again"
        raise ArtifactError(path, problem) from None


def _in_words(error: Exception) -> str:
    """The library's "Expected `int`, got `str` - at `$.unknown_id`", the place first and without its marks."""
    problem, _, place = str(error).replace("`", "").partition(" - at $.")
    return f"{place}: {problem[:1].lower()}{problem[1:]}" if place else problem
