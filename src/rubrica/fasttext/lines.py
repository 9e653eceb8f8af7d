r"""Texts as the kernels take them: strings of Python, and the lines of a file or of standard input.

Only "\n" ends a line, and an empty line is a text: n lines in, n answers out.

Letters: N texts.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import DataError
from rubrica.files import user_path
from rubrica.text.tokens import Packed, PackedTexts

EOS, BOW, EOW = "</s>", "<", ">"
"""The token of a line's end; the marks around a word whose runs of characters are read."""
_BLOCK_BYTES = 1 << 20  # of a file at a time: some 5,000 lines of news, 10 ms of answers
_STRETCH = 1 << 12  # texts of a list at a time: some 1 MB of news
_END = EOS.encode()
_SPACES = b" \n\r\t\v\f\0"


def encode(text: str) -> bytes:
    r"""A text as fastText reads it; bytes that were no UTF-8 and came in as `surrogateescape` come back.

    Raises:
        TypeError: If it is no string.
        UnicodeEncodeError: If it holds another half of a pair.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogateescape")
    except AttributeError:
        raise no_string(text) from None


def no_string(value: object, name: str = "a text or word") -> TypeError:
    """The error that says what stands where a string belongs."""
    return TypeError(f"{name} is {value!r:.60}, expected a string (str)")


def iter_stretches(texts: Sequence[str]) -> Iterator[Packed]:
    """Yield the texts, each of one line, some at a time: never are all of them copied. An empty list is one stretch.

    Raises:
        TypeError, ValueError: As `pack` does.
    """
    for first in range(0, max(1, len(texts)), _STRETCH):
        yield pack(texts[first : first + _STRETCH], first)


def pack(texts: Sequence[str], first: int = 0) -> Packed:
    r"""Texts of a line each; `first` is the number of the first one.

    Raises:
        TypeError: If one is no string, with its number.
        ValueError: If one holds a "\n", with its number.
    """
    if isinstance(texts, PackedTexts):
        return _checked(texts.packed, first)
    try:
        joined = "\n".join(texts)
    except TypeError:
        number, text = next((i, text) for i, text in enumerate(texts) if not isinstance(text, str))
        raise no_string(text, f"text {first + number}") from None
    data = np.frombuffer(encode(joined), np.uint8)
    breaks = np.flatnonzero(data == ord("\n"))
    if len(breaks) > max(0, len(texts) - 1):
        number = next(i for i, text in enumerate(texts) if "\n" in text)
        raise _two_lines(first + number)
    starts, ends = np.zeros(len(texts), np.int64), np.full(len(texts), len(data), np.int64)
    starts[1:] = breaks + 1
    ends[:-1] = breaks
    return Packed(data, starts, ends)


def _checked(texts: Packed, first: int) -> Packed:
    data, starts, ends = texts
    breaks = np.flatnonzero(data == ord("\n"))
    owners = np.searchsorted(starts, breaks, "right") - 1
    if len(inside := owners[breaks < ends[owners]]):  # others lie where a text is missing
        raise _two_lines(first + int(inside[0]))
    return texts


def _two_lines(number: int) -> ValueError:
    return ValueError(f"predict processes one line at a time (remove '\\n'); text {number} has a '\\n'")


def pack_one(text: str, what: str = "predict") -> Packed:
    r"""A text of one line.

    Raises:
        TypeError: If it is no string.
        ValueError: If it holds a "\n".
    """
    raw = bytearray(encode(text))  # the border to C++ takes a third of the time for an array that can be written
    if b"\n" in raw:
        raise ValueError(f"{what} processes one line at a time (remove '\\n')")
    return Packed(np.frombuffer(raw, np.uint8), np.zeros(1, np.int64), np.array([len(raw)]))


def iter_packed(source: str, most: int = 1 << 20) -> Iterator[Packed]:
    """The lines of a file, or of standard input where it is "-", some at a time, in order.

    Args:
        source: A path, or "-". What comes in through a pipe is handed on as it comes.
        most: Lines that are handed on together, at most.

    Raises:
        DataError: If the file cannot be read.
    """
    standard = source == "-"
    try:
        with nullcontext(sys.stdin.buffer) if standard else user_path(source).open("rb") as stream:
            rest: list[bytes] = []
            while piece := stream.read1(_BLOCK_BYTES):  # type: ignore[union-attr]  # both are buffered
                cut = piece.rfind(b"\n") + 1
                if not cut:
                    rest.append(piece)
                    continue
                yield from _split(b"".join([*rest, piece[:cut]]), most)
                rest = [piece[cut:]]
            if last := b"".join(rest):
                yield from _split(last + b"\n", most)
    except OSError as error:
        problem = f"cannot be opened ({error.strerror or error}); check the path and who may read the file"
        raise DataError("<stdin>" if standard else source, problem) from None


def _split(block: bytes, most: int) -> Iterator[Packed]:
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    for first in range(0, len(ends), most):
        yield Packed(data, starts[first : first + most], ends[first : first + most])


def labels_in(texts: Packed, label_ids: dict[bytes, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The known labels in texts: the number of the text, and of the label; one of each for every label there is."""
    whole = texts.data.tobytes()
    mark = os.path.commonprefix(list(label_ids))  # noqa: RUF071  # by characters, as is meant
    if mark and _END not in whole:
        # All labels begin alike, so only words that do are looked at.
        words = re.compile(re.escape(mark) + rb"[^ \n\r\t\v\f\0]*")
        found = [
            (match.start(), label_ids[match[0]])
            for match in words.finditer(whole)
            if match[0] in label_ids and (not match.start() or whole[match.start() - 1] in _SPACES)
        ]
        places, labels = np.array(found, np.int64).reshape(-1, 2).T
        numbers = np.searchsorted(texts.starts, places, "right") - 1
        within = numbers >= 0  # the data may hold other texts as well
        within[within] = places[within] < texts.ends[numbers[within]]
        return numbers[within], labels[within]
    return _labels_in_lines(texts, whole.replace(b"\0", b" "), label_ids)


def _labels_in_lines(
    texts: Packed, whole: bytes, label_ids: dict[bytes, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same, one line after the other, for lines that end early."""
    numbers, labels = [], []
    for i, (start, end) in enumerate(zip(texts.starts.tolist(), texts.ends.tolist(), strict=True)):
        tokens = whole[start:end].split()
        if _END in tokens:  # a line ends at its end token, wherever it is
            tokens = tokens[: tokens.index(_END)]
        found = [label_ids[token] for token in tokens if token in label_ids]
        labels += found
        numbers += [i] * len(found)
    return np.array(numbers, np.int64), np.array(labels, np.int64)


def tokenize(text: str) -> list[str]:
    r"""The tokens of a text at fastText's white space; each "\n" is a token of its own."""
    lines = [line.split() for line in encode(text).replace(b"\0", b" ").split(b"\n")]
    tokens = [token for line in lines[:-1] for token in [*line, _END]] + lines[-1]
    return [token.decode() for token in tokens]


def slices(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[bytes]:
    """Strings that lie one after the other."""
    whole = data.tobytes()
    return [whole[start:end] for start, end in pairwise([0, *ends.tolist()])]
