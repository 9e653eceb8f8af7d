"""Integrated gradients: torch's own gradient in many equal steps, captum's, and that they add up."""

import numpy as np
import pytest
import torch

from made_models import BOTH_WAYS, LABELS, make
from rubrica.errors import RubricaError
from rubrica.insight.explanations.explain import explain
from rubrica.insight.explanations.gradients import integrated_gradients
from rubrica.insight.explanations.reading import Reader

TEXT = "c b-a. d e,f g? B A! c"
CASES = [(*case, masked) for case in BOTH_WAYS for masked in (True, False)]


def network_of(model, network):
    """From vectors (B, T, E) to logits, in float64, by the network that the model was made of."""
    network = network.double().eval()

    def logits(x):
        rows, steps = x.shape[:2]
        lengths = torch.full((rows,), steps) if model.config.model.masks_padding else None
        index = torch.arange(rows * steps).view(rows, steps)
        return network.head(network.features(x.flatten(0, 1), index, lengths))

    ids = model.artifact.vocab.encode([TEXT], 128).ids
    return logits, network.embedding.weight.detach()[torch.from_numpy(ids).long()][None]


@pytest.mark.parametrize(("name", "pooling", "both", "masked"), CASES, ids=str)
def test_gradients_add_up_and_are_torchs_in_many_small_steps(name, pooling, both, masked):
    model, network = make(name, pooling, masked, both)
    (part,) = Reader(model.artifact).read(TEXT).parts
    found = integrated_gradients(part, [0, 2])
    difference = found.score - found.base
    assert (abs(found.shares.sum(axis=0) - difference) <= 0.01 * abs(difference) + 1e-5).all()
    np.testing.assert_allclose(found.score, model.logits([TEXT])[0, [0, 2]], atol=1e-5)

    logits, vectors = network_of(model, network)
    steps = 400
    points = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    grown = (points[:, None, None] * vectors).requires_grad_()
    for place, label in enumerate((0, 2)):
        (slope,) = torch.autograd.grad(logits(grown)[:, label].sum(), grown)
        expected = (slope * vectors).sum(2).mean(0).numpy()
        scale = abs(expected).sum()
        np.testing.assert_allclose(found.shares[:, place], expected, atol=0.02 * scale + 1e-5)


@pytest.mark.filterwarnings("ignore")  # captum's own
@pytest.mark.parametrize("name", ["gru", "lstm", "rnn", "mingru"])
def test_gradients_are_captums(name):
    from captum.attr import IntegratedGradients

    model, network = make(name, "average")  # no kinks, so that captum's steps converge
    logits, vectors = network_of(model, network)
    shares = IntegratedGradients(logits).attribute(vectors, target=1, n_steps=64).sum(2)[0].numpy()
    found = explain(model, TEXT, labels=[LABELS[1]], method="gradients").reasons[0]
    np.testing.assert_allclose(found.shares, shares, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["gru", "cnn", "kim"])
def test_leaving_out_is_captums_ablation(name):
    """Captum takes features away one by one; here a feature is whether a token is there."""
    from captum.attr import FeatureAblation, Occlusion

    model, _ = make(name, "max")
    tokens = model.artifact.vocab.tokenize(TEXT)

    def logits(there):
        texts = [" ".join(token for token, is_there in zip(tokens, row, strict=True) if is_there) for row in there]
        return torch.from_numpy(model.logits(texts))

    ones = torch.ones(1, len(tokens))
    found = explain(model, TEXT, labels=[LABELS[1]], method="leave-one-out").reasons[0].shares
    ablated = FeatureAblation(logits).attribute(ones, target=1)[0].numpy()
    occluded = Occlusion(logits).attribute(ones, sliding_window_shapes=(1,), target=1)[0].numpy()
    np.testing.assert_allclose(found, ablated, atol=1e-6)
    np.testing.assert_allclose(found, occluded, atol=1e-6)


def test_a_sum_that_does_not_come_right_is_an_error():
    model, _ = make("cnn", "max")
    (part,) = Reader(model.artifact).read(TEXT).parts
    with pytest.raises(RubricaError, match="do not add up to the score on 4 pieces"):
        integrated_gradients(part, [0], most_pieces=4)


def test_a_text_without_tokens_has_its_base_alone():
    model, _ = make("gru")
    reason = explain(model, " ", labels=[LABELS[0]], method="gradients").reasons[0]
    assert reason.score == reason.base == pytest.approx(model.logits([""])[0, 0], abs=1e-6)
