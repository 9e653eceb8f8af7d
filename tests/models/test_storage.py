"""Tables in fewer bytes: every number stays as near as its storage promises, computed here once more by plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rubrica.models.storage import STORAGES, from_bfloat16, store_table, stored_layout, take_rows, to_bfloat16

NAME = "embedding.weight"
LARGEST = {"int8": 127, "int4": 7}
FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)


def stored(table, storage):
    return store_table({NAME: np.asarray(table, np.float32)}, NAME, storage)


def table_of(rows=9, numbers=7, seed=0):
    """Rows of very different sizes, one of zeros."""
    draw = np.random.default_rng(seed)
    table = draw.normal(size=(rows, numbers)) * np.logspace(-6, 6, rows)[:, None]
    table[rows // 2] = 0
    return table.astype(np.float32)


@given(arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
@example((1 + np.arange(-20, 20) / 256).astype(np.float32))  # half of them are ties
def test_bfloat16_is_that_of_torch(values):
    expected = torch.from_numpy(values).to(torch.bfloat16)
    np.testing.assert_array_equal(to_bfloat16(values), expected.view(torch.uint16).numpy())
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(values)), expected.float().numpy())


@pytest.mark.parametrize("numbers", [1, 2, 7, 8])
@pytest.mark.parametrize("storage", STORAGES)
def test_rows_come_back_as_a_loop_reads_them(storage, numbers):
    """The format, decoded number by number in Python, as docs/artifact.md tells it."""
    table = table_of(numbers=numbers)
    tensors = stored(table, storage)
    read = np.empty(table.shape)
    for i in range(len(table)):
        for j in range(numbers):
            if storage == "float32":
                read[i, j] = tensors[NAME][i, j]
            elif storage == "bfloat16":
                read[i, j] = torch.tensor(int(tensors[NAME][i, j]), dtype=torch.uint16).view(torch.bfloat16)
            else:
                scale = float(torch.tensor(int(tensors["embedding.scale"][i]), dtype=torch.uint16).view(torch.bfloat16))
                if storage == "int8":
                    code = int(tensors[NAME][i, j])
                else:
                    byte = int(tensors[NAME][i, j // 2])
                    code = (byte // 16 if j % 2 else byte % 16) - 8
                read[i, j] = code * scale
    got = take_rows(tensors, NAME, np.arange(len(table)))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, read.astype(np.float32))
    rows = np.array([[3, 3, 0], [8, 1, 3]])
    np.testing.assert_array_equal(take_rows(tensors, NAME, rows), got[rows])
    assert take_rows(tensors, NAME, np.zeros((0, 2), int)).shape == (0, 2, numbers)


@given(arrays(np.float32, (3, 5), elements=FLOATS), st.sampled_from(["int8", "int4"]))
@example(np.linspace(-1, 1, 3 * 999, dtype=np.float32).reshape(3, -1), "int4")
@example(np.linspace(-1, 1, 3 * 999, dtype=np.float32).reshape(3, -1), "int8")
def test_no_number_moves_by_more_than_half_a_step(table, storage):
    tensors = stored(table, storage)
    got = take_rows(tensors, NAME, np.arange(3)).astype(np.float64)
    for row, read in zip(table.astype(np.float64), got, strict=True):
        # bfloat16 has 8 significant bits: rounding the scale up makes it larger by a 128th at most.
        step = max(abs(row)) / LARGEST[storage] * (1 + 1 / 128) + 1e-38
        assert max(abs(row - read)) <= step / 2 * (1 + 1e-5)
        assert max(abs(read)) <= max(abs(row)) * (1 + 1 / 128 + 1e-5) + 1e-38


@given(arrays(np.float32, (2, 5), elements=FLOATS))
def test_storing_what_was_stored_changes_nothing(table):
    once = take_rows(stored(table, "bfloat16"), NAME, np.arange(2))
    np.testing.assert_array_equal(take_rows(stored(once, "bfloat16"), NAME, np.arange(2)), once)
    assert np.all(abs(once - table) <= abs(table) / 256 + 1e-38)


@pytest.mark.parametrize(("storage", "row_bytes"), [("float32", 28), ("bfloat16", 14), ("int8", 9), ("int4", 6)])
def test_the_layout_is_that_of_what_is_stored(storage, row_bytes):
    layout = stored_layout({NAME: (9, 7), "head.bias": (4,)}, storage)
    assert layout.pop("head.bias") == ("float32" if storage == "float32" else "bfloat16", (4,))
    tensors = stored(table_of(), storage)
    found = {name: (tensor.dtype.name.replace("uint16", "bfloat16"), tensor.shape) for name, tensor in tensors.items()}
    assert found == layout
    assert sum(tensor.nbytes for tensor in tensors.values()) == 9 * row_bytes
