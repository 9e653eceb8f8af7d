"""Integrated gradients: the share of a token as the gradient along the way from no vectors to the token's own.

Source: M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017,
https://arxiv.org/abs/1703.01365. The vectors of all tokens grow together from zero, the baseline of the paper for
texts, to what they are; the share of a token is the integral of its gradient times its vector. The shares add up to
the difference of the scores at both ends.

Departure: the paper takes steps of equal length, some hundred. A network with a maximum or a relu has kinks on the way,
where equal steps converge slowly. Since the sum is known for each piece of the way, too, a piece whose sum is off is
halved until the sum of all is right.

Letters: T tokens, K labels that are explained, P pieces of the way, Q points of a piece, S points.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rubrica.errors import RubricaError, require
from rubrica.insight.explanations.exact import Numbers, Sum
from rubrica.insight.explanations.reading import Part
from rubrica.models.family import NetworkFamily
from rubrica.models.storage import take_rows

if TYPE_CHECKING:
    from rubrica.networks.along import Way

TOLERANCE = 0.005  # of the difference of the scores: half of the 1 % that is promised
_LEAST, _MOST = 1e-5, 1e-2  # a smaller error is none, as in exact shares; a larger one shows in the figures
_FIRST = 4  # pieces to begin with
_MOST_PIECES = 1 << 13  # a way with more kinks than this has not been met
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(4)  # fewest evaluations on AG News: 2 and 8 take twice as many


def integrated_gradients(part: Part, classes: Sequence[int], *, most_pieces: int = _MOST_PIECES) -> Sum:
    """What each token adds to the logits of some classes on the way from zero vectors.

    Raises:
        RubricaError: If torch is not installed, the part is no network, or the sum does not come right.
    """
    if not isinstance(part.settings, NetworkFamily):
        raise RubricaError(f"a {part.settings.name} model has no gradients here; take the method leave-one-out")
    require("torch", "train")
    from rubrica.networks.along import Way

    assert part.tokens is not None
    vectors = take_rows(part.tensors, "embedding.weight", part.tokens.ids).astype(np.float64)
    shares = np.zeros((len(part.spans), len(classes)))
    if not len(vectors):  # torch's layers read no text without tokens
        score = part.logits(np.ones((1, 0), bool))[0, classes].astype(np.float64)
        return Sum(score, score, shares)
    way = Way(part.settings, part.tensors, vectors)
    base, score = way.logits(np.array([0.0, 1.0]))[:, classes]
    shares[: part.count] = _integrate(way, classes, score - base, most_pieces)
    return Sum(score, base, shares)


class _Pieces(NamedTuple):
    """Pieces of the way, (P,): what each token adds on them (P, T, K), and how far the sums are off (P, K)."""

    starts: Numbers
    ends: Numbers
    shares: Numbers
    off: Numbers


def _integrate(way: "Way", classes: Sequence[int], difference: Numbers, most_pieces: int) -> Numbers:
    """The integral of gradient times vector for each token, (T, K)."""
    allowed = np.clip(TOLERANCE * np.abs(difference), _LEAST, _MOST)
    edges = np.linspace(0, 1, _FIRST + 1)
    pieces = _measure(way, classes, edges[:-1], edges[1:])
    while (pieces.off.sum(axis=0) > allowed).any():
        count = len(pieces.off)
        bad = np.any(pieces.off > allowed / (2 * count), axis=1)
        if count + bad.sum() > most_pieces:
            problem = f"the gradients do not add up to the score on {count:,} pieces of the way"
            raise RubricaError(f"{problem}; take the method leave-one-out")
        starts, ends = pieces.starts[bad], pieces.ends[bad]
        middles = (starts + ends) / 2
        halves = _measure(way, classes, np.append(starts, middles), np.append(middles, ends))
        pieces = _Pieces(*(np.concatenate([old[~bad], new]) for old, new in zip(pieces, halves, strict=True)))
    return pieces.shares.sum(axis=0)


def _measure(way: "Way", classes: Sequence[int], starts: Numbers, ends: Numbers) -> _Pieces:
    lengths = ends - starts
    points = starts[:, None] + lengths[:, None] * (_POINTS + 1) / 2  # (P, Q); Gauss's points lie in [-1, 1]
    slopes = way.slopes(points.ravel(), classes)  # (P * Q, T, K)
    weighed = slopes.reshape(*points.shape, *slopes.shape[1:]) * (_WEIGHTS / 2)[:, None, None]
    shares = weighed.sum(axis=1) * lengths[:, None, None]
    rises = (way.logits(ends) - way.logits(starts))[:, classes]
    return _Pieces(starts, ends, shares, np.abs(shares.sum(axis=1) - rises))
