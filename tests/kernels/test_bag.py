"""The bag's kernel, native and numpy, against plain loops and torch's gradients."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from ragged import native_alone, needs_native
from rubrica.kernels import bag

TEXTS = st.lists(st.lists(st.integers(0, 6), max_size=7), min_size=1, max_size=9)
SIZES = st.tuples(st.sampled_from([1, 3, 16, 20]), st.integers(2, 5), st.sampled_from([0, 1, 11]), st.integers(1, 3))


def problem(texts, sizes, dtype, several=False):
    dim, num_classes, buckets, word_ngrams = sizes
    draw = np.random.default_rng(3)
    tables = bag.Tables(
        draw.normal(size=(7, dim)).astype(dtype), draw.normal(size=(buckets, dim)).astype(dtype), word_ngrams
    )
    head = bag.Head(draw.normal(size=(num_classes, dim)).astype(dtype), draw.normal(size=num_classes).astype(dtype))
    ids = np.array([word for text in texts for word in text], np.int32)
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    targets = draw.integers(0, num_classes, len(texts))
    if several:
        targets = draw.integers(0, 2, (len(texts), num_classes)).astype(np.uint8)
    return tables, head, ids, offsets, targets


def train(tables, head, ids, offsets, targets, order, **settings):
    """With one class a text, or with a matrix of label sets."""
    if targets.ndim == 2:
        settings["label_sets"], targets = targets, None
    return bag.train(tables, head, ids, offsets, targets, order, **settings)


def bucket(words, buckets):
    mixed = 0
    for word in words:
        mixed = ((mixed ^ (word + 1)) * 0x9E3779B97F4A7C15) % 2**64
    return ((mixed >> 32) * buckets) >> 32


def rows_of(text, tables):
    """Words and n-grams one by one."""
    rows = [("words", word) for word in text]
    for n in range(2, tables.word_ngrams + 1):
        for t in range(len(text) - n + 1):
            if len(tables.ngrams):
                rows.append(("ngrams", bucket(text[t : t + n], len(tables.ngrams))))
    return rows


def copy(tables, head):
    return bag.Tables(tables.words.copy(), tables.ngrams.copy(), tables.word_ngrams), bag.Head(*map(np.copy, head))


@given(texts=TEXTS, sizes=SIZES, dtype=st.sampled_from([np.float32, np.float64]))
def test_features_are_the_mean_of_the_rows(texts, sizes, dtype):
    tables, _, ids, offsets, _ = problem(texts, sizes, dtype)
    expected = np.zeros((len(texts), sizes[0]))
    for i, text in enumerate(texts):
        if rows := rows_of(text, tables):
            expected[i] = np.mean([getattr(tables, table)[row] for table, row in rows], axis=0, dtype=np.float64)
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(bag.features(tables, ids, offsets), expected, atol=10 * tolerance)


def spelled(ids, draw, buckets, unknown_id=1):
    """Runs of characters of nine words: the seven that have a row, and two that have none."""
    counts = draw.integers(0, 4, 9)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return bag.Subwords(unknown_id, ids, starts, draw.integers(0, buckets, starts[-1]).astype(np.int32))


def rows_with_runs(text, tables, subwords):
    """A word without a row of its own has the row and the n-grams of the unknown word, but runs of its own."""
    known = [word if word < 7 else subwords.unknown_id for word in text]
    runs = [subwords.buckets[subwords.starts[word] : subwords.starts[word + 1]] for word in text]
    return rows_of(known, tables) + [("ngrams", bucket) for found in runs for bucket in found.tolist()]


SPELLED_TEXTS = st.lists(st.lists(st.integers(0, 8), max_size=7), min_size=1, max_size=9)
SPELLED_SIZES = st.tuples(st.sampled_from([3, 16]), st.integers(2, 5), st.sampled_from([1, 11]), st.integers(1, 3))


@given(texts=SPELLED_TEXTS, sizes=SPELLED_SIZES, dtype=st.sampled_from([np.float32, np.float64]))
def test_features_with_runs_of_characters(texts, sizes, dtype):
    tables, _, ids, offsets, _ = problem(texts, sizes, dtype)
    subwords = spelled(ids, np.random.default_rng(2), sizes[2])
    expected = np.zeros((len(texts), sizes[0]))
    for i, text in enumerate(texts):
        if rows := rows_with_runs(text, tables, subwords):
            expected[i] = np.mean([getattr(tables, table)[row] for table, row in rows], axis=0, dtype=np.float64)
    found = bag.features(tables, ids, offsets, subwords)
    np.testing.assert_allclose(found, expected, atol=1e-5 if dtype == np.float32 else 1e-13)
    if len(texts) > 2:  # a part of the texts, whose ids do not start at 0
        np.testing.assert_allclose(bag.features(tables, ids, offsets[1:], subwords), expected[1:], atol=1e-5)


@given(texts=SPELLED_TEXTS, sizes=SPELLED_SIZES, batch_size=st.integers(1, 4), threads=st.integers(1, 3))
def test_training_moves_the_rows_of_runs(texts, sizes, batch_size, threads):
    """A step on one text after the other, by hand, and on batches natively and in numpy."""
    tables, head, ids, offsets, targets = problem(texts, sizes, np.float64)
    subwords = spelled(ids, np.random.default_rng(2), sizes[2])
    order = np.random.default_rng(1).permutation(len(texts))
    wanted, wanted_head = copy(tables, head)
    for text in order:
        rows = rows_with_runs(texts[text], wanted, subwords)
        h = np.mean([getattr(wanted, table)[row] for table, row in rows], axis=0) if rows else np.zeros(sizes[0])
        d = np.exp(wanted_head.weight @ h + wanted_head.bias)
        d /= d.sum()
        d[targets[text]] -= 1
        by_features = d @ wanted_head.weight
        wanted_head.weight[:] -= 0.1 * np.outer(d, h)
        wanted_head.bias[:] -= 0.1 * d
        for table, row in rows:
            getattr(wanted, table)[row] -= 0.1 * by_features / len(rows)
    found, found_head = copy(tables, head)
    settings = {"lr": 0.1, "lr_end": 0.1, "subwords": subwords}
    train(found, found_head, ids, offsets, targets, order, batch_size=1, **settings)
    for array, expected in zip((*found[:2], *found_head), (*wanted[:2], *wanted_head), strict=True):
        np.testing.assert_allclose(array, expected, atol=1e-12)
    single = problem(texts, sizes, np.float32)[:2]
    train(tables, head, ids, offsets, targets, order, batch_size=batch_size, **settings)
    train(*single, ids, offsets, targets, order, batch_size=batch_size, threads=threads, **settings)
    for array, expected in zip((*single[0][:2], *single[1]), (*tables[:2], *head), strict=True):
        np.testing.assert_allclose(array, expected, atol=2e-5)


@pytest.mark.parametrize("change", [{"of_token": np.int32([0])}, {"of_token": np.int32([9, 0])}, {"unknown_id": 7}])
def test_a_token_without_a_word_is_refused(change):
    tables, _, ids, offsets, _ = problem([[1, 8]], (4, 2, 11, 1), np.float32)
    subwords = spelled(ids, np.random.default_rng(2), 11)._replace(**change)
    with pytest.raises(IndexError, match=r"whose words are not among the 9|the unknown word is 7"):
        bag.features(tables, ids, offsets, subwords)


@needs_native
@pytest.mark.parametrize("bad", [-1, 7])
def test_an_id_without_a_row_is_refused(instruction_sets, bad):
    tables, *_ = problem([[0]], (4, 2, 11, 2), np.float32)
    ids = np.array([3, bad, 6], np.int32)
    for library in native_alone(instruction_sets):
        with library, pytest.raises(IndexError, match=r"ids from .* for a table of 7 rows"):
            bag.features(tables, ids, np.array([0, 1, 3]))


def test_ngrams_end_with_the_longest_text():
    tables, _, ids, offsets, _ = problem([[1, 2, 3], [], [4, 5]], (4, 2, 11, 3), np.float64)
    expected = bag.features(tables, ids, offsets)
    np.testing.assert_array_equal(bag.features(tables._replace(word_ngrams=2**40), ids, offsets), expected)


WEIGHTS = np.float32([0.5, 2, 0, 1, 1.5, 3, 0.25, 1, 1])


def loss_of(logits, target, smoothing):
    if isinstance(target, np.ndarray):
        target = torch.tensor(target.astype(np.float64))
        target = target * (1 - smoothing) + smoothing / 2
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    return torch.nn.functional.cross_entropy(logits, torch.tensor(target), label_smoothing=smoothing)


def bounded(rate, square):
    """A step that would take more than 128 nats off a text's loss, were it a line, is shortened; none is above 4."""
    return min(rate, 1 / (1 / 4 + square / 128))


@given(
    texts=TEXTS,
    sizes=SIZES,
    batch_size=st.integers(1, 4),
    smoothing=st.sampled_from([0.0, 0.1]),
    several=st.booleans(),
    weights=st.sampled_from([None, WEIGHTS]),
)
@example([[0], [1]] * 4 + [[0]], (20, 5, 0, 1), 1, 0.0, True, WEIGHTS)  # a step is shortened
def test_a_batch_moves_rows_and_head_by_torchs_gradients(texts, sizes, batch_size, smoothing, several, weights):
    """In float64: rows by the gradient at the batch's start, the head by each text's in turn."""
    tables, head, ids, offsets, targets = problem(texts, sizes, np.float64, several)
    wanted, wanted_head = copy(tables, head)
    order = np.random.default_rng(1).permutation(len(texts))
    losses, right = [], []
    for first in range(0, len(order), batch_size):
        frozen = {name: torch.tensor(getattr(wanted, name)) for name in ("words", "ngrams")}
        for i, text in enumerate(order[first : first + batch_size], first):
            lr = (0.5 + (0.1 - 0.5) * i / len(order)) * (1 if weights is None else float(weights[text]))
            leaves = {name: table.clone().requires_grad_() for name, table in frozen.items()}
            weight, bias = (torch.tensor(array, requires_grad=True) for array in wanted_head)
            rows = [leaves[table][row] for table, row in rows_of(texts[text], tables)]
            h = torch.stack(rows).mean(0) if rows else torch.zeros(sizes[0], dtype=torch.float64)
            logits = weight @ h + bias
            logits.retain_grad()
            loss_of(logits, targets[text], smoothing).backward()
            losses.append(loss_of(logits, targets[text], 0.0).item())
            answers = logits.detach().numpy() >= 0 if several else logits.argmax().item()
            right.append(np.array_equal(answers, targets[text]))
            d, h = logits.grad.numpy(), h.detach().numpy()
            by_features = d @ weight.detach().numpy()
            step = bounded(lr, d @ d * (1 + h @ h))
            for array, leaf in zip(wanted_head, (weight, bias), strict=True):
                array -= step * leaf.grad.numpy()
            step = bounded(lr, by_features @ by_features / max(1, len(rows)))
            for name, leaf in leaves.items():
                if leaf.grad is not None:
                    getattr(wanted, name)[:] -= step * leaf.grad.numpy()
    settings = {"batch_size": batch_size, "lr": 0.5, "lr_end": 0.1, "smoothing": smoothing, "weights": weights}
    found = train(tables, head, ids, offsets, targets, order, **settings)
    counted = np.ones(len(texts)) if weights is None else weights[order]
    assert found[0] == pytest.approx(np.dot(losses, counted) / (counted.sum() or 1), abs=1e-10)
    assert found[1] == pytest.approx(np.mean(right))
    for found, expected in zip((*tables[:2], *head), (*wanted[:2], *wanted_head), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10)


@needs_native
@given(
    texts=TEXTS,
    sizes=SIZES.map(lambda sizes: (sizes[0], sizes[1] * 5, *sizes[2:])),  # some vectors of classes
    batch_size=st.integers(1, 4),
    threads=st.integers(1, 3),
    several=st.booleans(),
    weights=st.sampled_from([None, WEIGHTS]),
)
def test_native_is_numpy(texts, sizes, batch_size, threads, several, weights):
    tables, head, ids, offsets, targets = problem(texts, sizes, np.float32, several)
    doubles = [bag.Tables(*(table.astype(np.float64) for table in tables[:2]), tables.word_ngrams)]
    doubles.append(bag.Head(*(array.astype(np.float64) for array in head)))
    order = np.random.default_rng(1).permutation(len(texts))
    settings = {"batch_size": batch_size, "lr": 0.5, "lr_end": 0.1, "smoothing": 0.2, "weights": weights}
    twin = train(*doubles, ids, offsets, targets, order, **settings)
    again = copy(tables, head)
    found = train(tables, head, ids, offsets, targets, order, **settings, threads=threads)
    assert found[0] == pytest.approx(twin[0], abs=1e-5 if not several else 1e-4)
    assert found[1] == twin[1]
    for array, expected in zip((*tables[:2], *head), (*doubles[0][:2], *doubles[1]), strict=True):
        np.testing.assert_allclose(array, expected, atol=2e-5)
    train(*again, ids, offsets, targets, order, **settings, threads=threads)
    for array, repeated in zip((*tables[:2], *head), (*again[0][:2], *again[1]), strict=True):
        assert array.tobytes() == repeated.tobytes()


def unlearnable(shared):
    """300 texts of one or two words, of which all texts share one, and labels drawn at random."""
    draw = np.random.default_rng(5)
    texts = [[0, *draw.integers(1, 7, draw.integers(0, 2))] if shared else [0] for _ in range(300)]
    return texts, draw.permutation(np.tile(np.arange(300), 20))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(("lr", "batch_size"), [(0.5, 64), (2.0, 1), (2.0, 64), (100.0, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_data_and_no_step_size_lets_the_weights_run_away(shared, several, lr, batch_size, dtype):
    texts, order = unlearnable(shared)
    order = order[: 6000 if dtype == np.float32 else 640]
    tables, head, ids, offsets, targets = problem(texts, (16, 3, 11, 2), dtype, several)
    for array in (*tables[:2], *head):
        array /= 16
    settings = {"weights": np.float32([0.2, 5, 1]).repeat(100), "batch_size": batch_size}
    for rate in (lr, 0.1):
        train(tables, head, ids, offsets, targets, order, lr=rate, lr_end=0, **settings)
        assert all(np.abs(array).max() < 1000 for array in (*tables[:2], *head))
    loss, _ = train(tables, head, ids, offsets, targets, order, lr=0, lr_end=0, batch_size=64)
    assert np.isfinite(loss)
    if lr == 100:  # from so far away some hundred texts do not lead back
        return
    assert loss < (3 * np.log(2) if several else np.log(3)) + 0.5


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_on_one_text_is_shortened_to_its_bound(several, dtype):
    """A head of thousands: the rows' step promises 128 nats, or less; the head's is 4, or less."""
    tables = bag.Tables(np.full((1, 1), 2, dtype), np.zeros((0, 1), dtype), 1)
    head = bag.Head(np.array([[-3000], [1000]], dtype), np.zeros(2, dtype))
    ids, offsets, order = np.zeros(1, np.int32), np.array([0, 1]), np.zeros(1, np.int64)
    targets = np.array([[1, 0]], np.uint8) if several else np.zeros(1, np.int64)
    train(tables, head, ids, offsets, targets, order, batch_size=1, lr=1e6, lr_end=1e6)
    moved = 4000 / (1 / 4 + 4000**2 / 128)  # the gradient by the logits is -1 and 1
    np.testing.assert_allclose(tables.words, 2 - moved, rtol=1e-5)
    step = 1 / (1 / 4 + 2 * (1 + 2**2) / 128)
    np.testing.assert_allclose(head.bias, [step, -step], rtol=1e-5)
    np.testing.assert_allclose(head.weight, [[-3000 + 2 * step], [1000 - 2 * step]], rtol=1e-6)


def test_a_set_of_many_labels_overflows_nowhere():
    """Logits of +-80 on 200 classes, whose 1 + exp(-|x|) are multiplied before a logarithm is taken."""
    tables = bag.Tables(np.zeros((1, 4), np.float32), np.zeros((0, 4), np.float32), 1)
    sets = np.random.default_rng(0).integers(0, 2, (1, 200)).astype(np.uint8)
    for bias in (0.0, 1e-3, 80.0, -80.0):
        head = bag.Head(np.zeros((200, 4), np.float32), np.full(200, bias, np.float32))
        ids, offsets, order = np.zeros(1, np.int32), np.array([0, 1]), np.zeros(1, np.int64)
        loss, _ = train(tables, head, ids, offsets, sets, order, batch_size=1, lr=0.5, lr_end=0.5)
        wanted = (np.logaddexp(0, bias) - bias * sets).sum()
        assert loss == pytest.approx(wanted, rel=1e-5)
        moved = bias - 0.5 * (1 / (1 + np.exp(-bias)) - sets[0])
        np.testing.assert_allclose(head.bias, moved, rtol=1e-6, atol=1e-7)


def test_a_class_that_seems_impossible_has_a_finite_loss():
    loss, d = bag._class_loss(np.array([0, -2000], np.float32), 1, 0.1)
    assert loss == 2000
    assert np.isfinite(d).all()
