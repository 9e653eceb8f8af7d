r"""What a file of word vectors is, told by its first lines: text or binary, how wide, and what parts its numbers.

* A header `V E`, parted by a space or a tab, gives the number of words and the width.
* Without a header, the width is the most common count of numbers at the end of a line, among the first hundred lines.
  One line alone cannot tell it, since a word may hold spaces (some words of GloVe 840B do).
* A space ends a word, as in gensim; or a tab ends it, where most lines have one between the word and its numbers.

Other files, and vectors in a form that leaves doubt about the numbers, are errors that name what was found.

Letters: V words, E numbers of a word.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rubrica.errors import VectorsError
from rubrica.vectors.archives import packer_of

HEAD_BYTES = 64 << 10
_SAMPLE = 100  # lines that tell the width; a fault in a few of them changes nothing
_MAX_DIM = 1 << 16  # nobody publishes so long vectors, and no model takes longer ones
_TAIL_BYTES = 200  # of a line: the last few numbers, which tell their form
_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?(\d{1,12})[ \t]+(\d{1,12})\s*")
# At least three bytes: the first bytes of a float32 often look like "5\n", and hardly ever like "0.5\n".
_NUMBERS = re.compile(rb"[-+.eE0-9naif ]{3,}")
_AS_TEXT = "save a line for each word: the word and its numbers, parted by spaces"

# What other files begin with, and what to do with each.
_FOREIGN = {
    rb"\xba\x16\x4f\x2f": "a fastText model inside an archive; unpack it, since such a file is mapped and not read",
    rb"\x80": "a Python pickle, which may run code when opened; save it with KeyedVectors.save_word2vec_format",
    rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff": "UTF-16 or UTF-32 text; save it as UTF-8",
    rb"\x93NUMPY": f"an array of NumPy, which has no words; {_AS_TEXT}",
    rb".{6}\x00\x00\{": "a safetensors file, which has no words; give the model2vec folder that holds it",
    rb"\x89HDF\r\n": f"an HDF5 file; {_AS_TEXT}",
    rb"PAR1[\x00-\x1f]": f"a Parquet file; {_AS_TEXT}",
    rb"ARROW1\x00|\xff{4}.{2}\x00\x00": f"an Arrow file; {_AS_TEXT}",
    rb"SQLite format 3\x00": f"an SQLite database; {_AS_TEXT}",
    rb"7z\xbc\xaf|Rar!\x1a|.{257}ustar[\x00 ][0 ]|\x04\x22\x4d\x18|\x1f[\x9d\xa0]": "an archive; unpack it first",
}
# What other text begins with; asked only where the lines are no vectors, since `{` and `<html` may be words.
_FOREIGN_TEXT = {
    rb"(\xef\xbb\xbf)?\s*[\[{]": f"JSON, expected lines of text; {_AS_TEXT}",
    rb"(?i)\s*<(!doctype|html|\?xml|head)": "a web page, expected word vectors; download the file itself",
    rb"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with `git lfs pull`",
}
# How most lines end in forms that are not read; X is a number.
_FOREIGN_ENDS = {
    r"[ \t]\d+:X\s*$": "sparse vectors ({shown}), expected all numbers of a word; write the zeros of each word too",
    r"""[,;][ \t]*"?X"?[ \t]*[,;][ \t]*"?X"?[ \t]*[,;]?\s*$""": (
        "comma-separated ({shown}), expected spaces or tabs; replace the separators, and leave out names of columns"
    ),
    r"[ \t][-+]?\d+,\d+(?:[eE][-+]?\d+)?\s*$": "decimal commas ({shown}), expected decimal points; write 0.5, not 0,5",
    r"[ \t]X[ \t]*\r[^\r]*[ \t]X\s*$": "lines end in a carriage return alone; save the file with usual line ends",
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file of vectors is to be read.

    Args:
        dim: Numbers of a word, E.
        why: What tells the width, for messages.
        count: Words that the header gives; None without a header.
        is_text: Whether lines of text follow, not records of bytes.
        separator: The byte that ends a word, a space or a tab.
        has_runs: Whether several spaces and tabs together part two fields, as in aligned columns.
    """

    dim: int
    why: str = "as the header says"
    count: int | None = None
    is_text: bool = True
    separator: bytes = b" "
    has_runs: bool = False


def find_layout(head: bytes, path: Path) -> Layout:
    """Tell the layout from the start of a file, which ends where a line ends.

    Raises:
        VectorsError: If the file is empty, or holds something else than word vectors.
    """
    if not head:
        raise VectorsError(path, "the file is empty; expected a word and its numbers on each line")
    first, _, rest = head.partition(b"\n")
    header = _HEADER.fullmatch(first)
    if not header:
        _check_start(head, path)
    start = 2 if header else 1
    lines = [line.rstrip() for line in (rest if header else head).split(b"\n", _SAMPLE)[:_SAMPLE]]
    sample = list(filter(None, lines))
    _check_ends(sample, path, start)
    if not header:
        return _measure(lines[0], sample, head, path)
    count, dim = int(header[1]), int(header[2])
    if not 1 <= dim <= _MAX_DIM:
        raise VectorsError(path, f"{dim} numbers a word, expected 1 to {_MAX_DIM}", line=1)
    separator, has_runs = _find_separator(sample, dim)
    is_text = separator == b"\t" or has_runs or _is_text(rest.partition(b"\n")[0], dim)
    return Layout(dim, count=count, is_text=is_text, separator=separator, has_runs=has_runs)


def split_line(line: bytes, separator: bytes) -> list[bytes]:
    """The fields of a line: those before the last `dim` make up the word."""
    line = line.rstrip()
    if separator == b" ":
        return line.split(b" ")
    word, _, numbers = line.partition(separator)
    return [word, *numbers.split()]


def _measure(first: bytes, sample: list[bytes], head: bytes, path: Path) -> Layout:
    """The layout of a file without a header."""
    separator, has_runs = _find_separator(sample, None)
    rows = [line.split() if has_runs else split_line(line, separator) for line in sample]
    widths = Counter(width for row in rows if (width := _numbers_at_end(row)))
    fields = first.split() if has_runs else split_line(first, separator)
    width = len(fields) - 1
    if 2 * widths.total() > len(sample):
        common, lines = widths.most_common(1)[0]
        if lines > 1:  # what two lines agree on; one alone may have a fault in the middle
            width = common
    else:
        for start, what in _FOREIGN_TEXT.items():
            if re.match(start, head):
                raise VectorsError(path, what)
    if width < 1:
        raise VectorsError(path, "one column, expected a word and its numbers, parted by spaces", line=1)
    if width > _MAX_DIM:
        raise VectorsError(path, f"{width} numbers a word, expected 1 to {_MAX_DIM}", line=1)
    if separator == b"\t" and width > 2 and fields[1:] == [b"%d" % i for i in range(width)]:
        raise VectorsError(path, "numbers of columns (0, 1, 2 ...), expected a word's; delete the line", line=1)
    same = _numbers_at_end(fields) == width or len(fields) - 1 == width
    return Layout(width, "as in line 1" if same else "as in most lines", separator=separator, has_runs=has_runs)


def _find_separator(sample: list[bytes], dim: int | None) -> tuple[bytes, bool]:
    """What ends a word in most lines, and whether runs of spaces and tabs part the fields; `dim` is the header's."""
    tabs = runs = 0
    for line in sample:
        fields = line.split(b" ")
        plain = _numbers_at_end(fields) == len(fields) - 1
        if plain and len(fields) - 1 == dim:  # just as gensim reads it, though a word may hold a tab
            continue
        word, _, numbers = line.partition(b"\t")
        cut = numbers.split()
        # A word before the tab that ends in a number was ended by a space, and the number is a part of the vector.
        if word and cut and all(map(_is_number, cut)) and not _numbers_at_end(word.split(b" ")):
            tabs += 1
        elif not plain and (b"  " in line or b"\t" in line) and _numbers_at_end(line.split()):
            runs += 1
    if 2 * tabs > len(sample):
        return b"\t", False
    return b" ", 2 * runs > len(sample)


def _numbers_at_end(fields: list[bytes]) -> int:
    """How many fields at the end are numbers; the first is a word in any case."""
    count = 0
    while count < len(fields) - 1 and _is_number(fields[-1 - count]):
        count += 1
    return count


def _is_number(field: bytes) -> bool:
    """Whether these bytes are a number; inf and nan are, so that the reader can say in which line they stand."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def _is_text(line: bytes, dim: int) -> bool:
    """Whether the first line below a header is text, perhaps with a fault, and not a binary record."""
    numbers = line.rstrip().split(b" ")[1:]
    tail = b" ".join(numbers)
    enough = len(numbers) >= dim > 1 and tail.isascii() and tail.decode("ascii").isprintable()
    blank = not line.strip(b"\r\n")  # a space is an empty word, whose first number may begin like a line end
    return blank or enough or _NUMBERS.fullmatch(tail) is not None


def _check_start(head: bytes, path: Path) -> None:
    """Raise an error for a file whose first bytes are another format's."""
    for magic, what in _FOREIGN.items():
        if re.match(magic, head, re.DOTALL):
            raise VectorsError(path, what)
    if packer := packer_of(head):
        raise VectorsError(path, f"a {packer.name} file inside an archive; unpack it once")
    some = head[:1000]
    if 4 * some.count(0) > len(some):  # every second byte of numbers in UTF-16
        raise VectorsError(path, "every other byte is zero, as in UTF-16 text; save it as UTF-8 text")


def _check_ends(sample: list[bytes], path: Path, start: int) -> None:
    """Raise an error for lines whose numbers are written in a form that is not read; `start` is the first's number."""
    for form, what in _FOREIGN_ENDS.items():
        end = re.compile(form.replace("X", _NUMBER).encode())  # late: most vectors are never asked
        found = [line for line in sample if end.search(line[-_TAIL_BYTES:])]
        if 2 * len(found) > len(sample):
            shown = found[0][:30].decode(errors="backslashreplace") + "..." * (len(found[0]) > 30)
            raise VectorsError(path, what.format(shown=shown), line=start)
