"""Where the tokens that a model reads stand in the text as its user wrote it.

A model reads a text in Unicode's composed form and perhaps lower-cased, and both may change how many characters it has:
e and an accent are one, the Turkish İ becomes two. So each character that is read knows which written ones it is of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from unicodedata import combining, is_normalized, normalize

import numpy as np
from numpy.typing import NDArray

from rubrica.text.tokenizer import token_spans

Places = NDArray[np.int64]


class Token(NamedTuple):
    """A token as a model reads it, and where it starts and ends in the text as it is written.

    Tokens follow each other without overlap. Of two tokens of one written character the second has no place of its own.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Read:
    """A text as a model reads it.

    Args:
        text: Its characters.
        starts: Where the written characters of each start in the text as it is written, (S,).
        ends: Where they end, (S,).
        spans: Where each token starts and ends in `text`.
        limit: How many of the characters are read, where that is known beforehand.
    """

    text: str
    starts: Places
    ends: Places
    spans: Sequence[tuple[int, int]]
    limit: int | None = None

    def tokens(self) -> list[Token]:
        """The tokens and their places in the text as it is written."""
        found, last = [], 0
        for first, behind in self.spans:
            start = max(last, int(self.starts[first]))
            last = max(start, int(self.ends[behind - 1]))
            found.append(Token(self.text[first:behind], start, last))
        return found

    def spans_of(self, other: "Read") -> list[tuple[int, int]]:
        """Where the tokens of another reading of the same text stand in this one's characters."""
        found, last = [], 0
        for first, behind in other.spans:
            start = max(last, int(np.searchsorted(self.ends, other.starts[first], "right")))
            last = max(start, int(np.searchsorted(self.starts, other.ends[behind - 1], "left")))
            found.append((start, last))
        return found


def read_words(text: str, *, lowercase: bool, split_unspaced: bool = False) -> Read:
    """A text as `text/tokenizer.py` reads it."""
    composed, starts, ends = compose(text)
    if lowercase:
        lengths = [len(character.lower()) for character in composed]
        composed, starts, ends = composed.lower(), np.repeat(starts, lengths), np.repeat(ends, lengths)
    return Read(composed, starts, ends, token_spans(composed, split_unspaced=split_unspaced))


def compose(text: str) -> tuple[str, Places, Places]:
    """A text in composed form, and from where to where the written characters of each of its characters stand."""
    if is_normalized("NFC", text):
        places = np.arange(len(text) + 1, dtype=np.int64)
        return text, places[:-1], places[1:]
    pieces, starts, ends = [], list[int](), list[int]()
    for first, behind in pairwise([*_clusters(text), len(text)]):
        written = text[first:behind]
        piece = normalize("NFC", written)
        pieces.append(piece)
        if piece == written:
            starts += range(first, behind)
            ends += range(first + 1, behind + 1)
        else:
            starts += [first] * len(piece)
            ends += [behind] * len(piece)
    return "".join(pieces), np.array(starts, np.int64), np.array(ends, np.int64)


def _clusters(text: str) -> list[int]:
    """Where the parts of a text start that are composed independently of each other."""
    found: list[int] = []
    for place, character in enumerate(text):
        if found and (combining(character) or _joins(text[found[-1] : place], character)):
            continue
        found.append(place)
    return found


def _joins(before: str, character: str) -> bool:
    """Whether a character changes what stands before it, or is changed by it: as a vowel of Hangul does."""
    return normalize("NFC", before + character) != normalize("NFC", before) + normalize("NFC", character)
