"""The deployable folder: what a trained model is on disk.

    model.safetensors   the weights, named as in the torch model; float32, or in fewer bytes (see `quantization.py`)
    config.json         classes, settings, everything the runtime needs
    vocab.txt           one word a line; the line number, from 0, is the id
    metrics.json        the scores it was saved with
    metrics.jsonl       how its training went: one line per 50 updates, one per validation
    README.md           a model card
    manifest.json       sha256 of each file above

Tensors and JSON only: no pickle, no names of types or code, and an unknown key is an error. A folder is written
whole or not at all, and nothing in it is trusted before its sha256 is checked. The weights are mapped, not read:
leave a folder alone while a model of it is in use.

Format 1 had no `storage`; its weights are float32. Formats 1 and 2 had no `thresholds`; a text has one label.

Letters: V words, E numbers in a word vector, H hidden units or filters, G gates, C classes.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.card import model_card
from rubrica.artifact.tensor_file import map_tensors, write_tensors
from rubrica.config.settings import MULTI_LABEL, SINGLE_LABEL, Config, Storage
from rubrica.errors import ArtifactError, ConfigError, nearest
from rubrica.models.forward import DIRECTIONS
from rubrica.models.storage import STORAGES, TABLES, from_bfloat16, scale_name, stored_layout, take_rows, to_bfloat16
from rubrica.text.vocab import Vocab

FORMAT = 3
FILES = ("model.safetensors", "config.json", "vocab.txt", "metrics.json", "metrics.jsonl", "README.md")
_KEYS = {
    "rubrica_format", "problem_type", "id2label", "label2id", "unknown_id", "vectors", "storage",
    "thresholds", "data", "model", "training",
}  # fmt: skip
_GATES = {"rnn": 1, "gru": 3, "lstm": 4, "mingru": 2, "drnn": 3}
_LATER_KEYS: dict[int, dict[str, Any]] = {2: {"storage": "float32"}, 3: {"thresholds": None}}
"""What a format added, and what it means to be without."""
_BYTES = {"float32": 4, "uint32": 4, "bfloat16": 2, "int8": 1, "uint8": 1}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model in memory, free of torch.

    Args:
        config: The settings that it was trained with.
        labels: The C class names.
        vocab: The V words.
        tensors: The weights by name: float32, but for the tables, which are as stored (read by `take_rows`).
        metrics: Scores for `metrics.json` and the model card.
        history: Lines for `metrics.jsonl`.
        vectors: Where the word vectors came from, for the card.
        storage: What the tables are stored as.
        thresholds: How probable each label must be to be an answer, C; None where a text has one label.
    """

    config: Config
    labels: list[str]
    vocab: Vocab
    tensors: dict[str, NDArray[Any]]
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    vectors: str | None = None
    storage: Storage = "float32"
    thresholds: list[float] | None = None

    @property
    def problem_type(self) -> str:
        """Whether a text has one label or may have several."""
        return SINGLE_LABEL if self.thresholds is None else MULTI_LABEL

    @property
    def num_words(self) -> int:
        """Those with a vector; 0 of a linear model, which looks no word up."""
        return len(self.vocab.words) if "embedding.weight" in self.tensors else 0

    @property
    def num_features(self) -> int:
        """Those of a linear model, alone or beside a network; 0 without one."""
        return len(self.tensors.get("linear.keys", ()))

    def facts(self) -> dict[str, Any]:
        """What `rubrica info` shows, ready for JSON."""
        sizes = len(self.vocab.words), len(self.labels), _num_features(self.tensors)
        shapes = expected_shapes(self.config, *sizes, several=self.thresholds is not None)
        layout = stored_layout(shapes, self.storage)
        return {
            "model": " and ".join(self.config.model.parts),
            "problem_type": self.problem_type,
            "labels": self.labels,
            "thresholds": self.thresholds,
            "words": self.num_words,
            "features": self.num_features,
            "vectors": self.vectors,
            "parameters": sum(map(math.prod, shapes.values())),
            "storage": self.storage,
            "model_bytes": sum(_BYTES[dtype] * math.prod(shape) for dtype, shape in layout.values()),
            "metrics": self.metrics,
            "config": self.config.to_dict(),
        }


def check_writable(folder: Path | str) -> Path:
    """Make sure that a new artifact can be written here, before any work is done for it.

    Raises:
        ArtifactError: If the folder holds something already, or cannot be made.
    """
    import tempfile  # only those who write need it; it takes 3 ms of a prediction's start

    folder = Path(folder)
    if folder.is_file():
        raise ArtifactError(folder, "the output folder is a file; give a new folder")
    try:
        if folder.is_dir():
            if any(folder.iterdir()):
                raise ArtifactError(folder, "the output folder is not empty; give a new one, or remove it")
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent):
            pass
    except OSError as error:
        raise ArtifactError(folder, f"cannot write here ({error.strerror}); give another output folder") from None
    return folder


def save_artifact(artifact: Artifact, folder: Path | str) -> Path:
    """Write the folder under another name and move it into place when it is complete.

    Raises:
        ArtifactError: If the folder is not empty or cannot be written.
    """
    import shutil
    import tempfile

    folder = check_writable(folder)
    try:
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise ArtifactError(folder, f"cannot write here ({error.strerror}); give another output folder") from None
    try:
        write_tensors(_to_disk(artifact), part / "model.safetensors")
        _write_json(part / "config.json", _config_json(artifact))
        # Only "\n" ends a line of vocab.txt, and no word that a text can hold has one in it.
        (part / "vocab.txt").write_bytes(("\n".join(artifact.vocab.words) + "\n").encode("utf-8", "surrogatepass"))
        _write_json(part / "metrics.json", artifact.metrics)
        lines = "".join(json.dumps(record) + "\n" for record in artifact.history)
        (part / "metrics.jsonl").write_text(lines, encoding="utf-8")
        (part / "README.md").write_text(
            model_card(
                artifact.config,
                artifact.labels,
                artifact.metrics,
                num_words=len(artifact.vocab.words),
                num_features=_num_features(artifact.tensors),
                vectors=artifact.vectors,
                storage=artifact.storage,
                several=artifact.thresholds is not None,
            ),
            encoding="utf-8",
        )
        _write_json(part / "manifest.json", {name: _sha256(part / name) for name in FILES})
        part.chmod(0o755)  # mkdtemp makes private folders; a model is for sharing
        if folder.is_dir():
            folder.rmdir()  # empty, as checked above
        part.rename(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ArtifactError(folder, f"could not be written ({error.strerror}); nothing was left") from None
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder


def load_artifact(folder: Path | str) -> Artifact:
    """Read and check a folder.

    Raises:
        ArtifactError: If a file is missing, changed or not one of ours.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArtifactError(folder, "no such model folder; give the folder that `rubrica train --out` wrote")
    _check_manifest(folder)
    config, values = _read_config(folder / "config.json")
    id2label = values["id2label"]
    labels = [id2label[str(i)] for i in range(len(id2label))]
    words = (folder / "vocab.txt").read_bytes().decode("utf-8", "surrogatepass").split("\n")[:-1]
    unknown_id = values["unknown_id"]
    if not 0 <= unknown_id < len(words):
        raise ArtifactError(
            folder / "config.json", f"unknown_id is {unknown_id}, but there are {len(words)} words; train and save anew"
        )
    vocab = Vocab(words, unknown_id, config.data.lowercase is not False)  # a training stores true or false
    sizes = len(words), len(labels)
    several = values["thresholds"] is not None
    tensors = _read_tensors(folder / "model.safetensors", config, *sizes, values["storage"], several=several)
    metrics = _read_json(folder / "metrics.json")
    history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return Artifact(
        config, labels, vocab, tensors, metrics, history, values["vectors"], values["storage"], values["thresholds"]
    )


def expected_shapes(
    config: Config, vocab_size: int, num_classes: int, num_features: int = 1, *, several: bool = False
) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a model, before its tables are stored in fewer bytes.

    How many features a linear model has is decided by its texts: whoever asks says it, and whether a text may have
    several labels.
    """
    linear: dict[str, tuple[int, ...]] = {}
    if "linear" in config.model.parts:
        # Of two classes one is the other's opposite, unless a text may have both.
        machines = 1 if num_classes == 2 and not several else num_classes
        linear = {
            "linear.keys": (num_features,),
            "linear.idf": (num_features,),
            "linear.weight": (num_features, machines),
            "linear.bias": (machines,),
        }
        if config.model.name == "linear":
            return linear
    dim, hidden = config.model.embedding_dim, config.model.hidden_size
    features = 2 * hidden if config.model.pooling == "average_max" else hidden
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (vocab_size, dim)}
    if config.model.name == "bag":
        buckets = config.model.num_buckets if config.model.word_ngrams > 1 else 0
        shapes["ngrams.weight"], features = (buckets, dim), dim
    elif config.model.name == "cnn" and (sizes := config.model.kernel_sizes):
        for i, size in enumerate(sizes):
            shapes |= {f"convs.{i}.weight": (hidden, dim, size), f"convs.{i}.bias": (hidden,)}
        features *= len(sizes)
    elif config.model.name == "cnn":
        for block, width in enumerate([dim, hidden, hidden]):
            shapes |= {f"convs.{block}.weight": (hidden, width, 3), f"convs.{block}.bias": (hidden,)}
            shapes |= {f"norms.{block}.{name}": (hidden,) for name in ("weight", "bias", "running_mean", "running_var")}
    else:
        gates, directions = _GATES[config.model.name] * hidden, DIRECTIONS[config.model.bidirectional]
        if config.model.name == "drnn":
            directions = DIRECTIONS[False]
            shapes |= {"mlp.weight": (hidden, hidden), "mlp.bias": (hidden,)}
        for way in directions:
            shapes |= {f"cell.weight_ih_{way}": (gates, dim), f"cell.bias_ih_{way}": (gates,)}
            if config.model.name != "mingru":
                shapes |= {f"cell.weight_hh_{way}": (gates, hidden), f"cell.bias_hh_{way}": (gates,)}
        if config.model.pooling == "attention":
            shapes["attention.weight"] = (len(directions), hidden)
        features *= len(directions)
    return shapes | {"head.weight": (num_classes, features), "head.bias": (num_classes,)} | linear


def _num_features(tensors: Mapping[str, NDArray[Any]]) -> int:
    """Those of a linear model; 1, which it has at least, where there is none."""
    return max(1, tensors["linear.keys"].size) if "linear.keys" in tensors else 1


def _config_json(artifact: Artifact) -> dict[str, Any]:
    return {
        "rubrica_format": FORMAT,
        "problem_type": artifact.problem_type,
        "id2label": {str(i): label for i, label in enumerate(artifact.labels)},
        "label2id": {label: i for i, label in enumerate(artifact.labels)},
        "unknown_id": artifact.vocab.unknown_id,
        "vectors": artifact.vectors,
        "storage": artifact.storage,
        "thresholds": artifact.thresholds,
        **artifact.config.to_dict(),
    }


def _read_config(path: Path) -> tuple[Config, dict[str, Any]]:
    values = _read_json(path)
    if (found := values.get("rubrica_format", FORMAT)) not in range(1, FORMAT + 1):
        raise ArtifactError(path, f"format {found!r}, but this version reads 1 to {FORMAT}; upgrade rubrica")
    later = {key: value for added, keys in _LATER_KEYS.items() if added > found for key, value in keys.items()}
    keys = _KEYS - later.keys()
    if unknown := sorted(set(values) - keys):
        raise ArtifactError(path, f"unknown key {unknown[0]!r} ({nearest(unknown[0], keys)}); it is not of this format")
    if missing := sorted(keys - set(values)):
        raise ArtifactError(path, f"key {missing[0]!r} is missing; train and save the model anew")
    values = later | values
    if values["storage"] not in STORAGES:
        raise ArtifactError(path, f"storage is {values['storage']!r}; give one of {', '.join(STORAGES)}")
    id2label, unknown_id = values["id2label"], values["unknown_id"]
    if not isinstance(id2label, dict) or set(id2label) != {str(i) for i in range(len(id2label))}:
        raise ArtifactError(path, 'id2label does not number the classes from "0" on; train and save anew')
    _check_thresholds(path, values)
    if not isinstance(unknown_id, int):
        raise ArtifactError(path, f"unknown_id is {unknown_id!r}, expected a whole number; train and save anew")
    try:
        config = Config.from_saved(values)
    except ConfigError as error:
        raise ArtifactError(path, str(error).removeprefix("config: ")) from None
    if not config.training.batch_size:
        raise ArtifactError(path, "training.batch_size is 0, expected that of its training; train and save anew")
    return config, values


def _check_thresholds(path: Path, values: dict[str, Any]) -> None:
    thresholds, count = values["thresholds"], len(values["id2label"])
    if (values["problem_type"] == MULTI_LABEL) != (thresholds is not None):
        problem = f"problem_type is {values['problem_type']!r} and thresholds {thresholds!r:.40}"
        raise ArtifactError(path, f"{problem}, which do not fit; train and save anew")
    fits = isinstance(thresholds, list) and len(thresholds) == count
    if thresholds is not None and not (fits and all(isinstance(t, float) and 0 < t < 1 for t in thresholds)):
        raise ArtifactError(path, f"thresholds are not {count} numbers between 0 and 1; train and save anew")


def _to_disk(artifact: Artifact) -> dict[str, NDArray[Any]]:
    """The tensors of a model as they lie in its file."""
    if artifact.storage == "float32":
        return artifact.tensors
    return {
        name: to_bfloat16(tensor) if tensor.dtype == np.float32 else tensor for name, tensor in artifact.tensors.items()
    }


def _read_tensors(
    path: Path, config: Config, vocab_size: int, num_classes: int, storage: Storage, *, several: bool
) -> dict[str, NDArray[Any]]:
    try:
        tensors = map_tensors(path)
    except ValueError as error:
        raise ArtifactError(path, f"{error}; train and save the model anew") from None
    shapes = expected_shapes(config, vocab_size, num_classes, _num_features(tensors), several=several)
    layout = stored_layout(shapes, storage)
    for name in sorted(tensors.keys() ^ layout.keys()) or sorted(layout):
        shape = tensors[name].shape if name in tensors else "none"
        dtype, expected = layout.get(name, ("", "none"))
        if shape != expected:
            raise ArtifactError(
                path, f"tensor {name!r} has shape {shape}, the config expects {expected}; the file is of another model"
            )
        found = "bfloat16" if tensors[name].dtype == np.uint16 else tensors[name].dtype.name
        if found != dtype:
            raise ArtifactError(path, f"tensor {name!r} holds {found}, expected {dtype}; train and save anew")
    for name in layout.keys() & set(TABLES):  # the width of a packed row is in its last half byte, not in its shape
        numbers = take_rows(tensors, name, np.zeros(1, int)).shape[1]
        if numbers != shapes[name][1]:
            raise ArtifactError(
                path, f"tensor {name!r} holds rows of {numbers} numbers, the config expects {shapes[name][1]}"
            )
    kept = {name for table in TABLES for name in (table, scale_name(table))}
    return {
        name: from_bfloat16(tensor) if tensor.dtype == np.uint16 and name not in kept else tensor
        for name, tensor in tensors.items()
    }


def _check_manifest(folder: Path) -> None:
    manifest = _read_json(folder / "manifest.json")
    if set(manifest) != set(FILES):
        raise ArtifactError(folder / "manifest.json", f"lists {sorted(manifest)}, expected {sorted(FILES)}")
    for name in FILES:
        path = folder / name
        if not path.is_file():
            raise ArtifactError(path, "the file is missing; copy the whole folder again")
        if _sha256(path) != manifest[name]:
            raise ArtifactError(path, "the content does not match manifest.json; copy the whole folder again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(path, "the file is missing; copy the whole folder again") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(path, f"no JSON ({error}); copy the whole folder again") from None
    if not isinstance(value, dict):
        raise ArtifactError(path, "expected a JSON object; copy the whole folder again")
    return value
