"""Words to ids and back.

A vocabulary is a list of words; a word's place is its id. Id 0 pads. In a vocabulary made from word vectors that
is the first word of the file, as in the seminar; in one made from texts it is `<pad>`, which no text can hold.

Letters: N texts, V words.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.text import tokens
from rubrica.text.tokenizer import tokenize

PAD_ID = 0
UNKNOWN = "unk"


class Words(NamedTuple):
    """The words behind the ids of texts that are read down to their characters.

    Args:
        known: The V words of the vocabulary.
        others: The words that it lacks, by their ids from V on.
        unknown_id: The id that the latter share where a word is read as a whole.
    """

    known: Sequence[str]
    others: Sequence[str]
    unknown_id: int

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.known) + len(self.others)

    def of(self, ids: NDArray[np.integer[Any]]) -> list[str]:
        """The word of each id."""
        known = len(self.known)
        return [self.known[i] if i < known else self.others[i - known] for i in ids.tolist()]


@dataclass(frozen=True, slots=True)
class TokenIds:
    """The ids of N texts in one run of numbers: text i is `ids[offsets[i] : offsets[i + 1]]`.

    Args:
        words: What the ids stand for, where words that the vocabulary lacks have ids of their own, from V on. None
            where all of them are the unknown word.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    words: Words | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, (N,)."""
        return np.diff(self.offsets)

    def lengths_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of some texts, (len(rows),)."""
        return self.offsets[rows + 1] - self.offsets[rows]

    def take(self, rows: NDArray[np.int64]) -> "TokenIds":
        """The ids of some texts, in the given order."""
        starts, lengths = self.offsets[rows], self.lengths_of(rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return TokenIds(self.ids[places], offsets, self.words)


@dataclass(frozen=True)
class Vocab:
    """The words that a model knows.

    Args:
        words: The word of each id; the first pads.
        unknown_id: The id of every word that is not among them.
        lowercase: Whether texts are lower-cased before they are split.
        split_unspaced: Whether each character of a script without spaces is a token, see `tokenizer.py`.
    """

    words: list[str]
    unknown_id: int
    lowercase: bool
    split_unspaced: bool = False

    @cached_property
    def index(self) -> dict[str, int]:
        """Word to id."""
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def _lookup(self) -> tokens.WordIndex | dict[str, int]:
        return tokens.index_words(self.words)

    def to_bytes(self) -> bytes:
        """The content of `vocab.txt`: only a line feed ends a line, and no word that a text can hold has one in it."""
        return ("\n".join(self.words) + "\n").encode("utf-8", "surrogatepass")

    @classmethod
    def from_vectors(cls, words: Sequence[str], *, lowercase: bool, split_unspaced: bool = False) -> "Vocab":
        """The words of a vectors file in its order, in NFC; where it has no word `unk`, one more at the end."""
        words = compose_words(words)
        if UNKNOWN not in words:
            words.append(UNKNOWN)
        return cls(words, words.index(UNKNOWN), lowercase, split_unspaced)

    @classmethod
    def from_counts(
        cls,
        words: Sequence[str],
        counts: NDArray[np.int64],
        *,
        lowercase: bool,
        min_count: int = 1,
        split_unspaced: bool = False,
    ) -> "tuple[Vocab, NDArray[np.int32]]":
        """The words of texts, most frequent first (equal counts in the order given), and the id of each.

        `counts` says how often each of the distinct `words` occurred. Words rarer than `min_count` are unknown.
        """
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts >= min_count)]
        known = ["<pad>", "<unk>"]
        ids = np.full(len(words), 1, np.int32)
        ids[order] = np.arange(len(known), len(known) + len(order), dtype=np.int32)
        return cls([*known, *(words[i] for i in order)], 1, lowercase, split_unspaced), ids

    def extended(
        self, words: Sequence[str], counts: NDArray[np.int64], min_count: int
    ) -> "tuple[Vocab, NDArray[np.int32]]":
        """The vocabulary with more words behind its own, most frequent first, and the id of each of `words`.

        Words rarer than `min_count` that it lacks stay unknown. See `from_counts`.
        """
        ids = np.array([self.index.get(word, -1) for word in words], np.int32)
        order = np.argsort(-counts, kind="stable")
        order = order[(ids[order] < 0) & (counts[order] >= min_count)]
        ids[order] = np.arange(len(self.words), len(self.words) + len(order), dtype=np.int32)
        ids[ids < 0] = self.unknown_id
        more = [*self.words, *(words[i] for i in order)]
        return Vocab(more, self.unknown_id, self.lowercase, self.split_unspaced), ids

    def tokenize(self, text: str) -> list[str]:
        """Split a text as this vocabulary was made."""
        return tokenize(text, lowercase=self.lowercase, split_unspaced=self.split_unspaced)

    def encode(self, texts: Sequence[str], max_length: int) -> TokenIds:
        """Ids of the first `max_length` tokens of each text; unknown words get `unknown_id`."""
        rule = {"lowercase": self.lowercase, "split_unspaced": self.split_unspaced}
        return TokenIds(*tokens.encode(texts, self._lookup, self.unknown_id, max_length=max_length, **rule))

    def spell(self, texts: Sequence[str], max_length: int, others: dict[str, int] | None = None) -> TokenIds:
        """As `encode`, but each word that is not among them has an id of its own, from V on.

        `others` says which of these words have a number already, and gets the new ones.
        """
        others = {} if others is None else others
        rule = {"lowercase": self.lowercase, "split_unspaced": self.split_unspaced}
        counter = tokens.WordCounter(max_length=max_length, **rule)
        places, offsets = counter.add(texts)
        ids = self.number(counter.words()[0], others)
        return TokenIds(ids[places], offsets, Words(self.words, list(others), self.unknown_id))

    def number(self, words: Sequence[str], others: dict[str, int]) -> NDArray[np.int32]:
        """The id of each word; one that is not among them goes to `others` and has an id from V on."""
        index, first = self.index, len(self.words)
        return np.array(
            [found if (found := index.get(word)) is not None else first + others.setdefault(word, len(others))
             for word in words], np.int32,
        )  # fmt: skip

    def unknown_words(self, texts: Iterable[str], max_length: int) -> Counter[str]:
        """How often each word without an id occurs in the first `max_length` tokens of the texts."""
        found = chain.from_iterable(self.tokenize(text)[:max_length] for text in texts)
        return Counter(token for token in found if token not in self.index)

    def take(self, rows: NDArray[np.int64]) -> "Vocab":
        """The vocabulary of some rows alone, which must hold row 0 (it pads) first and the unknown word."""
        unknown_id = int(np.flatnonzero(rows == self.unknown_id)[0])
        return Vocab([self.words[row] for row in rows], unknown_id, self.lowercase, self.split_unspaced)


def compose_words(words: Sequence[str]) -> list[str]:
    """The words in NFC, as texts are; the first of words that become equal gets the name.

    Each word keeps its place, since its place is its row of the vectors. So a later word gets the spelling of the
    first, which is not NFC and which no text holds.
    """
    words = list(words)
    # Most words are ASCII, which is NFC; the rest need a look at each of their characters.
    others = [i for i, word in enumerate(words) if not word.isascii() and not unicodedata.is_normalized("NFC", word)]
    names = [unicodedata.normalize("NFC", words[i]) for i in others]
    wanted = set(names)
    place = {word: i for i, word in enumerate(words) if word in wanted}
    for i, name in zip(others, names, strict=True):
        later = place.get(name)
        if later is None or later > i:
            if later is not None:
                words[later] = words[i]
            words[i], place[name] = name, i
    return words
