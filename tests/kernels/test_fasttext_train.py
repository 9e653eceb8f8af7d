"""fastText's training, native, against a literal transcription of its formulas in float64."""

import os

import numpy as np
import pytest

from ragged import needs_native
from rubrica.kernels.fasttext_train import Asking, Lesson, Reading, Trainer, draw_uniform
from rubrica.kernels.fasttext_words import count_words
from rubrica.kernels.product_quantizer import quantize_rows

pytestmark = needs_native

TEXT = b"""__label__a the cat sat on the mat\t!
__label__b \xd0\xba\xd0\xbe\xd1\x82 sat the
no label here

__label__c cat cat dog __label__never
__label__a dog dog ran from the cat
__label__b the end
"""


def hash_of(word):
    value = 2166136261
    for byte in word:
        value = ((value ^ (byte | (0xFFFFFF00 if byte > 127 else 0))) * 16777619) % 2**32
    return value


def runs_of(word, min_n, max_n):
    text = f"<{word.decode()}>"
    for first in range(len(text)):
        for n in range(min_n, max_n + 1):
            part = text[first : first + n]
            if len(part) == n and not (n == 1 and (first == 0 or first + 1 == len(text))):
                yield part.encode()


def signed(value):
    return value - 2**32 if value >= 2**31 else value


def rows_of(tokens, places, reading):
    """Input rows of a line, fastText's order."""
    num_words, hashes, rows = len(places), [], []
    for token in tokens:
        if token in places:
            rows.append(places[token])
        if reading.max_n and token != b"</s>":
            runs = runs_of(token, reading.min_n, reading.max_n)
            rows += [num_words + hash_of(run) % reading.num_buckets for run in runs]
        hashes.append(signed(hash_of(token)))
    for i in range(len(hashes)):
        mixed = hashes[i]
        for other in hashes[i + 1 : i + reading.word_ngrams]:
            mixed = (mixed * 116049371 + other) % 2**64
            rows.append(num_words + mixed % reading.num_buckets)
    return rows


def path_of(target, counts):
    """Nodes and answers from a leaf of the Huffman tree to its root."""
    size = len(counts)
    sums, above, second = list(counts) + [10**15] * (size - 1), {}, set()
    leaf, node = size - 1, size
    for made in range(size, 2 * size - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and sums[leaf] < sums[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        sums[made] = sum(sums[place] for place in pair)
        above |= dict.fromkeys(pair, made)
        second.add(pair[1])
    while target in above:
        yield above[target] - size, float(target in second)
        target = above[target]


def literal(lines, places, labels, counts, reading, loss, matrices, lr, batch_size):
    """One pass of stochastic gradient descent; hidden vectors see the input rows as they are before their batch."""
    table, head = (matrix.astype(np.float64) for matrix in matrices)
    total, seen, examples = sum(map(len, lines)), 0, []
    for tokens in lines:
        targets = [labels[token] for token in tokens if token in labels]
        words = [token for token in tokens if not token.startswith(b"__label__")]
        if targets:
            examples.append((rows_of(words, places, reading), targets, lr * (1 - seen / total)))
        seen += len(tokens)
    loss_sum = 0.0
    for first in range(0, len(examples), batch_size):
        batch, moves = examples[first : first + batch_size], []
        for rows, targets, rate in batch:
            hidden = table[rows].mean(0)
            if loss == "softmax":
                logits = head @ hidden
                shares = np.exp(logits - logits.max())
                shares /= shares.sum()
                loss_sum -= np.log(shares[targets[0]])
                asked = [(c, float(c == targets[0]), shares[c]) for c in range(len(head))]
            else:
                wanted = {c: float(c in targets) for c in range(len(head))}
                asked = path_of(targets[0], counts) if loss == "hs" else wanted.items()
                asked = [(c, answer, 1 / (1 + np.exp(-head[c] @ hidden))) for c, answer in asked]
                loss_sum -= sum(np.log(share if answer else 1 - share) for _, answer, share in asked)
            gradient = np.zeros(table.shape[1])
            for c, answer, share in asked:
                gradient += rate * (answer - share) * head[c]
                head[c] += rate * (answer - share) * hidden
            moves.append((rows, gradient / len(rows)))
        for rows, move in moves:
            np.add.at(table, rows, move)
    return table, head, loss_sum


def lines_of(text):
    return [[*line.split(), b"</s>"] for line in text.split(b"\n")[:-1]]


# More classes than each thread would compute for itself.
MANY = b"".join(b"__label__%d word%d the word%d\n" % (i % 41, i % 7, i % 5) for i in range(60))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("loss", ["softmax", "hs", "ova"])
@pytest.mark.parametrize(
    ("dim", "reading"),
    [(3, Reading(0, 0, 1, 0)), (16, Reading(2, 4, 1, 50)), (21, Reading(0, 0, 3, 37)), (150, Reading(1, 3, 2, 64))],
)
def test_a_step_is_what_the_formulas_say(threads, loss, dim, reading):
    compare(TEXT, loss, dim, reading, threads)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("loss", ["softmax", "hs", "ova"])
def test_threads_share_the_classes_of_many(threads, loss):
    compare(MANY, loss, 20, Reading(2, 3, 2, 90), threads)


def test_more_threads_than_cores_wait_for_each_other_asleep():
    """None that waits takes the core from whom it waits for; one that is not woken would hang here."""
    for _ in range(3):
        compare(MANY, "softmax", 20, Reading(2, 3, 2, 90), threads=4 * (os.cpu_count() or 1))


def compare(text, loss, dim, reading, threads):
    rule = {"prefix": b"__label__", "min_count": 2, "min_count_label": 1, "supervised": True}
    words, lines = count_words(np.frombuffer(text, np.uint8), **rule)
    names = [words.names[a:b].tobytes() for a, b in zip([0, *words.ends], words.ends, strict=False)]
    places = {name: i for i, name in enumerate(names[: words.num_words])}
    labels = {name: i for i, name in enumerate(names[words.num_words :][: words.num_labels])}
    counts = words.counts[words.num_words :][: words.num_labels].copy()
    table = draw_uniform((len(places) + reading.num_buckets, dim), 1.0, 5)
    head = draw_uniform((len(labels), dim), 1.0, 6)
    one_label = {b"__label__never"} if loss != "ova" else set()
    kept = [i for i, tokens in enumerate(lines_of(text)) if not one_label & set(tokens)]
    expected = literal([lines_of(text)[i] for i in kept], places, labels, counts, reading, loss, (table, head), 0.5, 2)
    trainer = Trainer(words, lines, reading, Asking("supervised", loss, counts))
    total = float(sum(len(lines_of(text)[i]) for i in kept))
    outcome = trainer.learn(table, head, Lesson(np.array(kept), 0, 0.0, total, 0.5, 2, 1), threads=threads)
    np.testing.assert_allclose(table, expected[0], atol=3e-6)
    np.testing.assert_allclose(head, expected[1], atol=3e-6)
    assert outcome[0] == pytest.approx(expected[2], rel=1e-5)


def test_numbers_are_even_and_the_same_for_any_number_of_threads():
    one, three = (draw_uniform((2001, 100), 0.25, 7, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)
    shares = np.histogram(one, 10, (-0.25, 0.25))[0] / one.size
    np.testing.assert_allclose(shares, 0.1, atol=0.004)
    assert abs(np.corrcoef(one[:-1].ravel(), one[1:].ravel())[0, 1]) < 0.01


def test_codes_are_the_nearest_centroids():
    matrix = np.random.default_rng(0).normal(size=(700, 5)).astype(np.float32)
    codes, centroids = quantize_rows(matrix, 2, threads=2)
    for part, (first, size) in enumerate([(0, 2), (2, 2), (4, 1)]):
        mine = centroids[256 * first : 256 * (first + size)].reshape(256, size)
        away = np.square(matrix[:, None, first : first + size] - mine).sum(2)
        chosen = np.take_along_axis(away, codes[:, part, None].astype(int), 1)[:, 0]
        np.testing.assert_allclose(chosen, away.min(1), atol=1e-7)
        assert chosen.mean() < 0.015


def test_too_few_rows_and_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="255 rows cannot be quantised"):
        quantize_rows(np.zeros((255, 4), np.float32), 2)
    with pytest.raises(ValueError, match="not finite"):
        quantize_rows(np.full((256, 4), np.nan, np.float32), 2)
