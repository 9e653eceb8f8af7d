"""Padding against a loop over rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rubrica.batching import iter_rows, pad_batch
from rubrica.vocab import TokenIds


def ragged(texts):
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    return TokenIds(np.array([i for text in texts for i in text], np.int32), offsets)


@given(st.lists(st.lists(st.integers(1, 99), max_size=7), min_size=1, max_size=9), st.data())
def test_padding_equals_a_loop_over_rows(texts, data):
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1))
    ids, lengths = pad_batch(ragged(texts), np.array(rows))
    longest = max(1, *(len(texts[row]) for row in rows), 0)
    assert ids.tolist() == [texts[row] + [0] * (longest - len(texts[row])) for row in rows]
    assert lengths.tolist() == [len(texts[row]) for row in rows]


def test_rows_are_cut_in_order_and_none_is_lost():
    assert [part.tolist() for part in iter_rows(np.array([4, 2, 9, 1, 7]), 2)] == [[4, 2], [9, 1], [7]]
    assert list(iter_rows(np.array([], np.int64), 3)) == []
