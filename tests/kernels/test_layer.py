"""The layer behind the features: natively as numpy, each text by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragged import needs_native
from rubrica.kernels.layer import _PER_THREAD as PER_THREAD
from rubrica.kernels.layer import logits


def layer(texts, features, classes, dtype=np.float32):
    draw = np.random.default_rng(texts + features + classes)
    return [draw.normal(size=shape).astype(dtype) for shape in ((texts, features), (classes, features), (classes,))]


@needs_native
@given(texts=st.integers(0, 130), features=st.integers(1, 70), classes=st.integers(1, 40))
def test_it_is_the_product(texts, features, classes):
    x, weight, bias = layer(texts, features, classes)
    found = logits(x, weight, bias)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, x.astype(np.float64) @ weight.T + bias, rtol=1e-4, atol=1e-4)


@needs_native
def test_neither_other_texts_nor_threads_change_a_text_s_logits(monkeypatch):
    x, weight, bias = layer(20_000, 64, 6)
    monkeypatch.setenv("RUBRICA_THREADS", "3")
    assert x.size * len(weight) > 3 * PER_THREAD  # all three have work
    together = logits(x, weight, bias)
    monkeypatch.setenv("RUBRICA_THREADS", "1")
    np.testing.assert_array_equal(logits(x, weight, bias), together)
    for first, last in ((0, 1), (7, 20), (19_990, 20_000)):
        np.testing.assert_array_equal(logits(x[first:last], weight, bias), together[first:last])


def test_other_types_of_floats_are_numpy_s():
    x, weight, bias = layer(9, 5, 3, np.float64)
    np.testing.assert_array_equal(logits(x, weight, bias), x @ weight.T + bias)


@pytest.mark.parametrize("place", [0, 4])
def test_a_logit_of_a_text_that_is_no_number_stays_its_own(place):
    x, weight, bias = layer(5, 4, 3)
    x[place, 2] = np.nan
    found = logits(x, weight, bias)
    assert np.isnan(found[place]).all()
    assert np.isfinite(np.delete(found, place, axis=0)).all()
