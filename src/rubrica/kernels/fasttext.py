"""fastText's answers: a stub that the engine replaces."""

from typing import NamedTuple


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
    input_dsub: int = 0
    output_dsub: int = 0
