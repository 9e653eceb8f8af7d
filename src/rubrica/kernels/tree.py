"""Classes that are found by a tree of decisions, yes or no: hierarchical softmax.

Of C classes a text needs some log2(C) decisions in training, and few more for the most probable class. The tree is
Huffman's over the number of texts of each class, so the way to a frequent class is short. Sources: F. Morin and
Y. Bengio, "Hierarchical probabilistic neural network language model", AISTATS 2005; for Huffman's tree in it T. Mikolov
et al., "Efficient estimation of word representations in vector space", 2013, https://arxiv.org/abs/1301.3781.

The head has a row for each decision. Decision n says yes with probability 1 / (1 + e^-x), x being its logit, and the
probability of a class is the product of the answers on the way to it. So all classes together have 1, and there is
nothing to divide by.

Letters: N texts, C classes (so C - 1 decisions), D features, P decisions on the longest way to a class.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.kernels import native
from rubrica.kernels.bag import Head
from rubrica.kernels.border import call
from rubrica.kernels.runs import Floats

_TEXTS_PER_THREAD = 64  # fewer are not worth a thread
_SEARCHED = 64  # classes of a text at most; for more of them every class is looked at


class Tree(NamedTuple):
    """The tree of C classes; of one class there is no decision.

    Args:
        children: Where no and yes lead, int32, (C - 1, 2): below C to a class, else to the decision of that number less
            C. A decision has a larger number than its children; the last one is the root.
        starts: Where the way to each class starts in `path`, (C + 1,).
        path: The decisions on the way to each class, from the root on: 2 n + 1 where decision n must say yes, else 2 n.
    """

    children: NDArray[np.int32]
    starts: NDArray[np.int64]
    path: NDArray[np.int32]


class Best(NamedTuple):
    """The k most probable classes of each text, best first, (N, k), and the logarithms of their probabilities."""

    classes: NDArray[np.int32]
    log_probabilities: Floats


def build_tree(counts: NDArray[np.uint32]) -> Tree:
    """Huffman's tree over the counts of C classes, at least one; equal counts are taken in the order of the classes."""
    return _build(np.ascontiguousarray(counts, np.uint32).tobytes())


@lru_cache(maxsize=2)  # of 100,000 classes it takes a quarter of a second
def _build(content: bytes) -> Tree:
    counts = np.frombuffer(content, np.uint32)
    num_classes, order = len(counts), np.argsort(counts, kind="stable")
    leaves, numbers = counts[order].tolist(), order.tolist()
    sums, children = list[int](), list[tuple[int, int]]()
    leaf = made = 0  # the next class, the next decision that nothing leads to: both rise, so the least stands first
    for _ in range(num_classes - 1):
        total, pair = 0, []
        for _ in range(2):
            if leaf < num_classes and (made == len(sums) or leaves[leaf] <= sums[made]):
                total += leaves[leaf]
                pair.append(numbers[leaf])
                leaf += 1
            else:
                total += sums[made]
                pair.append(num_classes + made)
                made += 1
        sums.append(total)
        children.append((pair[0], pair[1]))
    ways = np.array(children, np.int32).reshape(-1, 2)
    return Tree(ways, *_paths(ways, num_classes))


def _paths(children: NDArray[np.int32], num_classes: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The `starts` and the `path` of a tree."""
    codes = np.full(2 * num_classes - 1, -1, np.int64)  # by class or decision: the step that leads to it
    codes[children.ravel()] = np.arange(children.size)
    steps, here = [], np.arange(num_classes)
    while len(children) and (codes[here] >= 0).any():  # one step up at a time, all classes at once
        steps.append(codes[here])
        here = np.where(codes[here] >= 0, num_classes + (codes[here] >> 1), here)
    way = np.array(steps, np.int64).reshape(len(steps), num_classes)[::-1].T  # from the root on, (C, P)
    there = way >= 0
    return np.concatenate([[0], np.cumsum(there.sum(axis=1))]), way[there].astype(np.int32)


def log_probabilities(tree: Tree, head: Head, features: Floats) -> Floats:
    """The logarithm of the probability of each class, (N, C)."""
    count, num_classes = len(features), len(tree.starts) - 1
    if native.computes(features.dtype):
        scores = np.empty((count, num_classes), np.float32)
        call(
            "tree_scores",
            _threads(count),
            count,
            num_classes,
            features.shape[1],
            features,
            *head,
            tree.children,
            scores,
        )
        return scores
    found = np.zeros((2 * num_classes - 1, count), features.dtype)
    for level in _levels(tree):
        x, above = head.weight[level] @ features.T + head.bias[level][:, None], found[num_classes + level]
        for side, answer in enumerate((x, -x)):
            found[tree.children[level, side]] = above - np.logaddexp(0, answer)
    return np.ascontiguousarray(found[:num_classes].T)


def _levels(tree: Tree) -> Iterator[NDArray[np.int64]]:
    """Yield the decisions from the root on, all of one depth at a time."""
    num_classes = len(tree.starts) - 1
    level = np.arange(num_classes - 2, num_classes - 1)[: len(tree.children)]
    while len(level):
        yield level
        below = tree.children[level].ravel().astype(np.int64)
        level = below[below >= num_classes] - num_classes


def best_classes(tree: Tree, head: Head, features: Floats, k: int) -> Best:
    """The k most probable classes of each text, all where there are fewer; equal ones in the order of the classes."""
    count, num_classes = len(features), len(tree.starts) - 1
    k = min(k, num_classes)
    if k > _SEARCHED or not native.computes(features.dtype):
        scores = log_probabilities(tree, head, features)
        classes = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return Best(classes.astype(np.int32), np.take_along_axis(scores, classes, axis=1))
    best = Best(np.empty((count, k), np.int32), np.empty((count, k), np.float32))
    sizes = (count, num_classes, features.shape[1], k)
    call("tree_best", _threads(count), *sizes, features, *head, tree.children, *best)
    return best


def margins(tree: Tree, head: Head, features: Floats, targets: NDArray[np.int64]) -> Floats:
    """The logit of each decision on the way to a text's class, its sign changed where the answer must be no, (N, P).

    A shorter way is filled up with zeros.
    """
    starts, lengths = tree.starts[targets], np.diff(tree.starts)[targets]
    owners = np.repeat(np.arange(len(targets)), lengths)
    places = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    steps = tree.path[np.repeat(starts, lengths) + places]
    logits = np.einsum("sd,sd->s", head.weight[steps >> 1], features[owners]) + head.bias[steps >> 1]
    found = np.zeros((len(targets), int(lengths.max(initial=0))), features.dtype)
    found[owners, places] = np.where(steps & 1, logits, -logits)
    return found


def way_losses(tree: Tree, margins: Floats, targets: NDArray[np.int64]) -> Floats:
    """-log of the probability of each text's class, (N,), from the `margins` of the way to it."""
    there = np.arange(margins.shape[1]) < np.diff(tree.starts)[targets, None]
    return np.asarray(np.where(there, np.logaddexp(0, -margins.astype(np.float64)), 0).sum(axis=1))


def _threads(count: int) -> int:
    return max(1, min(native.num_threads(), count // _TEXTS_PER_THREAD))
