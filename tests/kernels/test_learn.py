"""A learning step: native on each instruction set = the layer's formulas, head and loss by autograd."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from cases import examples
from ragged import assert_close, assert_two_runs_are_equal, attend, native_alone, needs_native, random_texts
from rubrica.kernels.learn import Lesson, learn
from rubrica.kernels.recurrent import CELLS, POOLINGS
from rubrica.kernels.runs import Reading
from rubrica.models.recurrent import Recurrent
from rubrica.networks.cells import GRU, LSTM, RNN
from rubrica.networks.embedding import KernelAdam
from rubrica.networks.networks import build_network
from rubrica.networks.pooling import POOLINGS as BY_TORCH
from rubrica.text.vocab import TokenIds

pytestmark = needs_native

LAYERS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
PLAIN = {"both": False, "smoothing": 0.0, "weighted": False, "drops": False}


class Case:
    """Texts of given lengths with random words, targets, parameters, weights of the texts and a mask of dropout."""

    def __init__(
        self, cell, pooling, lengths, hidden, classes, *, both, smoothing, weighted, drops, num_words=9, dim=5
    ):
        draw = np.random.default_rng(len(lengths) + hidden)
        self.layers = [LAYERS[cell](dim, hidden).double() for _ in range(1 + both)]
        width = len(self.layers) * hidden * (2 if pooling == "average_max" else 1)
        self.head = torch.nn.Linear(width, classes).double()
        self.attention = [torch.nn.Parameter(torch.empty(1 + both, hidden))] if pooling == "attention" else []
        self.parameters = [parameter for layer in self.layers for parameter in layer.parameters()]
        self.parameters += [*self.attention, *self.head.parameters()]
        for parameter in self.parameters:
            parameter.data = torch.from_numpy(draw.uniform(-0.6, 0.6, parameter.shape))
        self.vectors = draw.normal(size=(num_words, dim))
        self.reading = Reading(cell, pooling, *random_texts(draw, lengths, num_words, gap=0))
        self.targets = draw.integers(0, classes, len(lengths))
        self.smoothing = smoothing
        self.weights = draw.uniform(0.1, 3, len(lengths)) if weighted else None
        self.mask = (draw.uniform(size=(len(lengths), width)) < 0.7) / 0.7 if drops else None

    def by_kernel(self, *, threads=1, trains=True):
        weights = [parameter.detach().numpy().astype(np.float32) for parameter in self.parameters]
        gradients = [np.full_like(weight, np.nan) for weight in weights]  # each is written, none is added to
        counts, mask = (None if array is None else array.astype(np.float32) for array in (self.weights, self.mask))
        lesson, vectors = Lesson(self.targets, weights, gradients, self.smoothing, counts), self.vectors
        scores, d_vectors = learn(
            self.reading, vectors.astype(np.float32), lesson, mask=mask, trains=trains, threads=threads
        )
        return scores, d_vectors, *gradients

    def by_autograd(self):
        """Text by text, so that nothing of a batch is shared with the kernel."""
        vectors = torch.from_numpy(self.vectors).requires_grad_()
        features = torch.zeros(len(self.targets), self.head.in_features, dtype=torch.double)
        for i, (start, length) in enumerate(zip(self.reading.starts, self.reading.lengths, strict=True)):
            if length:
                words = torch.from_numpy(self.reading.rows[start : start + length].astype(np.int64))
                features[i] = torch.cat([self.pooled(vectors, words, way) for way in range(len(self.layers))])
        dropped = features if self.mask is None else features * torch.from_numpy(self.mask)
        logits, targets = self.head(dropped), torch.from_numpy(self.targets)
        losses = F.cross_entropy(logits, targets, label_smoothing=self.smoothing, reduction="none")
        counts = torch.ones_like(losses) if self.weights is None else torch.from_numpy(self.weights)
        loss = (counts * losses).sum() / counts.sum()
        wanted = [vectors, *self.parameters]
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
        accuracy = (logits.argmax(dim=1) == targets).double().mean()
        return [torch.stack([loss.detach(), accuracy]).numpy(), *(gradient.numpy() for gradient in gradients)]

    def pooled(self, vectors, words, way):
        states = self.layers[way](vectors[words.flip(0) if way else words][:, None])
        if self.attention:
            return attend(states, self.attention[0][way])
        return BY_TORCH[self.reading.pooling](states, None)[0]


CASES = given(
    cell=st.sampled_from(CELLS),
    pooling=st.sampled_from(POOLINGS),
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=70),
    hidden=st.integers(1, 20),
    classes=st.integers(2, 40),
    settings_=st.fixed_dictionaries(
        {
            "both": st.booleans(),
            "smoothing": st.sampled_from([0.0, 0.2]),
            "weighted": st.booleans(),
            "drops": st.booleans(),
        }
    ),
)


@CASES
@examples(50)
@example(cell="gru", pooling="max", lengths=[0], hidden=3, classes=2, settings_=PLAIN)
@example(cell="lstm", pooling="average", lengths=[12] * 65, hidden=33, classes=4, settings_=PLAIN)
@example(cell="gru", pooling="average_max", lengths=[12] * 65, hidden=33, classes=4, settings_=PLAIN | {"both": True})
@example(cell="gru", pooling="attention", lengths=[12, 0] * 65, hidden=33, classes=4, settings_=PLAIN | {"both": True})
def test_native_equals_autograd_on_every_instruction_set_and_number_of_threads(
    instruction_sets, cell, pooling, lengths, hidden, classes, settings_
):
    assert_two_runs_are_equal(instruction_sets, Case(cell, pooling, lengths, hidden, classes, **settings_), 2e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_logits_beyond_the_range_of_exp_have_a_loss(instruction_sets, smoothing):
    case = Case("rnn", "last", [3, 2, 5], 4, 3, **PLAIN | {"smoothing": smoothing})
    case.head.weight.data *= 2000
    expected = case.by_autograd()
    assert expected[0][0] > 100
    for library in native_alone(instruction_sets):
        with library:
            np.testing.assert_allclose(case.by_kernel()[0], expected[0], rtol=1e-4)


def test_class_weights_are_torchs():
    case = Case("gru", "max", [3, 2, 5, 4, 1], 6, 3, **PLAIN)
    by_class = np.array([0.2, 1.0, 3.0])
    case.weights = by_class[case.targets]
    found = case.by_kernel()
    assert_close(found, case.by_autograd(), 2e-5)
    features = torch.stack([case.pooled(torch.from_numpy(case.vectors), torch.from_numpy(
        case.reading.rows[start : start + length].astype(np.int64)), 0)
        for start, length in zip(case.reading.starts, case.reading.lengths, strict=True)])  # fmt: skip
    loss = F.cross_entropy(case.head(features), torch.from_numpy(case.targets), weight=torch.from_numpy(by_class))
    np.testing.assert_allclose(found[0][0], loss.item(), rtol=1e-5)


def test_where_no_text_counts_nothing_is_learned(instruction_sets):
    case = Case("gru", "max", [3, 2], 6, 3, **PLAIN)
    case.weights = np.zeros(2)
    for library in native_alone(instruction_sets):
        with library:
            scores, *gradients = case.by_kernel()
            assert scores[0] == 0
            assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("extra", [{}, {"smoothing": 0.1, "dropout": 0.5, "text_weights": np.float32([1, 2, 0.5, 3])}])
@pytest.mark.parametrize(("bidirectional", "pooling"), [(False, "max"), (True, "average_max"), (True, "attention")])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_a_model_learns_what_backward_would_have_it_learn(name, masked, frozen, bidirectional, pooling, extra):
    torch.manual_seed(0)
    config = Recurrent(name=name, hidden_size=6, bidirectional=bidirectional, pooling=pooling)
    model = build_network(config, torch.randn(30, 4), 3)
    model.embedding.requires_grad_(not frozen)
    parameters = [parameter for parameter in model.parameters() if parameter is not model.embedding.weight]
    adam = KernelAdam(parameters, lr=0.01)
    draw = np.random.default_rng(1)
    texts = TokenIds(draw.integers(0, 30, 40).astype(np.int32), np.array([0, 5, 5, 12, 13, 40]))
    rows, targets = np.array([3, 1, 4, 2]), np.array([0, 2, 1, 2])
    torch.manual_seed(5)
    lesson = Lesson(targets, adam.arrays, adam.gradients, extra.get("smoothing", 0.0), extra.get("text_weights"))
    scores = model.learn(texts, rows, lesson, masked=masked, dropout=extra.get("dropout", 0.0))
    got = [parameter.grad.clone() for parameter in parameters]
    words, vectors = model.embedding.words, model.embedding.vectors
    adam.gradient.zero_()
    ids = torch.zeros(4, 27, dtype=torch.long)
    for i, row in enumerate(rows):
        text = texts.ids[texts.offsets[row] : texts.offsets[row + 1]]
        ids[i, : len(text)] = torch.from_numpy(text)
    torch.manual_seed(5)  # the same features are dropped
    logits = model(ids, torch.from_numpy(texts.lengths[rows]) if masked else None, extra.get("dropout", 0.0))
    smoothing, counts = extra.get("smoothing", 0.0), torch.from_numpy(extra.get("text_weights", np.ones(4, np.float32)))
    losses = F.cross_entropy(logits, torch.from_numpy(targets), label_smoothing=smoothing, reduction="none")
    loss = (counts * losses).sum() / counts.sum()
    loss.backward()
    np.testing.assert_allclose(scores[0], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(scores[1], (logits.argmax(1).numpy() == targets).mean())
    for gradient, parameter in zip(got, parameters, strict=True):
        np.testing.assert_allclose(gradient, parameter.grad, rtol=0, atol=1e-5)
    if frozen:
        assert vectors.grad is None
        return
    by_word, expected = torch.zeros(30, 4), torch.zeros(30, 4)
    by_word[words], expected[model.embedding.words] = vectors.grad, model.embedding.vectors.grad
    np.testing.assert_allclose(by_word, expected, rtol=0, atol=1e-5)
    assert expected.abs().max() > 1e-3
