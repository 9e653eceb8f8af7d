"""Padding against a loop over rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rubrica.text import batching
from rubrica.text.batching import iter_rows, pad_batch, similar_batches
from rubrica.text.vocab import TokenIds


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


def test_batches_of_similar_length_are_stretches_of_the_order_sorted(monkeypatch):
    monkeypatch.setattr(batching, "_SORTED_BATCHES", 3)
    draw = np.random.default_rng(2)
    lengths = draw.integers(0, 9, 50)
    texts = ragged([[1] * length for length in lengths])
    order = draw.permutation(50)
    stretches = [sorted(order[i : i + 12].tolist(), key=lambda row: lengths[row]) for i in range(0, 50, 12)]
    expected = [stretch[i : i + 4] for stretch in stretches for i in range(0, len(stretch), 4)]
    found = [batch.tolist() for batch in similar_batches(order, texts, 4, draw)]
    assert sorted(found) == sorted(expected)
    assert found != expected  # they are shuffled
