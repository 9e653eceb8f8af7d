"""Models as a folder for the web: a page, rubrica.js, which answers in it, and the models. Any static host serves it.

DIR/index.html, ...    the page (js/page/ of the repository), and page.json, which tells it the models
DIR/rubrica.js, ...    the library (js/)
DIR/model/             the model folder; further ones are model-2/, model-3/, ...
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rubrica.artifact.fasttext_model import open_model
from rubrica.artifact.folder import Artifact, check_writable, write_files
from rubrica.config.groups import Storage
from rubrica.errors import ArtifactError
from rubrica.export.page import about_model, page_json, web_files
from rubrica.export.shrink import folder_sizes, store
from rubrica.files import written_whole

_AT_ONCE = 256  # texts of a file, between two looks at the page
_COMMENTS = re.compile(r"^\s*(?:/\*\*.*?\*/|//[^\n]*)\n|^[ \t]+", re.MULTILINE | re.DOTALL)


def export_web(
    models: Mapping[str, str | Path],
    out: str | Path,
    storage: Storage | None = None,
    *,
    examples: Sequence[str] = (),
    report: Path | None = None,
) -> dict[str, Any]:
    """Write model folders, of today's format, beside rubrica.js and a page that asks them.

    Args:
        models: By name, a model folder or a supervised model in fastText's own file.
        out: A new folder.
        storage: What the tables of the models are rounded to; else they stay as they are.
        examples: Texts that the page offers to try.
        report: A page of `rubrica evaluate --report`, which this page links.

    Returns:
        Bytes of the page, of the library and of each file of the models.

    Raises:
        ArtifactError: If a model or the report cannot be read, or the folder cannot be written.
        RubricaError: If the installation lacks the files of rubrica.js.
    """
    out, files = check_writable(out), {"page": web_files("page"), "rubrica.js": web_files()}
    artifacts = {name: _for_the_web(open_model(path), storage) for name, path in models.items()}
    told = read_report(report) if report else None
    folders = [f"model-{number}" if number > 1 else "model" for number in range(1, len(artifacts) + 1)]
    sizes = dict.fromkeys(files, 0)
    with written_whole(out, ArtifactError) as part:
        part.mkdir()
        for path in [*files["page"], *files["rubrica.js"]]:
            (part / path.name).write_text(_without_comments(path), encoding="utf-8", newline="\n")
            sizes["page" if path in files["page"] else "rubrica.js"] += (part / path.name).stat().st_size
        about = []
        for folder, (name, artifact) in zip(folders, artifacts.items(), strict=True):
            write_files(artifact, part / folder)
            own = folder_sizes(part / folder)
            sizes |= {f"{folder}/{file}": size for file, size in own.items()}
            about.append(about_model(name, artifact, sum(own.values())) | {"folder": folder})
        if told is not None:
            (part / "report.html").write_bytes(told)
        (part / "page.json").write_bytes(
            page_json(about, examples, "report.html" if told is not None else None, _AT_ONCE)
        )
    return {"bytes": sizes}


def _without_comments(path: Path) -> str:
    """A script as a browser needs it, a fifth shorter. Only comments on lines of their own go, and the indentation."""
    text = path.read_text(encoding="utf-8")
    return _COMMENTS.sub("", text) if path.suffix == ".js" else text


def _for_the_web(artifact: Artifact, storage: Storage | None) -> Artifact:
    # "auto" is for a training; the web reads the rule that the vocabulary was made with.
    rule = {"lowercase": artifact.vocab.lowercase, "split_unspaced": artifact.vocab.split_unspaced}
    artifact = replace(artifact, config=artifact.config.replace(data=rule))
    return store(artifact, storage or artifact.storage)


def read_report(path: Path) -> bytes:
    """The bytes of a report.

    Raises:
        ArtifactError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(path, f"the report cannot be read ({error.strerror})") from None
