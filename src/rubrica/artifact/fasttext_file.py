"""fastText's own model file, `.bin` or `.ftz`: read without reading the matrices, and written.

Source: facebookresearch/fastText 0.9.3, `loadModel` and `saveModel`. Little-endian, without gaps:

    int32 magic, int32 version                              793712314; 11 or 12
    int32 x 12, double                                      dim ws epoch minCount neg wordNgrams loss model bucket
                                                            minn maxn lrUpdateRate, t
    int32 x 3, int64 x 2                                    entries, words, labels, tokens, pruned buckets (-1: none)
    bytes, 0, int64, int8                                   each entry: its name, count, and type (0 word, 1 label)
    int32 x 2                                               each bucket that pruning kept, and its row counted from V
    bool, matrix, bool, matrix                              whether the input is quantised, the input; the output

A float32 matrix is int64 rows, int64 numbers, and the numbers. A quantised one is bool norms, int64 rows, int64
numbers, int32 bytes of codes, the codes, the centroids, and with norms their codes and centroids; centroids are int32
numbers, parts, dsub, numbers of the last part, and 256 float32 for each number.

Every size is checked against the bytes that are left before anything is made of that size, so a header cannot ask for
memory that the file does not fill.

Letters: see `models/fasttext.py`.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import ArtifactError, ConfigError
from rubrica.files import check_place, user_path, written_whole
from rubrica.kernels.entries import pack_entries, read_entries
from rubrica.kernels.fasttext_rules import fault_of
from rubrica.models.fasttext import CENTROIDS, FastText, parts_of
from rubrica.models.storage import Tensors, is_finite

MAGIC = struct.pack("<i", 793712314)
"""What the file begins with."""
LEAST_ENTRY = 10  # bytes of an entry without a name
_HEAD = struct.Struct("<4sI12id")
_SIZES = struct.Struct("<3i2q")
_KINDS = {1: "cbow", 2: "skipgram", 3: "supervised"}
_LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
_FIELDS = (
    "embedding_dim", "window", "file_epochs", "min_count", "negatives", "word_ngrams", "loss", "kind", "num_buckets",
    "min_n", "max_n", "lr_update_rate", "sampling",
)  # fmt: skip
_SMALL = 1 << 26  # bytes of an input whose numbers are looked at: some 20 ms; a larger one is left on the disk
_STRETCH = 1 << 20  # numbers at a time


def is_fasttext_file(path: str | Path) -> bool:
    """Whether a file begins as fastText's do; False where there is none."""
    try:
        with user_path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_fasttext(path: str | Path) -> tuple[FastText, dict[str, NDArray[Any]]]:
    """The settings and tensors of a file; the matrices are views of it, so leave it alone while they are in use.

    Raises:
        ArtifactError: If it is no whole file of fastText's, or cannot be read.
    """
    path = user_path(path)
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise ArtifactError(path, "the file is empty, expected a fastText model; copy it again")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error}); check the path and who may read the file"
        raise ArtifactError(path, problem) from None
    return _Reader(path, mapped).read()


class _Reader:
    """The file from where it has not been read yet."""

    def __init__(self, path: Path, mapped: mmap.mmap) -> None:
        self.path, self.mapped, self.place = path, mapped, 0
        self.data = np.frombuffer(mapped, np.uint8)

    def fault(self, problem: str) -> ArtifactError:
        return ArtifactError(self.path, f"{problem}; the file is damaged or no fastText model, copy it again")

    def read(self) -> tuple[FastText, dict[str, NDArray[Any]]]:
        magic, version, *numbers = self.unpack(_HEAD, "the settings")
        if magic != MAGIC:
            raise self.fault(f"begins with {magic.hex()}, expected {MAGIC.hex()}")
        if version not in (11, 12):
            raise self.fault(f"format {version}, expected 11 or 12")
        found: dict[str, Any] = dict(zip(_FIELDS, numbers, strict=True)) | {"version": version}
        for key, known in (("kind", _KINDS), ("loss", _LOSSES)):
            if found[key] not in known:
                raise self.fault(f"{key} {found[key]}, expected one of {', '.join(map(str, known))}")
            found[key] = known[found[key]]
        if version == 11 and found["kind"] == "supervised":
            found["max_n"] = 0  # older models of this kind read no characters
        sizes, tensors = self.dictionary()
        found |= sizes
        found["input_dsub"], found["input_norms"], found["num_rows"] = self.matrix(
            "input", tensors, found["embedding_dim"], quantised=self.flag("the input")
        )
        quantised = self.flag("the output") and found["input_dsub"] > 0
        found["output_dsub"], found["output_norms"], _ = self.matrix(
            "output", tensors, found["embedding_dim"], quantised=quantised
        )
        if self.place != len(self.data):
            raise self.fault(f"holds {len(self.data) - self.place} bytes more than its sizes say")
        try:
            settings = FastText(**found)
        except ConfigError as error:
            raise self.fault(str(error).removeprefix("model.")) from None
        if problem := _fault_of(settings, tensors):
            raise self.fault(problem)
        return settings, tensors

    def unpack(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size, what).tobytes())

    def take(self, size: int, what: str) -> NDArray[np.uint8]:
        left = len(self.data) - self.place
        if not 0 <= size <= left:
            raise self.fault(f"{what} should have {size} bytes, and {left} are left")
        self.place += size
        return self.data[self.place - size : self.place]

    def flag(self, what: str) -> bool:
        (value,) = self.take(1, what).tolist()
        if value > 1:
            raise self.fault(f"whether {what} is quantised is {value}, expected 0 or 1")
        return bool(value)

    def floats(self, count: int, what: str) -> NDArray[np.float32]:
        return self.take(4 * count, what).view("<f4")

    def dictionary(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        entries, words, labels, tokens, pruned = self.unpack(_SIZES, "the sizes of the dictionary")
        if min(words, labels) < 0 or entries != words + labels or pruned < -1:
            raise self.fault(f"{entries} entries, {words} words, {labels} labels, {pruned} pruned buckets do not fit")
        left = len(self.data) - self.place
        if entries * LEAST_ENTRY > left:
            raise self.fault(f"{entries} words and labels cannot be in the {left} bytes that are left")
        read = read_entries(self.mapped, self.data, self.place, entries)
        if read is None:
            raise self.fault("ends among its words and labels")
        names, ends, counts, types, size = read
        self.place += size
        if (types != (np.arange(entries) >= words)).any():
            raise self.fault("words and labels are not in order, or an entry is neither")
        if 8 * pruned > len(self.data) - self.place:
            raise self.fault(f"{pruned} pruned buckets cannot be in the {len(self.data) - self.place} bytes left")
        pairs = self.take(8 * max(0, pruned), "the pruned buckets").view("<i4").reshape(-1, 2)
        # As whole numbers they are sorted by bucket, ten times as fast as by an index.
        both = pairs[:, 0].astype("<i8")
        both <<= 32
        both |= pairs.view("<u4")[:, 1]
        both.sort()
        rows, buckets = both.view("<i4").reshape(-1, 2).T.astype(np.int32, order="C")
        sizes = {
            "num_words": words, "num_labels": labels, "num_tokens": tokens, "num_bytes": len(names),
            "pruned": pruned >= 0, "num_pruned": len(both),
        }  # fmt: skip
        return sizes, {
            "dictionary.bytes": names,
            "dictionary.ends": ends,
            "dictionary.counts": counts,
            "prune.buckets": buckets,
            "prune.rows": rows,
        }

    def matrix(
        self, side: str, tensors: dict[str, NDArray[Any]], numbers: int, *, quantised: bool
    ) -> tuple[int, bool, int]:
        """Adds the tensors of a matrix; returns the numbers of a part (0 where float32), whether it has norms, rows."""
        norms = self.flag(f"the norms of the {side}") if quantised else False
        rows, width = self.unpack(struct.Struct("<2q"), f"the sizes of the {side}")
        if rows < 0 or width != numbers or numbers <= 0:
            raise self.fault(f"the {side} has {rows} rows of {width} numbers, expected rows of {numbers}")
        if not quantised:
            tensors[f"{side}.weight"] = self.floats(rows * width, f"the {side}").reshape(rows, width)
            return 0, False, rows
        (size,) = self.unpack(struct.Struct("<i"), f"the size of the {side}")
        codes = self.take(size, f"the codes of the {side}")
        dsub, centroids = self.centroids(side, numbers)
        parts = parts_of(numbers, dsub)
        if size != rows * parts:
            raise self.fault(f"the {side} has {size} codes, expected {rows} times {parts}")
        tensors |= {f"{side}.codes": codes.reshape(rows, parts), f"{side}.centroids": centroids}
        if norms:
            tensors[f"{side}.norm_codes"] = self.take(rows, f"the norms of the {side}")
            tensors[f"{side}.norm_centroids"] = self.centroids(side, 1)[1]
        return dsub, norms, rows

    def centroids(self, side: str, numbers: int) -> tuple[int, NDArray[np.float32]]:
        width, parts, dsub, last = self.unpack(struct.Struct("<4i"), f"the parts of the {side}")
        if width != numbers or dsub < 1 or parts != parts_of(numbers, dsub) or last != numbers - (parts - 1) * dsub:
            found = f"{width} numbers in {parts} parts of {dsub} and {last}"
            raise self.fault(f"the centroids of the {side} have {found}, expected {numbers} numbers")
        return dsub, self.floats(CENTROIDS * numbers, f"the centroids of the {side}")


def _fault_of(settings: FastText, tensors: Tensors) -> str:
    """What is wrong with the model of a file, in words; empty where nothing is."""
    if settings.pruned and not settings.input_dsub:
        return "buckets are pruned and the input is not quantised, which fastText refuses too"
    if problem := fault_of(settings.rules, tensors):
        return problem
    for name, tensor in tensors.items():
        looked_at = name != "input.weight" or tensor.nbytes <= _SMALL
        if looked_at and not is_finite(tensor):
            return f"{name} holds a number that is not finite"
    return ""


def write_fasttext(settings: FastText, tensors: Tensors, path: str | Path) -> None:
    """Write a file that fastText reads, whole or not at all.

    Raises:
        ArtifactError: If it cannot be written.
    """
    path = user_path(path)
    check_place(path, ArtifactError)
    with written_whole(path, ArtifactError) as part, part.open("wb") as file:
        _write(settings, tensors, file)


def _write(settings: FastText, tensors: Tensors, file: IO[bytes]) -> None:
    numbers = [getattr(settings, field) for field in _FIELDS]
    numbers[_FIELDS.index("kind")] = next(number for number, kind in _KINDS.items() if kind == settings.kind)
    numbers[_FIELDS.index("loss")] = next(number for number, loss in _LOSSES.items() if loss == settings.loss)
    file.write(_HEAD.pack(MAGIC, settings.version, *numbers))
    words, labels = settings.num_words, settings.num_labels
    pruned = settings.num_pruned if settings.pruned else -1
    file.write(_SIZES.pack(words + labels, words, labels, settings.num_tokens, pruned))
    names, ends, counts = (tensors[f"dictionary.{name}"] for name in ("bytes", "ends", "counts"))
    for entries in pack_entries(names, ends, counts, words):
        file.write(entries.tobytes())
    pairs = np.stack([tensors["prune.buckets"], tensors["prune.rows"]], axis=1)
    file.write(pairs.astype("<i4", copy=False).tobytes())
    _write_matrix("input", settings.embedding_dim, settings.input_dsub, tensors, file)
    _write_matrix("output", settings.embedding_dim, settings.output_dsub, tensors, file)


def _write_matrix(side: str, numbers: int, dsub: int, tensors: Tensors, file: IO[bytes]) -> None:
    file.write(struct.pack("<?", bool(dsub)))
    if not dsub:
        weight = tensors[f"{side}.weight"]
        file.write(struct.pack("<2q", *weight.shape))
        _write_numbers(weight, file)
        return
    codes, norms = tensors[f"{side}.codes"], tensors.get(f"{side}.norm_codes")
    file.write(struct.pack("<?2qi", norms is not None, len(codes), numbers, codes.size))
    _write_numbers(codes, file)
    _write_centroids(tensors[f"{side}.centroids"], numbers, dsub, file)
    if norms is not None:
        _write_numbers(norms, file)
        _write_centroids(tensors[f"{side}.norm_centroids"], 1, 1, file)


def _write_centroids(centroids: NDArray[Any], numbers: int, dsub: int, file: IO[bytes]) -> None:
    parts = parts_of(numbers, dsub)
    file.write(struct.pack("<4i", numbers, parts, dsub, numbers - (parts - 1) * dsub))
    _write_numbers(centroids, file)


def _write_numbers(tensor: NDArray[Any], file: IO[bytes]) -> None:
    flat = tensor.reshape(-1)
    for first in range(0, len(flat), _STRETCH):  # of a mapped matrix no more is in memory than this
        part = flat[first : first + _STRETCH]
        file.write(part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes())
