"""Distinct words (native and numpy), words of texts and Adam on rows: against plain loops, formulas and torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ragged import native_alone, needs_native
from rubrica.kernels.rows import adam_rows, distinct, square_sum, take_words


@given(ids=st.lists(st.integers(0, 11), max_size=50))
def test_distinct_words_come_in_the_order_of_their_first_appearance(instruction_sets, ids):
    expected = list(dict.fromkeys(ids))
    for library in instruction_sets:
        with library:
            words, index = distinct(np.array(ids, np.int64), 12)
        assert words.tolist() == expected
        assert [expected[i] for i in index] == ids


@pytest.mark.parametrize("bad", [-1, 12])
def test_an_id_out_of_range_is_refused(instruction_sets, bad):
    for library in instruction_sets:
        with library, pytest.raises(IndexError, match=r"out of 0\.\.11"):
            distinct(np.array([3, bad]), 12)


@needs_native
@given(count=st.integers(0, 70))
def test_square_sum(instruction_sets, count):
    numbers = np.random.default_rng(count).normal(size=count).astype(np.float32)
    for library in native_alone(instruction_sets):
        with library:
            assert square_sum(numbers) == pytest.approx((numbers.astype(np.float64) ** 2).sum(), rel=1e-12)


def gradients(steps, rows, dim):
    """Every step some rows and their gradient, now large, now tiny, now zero."""
    draw = np.random.default_rng(1)
    for step in range(steps):
        words = draw.permutation(rows)[: draw.integers(0, rows)]
        yield words, draw.normal(size=(len(words), dim)) * 10.0 ** -(step % 9) * draw.integers(0, 2, (len(words), 1))


def adam_by_kernel(dim, *, dense, threads, steps=60, rows=20):
    table = np.random.default_rng(0).normal(size=(rows, dim)).astype(np.float32)
    first, second = np.zeros_like(table), np.zeros_like(table)
    for step, (words, gradient) in enumerate(gradients(steps, rows, dim), 1):
        adam_rows(
            table, first, second, words, gradient.astype(np.float32),
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


def step_by_formula(table, first, second, g, step, moved=slice(None)):
    first[moved] = 0.9 * first[moved] + 0.1 * g[moved]
    second[moved] = 0.999 * second[moved] + 0.001 * g[moved] ** 2
    size = np.sqrt(second[moved] / (1 - 0.999**step)) + 1e-8
    table[moved] -= 0.01 * first[moved] / (1 - 0.9**step) / size


def adam_by_formula(dim, *, dense, steps=60, rows=20):
    """In float64; rows that do not move keep their means as they are."""
    table = np.random.default_rng(0).normal(size=(rows, dim))
    first, second = np.zeros_like(table), np.zeros_like(table)
    for step, (words, gradient) in enumerate(gradients(steps, rows, dim), 1):
        g = np.zeros_like(table)
        g[words] = 0.5 * gradient
        step_by_formula(table, first, second, g, step, slice(None) if dense else words)
    return table


def test_the_formula_is_torchs():
    np.testing.assert_allclose(adam_by_formula(3, dense=True), adam_by_torch(3), rtol=0, atol=1e-10)


@needs_native
@pytest.mark.parametrize("dim", [1, 16, 50])
@pytest.mark.parametrize("dense", [True, False])
def test_adam(instruction_sets, dim, dense):
    expected = adam_by_formula(dim, dense=dense)
    for library in native_alone(instruction_sets):
        with library:
            got = adam_by_kernel(dim, dense=dense, threads=1)
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
            assert adam_by_kernel(dim, dense=dense, threads=3).tobytes() == got.tobytes()


@needs_native
def test_dense_adam_goes_on_when_a_mean_has_faded_to_nothing(instruction_sets):
    expected, means = np.ones((2, 5)), np.zeros((2, 2, 5))
    for step in range(1, 1300):
        g = np.outer([1e-3 if step in (1, 1200) else 0.0, 0.0], np.ones(5))
        step_by_formula(expected, *means, g, step)
    for library in native_alone(instruction_sets):
        table, first, second = np.ones((2, 5), np.float32), np.zeros((2, 5), np.float32), np.zeros((2, 5), np.float32)
        with library:
            for step in range(1, 1300):
                words = np.array([0] if step in (1, 1200) else [], np.int64)
                gradient = np.full((len(words), 5), 1e-3, np.float32)
                adam_rows(table, first, second, words, gradient, step=step, lr=0.01, dense=True)
        np.testing.assert_allclose(table, expected, rtol=0, atol=1e-5)
        assert (table[1] == 1).all()


@needs_native
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=20), steps=st.integers(0, 12), seed=st.integers(0, 1000)
)
def test_words_of_texts(instruction_sets, lengths, steps, seed):
    draw = np.random.default_rng(seed)
    ids, table = draw.integers(0, 20, 50).astype(np.int32), draw.normal(size=(20, 19)).astype(np.float32)
    lengths = np.array(lengths, np.int64)
    starts = draw.integers(0, 40, len(lengths))
    padded = [[*ids[s : s + n], *[0] * max(0, steps - n)] for s, n in zip(starts, lengths, strict=True)]
    everything = [word for text in padded for word in text]
    for library in native_alone(instruction_sets):
        with library:
            words, index, vectors = take_words(ids, starts, lengths, table, steps=steps)
            assert words.tolist() == list(dict.fromkeys(everything))
            assert words[index].tolist() == everything
            np.testing.assert_array_equal(vectors, table[words])
            with pytest.raises(IndexError, match=r"an id is out of 0\.\.19"):
                take_words(ids + 20, starts, lengths + 1, table)
            again = take_words(ids, starts, lengths, table, steps=steps)
            np.testing.assert_array_equal(again[1], index)
