"""Files of word vectors in three formats, each read into words and a matrix.

The content tells the format, never the name (`layout.py`), and any file may be packed (`archives.py`):

* GloVe text: a line is a word and its numbers, parted by spaces (https://nlp.stanford.edu/projects/glove/). Also
  with a tab after the word, tabs between the numbers, or several spaces, as other programs write it.
* word2vec and fastText text: the same below a line "V E"; lines may end in a space.
* word2vec binary: the line "V E", then each word, a space and E little-endian float32 (Mikolov's `word2vec.c`).

Words, order and values equal what gensim's `KeyedVectors.load_word2vec_format` reads, bit for bit. Departures: a word
may hold spaces (some words of GloVe 840B do; gensim fails), a tab ends a word where most lines have one before their
numbers, and inf, nan and a wrong width are errors with a line number. Reading is our own because it is 16 times as
fast as gensim's (`benchmarks/vectors_read.py`).

Letters: V words, E numbers of a word.
"""

import logging
import re
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rubrica.data.large_files import USUAL
from rubrica.errors import VectorsError, require
from rubrica.vectors.archives import open_unpacked
from rubrica.vectors.layout import HEAD_BYTES, Layout, find_layout, split_line

log = logging.getLogger(__name__)

Matrix = NDArray[np.float32]
"""The vector of each word, (V, E)."""
Table = tuple[list[str], Matrix]
"""Words and their vectors."""

# Files go through memory in blocks: large enough to keep two cores busy, small enough that a block which needs the
# slow, careful reading costs a fraction of a second.
BLOCK_BYTES = 8 << 20
_LINE_BYTES = 4 << 20  # of a line at most; 65,536 numbers of 25 digits have 1.7 MB
_FAST_DIM = 4096  # pyarrow takes some 10 kB for a column, however few rows there are
_FLOAT32_INF = 2.0**128 - 2.0**103  # this number and all above it become inf in float32
_BOM = b"\xef\xbb\xbf"
_SPACE_IN_WORD = re.compile(rb"^[^\t\n]* ", re.MULTILINE)


def read_file(path: Path, block_bytes: int = BLOCK_BYTES) -> Table:
    """Read a file of any of the three formats; `block_bytes` of it are in memory at a time, beside the result.

    Raises:
        VectorsError: If the content has another format, or is cut off.
        OSError: If the disk fails.
    """
    with open_unpacked(path) as file:
        layout = find_layout(file.read(HEAD_BYTES) + file.readline(_LINE_BYTES), path)
    with open_unpacked(path) as file:  # not every packed file can be wound back
        if layout.count is not None:
            file.readline(_LINE_BYTES)
        read = _read_text if layout.is_text else _read_binary
        return read(file, layout, path, block_bytes)


def _read_text(file: IO[bytes], layout: Layout, path: Path, block_bytes: int) -> Table:
    """Read all lines below the header."""
    dim, count = layout.dim, layout.count
    line, seen = 1 if count is None else 2, 0
    words: list[str] = []
    parts = [np.empty((0, dim), np.float32)]
    while block := file.read(block_bytes) + (tail := file.readline(_LINE_BYTES)):
        if len(tail) == _LINE_BYTES and not tail.endswith(b"\n"):
            problem = f"a line of more than {_LINE_BYTES >> 20} MB, expected a word and its numbers"
            raise VectorsError(path, problem, line=line + block.count(b"\n"))
        _check_size(seen := seen + len(block), path)
        if line == 1 and (layout.has_runs or layout.separator == b"\t"):  # gensim, which keeps it, cannot read these
            block = block.removeprefix(_BOM)
        if layout.has_runs:
            block = re.sub(rb"(?m)^ ", b"", re.sub(rb"[ \t]+", b" ", block))
        some, part = _parse_fast(block, dim, layout.separator) or _parse_carefully(block, layout, line, path)
        words += some
        parts.append(part)
        line += block.count(b"\n")
    if count is not None and len(words) < count:
        raise VectorsError(path, f"{len(words)} words, the header says {count}; the file is cut off, download it again")
    if count is not None and len(words) > count:
        log.warning("%s: %d words, the header says %d; the rest is left out", path, len(words), count)
    return words[:count], np.concatenate(parts)[:count]


def _parse_fast(block: bytes, dim: int, separator: bytes = b" ") -> Table | None:
    """Read lines all at once, or None where one of them is out of the ordinary."""
    if dim > _FAST_DIM:
        return None
    pyarrow, csv = require("pyarrow", "data"), require("pyarrow.csv", "data")
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    # A tab after each word and spaces between its numbers; where a word holds a space, they cannot become tabs.
    if separator == b"\t" and b" " in block and not _SPACE_IN_WORD.search(block):
        block = block.replace(b" ", b"\t")
    # So end the lines of word2vec and fastText; to pyarrow the space begins one more column.
    if block.endswith(separator + b"\n"):
        block = block.replace(separator + b"\n", b"\n")
    numbers = [str(i) for i in range(dim)]
    try:
        table = csv.read_csv(
            pyarrow.BufferReader(block),
            csv.ReadOptions(column_names=["word", *numbers], block_size=1 << 20),
            csv.ParseOptions(
                delimiter=separator.decode(), quote_char=False, escape_char=False, ignore_empty_lines=False
            ),
            csv.ConvertOptions(
                # float64 first, because gensim rounds twice, and our numbers equal gensim's.
                column_types={"word": pyarrow.string(), **dict.fromkeys(numbers, pyarrow.float64())},
                strings_can_be_null=False,  # `null`, `nan` and `NA` are words
            ),
        )
    except pyarrow.ArrowInvalid:
        return None
    # pyarrow also ends a line at "\r", and drops a byte order mark; here both are parts of a word.
    if table.num_rows != lines or block.startswith(_BOM):
        return None
    columns = np.empty((dim, table.num_rows), np.float32)  # (E, V), as pyarrow has them
    with np.errstate(over="ignore"):  # 1e39 becomes inf
        for i in range(dim):
            columns[i] = table.column(i + 1).to_numpy()
    if not np.isfinite(columns).all():
        return None
    return table.column(0).to_pylist(), np.ascontiguousarray(columns.T)  # (V, E)


def _parse_carefully(block: bytes, layout: Layout, line: int, path: Path) -> Table:
    """Read line by line: a word may hold spaces, and an error names the first wrong line."""
    dim, separator = layout.dim, layout.separator
    lines = block.rstrip(b"\r\n").split(b"\n") if block.strip() else []
    words: list[str] = []
    rows = [np.empty((0, dim), np.float32)]  # room for a row is taken when its numbers are there
    for row, text in enumerate(lines):
        fields = split_line(text, separator)
        if b"" in fields[1:][-dim:] and len(cut := text.rsplit(None, dim)) > dim:  # several spaces part two numbers
            fields = [*cut[0].split(b" "), *cut[1:]]
        extra = len(fields) - 1 - dim
        # Surplus fields belong to the word, unless the last of them is one more number.
        if extra < 0 or any(_is_number(field) for field in b" ".join(fields[1 : extra + 1]).split()[-1:]):
            problem = f"{len(fields) - 1} numbers, expected {dim} {layout.why}"
            raise VectorsError(path, problem, line=line + row)
        for field in fields[extra + 1 :]:
            if not _is_number(field):
                shown = field.decode(errors="backslashreplace")
                raise VectorsError(path, f"{shown!r}, expected a finite number", line=line + row)
        try:
            words.append(separator.join(fields[: extra + 1]).decode())
        except UnicodeDecodeError as error:
            raise VectorsError(path, f"not UTF-8 ({error}); convert the file", line=line + row) from error
        rows.append(np.array([[float(field) for field in fields[extra + 1 :]]], np.float32))
    return words, np.concatenate(rows)


def _is_number(field: bytes) -> bool:
    """Whether these bytes are a number that float32 can hold."""
    try:
        return abs(float(field)) < _FLOAT32_INF  # False for nan
    except ValueError:
        return False


def _read_binary(file: IO[bytes], layout: Layout, path: Path, block_bytes: int) -> Table:
    """Read the records below the header."""
    dim, count = layout.dim, layout.count or 0
    size = 4 * dim
    words: list[str] = []
    parts = [np.empty((0, dim), np.float32)]
    rest, chunk, seen = b"", b"more", 0
    while len(words) < count and chunk and len(rest) < size + _LINE_BYTES:  # else a word without an end
        chunk = file.read(block_bytes)
        _check_size(seen := seen + len(chunk), path)
        block, at = rest + chunk, 0
        places = []
        # Words differ in length, so only the end of a record tells where the next begins: the one loop over words.
        while len(words) < count:
            space = block.find(b" ", at)
            if space < 0 or space + 1 + size > len(block):
                break
            try:
                # word2vec.c ends a record with a line end, others do not.
                words.append(block[at:space].lstrip(b"\n").decode())
            except UnicodeDecodeError as error:
                raise VectorsError(path, f"word {len(words) + 1} is not UTF-8 ({error})") from error
            places.append(space + 1)
            at = space + 1 + size
        rest = block[at:]
        if places:
            windows = sliding_window_view(np.frombuffer(block, np.uint8), size)
            part = windows[places].view("<f4").astype(np.float32, copy=False)
            first = len(words) - len(places)
            check_finite(part, words[first:], path, first=first)
            parts.append(part)
    if len(words) < count:
        word, _, numbers = rest.lstrip(b"\n").partition(b" ")
        raise VectorsError(
            path,
            f"word {len(words) + 1} of {count} ({word[:40].decode(errors='replace')!r}): {len(numbers)} bytes, "
            f"expected {size}; the file is cut off, download it again",
        )
    if (rest + file.read(block_bytes)).strip():  # reading on also makes an archive check its sum
        log.warning("%s: more than the %d words of the header; the rest is left out", path, count)
    return words, np.concatenate(parts)


def _check_size(seen: int, path: Path) -> None:
    """Make sure that a file does not hold far more than its size lets expect, as only a packed one can.

    Raises:
        VectorsError: If the bytes seen are too many.
    """
    if seen > USUAL.most_unpacked(path.stat().st_size):
        problem = f"holds more than {USUAL.unpacked_times} times its size, as files do that are made to fill the memory"
        raise VectorsError(path, f"{problem}; if it is right, unpack it")


def check_finite(matrix: Matrix, words: list[str], path: Path, *, first: int = 0) -> None:
    """Make sure that all vectors are finite.

    Raises:
        VectorsError: Names the first word whose vector is not finite; `first` counts the words of the file before.
    """
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise VectorsError(path, f"word {first + row + 1} ({words[row]!r}) has inf or nan, expected finite numbers")
