"""The linear layer behind a network's features.

Letters: N texts, F features, C classes.
"""

import numpy as np

from rubrica.kernels import native
from rubrica.kernels.border import call
from rubrica.kernels.runs import Floats

_PER_THREAD = 1 << 20  # products; fewer are not worth a thread


def logits(features: Floats, weight: Floats, bias: Floats) -> Floats:
    """Features (N, F) times weight (C, F) transposed, plus bias (C,): (N, C), in any float type.

    By the native core, a text's logits depend neither on the texts beside it nor on the number of threads.
    """
    if not native.computes(features.dtype):
        return features @ weight.T + bias
    found = np.empty((len(features), len(bias)), np.float32)
    threads = max(1, min(native.num_threads(), len(features) * weight.size // _PER_THREAD))
    call("layer", threads, *features.shape, len(bias), features, weight, bias, found)
    return found
