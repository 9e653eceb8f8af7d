"""The bag of words, word n-grams and runs of characters: the mean of a text's rows, and SGD on rows and head.

Source: A. Joulin et al., "Bag of tricks for efficient text classification", EACL 2017,
https://arxiv.org/abs/1607.01759. An n-gram is hashed into one of B rows that it may share with others, and so is a run
of characters inside a word, if there are any. Departures: n-grams are of ids, so all unknown words are one in them;
rows of n-grams start at zero; and training is in batches whose rows move together, where fastText's threads race (the
head, which is small, still learns from one text after the other); and a step that promises more than 128 nats off the
loss of its text, or is above 4, is shortened, see `_bounded`.

Letters: N texts, C classes, D numbers in a row, V words, B buckets of n-grams and runs of characters.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import RubricaError
from rubrica.kernels import native
from rubrica.kernels.border import call
from rubrica.kernels.runs import Floats

MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: neighbouring numbers end up far apart
_END = np.iinfo(np.int32).max  # of the ids of words that have no row of their own
_TOKENS_PER_THREAD = 1 << 14  # fewer are not worth a thread


class Tables(NamedTuple):
    """Where the rows are.

    Args:
        words: (V, D), by id.
        ngrams: (B, D), by bucket; B of 0 counts words alone.
        word_ngrams: The longest run of words that has a row; 1 counts words alone.
    """

    words: Floats
    ngrams: Floats
    word_ngrams: int


class Subwords(NamedTuple):
    """The runs of characters of the words of some texts, hashed into buckets; a run has the row of its bucket.

    Args:
        unknown_id: A token whose id is V or more has the row of this one, and its n-grams.
        of_token: Which of S words each token is, as long as the ids.
        starts: Where the runs of each word start, (S + 1,).
        buckets: The runs of all words, one word after the other, (R,).
    """

    unknown_id: int
    of_token: NDArray[np.int32]
    starts: NDArray[np.int64]
    buckets: NDArray[np.int32]


class Head(NamedTuple):
    """The linear layer: weight (C, D), bias (C,); where a tree finds the classes, with a row for each decision."""

    weight: Floats
    bias: Floats


class Ways(NamedTuple):
    """The decisions on the way to each class, see `tree.py`.

    Args:
        starts: Where the way to each class starts, (C + 1,).
        path: 2 n + 1 where decision n must say yes, else 2 n.
    """

    starts: NDArray[np.int64]
    path: NDArray[np.int32]


def features(
    tables: Tables, ids: NDArray[np.int32], offsets: NDArray[np.int64], subwords: Subwords | None = None
) -> Floats:
    """The mean of the rows of each text, (N, D); zeros for a text without tokens.

    `ids` holds the ids of all texts, one text after the other; `offsets` (N + 1,) says where each text starts.

    Raises:
        IndexError: If an id has no row, or a token no word.
    """
    count, (vocab_size, dim) = len(offsets) - 1, tables.words.shape
    taken = ids[offsets[0] : offsets[-1]]
    most = vocab_size if subwords is None else _END
    if len(taken) and not 0 <= taken.min() <= taken.max() < most:
        raise IndexError(f"ids from {taken.min()} to {taken.max()} for a table of {vocab_size} rows")
    if subwords is not None:
        _check_subwords(subwords, len(ids), vocab_size)
    if not native.computes(tables.words.dtype):
        rows, owners = rows_of(tables, ids, offsets, subwords)
        return mean_rows(_take(tables, rows), owners, count)
    means = np.empty((count, dim), np.float32)
    threads = max(1, min(native.num_threads(), len(ids) // _TOKENS_PER_THREAD))
    sizes = (count, vocab_size, len(tables.ngrams), dim)
    call("bag_features",
        threads, tables.word_ngrams, *sizes, ids, offsets, *_spread(subwords), *tables[:2], means
    )  # fmt: skip
    return means


def train(
    tables: Tables,
    head: Head,
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    targets: NDArray[np.int64] | None,
    texts: NDArray[np.int64],
    *,
    subwords: Subwords | None = None,
    label_sets: NDArray[np.uint8] | None = None,
    ways: Ways | None = None,
    batch_size: int,
    lr: float,
    lr_end: float,
    smoothing: float = 0.0,
    weights: NDArray[np.float32] | None = None,
    threads: int = 1,
) -> tuple[float, float]:
    """SGD on some texts, in their order; rows and head move in place.

    Args:
        tables: The rows.
        head: The linear layer.
        ids: As in `features`.
        offsets: As in `features`.
        targets: The class of every text, (N,); the loss is the cross-entropy of the softmax.
        texts: Which of them to learn from.
        subwords: The runs of characters, if they are read.
        label_sets: Ones at the classes of every text, (N, C), in place of `targets`; the loss is the sum of each
            class's binary cross-entropy.
        ways: The way to each class, where the head has rows of decisions. The loss is that of all decisions on the way,
            and a text is right if all of them are. `smoothing` has no effect.
        batch_size: Texts whose rows move together.
        lr: Step size on the loss of one text, at the first one...
        lr_end: ... from where it falls linearly to this.
        smoothing: The share of a target that is spread over all answers, from 0 up to, not with, 1.
        weights: What the step of each text is scaled by, (N,).
        threads: How many; the same number gives the same bits.

    Returns:
        The weighted mean loss in nats, and the share of texts that were right; each before its own step.

    Raises:
        RubricaError: If the system grants fewer threads.
    """
    if not native.computes(tables.words.dtype):
        lesson = (texts, batch_size, lr, lr_end, smoothing, weights)
        return _train_numpy(tables, head, ids, offsets, subwords, targets, label_sets, ways, *lesson)
    outcome = np.empty(2)
    failed = call("bag_train",
        threads, tables.word_ngrams, len(tables.words), len(tables.ngrams), *head.weight.shape,
        ids, offsets, *_spread(subwords), targets, label_sets, *(ways or (None, None)),
        weights, len(texts), texts,
        batch_size, lr, lr_end, smoothing, *tables[:2], *head, outcome,
    )  # fmt: skip
    if failed:
        raise RubricaError(f"the system did not start {threads} threads; set RUBRICA_THREADS=1")
    return outcome[0] / _total(texts, weights), outcome[1] / max(1, len(texts))


def _check_subwords(subwords: Subwords, num_tokens: int, vocab_size: int) -> None:
    words, num_words = subwords.of_token, len(subwords.starts) - 1
    if len(words) != num_tokens or (num_tokens and not 0 <= words.min() <= words.max() < num_words):
        raise IndexError(f"{num_tokens} tokens, whose words are not among the {num_words} that have runs of characters")
    if not 0 <= subwords.unknown_id < vocab_size:
        raise IndexError(f"the unknown word is {subwords.unknown_id}, in a table of {vocab_size} rows")


def _spread(subwords: Subwords | None) -> tuple[Any, ...]:
    """The subwords as the native core takes them."""
    if subwords is None:
        return 0, 0, 0, None, None, None
    unknown_id, of_token, starts, buckets = subwords
    return unknown_id, len(starts) - 1, len(buckets), of_token, starts, buckets


def _total(texts: NDArray[np.int64], weights: NDArray[np.float32] | None) -> float:
    """What a sum of losses is divided by."""
    return max(1, len(texts)) if weights is None else float(weights[texts].sum(dtype=np.float64)) or 1.0


def rows_of(
    tables: Tables, ids: NDArray[np.int32], offsets: NDArray[np.int64], subwords: Subwords | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of all tokens, n-grams and runs, text after text, and the text of each; a bucket's row counts from V."""
    lengths = np.diff(offsets)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    tokens = ids[offsets[0] : offsets[-1]].astype(np.int64)
    if subwords is not None:
        tokens[tokens >= len(tables.words)] = subwords.unknown_id
    rows, texts = [tokens], [owners]
    if len(tables.ngrams):
        mixed = (tokens + 1).astype(np.uint64) * MIX
        for longer in range(1, min(tables.word_ngrams, int(lengths.max(initial=0)))):
            whole = owners[longer:] == owners[:-longer]  # not over the end of a text
            mixed = (mixed[: len(whole)] ^ (tokens[longer:] + 1).astype(np.uint64)) * MIX
            buckets = ((mixed >> np.uint64(32)) * np.uint64(len(tables.ngrams))) >> np.uint64(32)
            rows.append(len(tables.words) + buckets[whole].astype(np.int64))
            texts.append(owners[longer:][whole])
    if subwords is not None:
        words = subwords.of_token[offsets[0] : offsets[-1]]
        starts, counts = subwords.starts[words], np.diff(subwords.starts)[words]
        places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        rows.append(len(tables.words) + subwords.buckets[places].astype(np.int64))
        texts.append(np.repeat(owners, counts))
    order = np.argsort(np.concatenate(texts), kind="stable")
    return np.concatenate(rows)[order], np.concatenate(texts)[order]


def _take(tables: Tables, rows: NDArray[np.int64]) -> Floats:
    taken = np.empty((len(rows), tables.words.shape[1]), tables.words.dtype)
    is_word = rows < len(tables.words)
    taken[is_word] = tables.words[rows[is_word]]
    taken[~is_word] = tables.ngrams[rows[~is_word] - len(tables.words)]
    return taken


def mean_rows(taken: Floats, owners: NDArray[np.int64], count: int) -> Floats:
    """The mean (N, D) of the rows that belong to each of N texts."""
    sums = np.zeros((count, taken.shape[1]), taken.dtype)
    np.add.at(sums, owners, taken)
    return sums / np.maximum(np.bincount(owners, minlength=count), 1).astype(taken.dtype)[:, None]


def _train_numpy(
    tables: Tables,
    head: Head,
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    subwords: Subwords | None,
    targets: NDArray[np.int64] | None,
    label_sets: NDArray[np.uint8] | None,
    ways: Ways | None,
    texts: NDArray[np.int64],
    batch_size: int,
    lr: float,
    lr_end: float,
    smoothing: float,
    weights: NDArray[np.float32] | None,
) -> tuple[float, float]:
    loss = right = 0.0
    for first in range(0, len(texts), batch_size):
        batch = texts[first : first + batch_size]
        places = np.concatenate([np.arange(offsets[text], offsets[text + 1]) for text in batch])
        ends = np.concatenate([[0], np.cumsum(offsets[batch + 1] - offsets[batch])])
        here = None if subwords is None else subwords._replace(of_token=subwords.of_token[places])
        rows, owners = rows_of(tables, ids[places], ends, here)
        means = mean_rows(_take(tables, rows), owners, len(batch))
        shares = (1 / np.maximum(np.bincount(owners, minlength=len(batch)), 1)).astype(means.dtype)
        moves = np.empty_like(means)
        for i, (text, h) in enumerate(zip(batch.tolist(), means, strict=True)):
            weight = 1.0 if weights is None else float(weights[text])
            rate = weight * (lr + (lr_end - lr) * (first + i) / len(texts))
            if label_sets is not None:
                here, text_loss, d, hit = _learn_set(head, h, label_sets[text], smoothing)
            else:
                assert targets is not None
                target = int(targets[text])
                found = _learn_class(head, h, target, smoothing) if ways is None else _learn_way(head, h, ways, target)
                here, text_loss, d, hit = found
            loss += weight * text_loss
            right += hit
            by_features = d @ head.weight[here]
            moves[i] = -_bounded(rate, shares[i] * (by_features @ by_features)) * by_features
            rate = _bounded(rate, (d @ d) * (1 + h @ h))
            head.weight[here] -= rate * np.outer(d, h)
            head.bias[here] -= rate * d
        moves *= shares[:, None]
        is_word = rows < len(tables.words)
        np.add.at(tables.words, rows[is_word], moves[owners[is_word]])
        np.add.at(tables.ngrams, rows[~is_word] - len(tables.words), moves[owners[~is_word]])
    return loss / _total(texts, weights), right / max(1, len(texts))


def _bounded(rate: float, square: float) -> float:
    """The step on one text: `rate`, but at most 1 / (1 / 4 + square / 128), where `square` is of the gradient's length.

    The reasons are in `native/bag.cpp`.
    """
    return min(rate, 1 / (1 / 4 + square / 128))


_Step = tuple[
    Any, float, Floats, bool
]  # rows of the head, the loss, its gradient by their logits, whether it was right


def _learn_class(head: Head, h: Floats, target: int, smoothing: float) -> _Step:
    logits = head.weight @ h + head.bias
    return slice(None), *_class_loss(logits, target, smoothing), bool(logits.argmax() == target)


def _learn_set(head: Head, h: Floats, wanted: NDArray[np.uint8], smoothing: float) -> _Step:
    logits = head.weight @ h + head.bias
    return slice(None), *_set_loss(logits, wanted, smoothing), bool(((logits >= 0) == wanted).all())


def _learn_way(head: Head, h: Floats, ways: Ways, target: int) -> _Step:
    way = slice(*ways.starts[target : target + 2])
    rows, yes = ways.path[way] >> 1, ways.path[way] & 1
    logits = head.weight[rows] @ h + head.bias[rows]
    return rows, *_set_loss(logits, yes, 0.0), bool(((logits >= 0) == yes).all())


def _class_loss(logits: Floats, target: int, smoothing: float) -> tuple[float, Floats]:
    """Cross-entropy, and the gradient (C,) of the smoothed one by the logits."""
    below = logits - logits.max()
    d = np.exp(below)
    loss = float(np.log(d.sum()) - below[target])  # the logarithm of the probability itself may be that of 0
    d /= d.sum()
    d[target] -= 1 - smoothing
    return loss, d - smoothing / len(d)


def _set_loss(logits: Floats, wanted: NDArray[Any], smoothing: float) -> tuple[float, Floats]:
    """The sum of each class's binary cross-entropy, and the gradient (C,) of the smoothed ones by the logits."""
    softplus = np.logaddexp(0, logits)
    loss = float((softplus - logits * wanted).sum())
    return loss, np.exp(logits - softplus) - wanted * (1 - smoothing) - smoothing / 2
