"""Texts to token ids, and the words of texts counted: natively, or by the rule itself (`tokenizer.py`).

The native core reads UTF-8. What is a word character, what is white space and what a letter's small form is, it is
told by the Python that runs, in a table by code point; so both ways give the same tokens under every version of
Unicode. Two characters have no small form of one character that holds everywhere, and texts with one of them are
lower-cased by Python first.

Letters: N texts, V words.
"""

import re
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, islice, pairwise
from typing import Any, NamedTuple
from unicodedata import is_normalized

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.border import bind, call
from rubrica.text.tokenizer import ALONE, WHITE_SPACE, WORD, tokenize

_CODE_POINTS = 0x40000  # the planes that hold letters or white space; a test holds the rest of Unicode to it
_WORD, _SPACE, _ALONE = 1, 2, 4  # the kinds of native/tokens.h; punctuation is 0
_SPECIAL = ("\u0130", "\u03a3")  # dotted capital I: two characters; capital sigma: its form depends on its place
_BYTES_PER_THREAD = 1 << 17  # fewer are not worth a thread
_SLOT_BYTES = 16


class Packed(NamedTuple):
    """Strings as UTF-8 in one piece: string i is `data[starts[i] : ends[i]]`."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class PackedTexts(Sequence[str]):
    """Texts that came in one piece, as a column of Arrow does; one is a string only where it is asked for.

    Args:
        packed: The texts. All of `packed.data` between the first and the last is looked at, gaps too.
    """

    def __init__(self, packed: Packed) -> None:
        self.packed = packed

    def __len__(self) -> int:
        return len(self.packed.starts)

    def __getitem__(self, index: Any) -> Any:
        """One text, or the texts of a slice without a copy of their bytes."""
        starts, ends = self.packed.starts[index], self.packed.ends[index]
        if not isinstance(index, slice):
            return self.packed.data[starts:ends].tobytes().decode()
        first, last = int(starts.min(initial=len(self.packed.data))), int(ends.max(initial=0))
        return PackedTexts(Packed(self.packed.data[first:last], starts - first, ends - first))

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    @property
    def sizes(self) -> list[int]:
        """Bytes of each text, (N,)."""
        return (self.packed.ends - self.packed.starts).tolist()

    def is_composed(self) -> bool:
        """Whether all texts are in Unicode's composed form; False also where one is no UTF-8."""
        data, starts, ends = self.packed
        if not data.size or data.max() < 128:
            return True
        try:
            whole = data.tobytes().decode()
        except UnicodeDecodeError:
            return False
        # A part of a composed string is composed, if it does not begin or end inside of a character.
        places = np.concatenate([starts[starts < len(data)], ends[ends < len(data)]])
        return is_normalized("NFC", whole) and not bool((data[places] >> 6 == 0b10).any())


def take_some(texts: Sequence[str], rows: NDArray[np.int64]) -> Sequence[str]:
    """The texts of some rows, which are in ascending order; the texts of an Arrow column are not copied."""
    if isinstance(texts, PackedTexts):
        data, starts, ends = texts.packed
        return PackedTexts(Packed(data, starts[rows], ends[rows]))
    return [texts[row] for row in rows.tolist()]


class WordIndex(NamedTuple):
    """Where each of V words stands: the words, and a hash table of the native core."""

    words: Packed
    slots: NDArray[np.uint8]


def index_words(words: Sequence[str]) -> WordIndex | dict[str, int]:
    """Word to id, ready to be looked up; of equal words the last one's id stays."""
    if native.library() is None:
        return {word: i for i, word in enumerate(words)}
    packed = pack(words)
    slots = np.zeros((1 << (2 * len(words)).bit_length(), _SLOT_BYTES), np.uint8)
    call("index_words", len(words), *packed, len(slots), slots)
    return WordIndex(packed, slots)


def encode(
    texts: Sequence[str],
    index: WordIndex | dict[str, int],
    unknown_id: int,
    *,
    lowercase: bool,
    max_length: int,
    split_unspaced: bool = False,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Ids of the first `max_length` tokens of each text, one after the other, and where each text starts, (N + 1,).

    Words that `index_words` did not get have the `unknown_id`. With `lowercase`, texts are lower-cased before they are
    split. `split_unspaced` is for scripts without spaces, see `tokenizer.py`. `max_length` is at least 1.
    """
    if isinstance(index, dict):
        split = [tokenize(text, lowercase=lowercase, split_unspaced=split_unspaced)[:max_length] for text in texts]
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(tokens) for tokens in split], out=offsets[1:])
        found = (index.get(token, unknown_id) for token in chain.from_iterable(split))
        return np.fromiter(found, np.int32, offsets[-1]), offsets
    data, starts, ends, threads = prepare(texts, lowercase)
    ids = np.empty(int(np.minimum(ends - starts, max_length).sum()), np.int32)
    offsets = np.empty(len(texts) + 1, np.int64)
    total = call("encode",
        threads, lowercase, max_length, unknown_id, len(texts), data, starts, ends,
        *unicode_tables(data, split_unspaced), len(index.slots), index.slots, *index.words[:2], ids, offsets,
    )  # fmt: skip
    return ids[:total].copy(), offsets  # what was not needed of the room goes back


class WordCounter:
    """Counts the words of texts and numbers them in the order of their first appearance.

    Args:
        lowercase: Whether texts are lower-cased before they are split.
        max_length: How many tokens of a text, from its start, are numbered (all are counted); at least 1.
        split_unspaced: Whether each character of a script without spaces is a token.
    """

    def __init__(self, *, lowercase: bool, max_length: int, split_unspaced: bool = False) -> None:
        self.lowercase, self.max_length, self.split_unspaced = lowercase, max_length, split_unspaced
        self._counter: Counter[str] = Counter()
        self._places: dict[str, int] = {}
        self._sizes = np.zeros(2, np.int64)
        if native.library() is not None:
            self._handle = call("counter_start")
            weakref.finalize(self, bind("counter_end"), (self._handle,))

    def add(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Count some more texts. Returns the ids of their words, and where the ids of each text start, (N + 1,)."""
        if native.library() is None:
            for text in texts:
                self._counter.update(tokenize(text, lowercase=self.lowercase, split_unspaced=self.split_unspaced))
            for word in islice(self._counter, len(self._places), None):
                self._places[word] = len(self._places)
            rule = {"lowercase": self.lowercase, "split_unspaced": self.split_unspaced}
            return encode(texts, self._places, 0, max_length=self.max_length, **rule)
        data, starts, ends, threads = prepare(texts, self.lowercase)
        offsets = np.empty(len(texts) + 1, np.int64)
        count = call("counter_add",
            self._handle, threads, self.lowercase, self.max_length, len(texts), data, starts, ends,
            *unicode_tables(data, self.split_unspaced), offsets,
        )  # fmt: skip
        ids = np.empty(count, np.int32)
        call("counter_ids", self._handle, ids, self._sizes)
        return ids, offsets

    def words(self) -> tuple[list[str], NDArray[np.int64]]:
        """The distinct words by their number, and how often each occurred."""
        if native.library() is None:
            return list(self._counter), np.fromiter(self._counter.values(), np.int64, len(self._counter))
        count, size = self._sizes
        data, places, counts = np.empty(size, np.uint8), np.zeros(count + 1, np.int64), np.empty(count, np.int64)
        call("counter_words", self._handle, data, places, counts)
        whole = data.tobytes()
        return [whole[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(places.tolist())], counts


def prepare(texts: Sequence[str], lowercase: bool) -> tuple[NDArray[np.uint8], Any, Any, int]:
    """The texts packed, as the native core wants them, and how many threads they are worth."""
    if lowercase and _has_special(texts):
        texts = [text.lower() for text in texts]
    packed = pack(texts)
    threads = max(1, min(native.num_threads(), len(packed.data) // _BYTES_PER_THREAD))
    return *packed, threads


def _has_special(texts: Sequence[str]) -> bool:
    """Whether a text has a character that Python must lower-case."""
    if isinstance(texts, PackedTexts):
        whole = texts.packed.data.tobytes()
        return not whole.isascii() and any(special.encode() in whole for special in _SPECIAL)
    return any(special in text for special in _SPECIAL for text in texts if not text.isascii())


def pack(texts: Sequence[str]) -> Packed:
    """Texts in one piece, without a Python object for each where the native core is there."""
    if isinstance(texts, PackedTexts):
        return texts.packed
    if len(texts) == 1:  # a server's; of one text there is nothing to find
        raw = bytearray(texts[0].encode("utf-8", "surrogatepass"))
        return Packed(np.frombuffer(raw, np.uint8), np.zeros(1, np.int64), np.array([len(raw)]))
    # One join and one encode for all texts; "surrogatepass" for the halves of pairs that a str may hold.
    joined = "\0".join(texts).encode("utf-8", "surrogatepass")
    data = np.frombuffer(joined, np.uint8)
    starts, ends = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    native_core = native.library() is not None
    if not native_core or call("split_texts", len(data), data, len(texts), starts, ends) > max(1, len(texts)):
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]  # a text holds a zero of its own
        data = np.frombuffer(b"".join(parts), np.uint8)
        np.cumsum([len(part) for part in parts], out=ends)
        starts[1:] = ends[:-1]
    return Packed(data, starts, ends)


def unicode_tables(
    data: NDArray[np.uint8], split_unspaced: bool = False
) -> tuple[NDArray[np.uint8] | None, NDArray[np.int32] | None, int]:
    """The tables of `native/tokens.cpp`, and how long they are; none where all of the data is ASCII."""
    if not data.size or data.max() < 128:
        return None, None, 0
    kinds, lower = _unicode_tables(split_unspaced)
    return kinds, lower, len(kinds)


@cache
def _unicode_tables(split_unspaced: bool) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Kind and small form of each of the first code points, as this Python has them."""
    every = np.arange(_CODE_POINTS, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    kinds = np.zeros(_CODE_POINTS, np.uint8)
    patterns = [(_WORD, WORD), (_SPACE, WHITE_SPACE), *([(_ALONE, f"[{ALONE}]")] if split_unspaced else [])]
    for kind, pattern in patterns:
        for match in re.finditer(f"{pattern}+", every):
            kinds[match.start() : match.end()] = kind
    for special in _SPECIAL:  # handled before; here they would shift what follows them
        every = every.replace(special, "\0")
    lower = np.frombuffer(every.lower().encode("utf-32-le", "surrogatepass"), "<i4")
    return kinds, lower
