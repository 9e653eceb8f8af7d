"""Text files in any encoding become UTF-8 before anything reads them."""

import codecs
import mmap
import re
from collections.abc import Iterator

from rubrica.errors import DataError

_MARKS = {  # the longer marks first: a mark of UTF-32 begins with the mark of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LATIN = ("cp1252", "cp1250", "cp1254", "cp1257")
_OTHER = ("cp1251", "gb18030", "cp932", "cp949", "koi8_r", "cp866", "big5", "cp1253", "cp1255", "cp1256")
"""Encodings that a proposal is chosen from: what people use beside UTF-8, the more common ones first."""
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_ACCENTED = 0.7  # of the bytes of words with bytes beyond ASCII: accents are fewer, letters of other scripts are more
_OTHERS = (  # first bytes, what the file is, and the suffix that says so
    (b"\x1f\x8b", "packed by gzip", ".gz"),
    (b"BZh", "packed by bzip2", ".bz2"),
    (b"\xfd7zXZ\0", "packed by xz", ".xz"),
    (b"PK\x03\x04", "a zip archive or an Excel file", ".zip; save a table of Excel as CSV"),
    (b"PAR1", "a Parquet file", ".parquet"),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
    (b"%PDF", "a PDF", ""),
)
_SAMPLE = 1 << 16  # bytes that a proposal looks at
_PART = 1 << 20  # bytes that are decoded at a time


def encoding_of(start: bytes, given: str | None) -> str | None:
    """The encoding of a text file by its first bytes; None for UTF-8, which needs no work."""
    if start.startswith(codecs.BOM_UTF8):
        return None
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    found = given or marked
    return None if found is None or codecs.lookup(found).name in ("utf-8", "utf-8-sig") else found


def iter_utf8(path: object, parts: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Bytes in some encoding as UTF-8, part by part.

    Raises:
        DataError: If they are not in this encoding, with the line.
    """
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    last = False
    while not last:
        part = next(parts, b"")
        last = not part
        try:
            text = decoder.decode(part, last)
            yield text.encode()
        except UnicodeError as error:
            before = part[: error.start].count(b"\n") if isinstance(error, UnicodeDecodeError) else 0
            problem = f"not {encoding} ({error.reason if isinstance(error, UnicodeDecodeError) else error})"
            raise DataError(path, f"{problem}; pass another --encoding", line=line + before) from None
        line += text.count("\n")


def parts_of(data: bytes | mmap.mmap) -> Iterator[bytes]:
    """Stretches of bytes (or of a map) that are small enough to be decoded at once."""
    return (data[first : first + _PART] for first in range(0, len(data), _PART))


def propose(data: bytes, place: int) -> str:
    """The likely encoding of bytes that are not UTF-8 at some place: an argument for --encoding."""
    sample = data[max(0, place - _SAMPLE // 2) :][:_SAMPLE]
    if wide := unmarked(sample):
        return wide
    words = b"".join(_WORD.findall(sample))
    share = sum(byte > 127 for byte in words) / max(1, len(words))
    candidates = _OTHER if share > _ACCENTED else _LATIN
    try:
        from charset_normalizer import from_bytes
    except ModuleNotFoundError:  # a part of the extra `data`
        return candidates[0]
    often = (sample + b"\n") * max(1, 4096 // max(1, len(sample)))  # it is unsure of short texts
    ranked = {
        name: (round(match.chaos, 1), -round(match.coherence, 1), candidates.index(name))
        for match in from_bytes(often, cp_isolation=list(candidates))
        for name in match.could_be_from_charset  # the same characters in each of them
        if name in candidates
    }
    return min(ranked, key=ranked.__getitem__, default=candidates[0])


def what_else(start: bytes) -> str | None:
    """What a file is that is no text, by its first bytes, and what to do; None where they do not say."""
    for mark, name, suffix in _OTHERS:
        if start.startswith(mark):
            return f"is {name}; " + (f"give it a name that ends in {suffix}" if suffix else "give a file of texts")
    return None


def unmarked(sample: bytes) -> str | None:
    """The name of UTF-16 where its mark is missing: half of its bytes are small numbers. None for other bytes."""
    high, low = (sum(byte < 9 for byte in sample[first::2]) for first in (0, 1))
    if 4 * max(high, low) <= len(sample):
        return None
    found = "utf-16-le" if low > high else "utf-16-be"
    text = sample[: len(sample) // 2 * 2].decode(found, "replace")
    return found if sum(map(str.isprintable, "".join(text.split()))) * 10 >= 9 * len("".join(text.split())) else None
