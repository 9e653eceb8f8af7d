"""Distinct words, and Adam on rows, native and numpy: against a plain loop and `torch.optim.Adam`."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rubrica.kernels.rows import adam_rows, distinct, square_sum, take_words


def everywhere(instruction_sets):
    """The native core on each instruction set, then numpy."""
    for library in instruction_sets:
        with library:
            yield library


@given(ids=st.lists(st.integers(0, 11), max_size=50))
def test_distinct_words_come_in_the_order_of_their_first_appearance(instruction_sets, ids):
    expected = list(dict.fromkeys(ids))
    for _ in everywhere(instruction_sets):
        words, index = distinct(np.array(ids, np.int64), 12)
        assert words.tolist() == expected
        assert [expected[i] for i in index] == ids


@pytest.mark.parametrize("bad", [-1, 12])
def test_an_id_out_of_range_is_refused(instruction_sets, bad):
    for _ in everywhere(instruction_sets):
        with pytest.raises(IndexError, match=r"out of 0\.\.11"):
            distinct(np.array([3, bad]), 12)


@given(count=st.integers(0, 70))
def test_square_sum(instruction_sets, count):
    numbers = np.random.default_rng(count).normal(size=count)
    for _ in everywhere(instruction_sets):
        for dtype in (np.float32, np.float64):
            kind = numbers.astype(dtype)
            assert square_sum(kind) == pytest.approx(sum(float(x) ** 2 for x in kind), rel=1e-12)


def gradients(steps, rows, dim):
    """Every step some rows and their gradient, now large, now tiny, now zero."""
    draw = np.random.default_rng(1)
    for step in range(steps):
        words = draw.permutation(rows)[: draw.integers(0, rows)]
        yield words, draw.normal(size=(len(words), dim)) * 10.0 ** -(step % 9) * draw.integers(0, 2, (len(words), 1))


def adam_by_kernel(dtype, dim, *, dense, threads, steps=60, rows=20):
    table = np.random.default_rng(0).normal(size=(rows, dim)).astype(dtype)
    first, second = np.zeros_like(table), np.zeros_like(table)
    for step, (words, gradient) in enumerate(gradients(steps, rows, dim), 1):
        adam_rows(
            table, first, second, words, gradient.astype(dtype),
            step=step, lr=0.01, dense=dense, scale=0.5, threads=threads,
        )  # fmt: skip
    return table


def adam_by_torch(dim, *, steps=60, rows=20):
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(rows, dim))).requires_grad_()
    optimizer = torch.optim.Adam([table], lr=0.01)
    for words, gradient in gradients(steps, rows, dim):
        table.grad = torch.zeros_like(table)
        table.grad[torch.from_numpy(words)] = 0.5 * torch.from_numpy(gradient)
        optimizer.step()
    return table.detach().numpy()


def lazy_adam_by_loop(dim, *, steps=60, rows=20):
    table = np.random.default_rng(0).normal(size=(rows, dim))
    first, second = np.zeros_like(table), np.zeros_like(table)
    for step, (words, gradient) in enumerate(gradients(steps, rows, dim), 1):
        for word, row in zip(words, gradient, strict=True):
            for j, g in enumerate(0.5 * row):
                first[word, j] = 0.9 * first[word, j] + 0.1 * g
                second[word, j] = 0.999 * second[word, j] + 0.001 * g * g
                size = np.sqrt(second[word, j] / (1 - 0.999**step)) + 1e-8
                table[word, j] -= 0.01 * first[word, j] / (1 - 0.9**step) / size
    return table


@pytest.mark.parametrize("dim", [1, 16, 50])
@pytest.mark.parametrize("dense", [True, False])
def test_adam(instruction_sets, dim, dense):
    expected = adam_by_torch(dim) if dense else lazy_adam_by_loop(dim)
    np.testing.assert_allclose(adam_by_kernel(np.float64, dim, dense=dense, threads=1), expected, rtol=0, atol=1e-10)
    for _ in everywhere(instruction_sets):
        got = adam_by_kernel(np.float32, dim, dense=dense, threads=1)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
        assert adam_by_kernel(np.float32, dim, dense=dense, threads=3).tobytes() == got.tobytes()


def test_dense_adam_goes_on_when_a_mean_has_faded_to_nothing(instruction_sets):
    expected = None
    for _ in everywhere(instruction_sets):
        table, first, second = np.ones((2, 5), np.float32), np.zeros((2, 5), np.float32), np.zeros((2, 5), np.float32)
        for step in range(1, 1300):
            words = np.array([0] if step in (1, 1200) else [], np.int64)
            gradient = np.full((len(words), 5), 1e-3, np.float32)
            adam_rows(table, first, second, words, gradient, step=step, lr=0.01, dense=True)
        weight = torch.ones(2, 5).requires_grad_()
        if expected is None:
            optimizer = torch.optim.Adam([weight], lr=0.01)
            for step in range(1, 1300):
                weight.grad = torch.zeros(2, 5)
                weight.grad[0] = 1e-3 if step in (1, 1200) else 0.0
                optimizer.step()
            expected = weight.detach().numpy()
        np.testing.assert_allclose(table, expected, rtol=0, atol=1e-5)
        assert (table[1] == 1).all()


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=20), steps=st.integers(0, 12), seed=st.integers(0, 1000)
)
def test_words_of_texts_native_equals_numpy(instruction_sets, lengths, steps, seed):
    draw = np.random.default_rng(seed)
    ids, table = draw.integers(0, 20, 50).astype(np.int32), draw.normal(size=(20, 19))
    lengths = np.array(lengths, np.int64)
    starts = draw.integers(0, 40, len(lengths))
    padded = [[*ids[s : s + n], *[0] * max(0, steps - n)] for s, n in zip(starts, lengths, strict=True)]
    everything = [word for text in padded for word in text]
    expected = take_words(ids, starts, lengths, table, steps=steps)
    assert expected[0].tolist() == list(dict.fromkeys(everything))
    assert expected[0][expected[1]].tolist() == everything
    np.testing.assert_array_equal(expected[2], table[expected[0]])
    for library in instruction_sets:
        with library:
            got = take_words(ids, starts, lengths, table.astype(np.float32), steps=steps)
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_array_equal(a, b.astype(a.dtype))
            with pytest.raises(IndexError, match=r"an id is out of 0\.\.19"):
                take_words(ids + 20, starts, lengths + 1, table.astype(np.float32))
            again = take_words(ids, starts, lengths, table.astype(np.float32), steps=steps)
            np.testing.assert_array_equal(again[1], expected[1])
