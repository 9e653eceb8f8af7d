"""The readers that are fuzzed, by name: each takes any bytes, and returns or raises a `RubricaError`.

A reader of one file is given its bytes. A reader of a folder is given the name of a file in it on the first line, as in
`gru/config.json`, and the new content of this file below; the other files are whole, and all hashes are made right
again. So every input is a file that a person can read and write.
"""

import json
from functools import cache
from pathlib import Path

from contract import cheaply, check_fasttext, check_model, check_rows, check_vectors, found_by
from made_checkpoints import FAMILIES, goes_on, resign, stopped_run
from made_files import TINY
from made_models import OF_EACH_KIND
from made_models import resign as resign_model
from rubrica.artifact.folder import FILES, save_artifact
from rubrica.data.large_files import USUAL
from rubrica.learning.checkpoint import folder_of
from rubrica.models.config import load_recipe, make_config
from rubrica.vectors.archives import packer_of
from rubrica.vectors.files import BLOCK_BYTES
from rubrica.vectors.stored import read_vectors
from rubrica.vectors.subwords import read_subwords

LINES = ["goal </s> bank", "", "e\u0301te\u0301 \x00 sky", "__label__a goal goal", "\ufeff日本", "g" * 300]
PACKED = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst", "zip": ".zip"}


def read_model(data, folder):
    place, _, content = data.partition(b"\n")
    model, _, name = place.decode("latin-1").partition("/")
    if model not in OF_EACH_KIND or name not in (*FILES, "manifest.json"):
        return
    if not (folder / model).exists():
        save_artifact(OF_EACH_KIND[model](), folder / model)
    path = folder / model / name
    whole = path.read_bytes()
    path.write_bytes(content)
    if name != "manifest.json":
        resign_model(folder / model)
    try:
        found_by(check_model, folder / model)
    finally:
        path.write_bytes(whole)
        resign_model(folder / model)


def read_fasttext(data, folder):
    path = folder / "model.bin"
    path.write_bytes(data)
    found_by(check_fasttext, path, LINES)
    found_by(check_model, path)
    found_by(lambda: check_vectors(read_subwords(path, "model.bin")))


def read_vectors_file(data, folder):
    if data.startswith(b"model2vec/"):
        return read_model2vec(data, folder)
    path = folder / "vectors"
    path.write_bytes(data)
    whole, in_parts = (
        found_by(lambda size=size: check_vectors(read_vectors(path, block_bytes=size))) for size in (BLOCK_BYTES, 16)
    )
    assert whole == in_parts


def read_model2vec(data, folder):
    place, _, content = data.partition(b"\n")
    inside = folder / "model2vec"
    inside.mkdir(exist_ok=True)
    for name in ("model.safetensors", "tokenizer.json"):
        whole = (CORPUS / "vectors" / f"model2vec-{name}").read_bytes().partition(b"\n")[2]
        (inside / name).write_bytes(content if place.decode("latin-1") == f"model2vec/{name}" else whole)
    found_by(lambda: check_vectors(read_vectors(inside)))


def read_rows(data, folder, suffixes):
    packer = packer_of(data)
    for suffix in suffixes:
        path = folder / f"news{suffix}{PACKED[packer.name] if packer else ''}"
        path.write_bytes(data)
        found_by(check_rows, path, on_bad_row="skip")
        small, large = (found_by(check_rows, path, limits=limits) for limits in (USUAL, TINY))
        assert small == large or suffix == ".json"  # large JSON Lines have the columns of their first stretch


def read_checkpoint(data, folder):
    place, _, content = data.partition(b"\n")
    family, _, name = place.decode("latin-1").partition("/")
    stopped = _stopped(family, folder) if family in FAMILIES else {}
    if name not in stopped:
        return
    out = folder / "out"
    for path, whole in stopped.items():
        (folder_of(out) / path).parent.mkdir(parents=True, exist_ok=True)
        (folder_of(out) / path).write_bytes(whole)
    # The list names the training that it is of, which another version of Rubrica or torch writes in other words.
    run = json.dumps(json.loads(stopped["checkpoint.json"])["run"])
    (folder_of(out) / name).write_bytes(content.replace(b'"this run"', run.encode()))
    resign(folder_of(out))
    goes_on(family, out)


@cache
def _stopped(family, folder):
    """The files of a run's checkpoints."""
    run = stopped_run(family, folder)
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*.*")}


def read_recipe(data, folder):
    for name in ("recipe.toml", "recipe.json"):
        (folder / name).write_bytes(data)
        found_by(lambda name=name: _same(load_recipe(str(folder / name))))


def _same(config):
    assert make_config(**config.to_dict()) == config


READERS = {
    "model": read_model,
    "fasttext": read_fasttext,
    "vectors": read_vectors_file,
    "csv": lambda data, folder: read_rows(data, folder, (".csv", ".tsv")),
    "json": lambda data, folder: read_rows(data, folder, (".json",)),
    "lines": lambda data, folder: read_rows(data, folder, (".txt",)),
    "checkpoint": read_checkpoint,
    "recipe": read_recipe,
}
CORPUS = Path(__file__).with_name("corpus")


def corpus(name):
    """The small inputs of a reader that the tree keeps: each form of its file, and what once broke it."""
    return sorted((CORPUS / name).iterdir())


def check(name, data, folder):
    """Read, at a small price."""
    with cheaply():
        READERS[name](data, folder)
