"""What the tests of kernels over texts of different lengths share.

A case has `by_kernel(dtype, threads=1, trains=True)` and `by_autograd()`; both return the features and then every
gradient, that of the word vectors first.
"""

import numpy as np
import torch


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


def assert_native_is_near(instruction_sets, case, tolerance):
    """On every instruction set, with more threads than one."""
    expected = case.by_kernel(np.float64)
    for library in instruction_sets:
        with library:
            assert_close(case.by_kernel(np.float32, threads=2), expected, tolerance)


def assert_no_bit_depends_on_threads(instruction_sets, case):
    for library in instruction_sets:
        with library:
            alone = case.by_kernel(np.float32)
            for threads in (2, 3, 7):
                for place, (a, b) in enumerate(zip(case.by_kernel(np.float32, threads=threads), alone, strict=True)):
                    assert a.tobytes() == b.tobytes(), f"array {place}"
            frozen = case.by_kernel(np.float32, trains=False)
            assert frozen[1] is None
            for a, b in zip(frozen[2:], alone[2:], strict=True):
                np.testing.assert_array_equal(a, b)


def assert_nan_stays_nan(instruction_sets, case):
    case.vectors[:] = np.nan
    for library in instruction_sets:
        with library:
            assert np.isnan(case.by_kernel(np.float32)[0]).all()
