"""Word vectors on disk: read through the cache, and saved.

The content of a file tells its format, never its name. `files.py`, `model2vec.py` and `subwords.py` read the formats;
`hub.py` has the names that gensim publishes; a model folder gives the vectors of the words that its model knows.

Letters: V words, E numbers of a word.
"""

import json
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np

from rubrica.artifact.fasttext_file import is_fasttext_file, write_fasttext
from rubrica.artifact.folder import is_model_folder, load_artifact
from rubrica.errors import ArtifactError, FileError, VectorsError
from rubrica.files import cache_folder, check_place, content_key, user_path, written_whole
from rubrica.vectors.files import BLOCK_BYTES, Matrix, Table, read_file
from rubrica.vectors.hub import find_known
from rubrica.vectors.model2vec import read_model2vec
from rubrica.vectors.of_models import vectors_of_model
from rubrica.vectors.subwords import SubwordVectors, read_subwords
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_MATRIX, _WORDS, _SUMS = "matrix.f32", "words.json", "sums.json"


def load_vectors(source: str | Path) -> Vectors:
    """Word vectors from a file, a folder or a downloaded name of the gensim list.

    The first reading of a file leaves a copy in the cache; the next reading opens the copy as a memory map.

    Raises:
        VectorsError: If there is no such file or name, or the file cannot be used.
        MissingExtraError: If a library that reads the format is not installed.
        RubricaError: If a model folder cannot be opened, or its model has no vectors.
    """
    path = user_path(source)
    if not path.exists():
        path = find_known(str(source))
    if path.is_dir() or is_fasttext_file(path):  # fast to read as it is
        return read_vectors(path, source=str(source))
    with _explained(path):
        entry = cache_folder() / "vectors" / _key(path)
    table = _read_cached(entry)
    log.info("%s: reading %s", source, f"from the cache, {entry}" if table else f"the file, {path}")
    if table is not None:
        return Vectors(*table, str(source))
    vectors = read_vectors(path, source=str(source))
    _write_cached(entry, vectors)
    return vectors


def read_vectors(path: str | Path, *, source: str | None = None, block_bytes: int = BLOCK_BYTES) -> Vectors:
    """Read word vectors from a file or a folder, without the cache.

    Args:
        path: Where they are.
        source: What the user called them; None takes the path.
        block_bytes: See `read_file`.

    Raises:
        VectorsError: If it is missing, empty, cut off or of another format, if a number is not finite, or if a word
            has more or fewer numbers than the others.
        MissingExtraError: If a library that reads the format is not installed.
    """
    path = user_path(path)
    source = str(path) if source is None else source
    if is_fasttext_file(path):
        return read_subwords(path, source)
    if is_model_folder(path):
        return vectors_of_model(load_artifact(path), source)
    with _explained(path):
        words, matrix = read_model2vec(path) if path.is_dir() else read_file(path, block_bytes)
    if not words:
        raise VectorsError(path, "no words; expected at least one")
    return Vectors(*_first_of_each(words, matrix, path), source)


def check_savable(path: str | Path) -> Path:
    """Make sure that vectors can be written to a file, before they are made for it.

    Raises:
        VectorsError: If the ending of the name says no format, or the file cannot be written.
    """
    path = user_path(path)
    if path.suffix not in {".txt", ".vec", ".bin"}:
        raise VectorsError(path, f"ending {path.suffix!r}, expected .txt, .vec (text) or .bin (binary)")
    check_place(path, VectorsError)
    return path


def save_vectors(vectors: Vectors, path: str | Path) -> None:
    """Write word2vec text (`.txt`, `.vec`) or word2vec binary (`.bin`); reading it gives the same numbers, bit for bit.

    Vectors with subwords become fastText's own file where the name ends in `.bin`, and the vectors of their words else.

    Raises:
        VectorsError: If the name ends otherwise, if a word holds a space or a line end (which end a word in these
            formats), or if the file cannot be written.
    """
    path = check_savable(path)
    if isinstance(vectors, SubwordVectors) and path.suffix == ".bin":
        try:
            return write_fasttext(vectors.settings, vectors.tensors, path)
        except ArtifactError as error:
            raise VectorsError(error.path, error.problem) from None
    for word in vectors.words:
        if " " in word or "\n" in word:
            raise VectorsError(path, f"the word {word!r} holds a space or a line end; leave it out")
    number = " %.9g" * vectors.dim  # nine digits tell any two float32 apart
    with written_whole(path, VectorsError) as part, part.open("wb") as file:
        file.write(f"{len(vectors.words)} {vectors.dim}\n".encode())
        for word, row in zip(vectors.words, chain.from_iterable(vectors.stretches()), strict=True):
            if path.suffix == ".bin":
                file.write(word.encode() + b" " + row.astype("<f4").tobytes() + b"\n")
            else:
                file.write((word + number % tuple(row.tolist()) + "\n").encode())


def _first_of_each(words: list[str], matrix: Matrix, path: Path) -> Table:
    """Drop every further vector of a word, as gensim does."""
    if len(set(words)) == len(words):
        return words, matrix
    first: dict[str, int] = {}
    for row, word in enumerate(words):
        first.setdefault(word, row)
    log.warning("%s: %d words occur again; the first of each stays", path, len(words) - len(first))
    return list(first), matrix[list(first.values())]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the disk says into a sentence about the file."""
    try:
        yield
    except OSError as error:
        raise VectorsError(path, f"cannot be read: {error.strerror or error}") from error


def _key(path: Path) -> str:
    """A name for the content: place, size, time and both ends; all bytes would take as long as reading the file."""
    edge = 64 << 10
    stat = path.stat()
    with path.open("rb") as file:
        first = file.read(edge)
        file.seek(max(0, stat.st_size - edge))
        last = file.read(edge)
    # Raise the number when the same file gives another table.
    return content_key(
        b"vectors 3", os.fsencode(path.resolve()), b"%d %d" % (stat.st_size, stat.st_mtime_ns), first, last
    )


def _read_cached(entry: Path) -> Table | None:
    """The words and the matrix of an entry, or None where a file is missing, broken, or not as it was written."""
    try:
        spelled, sums = (entry / _WORDS).read_bytes(), json.loads((entry / _SUMS).read_bytes())
        matrix = np.memmap(entry / _MATRIX, np.float32, "r").reshape(sums[1:3])
        return (json.loads(spelled), matrix) if sums == _sums(spelled, matrix) else None
    except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None


def _write_cached(entry: Path, vectors: Vectors) -> None:
    spelled = json.dumps(vectors.words, ensure_ascii=False).encode()
    try:
        with written_whole(entry / _MATRIX) as part:
            vectors.matrix.tofile(part)
        with written_whole(entry / _WORDS) as part:
            part.write_bytes(spelled)
        with written_whole(entry / _SUMS) as part:
            part.write_text(json.dumps(_sums(spelled, vectors.matrix)))
    except FileError as error:  # the caller still has the vectors
        log.warning("%s; the next start will read the file of vectors again", error)


def _sums(spelled: bytes, matrix: Matrix) -> list[int]:
    """A checksum of the words, the shape of the matrix, and a checksum of its numbers.

    The last is "exclusive or" of all bits, 64 together: a bad byte changes it, and it takes as long as memory does.
    """
    bits = np.ascontiguousarray(matrix).reshape(-1).view(np.uint32)
    folded = int(np.bitwise_xor.reduce(bits[: len(bits) // 2 * 2].view(np.uint64), initial=0))
    return [zlib.crc32(spelled), *matrix.shape, folded ^ int(bits[-1] if len(bits) % 2 else 0)]
