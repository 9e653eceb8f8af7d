"""A learning step: native on each instruction set = numpy = the layer's formulas, head and loss by autograd."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rubrica.cells import GRU, LSTM, RNN
from rubrica.config import ModelConfig
from rubrica.embedding import KernelAdam
from rubrica.kernels.learn import Weights, learn
from rubrica.kernels.recurrent import CELLS, POOLINGS, Reading
from rubrica.models import build_model
from rubrica.pooling import POOLINGS as BY_TORCH
from rubrica.vocab import TokenIds

LAYERS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
NAMES = ("scores", "vectors", *Weights._fields)


class Case:
    """Texts of given lengths with random words, targets and parameters."""

    def __init__(self, cell, pooling, lengths, hidden, classes, *, num_words=9, dim=5):
        draw = np.random.default_rng(len(lengths) + hidden)
        self.layer = LAYERS[cell](dim, hidden).double()
        self.head = torch.nn.Linear(hidden, classes).double()
        self.parameters = [*self.layer.parameters(), *self.head.parameters()]
        for parameter in self.parameters:
            parameter.data = torch.from_numpy(draw.uniform(-0.6, 0.6, parameter.shape))
        self.vectors = draw.normal(size=(num_words, dim))
        lengths = np.array(lengths, np.int64)
        rows = draw.integers(0, num_words, int(lengths.sum())).astype(np.int32)
        self.reading = Reading(cell, pooling, rows, np.cumsum(lengths) - lengths, lengths)
        self.targets = draw.integers(0, classes, len(lengths))

    def by_kernel(self, dtype, *, threads=1, trains=True):
        weights = Weights(*(parameter.detach().numpy().astype(dtype) for parameter in self.parameters))
        gradients = Weights(*(np.full_like(weight, np.nan) for weight in weights))  # each is written, none is added to
        vectors = self.vectors.astype(dtype)
        scores, d_vectors = learn(
            self.reading, self.targets, vectors, weights, gradients, trains=trains, threads=threads
        )
        return scores, d_vectors, *gradients

    def by_autograd(self):
        """Text by text, so that nothing of a batch is shared with the kernel."""
        vectors = torch.from_numpy(self.vectors).requires_grad_()
        features = torch.zeros(len(self.targets), self.layer.hidden_size, dtype=torch.double)
        for i, (start, length) in enumerate(zip(self.reading.starts, self.reading.lengths, strict=True)):
            if length:
                words = torch.from_numpy(self.reading.rows[start : start + length].astype(np.int64))
                features[i] = BY_TORCH[self.reading.pooling](self.layer(vectors[words][:, None]), None)[0]
        logits, targets = self.head(features), torch.from_numpy(self.targets)
        loss = F.cross_entropy(logits, targets)
        wanted = [vectors, *self.parameters]
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
        accuracy = (logits.argmax(dim=1) == targets).double().mean()
        return [torch.stack([loss.detach(), accuracy]).numpy(), *(gradient.numpy() for gradient in gradients)]


def assert_close(got, expected, tolerance):
    for name, a, b in zip(NAMES, got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max(initial=0)), err_msg=name)


CASES = given(
    cell=st.sampled_from(CELLS),
    pooling=st.sampled_from(POOLINGS),
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=70),
    hidden=st.integers(1, 20),
    classes=st.integers(2, 40),
)


@CASES
@settings(max_examples=40)
@example(cell="gru", pooling="max", lengths=[0], hidden=3, classes=2)
def test_numpy_equals_autograd(cell, pooling, lengths, hidden, classes):
    case = Case(cell, pooling, lengths, hidden, classes)
    assert_close(case.by_kernel(np.float64), case.by_autograd(), 1e-10)


@CASES
@settings(max_examples=60)
@example(cell="gru", pooling="max", lengths=[0], hidden=3, classes=2)
@example(cell="lstm", pooling="average", lengths=[12] * 65, hidden=33, classes=4)
def test_native_equals_numpy_on_every_instruction_set_and_number_of_threads(
    instruction_sets, cell, pooling, lengths, hidden, classes
):
    case = Case(cell, pooling, lengths, hidden, classes)
    expected = case.by_kernel(np.float64)
    for library in instruction_sets:
        with library:
            for threads in (1, 2, 3):
                got = case.by_kernel(np.float32, threads=threads)
                assert_close(got, expected, 2e-5)
                for name, a, b in zip(NAMES, got, case.by_kernel(np.float32, threads=threads), strict=True):
                    assert a.tobytes() == b.tobytes(), f"{name}: two runs, two results"
                assert case.by_kernel(np.float32, threads=threads, trains=False)[1] is None


def test_logits_beyond_the_range_of_exp_have_a_loss(instruction_sets):
    case = Case("rnn", "last", [3, 2, 5], 4, 3)
    case.head.weight.data *= 2000
    expected = case.by_autograd()
    assert expected[0][0] > 100
    for library in instruction_sets:
        with library:
            np.testing.assert_allclose(case.by_kernel(np.float32)[0], expected[0], rtol=1e-4)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_a_model_learns_what_backward_would_have_it_learn(name, masked, frozen):
    torch.manual_seed(0)
    model = build_model(ModelConfig(name=name, hidden_size=6), torch.randn(30, 4, dtype=torch.double), 3)
    model.embedding.requires_grad_(not frozen)
    parameters = [parameter for parameter in model.parameters() if parameter is not model.embedding.weight]
    adam = KernelAdam(parameters, lr=0.01)
    draw = np.random.default_rng(1)
    texts = TokenIds(draw.integers(0, 30, 40).astype(np.int32), np.array([0, 5, 5, 12, 13, 40]))
    rows, targets = np.array([3, 1, 4, 2]), np.array([0, 2, 1, 2])
    scores = model.learn(texts, rows, targets, adam.arrays, adam.gradients, masked=masked)
    got = [parameter.grad.clone() for parameter in parameters]
    words, vectors = model.embedding.words, model.embedding.vectors
    adam.gradient.zero_()
    ids = torch.zeros(4, 27, dtype=torch.long)
    for i, row in enumerate(rows):
        text = texts.ids[texts.offsets[row] : texts.offsets[row + 1]]
        ids[i, : len(text)] = torch.from_numpy(text)
    logits = model(ids, torch.from_numpy(texts.lengths[rows]) if masked else None)
    loss = F.cross_entropy(logits, torch.from_numpy(targets))
    loss.backward()
    np.testing.assert_allclose(scores[0], loss.item(), rtol=1e-12)
    np.testing.assert_allclose(scores[1], (logits.argmax(1).numpy() == targets).mean())
    for gradient, parameter in zip(got, parameters, strict=True):
        np.testing.assert_allclose(gradient, parameter.grad, rtol=0, atol=1e-12)
    if frozen:
        assert vectors.grad is None
        return
    by_word, expected = torch.zeros(30, 4, dtype=torch.double), torch.zeros(30, 4, dtype=torch.double)
    by_word[words], expected[model.embedding.words] = vectors.grad, model.embedding.vectors.grad
    np.testing.assert_allclose(by_word, expected, rtol=0, atol=1e-12)
    assert expected.abs().max() > 1e-3
