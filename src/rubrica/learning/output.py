"""The folder that a training writes its model to, and what may be there already when it is run once more."""

import logging
import shutil
from pathlib import Path

from rubrica.artifact.folder import Artifact, check_writable, is_model_folder, load_artifact, save_artifact
from rubrica.files import user_path
from rubrica.learning.checkpoint import Checkpoints, folder_of

log = logging.getLogger(__name__)


def check_output(out: Path | str, *, resume: bool) -> Path:
    """Make sure that a model can be written here, before any work is done for it; to resume, one may be here.

    Raises:
        ArtifactError: If it cannot.
    """
    out = user_path(out)
    return out if resume and is_model_folder(out) else check_writable(out)


def finished(out: Path) -> Artifact | None:
    """The model that is here, unless Ctrl-C ended its training and there are checkpoints to go on from."""
    if not is_model_folder(out):
        return None
    artifact, checkpoints = load_artifact(out), folder_of(out)
    if artifact.metrics.get("interrupted") and checkpoints.is_dir():
        return None
    log.info("%s: is trained already", out)
    shutil.rmtree(checkpoints, ignore_errors=True)  # the run was killed just before it did this
    return artifact


def save_run(artifact: Artifact, out: Path, checkpoints: Checkpoints | None, *, anew: bool) -> None:
    """Write the model, `anew` in the place of the one that Ctrl-C left; after Ctrl-C the checkpoints stay."""
    if anew and is_model_folder(out):
        shutil.rmtree(out)
    save_artifact(artifact, out)
    if checkpoints is None:
        return
    if checkpoints and artifact.metrics["interrupted"]:
        log.warning("%s: to go on with this training, run it again with --resume", checkpoints.folder)
    else:
        checkpoints.discard()
