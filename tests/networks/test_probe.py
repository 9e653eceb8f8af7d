"""What the probe sees of a network, held to autograd on single texts and to formulas written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from made_models import LABELS, WORDS, make
from made_networks import CASES
from rubrica.networks.networks import build_network
from rubrica.networks.probe import look_inside, open_network
from rubrica.scoring.tasks import task_of

TASK = task_of(LABELS, lists=False)
LENGTHS = np.array([5, 3, 9])
IDS = np.zeros((3, 9), np.int64)
for _row, _length in enumerate(LENGTHS):
    IDS[_row, :_length] = np.arange(2 + _row, 2 + _row + _length)  # no word twice in a text
TARGETS = np.array([0, 2, 1])


def opened(name, pooling="max", masked=True, both=False):
    model, _ = make(name, pooling, masked, both)
    tensors = model.artifact.tensors
    table = tensors["embedding.weight"].astype(np.float64)
    network = open_network(model.config.model, tensors, table, len(LABELS))
    return model, network, look_inside(network, TASK, IDS, LENGTHS, TARGETS, masked=masked)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(("name", "pooling"), CASES)
def test_the_gradient_by_a_word_is_the_gradient_by_its_row_of_the_table(name, pooling, masked):
    _, network, inside = opened(name, pooling, masked)
    for row, length in enumerate(LENGTHS.tolist()):
        network.zero_grad()
        ids, lengths = torch.from_numpy(IDS[row : row + 1]), torch.tensor([length])
        loss = F.cross_entropy(network(ids, lengths if masked else None), torch.from_numpy(TARGETS[row : row + 1]))
        loss.backward()
        by_row = network.embedding.weight.grad.norm(dim=1).numpy()
        np.testing.assert_allclose(inside.to_words[row, :length], by_row[IDS[row, :length]], rtol=1e-9, atol=1e-15)


def test_masked_padding_has_no_gradient_at_all_and_padding_that_is_read_has_one():
    padding = np.arange(9) >= LENGTHS[:, None]
    assert not opened("gru", "last")[2].to_words[padding].any()
    assert opened("gru", "last", masked=False)[2].to_words[padding].all()


def test_what_is_opened_answers_as_the_model_does():
    for name in ("cnn", "kim", "rnn", "gru", "lstm", "mingru", "drnn"):
        model, network, inside = opened(name)
        words = [" ".join(WORDS[i] for i in ids[:length]) for ids, length in zip(IDS, LENGTHS, strict=True)]
        logits = F.linear(torch.from_numpy(inside.features), network.head.weight, network.head.bias)
        np.testing.assert_allclose(logits.detach().numpy(), model.logits(words), atol=1e-5)


def literal_slopes(name, tensors, ids):
    """The slopes of all gates over one text, a step at a time, by the formulas of the papers."""
    w, u = tensors["cell.weight_ih_l0"].astype(float), tensors["cell.weight_hh_l0"].astype(float)
    b, c = tensors["cell.bias_ih_l0"].astype(float), tensors["cell.bias_hh_l0"].astype(float)
    size, h, found = u.shape[1], np.zeros(u.shape[1]), []
    cell = np.zeros(size)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def slope(s):
        return 4 * s * (1 - s)

    for word in ids:
        x, s = w @ tensors["embedding.weight"][word].astype(float) + b, u @ h + c
        if name == "rnn":
            h = np.tanh(x + s)
            found.append([1 - h**2])
        elif name == "gru":
            r, z = (sigmoid(x[k : k + size] + s[k : k + size]) for k in (0, size))
            n = np.tanh(x[2 * size :] + r * s[2 * size :])
            h = (1 - z) * n + z * h
            found.append([slope(r), slope(z), 1 - n**2])
        else:
            i, f, g, o = (x + s)[:size], (x + s)[size : 2 * size], (x + s)[2 * size : 3 * size], (x + s)[3 * size :]
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            cell = f * cell + i * g
            h = o * np.tanh(cell)
            found.append([slope(i), slope(f), 1 - g**2, slope(o)])
    return np.array(found)  # (T, gates, H)


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_slopes_are_the_derivatives_at_each_real_token(name):
    model, _, inside = opened(name, "last")
    steps = [literal_slopes(name, model.artifact.tensors, IDS[row, :length]) for row, length in enumerate(LENGTHS)]
    for gate, found in enumerate(inside.slopes.values()):
        # The probe goes step by step over all texts, the formulas text by text.
        wanted = np.concatenate([[text[t, gate] for text in steps if t < len(text)] for t in range(9)])
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "mingru"])
@pytest.mark.parametrize("both", [False, True])
def test_memory_is_the_gradient_of_the_state_at_a_text_s_own_end(name, both):
    _, network, inside = opened(name, "last", both=both)
    draw = torch.from_numpy(np.random.default_rng(0).normal(size=6))
    for row, length in enumerate(LENGTHS.tolist()):
        for direction in network.cell.directions:
            ids = torch.from_numpy(IDS[row, :length])
            x = network.embedding.weight.detach()[ids].requires_grad_()
            read = x.flip(0) if direction == "l0_reverse" else x
            state = network.cell.walk(read[:, None], direction)[-1, 0]
            (gradient,) = torch.autograd.grad(state @ draw, x)
            np.testing.assert_allclose(inside.memory[direction][row, :length], gradient.norm(dim=1), rtol=1e-9)


def test_by_layer_is_the_gradient_of_the_mean_loss_over_the_weight():
    _, network, inside = opened("lstm", "average")
    loss = F.cross_entropy(network(torch.from_numpy(IDS), torch.from_numpy(LENGTHS)), torch.from_numpy(TARGETS))
    loss.backward()
    for name, parameter in network.named_parameters():
        if name != "embedding.weight":
            assert inside.by_layer[name] == pytest.approx(
                float(parameter.grad.norm() / parameter.detach().norm()), rel=1e-9
            )


@pytest.mark.parametrize("name", ["cnn", "kim", "drnn"])
def test_filters_that_never_fire_are_seen(name):
    model, _ = make(name)
    tensors = {key: tensor.copy() for key, tensor in model.artifact.tensors.items()}
    bias = {"cnn": "norms.2.bias", "kim": "convs.0.bias", "drnn": "mlp.bias"}[name]
    tensors[bias][2] = -100.0
    network = open_network(model.config.model, tensors, tensors["embedding.weight"].astype(np.float64), len(LABELS))
    inside = look_inside(network, TASK, IDS, LENGTHS, TARGETS, masked=True)
    assert inside.fired["features"][2] == 0
    assert inside.features[:, 2].std() == 0
    assert np.count_nonzero(inside.fired["features"]) >= 3


def test_the_threads_of_torch_are_as_they_were():
    before = torch.get_num_threads()
    opened("gru")
    assert torch.get_num_threads() == before


def test_a_network_of_several_labels_is_read_too():
    task = task_of(LABELS, lists=True)
    model, _ = make("gru")
    table = torch.from_numpy(model.artifact.tensors["embedding.weight"]).double()
    network = build_network(model.config.model, table, len(LABELS))
    inside = look_inside(network, task, IDS, LENGTHS, np.eye(3, dtype=np.uint8), masked=True)
    assert np.isfinite(inside.to_words).all()
    assert inside.to_words.any()
