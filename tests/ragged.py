"""What the tests of kernels over texts of different lengths share.

A case has `features(dtype, threads=1)`, which numpy computes as well; `by_kernel(threads=1, trains=True)`, which needs
the native core; and `by_autograd()`, the formulas in float64. The last two return the features, then the gradient of
the word vectors, then every other gradient.
"""

import numpy as np
import pytest
import torch

from rubrica.kernels import native

needs_native = pytest.mark.skipif(native.library() is None, reason="no native core, and no numpy twin of this")


def native_alone(instruction_sets):
    """Without numpy, which comes last: gradients have no numpy twin."""
    return instruction_sets[:-1]


def random_texts(draw, lengths, num_words, gap):
    """Words of texts of these lengths, with `gap` words of nobody behind each: rows, starts, lengths."""
    lengths = np.array(lengths, np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths + gap)[:-1]]).astype(np.int64)
    return draw.integers(0, num_words, int((lengths + gap).sum())).astype(np.int32), starts, lengths


def with_gradients(features, wanted, d_features):
    """The features and their gradients; zeros where no text has a token."""
    if not features.requires_grad:
        return [features.numpy(), *(np.zeros(tensor.shape) for tensor in wanted)]
    gradients = torch.autograd.grad(features, wanted, torch.from_numpy(d_features))
    return [tensor.detach().numpy() for tensor in (features, *gradients)]


def assert_close(got, expected, tolerance):
    for place, (a, b) in enumerate(zip(got, expected, strict=True)):
        atol = tolerance * max(1.0, np.abs(b).max(initial=0))
        np.testing.assert_allclose(a, b, rtol=0, atol=atol, err_msg=f"array {place}")


def assert_near(instruction_sets, case, tolerance):
    """Features by numpy and on every instruction set, gradients on the latter, with more threads than one.

    Numpy's in float64 have to be right to the last digits.
    """
    expected = case.by_autograd()
    assert_close([case.features(np.float64)], expected[:1], 1e-10)
    for library in instruction_sets:
        with library:
            assert_close([case.features(np.float32, threads=2)], expected[:1], tolerance)
    for library in native_alone(instruction_sets):
        with library:
            assert_close(case.by_kernel(threads=2), expected, tolerance)


def assert_no_bit_depends_on_threads(instruction_sets, case):
    for library in native_alone(instruction_sets):
        with library:
            alone = case.by_kernel()
            for threads in (2, 3, 7):
                for place, (a, b) in enumerate(zip(case.by_kernel(threads=threads), alone, strict=True)):
                    assert a.tobytes() == b.tobytes(), f"array {place}"
            frozen = case.by_kernel(trains=False)
            assert frozen[1] is None
            for a, b in zip(frozen[2:], alone[2:], strict=True):
                np.testing.assert_array_equal(a, b)


def assert_two_runs_are_equal(instruction_sets, case, tolerance):
    """Near autograd with every number of threads, and the same bits twice."""
    expected = case.by_autograd()
    for library in native_alone(instruction_sets):
        with library:
            for threads in (1, 2, 3):
                got = case.by_kernel(threads=threads)
                assert_close(got, expected, tolerance)
                for a, b in zip(got, case.by_kernel(threads=threads), strict=True):
                    assert a.tobytes() == b.tobytes(), "two runs, two results"
                assert case.by_kernel(threads=threads, trains=False)[1] is None


def assert_nan_stays_nan(instruction_sets, case):
    case.vectors[:] = np.nan
    for library in instruction_sets:
        with library:
            assert np.isnan(case.features(np.float32)).all()


def attend(states, u):
    """The mean of one text's states (T, 1, H) by the softmax of u . h_t."""
    return torch.softmax(states[:, 0] @ u, 0) @ states[:, 0]
