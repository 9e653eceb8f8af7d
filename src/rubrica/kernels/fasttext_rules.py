"""How fastText reads a text: its white space, its hash, its runs of characters; and what must hold of a model's arrays.

This is `native/fasttext.h` once more, in Python, for what is asked of a word or two and where there is no native core.

Letters: V words, L labels, R rows, O rows of the output, D numbers in a row, M parts of a row, P buckets.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

END = b"</s>"
"""The word that ends a line."""
_WORD = 0xFFFFFFFF
_START, _FACTOR = 2166136261, 16777619  # FNV-1a
_MOST_BYTES = 1 << 32  # of a dictionary: a place in it is 32 bits
_MOST_COUNTED = 10**15  # fastText's tree of labels takes a count below it
_MOST_SUM = float(1 << 62)  # of counts, so that no sum of the tree overflows

LOSSES = ("softmax", "hs", "ns", "ova")
"""In the order of the native core's numbers."""
Tensors = Mapping[str, NDArray[Any]]
Texts = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]
"""N texts in one piece, where each starts and where it ends: `text.tokens.Packed` is one."""


class Rules(NamedTuple):
    """How a fastText model reads a text and scores it; `FastText.rules` makes them.

    Args:
        min_n: The shortest run of characters that has a row.
        max_n: The longest; 0 reads no characters.
        word_ngrams: The longest run of words that has a row.
        num_buckets: Rows that runs are hashed into.
        loss: How scores are made of the output matrix: softmax, hs, ns or ova.
        label_prefix: What begins a label in a text.
        supervised: Whether the model has labels to answer with.
        pruned: Whether only the buckets of `prune.buckets` have rows.
        num_words: V.
        embedding_dim: D.
        input_dsub: Numbers of a part of a quantised row of the input; 0 where the rows are float32.
        output_dsub: The same of the output.
    """

    min_n: int
    max_n: int
    word_ngrams: int
    num_buckets: int
    loss: str
    label_prefix: bytes
    supervised: bool
    pruned: bool
    num_words: int
    embedding_dim: int
    input_dsub: int = 0
    output_dsub: int = 0

    @property
    def sides(self) -> tuple[tuple[str, int], ...]:
        """The two matrices, and how many numbers a part of their rows has."""
        return ("input", self.input_dsub), ("output", self.output_dsub)

    def hashes(self, tensors: Tensors) -> bool:
        """Whether a text can have a row of a bucket."""
        return (self.max_n > 0 or self.word_ngrams > 1) and not (self.pruned and not len(tensors["prune.buckets"]))

    def rows_of(self, buckets: Sequence[int], tensors: Tensors) -> list[int]:
        """The rows of buckets, without those that pruning took away."""
        if not self.pruned:
            return [self.num_words + bucket for bucket in buckets]
        kept, rows = tensors["prune.buckets"], tensors["prune.rows"]
        if not len(kept):
            return []
        wanted = np.array(buckets, np.int64)
        places = np.minimum(np.searchsorted(kept, wanted), len(kept) - 1)
        return (self.num_words + rows[places][kept[places] == wanted]).tolist()

    def rows_of_runs(self, runs: Sequence[bytes], tensors: Tensors) -> list[int]:
        """The rows of runs of characters."""
        if not runs or not self.num_buckets:
            return []
        return self.rows_of([hash_of(run) % self.num_buckets for run in runs], tensors)


class Best(NamedTuple):
    """The best labels of N texts: numbers and scores (N, k), -1 and 0 beyond as many as `counts` (N,) says."""

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    counts: NDArray[np.int32]


def hash_of(word: bytes) -> int:
    """FNV-1a with the byte's sign spread over the upper bits, an unsigned number of 32 bits."""
    value = _START
    for byte in word:
        value = ((value ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * _FACTOR) & _WORD
    return value


def split(text: bytes) -> list[bytes]:
    """The words of a text and the end of its line; a word that looks like the end is one."""
    tokens = text.replace(b"\0", b" ").split()  # splits at fastText's other six
    if END in tokens:
        return tokens[: tokens.index(END) + 1]
    return [*tokens, END]


def is_label(token: bytes, rules: Rules) -> bool:
    """Whether a word that is not in the dictionary is a label."""
    return token.startswith(rules.label_prefix)


def runs_of(word: bytes, min_n: int, max_n: int) -> list[bytes]:
    """The runs of min_n to max_n characters of a word with "<" and ">" around it, in fastText's order."""
    marked = b"<" + word + b">"
    starts = [i for i, byte in enumerate(marked) if byte & 0xC0 != 0x80]  # a character is a byte that continues none
    ends = [*starts[1:], len(marked)]
    found = []
    for i, start in enumerate(starts):
        for n, end in enumerate(ends[i : i + max_n], 1):
            if n >= min_n and not (n == 1 and (start == 0 or end == len(marked))):
                found.append(marked[start:end])
    return found


def pack(words: Sequence[bytes]) -> Texts:
    """Words in one piece."""
    ends = np.cumsum([len(word) for word in words], dtype=np.int64)
    return np.frombuffer(b"".join(words), np.uint8), np.concatenate([ends[:0], [0], ends[:-1]])[: len(words)], ends


def lines_of(data: NDArray[np.uint8]) -> Texts:
    """The lines of a file's bytes, without their line feeds and without a copy; the last may lack one."""
    ends = np.flatnonzero(data == ord("\n"))
    if len(data) and (not len(ends) or ends[-1] != len(data) - 1):
        ends = np.append(ends, len(data))
    return data, np.concatenate([[0], ends[:-1] + 1])[: len(ends)].astype(np.int64), ends.astype(np.int64)


def fault_of(rules: Rules, tensors: Tensors) -> str:
    """What is wrong with a model, so that a text could read beyond an array; empty where nothing is."""
    names, ends, counts = (tensors[f"dictionary.{name}"] for name in ("bytes", "ends", "counts"))
    buckets, kept = tensors["prune.buckets"], tensors["prune.rows"]
    rows, outputs = (len(tensors[f"{side}.{'codes' if dsub else 'weight'}"]) for side, dsub in rules.sides)
    labels = len(ends) - rules.num_words
    if labels < 0 or len(counts) != len(ends) or len(names) >= _MOST_BYTES:
        return f"{len(ends)} words and labels, {len(counts)} counts and {len(names)} bytes do not fit"
    if (ends[1:] < ends[:-1]).any() or (ends[:1] < 0).any() or (ends[-1] if len(ends) else 0) != len(names):
        return "the ends of the words do not rise to the end of all"
    if outputs != (labels if rules.supervised else rules.num_words) or not (labels or not rules.supervised):
        return f"the output has {outputs} rows for {labels} labels and {rules.num_words} words"
    if rules.hashes(tensors) and not rules.num_buckets:
        return "runs of characters or words are hashed into 0 buckets, expected at least 1"
    least = rules.num_words
    if rules.hashes(tensors) and not rules.pruned:
        least += rules.num_buckets
    if rows < least:
        return f"the input has {rows} rows, expected at least {least}"
    if len(buckets) and not (kept.min() >= 0 and kept.max() < rows - rules.num_words):
        return "a pruned bucket has a row that is not there"
    if (buckets[1:] <= buckets[:-1]).any():
        return "the pruned buckets are not in order, or one is there twice"
    if rules.loss == "hs" and rules.supervised:
        of_labels = counts[rules.num_words :]
        if of_labels.min() < 0 or of_labels.max() >= _MOST_COUNTED or of_labels.sum(dtype=float) >= _MOST_SUM:
            return "a label has a count below 0, or of 10^15 or more"
    return next(filter(None, (_fault_of_matrix(side, dsub, rules, tensors) for side, dsub in rules.sides)), "")


def _fault_of_matrix(side: str, dsub: int, rules: Rules, tensors: Tensors) -> str:
    numbers = rules.embedding_dim
    if not dsub:
        shape = tensors[f"{side}.weight"].shape
        return "" if shape[1:] == (numbers,) else f"the {side} has rows of {shape[1:]} numbers, expected {numbers}"
    codes, centroids = tensors[f"{side}.codes"], tensors[f"{side}.centroids"]
    norm_codes, norms = tensors.get(f"{side}.norm_codes"), tensors.get(f"{side}.norm_centroids")
    if codes.shape[1:] != (-(-numbers // dsub),) or len(centroids) != 256 * numbers:
        return f"the {side} has codes of shape {codes.shape} and {len(centroids)} centroids, which do not fit"
    if (norm_codes is None) != (norms is None) or (
        norm_codes is not None and norms is not None and (len(norm_codes) != len(codes) or len(norms) != 256)
    ):
        return f"the norms of the {side} do not fit its {len(codes)} rows"
    return ""
