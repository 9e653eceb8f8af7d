"""The exact share of each token, where a logit is a sum over the n-grams of a text.

A run of n words is the work of n tokens: what it adds to the logit is shared equally among them. What a run of
characters adds belongs to the token that it lies in. So the shares and the base add up to the logit.

A linear model counts a feature once, however often it occurs; what the feature adds is shared equally among its
occurrences. In a bag each occurrence has its row, and adds its product with the output over the number of rows.
FastText's line ends with a word, </s>. Its share is in the base, since it is no word of the text. A tree of decisions
(hierarchical softmax) multiplies probabilities, so its models have no exact shares.

Letters: T tokens of the whole model, M tokens of a member, K labels that are explained, R rows or runs.
"""

from collections.abc import Iterator, Sequence
from functools import singledispatch
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.explanations.reading import Part
from rubrica.kernels.bag import Tables, rows_of
from rubrica.kernels.fasttext import Engine
from rubrica.kernels.fasttext_rules import END, hash_of, is_label
from rubrica.kernels.fasttext_twin import runs_of_words, take
from rubrica.models.bag import Bag
from rubrica.models.family import Family
from rubrica.models.fasttext import FastText
from rubrica.models.linear import Linear
from rubrica.models.storage import take_rows
from rubrica.text.ngrams import find_runs, weigh_block

Numbers = NDArray[np.float64]


class Sum(NamedTuple):
    """What a score is the sum of.

    Args:
        score: Of each label that is explained, (K,).
        base: What stands in the score before a token is read, (K,).
        shares: What each token adds, (T, K).
    """

    score: Numbers
    base: Numbers
    shares: Numbers


@singledispatch
def exact_sum(settings: Family, part: Part, classes: Sequence[int]) -> Sum | None:
    """What the logits of some classes are the sum of; None where they are no sum over tokens."""
    return None


@exact_sum.register
def _sum_of_linear(settings: Linear, part: Part, classes: Sequence[int]) -> Sum:
    tensors, machines = part.tensors, np.array(classes)
    signs = np.ones(len(classes))
    if len(tensors["linear.bias"]) == 1:  # the machine of the second class
        signs, machines = np.where(machines == 1, 1.0, -1.0), np.zeros_like(machines)
    known_keys, idf = tensors["linear.keys"], tensors["linear.idf"]

    def added(runs: Sequence[NDArray[np.uint32]]) -> Iterator[Numbers]:
        """What each occurrence of the runs of a block adds, for each length of a run."""
        keys, places, counts = np.unique(np.concatenate(runs), return_inverse=True, return_counts=True)
        known, found, values = weigh_block(keys, counts, known_keys, idf)
        of_key = np.zeros((len(keys), len(classes)))
        of_key[known] = values[:, None] * take_rows(tensors, "linear.weight", found)[:, machines] * signs
        of_key /= counts[:, None]
        ends = np.cumsum([len(own) for own in runs])
        return (of_key[part] for part in np.split(places, ends[:-1]))

    runs = find_runs(part.read.text, settings.ngrams(part.data))
    shares = np.zeros((len(runs.words[0]) if runs.words else 0, len(classes)))
    if runs.words:
        for length, amounts in enumerate(added(runs.words), 1):
            _share(shares, amounts, length)
    if runs.inside:
        for (_, owners), amounts in zip(runs.inside, added([keys for keys, _ in runs.inside]), strict=True):
            np.add.at(shares, owners, amounts)
    base = tensors["linear.bias"][machines] * signs
    return Sum(_scores(part, classes), base, _to_tokens(part, shares))


@exact_sum.register
def _sum_of_bag(settings: Bag, part: Part, classes: Sequence[int]) -> Sum | None:
    if settings.search(part.tensors) is not None:
        return None
    tensors, tokens = part.tensors, part.tokens
    assert tokens is not None
    words, ngrams = tensors["embedding.weight"], tensors["ngrams.weight"]
    subwords = settings.subwords(tokens)
    rows, _ = rows_of(Tables(words, ngrams, settings.word_ngrams), tokens.ids, tokens.offsets, subwords)
    taken, is_word = np.empty((len(rows), settings.embedding_dim)), rows < len(words)
    taken[is_word] = take_rows(tensors, "embedding.weight", rows[is_word])
    taken[~is_word] = take_rows(tensors, "ngrams.weight", rows[~is_word] - len(words))
    amounts = taken @ tensors["head.weight"][classes].T.astype(np.float64) / max(1, len(rows))
    shares = np.zeros((len(tokens.ids), len(classes)))
    done = 0
    for length in range(1, 1 + min(settings.word_ngrams if len(ngrams) else 1, len(shares))):
        count = len(shares) - length + 1
        _share(shares, amounts[done : done + count], length)
        done += count
    if subwords is not None:
        counts = np.diff(subwords.starts)[subwords.of_token]
        np.add.at(shares, np.repeat(np.arange(len(shares)), counts), amounts[done:])
    base = tensors["head.bias"][classes].astype(np.float64)
    return Sum(_scores(part, classes), base, _to_tokens(part, shares))


@exact_sum.register
def _sum_of_fasttext(settings: FastText, part: Part, classes: Sequence[int]) -> Sum | None:
    """The score is the product of the text's vector with the label's row: what a softmax or sigmoid is taken of."""
    if settings.loss == "hs":
        return None
    rules, tensors = settings.rules, part.tensors
    engine = Engine(rules, tensors)
    written = [part.read.text[start:end].encode("utf-8", "surrogatepass") for start, end in part.spans[: part.count]]
    line = written if END in written else [*written, END]
    ids = engine.ids_of(line).tolist()
    words = [  # the places of the words in the line; labels are none
        place
        for place, (token, i) in enumerate(zip(line, ids, strict=True))
        if i < rules.num_words and (i >= 0 or not is_label(token, rules))
    ]
    rows, owners, lengths = [], list[int](), list[int]()
    for number, place in enumerate(words):
        own = engine.subwords(line[place])[1].tolist()
        rows += own
        owners += [number] * len(own)
    lengths = [1] * len(rows)
    if rules.word_ngrams > 1 and rules.hashes(tensors):
        for first, length, bucket in runs_of_words([hash_of(line[place]) for place in words], rules):
            own = rules.rows_of([bucket], tensors)
            rows += own
            owners += [first] * len(own)
            lengths += [length] * len(own)
    output, norms = take(rules, tensors, "output", np.array(classes))
    by_label = output.astype(np.float64) * (1.0 if norms is None else norms[:, None])
    taken, norms = take(rules, tensors, "input", np.array(rows, np.int64))
    vectors = taken.astype(np.float64) * (1.0 if norms is None else norms[:, None])
    amounts = vectors @ by_label.T / max(1, len(rows)) / np.array(lengths)[:, None]
    shares = np.zeros((len(line), len(classes)))
    for reach in range(max(lengths, default=0)):
        longer = np.array(lengths) > reach
        np.add.at(shares, np.array(words)[np.array(owners)[longer] + reach], amounts[longer])
    base = shares[len(written) :].sum(axis=0)
    score = settings.features(tensors, part.whole)[0].astype(np.float64) @ by_label.T
    return Sum(score, base, _to_tokens(part, shares[: len(written)]))


def _share(shares: Numbers, amounts: Numbers, length: int) -> None:
    """Share what each run of `length` tokens adds equally among them; `amounts` go by the first token of each run."""
    for reach in range(length):
        shares[reach : reach + len(amounts)] += amounts / length


def _scores(part: Part, classes: Sequence[int]) -> Numbers:
    return part.logits(np.ones((1, len(part.spans)), bool))[0, classes].astype(np.float64)


def _to_tokens(part: Part, shares: Numbers) -> Numbers:
    """The shares of a member's own tokens (M, K) as shares of the model's tokens (T, K).

    A token of the member that covers several tokens of the model shares equally among them.
    """
    found = np.zeros((len(part.spans), shares.shape[1]))
    starts, ends = np.array(part.spans, np.int64).reshape(-1, 2).T
    for (start, end), share in zip(part.read.spans, shares, strict=False):  # a member may read the first ones alone
        first = min(int(np.searchsorted(ends, start, "right")), len(found) - 1)
        last = max(int(np.searchsorted(starts, end, "left")), first + 1)
        found[first:last] += share / (last - first)
    return found
