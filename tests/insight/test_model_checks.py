"""The arithmetic of the checks, held to brute force and to scipy."""

import numpy as np
import pytest
from scipy import stats

from rubrica.insight.model_checks import drift, embedding, fitting, gradients, slices
from rubrica.insight.model_checks.answers import calibration_error
from rubrica.insight.model_checks.subject import in_use
from rubrica.scoring.tasks import task_of
from rubrica.text.vocab import TokenIds, Vocab

DRAW = np.random.default_rng(3)


def test_the_area_is_the_share_of_pairs_in_order():
    old, new = DRAW.integers(0, 9, 40).astype(float), DRAW.integers(2, 12, 30).astype(float)
    pairs = [(n > o) + 0.5 * (n == o) for n in new for o in old]
    auc, error = drift.area(old, new)
    assert auc == pytest.approx(np.mean(pairs))
    resampled = [drift.area(DRAW.choice(old, 40), DRAW.choice(new, 30))[0] for _ in range(400)]
    assert error == pytest.approx(np.std(resampled), rel=0.25)


def test_the_calibration_error_is_what_a_loop_finds():
    sure = DRAW.random(500)
    right = DRAW.random(500) < sure**2
    total = 0.0
    for i in range(15):
        inside = (sure > i / 15) & (sure <= (i + 1) / 15)
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - sure[inside].mean())
    assert calibration_error(sure, right) == pytest.approx(total / 500)


def test_two_shares_are_compared_as_scipy_does():
    right, inside = DRAW.random(300) < 0.7, DRAW.random(300) < 0.2
    right[inside] = DRAW.random(inside.sum()) < 0.5
    table = [[np.sum(right & side), np.sum(~right & side)] for side in (inside, ~inside)]
    p, here, there = slices.compare(right, inside)
    assert p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert (here, there) == (right[inside].mean(), right[~inside].mean())


def test_p_values_are_corrected_by_holm():
    tested = [((p, 0.0, 0.0), slices.Group(str(p), np.ones(1, bool))) for p in (0.04, 0.01, 0.03, 0.005)]
    found = [(group.name, p) for (p, _, _), group in slices._after_holm(tested)]
    assert found == [("0.005", 0.02), ("0.01", 0.03), ("0.03", 0.06), ("0.04", 0.06)]


def test_the_best_constant_answer_has_the_entropy_of_the_labels():
    targets = np.array([0, 0, 0, 1, 2, 2])
    losses = fitting.constant_losses(task_of("abc", lists=False), targets)
    assert losses.mean() == pytest.approx(stats.entropy([3, 1, 2]), abs=1e-5)
    several = np.array([[1, 0], [1, 1], [0, 0], [1, 0]], np.uint8)
    wanted = stats.entropy([3, 1]) + stats.entropy([1, 3])
    assert fitting.constant_losses(task_of("ab", lists=True), several).mean() == pytest.approx(wanted, abs=1e-5)


def test_the_effective_rank_counts_directions_of_equal_variance():
    directions = np.linalg.qr(DRAW.normal(size=(20, 20)))[0][:4]
    table = np.concatenate([directions, -directions])
    assert embedding._effective_rank(table + 5.0) == pytest.approx(4.0)


def test_a_gradient_is_followed_back_from_each_text_s_end():
    lengths = np.array([12, 10, 9] * 4)
    norms = np.zeros((12, 12))
    for row, length in enumerate(lengths.tolist()):
        norms[row, :length] = 0.5 ** (length - 1 - np.arange(length))
    curve = gradients._by_distance(norms, lengths, masked=True, reverse=False)
    np.testing.assert_allclose(curve, 0.5 ** np.arange(9))
    assert gradients._factor(curve) == pytest.approx(0.5)
    turned = np.array([np.concatenate([row[:n][::-1], row[n:]]) for row, n in zip(norms, lengths, strict=True)])
    np.testing.assert_allclose(gradients._by_distance(turned, lengths, masked=True, reverse=True), curve)


def test_texts_too_short_for_a_curve_have_no_factor():
    curve = gradients._by_distance(np.ones((20, 3)), np.full(20, 3), masked=True, reverse=False)
    assert len(curve) == 3
    assert gradients._factor(curve) is None


def test_only_the_rows_in_use_are_taken_and_texts_keep_their_words():
    vocab = Vocab(["<pad>", "<unk>", *"abcdefgh"], 1, lowercase=True)
    tokens = TokenIds(np.array([4, 9, 4, 2], np.int32), np.array([0, 3, 4]))
    used, (renumbered,) = in_use(vocab, [tokens])
    assert used.tolist() == [0, 1, 2, 4, 9]
    assert used[renumbered.ids].tolist() == tokens.ids.tolist()
