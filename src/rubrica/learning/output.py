"""The folder that a training writes its model to, and what may be there already when it is run once more."""

import logging
from pathlib import Path
from typing import Any

from rubrica.artifact.folder import Artifact, check_writable, is_model_folder, load_artifact, save_artifact
from rubrica.environment import processes
from rubrica.errors import ArtifactError
from rubrica.files import user_path
from rubrica.learning.checkpoint import Checkpoints, folder_of, has_checkpoints, remove_checkpoints

log = logging.getLogger(__name__)

_NOT_ALWAYS = {"labels", "scores"}  # what older versions do not keep of a data set, or keep under another name


def check_output(out: Path | str, *, resume: bool, keeps: bool) -> Path:
    """Make sure that a model can be written here, before any work is done for it; to resume, one may be here.

    Raises:
        ArtifactError: If it cannot; or if a killed training may go on here, and this one `keeps` no checkpoints.
    """
    out = user_path(out)
    if processes()[0]:  # the first process looks, and writes
        return out
    if not keeps and has_checkpoints(out):
        problem = "holds a training to go on with, and this one keeps no checkpoints"
        raise ArtifactError(folder_of(out), f"{problem}; give another --out, or remove the folder")
    return out if resume and is_model_folder(out) else check_writable(out)


def finished(out: Path, record: dict[str, Any]) -> Artifact | None:
    """The model that is here, unless Ctrl-C ended its training.

    Args:
        out: Where it may be.
        record: What `run_record` says of the training that is wanted.

    Raises:
        ArtifactError: If the model that is here is of another training.
    """
    if not is_model_folder(out):
        return None
    artifact = load_artifact(out)
    run = artifact.metrics.get("run")
    kept = run if isinstance(run, dict) else {}
    for name, what in (("asked", "other settings"), ("data", "other texts or labels"), ("start", "another start")):
        there = kept.get(name, record["start"] if name == "start" else None)  # an older version did not keep the start
        if not _same(there, record[name]):
            problem = f"holds a model of {what} than the training to resume"
            raise ArtifactError(out, f"{problem}; give another --out, or remove the folder")
    if artifact.metrics.get("interrupted"):
        return None
    log.info("%s: is trained already", out)
    if not processes()[0]:
        remove_checkpoints(folder_of(out))  # the run was killed just before it did this
    return artifact


def save_run(artifact: Artifact, out: Path, checkpoints: Checkpoints | None, *, anew: bool) -> None:
    """Write the model, `anew` in the place of the one that Ctrl-C left; after Ctrl-C the checkpoints stay."""
    if processes()[0]:
        return
    if anew and checkpoints is not None:
        with checkpoints.aside(out):
            save_artifact(artifact, out)
    else:
        save_artifact(artifact, out)
    if checkpoints is None:
        return
    if checkpoints and artifact.metrics["interrupted"]:
        log.warning("%s: to go on with this training, run it again with --resume", checkpoints.folder)
    else:
        checkpoints.discard()


def _same(kept: Any, wanted: Any) -> bool:
    """Whether two parts of a run's record agree; the name of the data may be another."""
    if not (isinstance(kept, dict) and isinstance(wanted, dict)):
        return bool(kept == wanted)
    alone = kept.keys() ^ wanted.keys()
    both = (kept.keys() & wanted.keys()) - {"name"}
    return alone <= _NOT_ALWAYS and all(_same(kept[name], wanted[name]) for name in both)
