"""A model as a folder for the web: its files, and rubrica.js, which answers in a browser. Any static host serves it.

    DIR/rubrica.js, ...   the library (js/ of the repository)
    DIR/model/            the model folder

The build copies js/ into the package. A checkout and an editable install read js/ itself.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rubrica.artifact.fasttext_model import open_model
from rubrica.artifact.folder import check_writable, write_files
from rubrica.config.groups import Storage
from rubrica.errors import ArtifactError, RubricaError
from rubrica.export.shrink import folder_sizes, store
from rubrica.files import written_whole

_BUILT, _WRITTEN = Path(__file__).parent / "js", Path(__file__).parents[3] / "js"


def web_files() -> list[Path]:
    """The files of rubrica.js.

    Raises:
        RubricaError: If the installation lacks them.
    """
    found = sorted((_BUILT if _BUILT.is_dir() else _WRITTEN).glob("*.js"))
    if not found:
        raise RubricaError("this installation lacks the files of rubrica.js; install Rubrica again")
    return found


def export_web(model: str | Path, out: str | Path, storage: Storage | None = None) -> dict[str, Any]:
    """Write a model folder, of today's format, beside rubrica.js.

    Args:
        model: A model folder, or a supervised model in fastText's own file.
        out: A new folder.
        storage: What the tables of the model are rounded to; else they stay as they are.

    Returns:
        Bytes of the library and of each file of the model.

    Raises:
        ArtifactError: If the model cannot be read, or the folder cannot be written.
        RubricaError: If rubrica.js does not read models of this family.
    """
    out, artifact, scripts = check_writable(out), open_model(model), web_files()
    if not artifact.config.model.in_browser:
        raise RubricaError(f"rubrica.js reads no {artifact.config.model.name} model; export it with --onnx instead")
    # "auto" is for a training; the web reads the rule that the vocabulary was made with.
    rule = {"lowercase": artifact.vocab.lowercase, "split_unspaced": artifact.vocab.split_unspaced}
    artifact = replace(artifact, config=artifact.config.replace(data=rule))
    with written_whole(out, ArtifactError) as part:
        part.mkdir()
        for script in scripts:
            (part / script.name).write_bytes(script.read_bytes())
        write_files(store(artifact, storage or artifact.storage), part / "model")
    sizes = {f"model/{name}": size for name, size in folder_sizes(out / "model").items()}
    return {"bytes": {"rubrica.js": sum(script.stat().st_size for script in scripts), **sizes}}
