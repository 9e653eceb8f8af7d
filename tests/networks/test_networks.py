"""The networks: against plain loops, and free of their batch where they mask."""

import pytest
import torch
from msgspec import structs
from torch import nn

from made_networks import BOTH_WAYS, NETWORKS, NOT_LAST
from ragged import needs_native
from rubrica.config.schema import fields_of
from rubrica.models.config import make_config
from rubrica.models.families import FAMILIES
from rubrica.models.family import NetworkFamily
from rubrica.networks.networks import build_network
from rubrica.networks.pooling import POOLINGS
from settings import changed

# Float32 is what the kernels compute on the CPU; float64 goes through torch alone, where every digit can be checked.
BOTH = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), pytest.param(torch.float32, 2e-6, marks=needs_native)], ids=str
)


def make_model(name, dtype=torch.float64, **settings):
    torch.manual_seed(0)
    config = changed(make_config(), [*NETWORKS[name], "model.hidden_size=5", "model.embedding_dim=6"]).model
    table = torch.randn(20, 6, dtype=dtype)
    wanted = {key: value for key, value in ({"pooling": "max"} | settings).items() if key in fields_of(type(config))}
    return build_network(structs.replace(config, **wanted), table, 3)


def padded(lengths):
    ids = torch.zeros(len(lengths), max(1, *lengths), dtype=torch.long)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = torch.randint(1, 20, (length,))
    return ids, torch.tensor(lengths)


def test_every_model_of_the_config_is_in_the_dict():
    for name in NETWORKS:
        assert make_model(name)(*padded([4, 2])).shape == (2, 3)
    torch_trained = {name for name, kind in FAMILIES.items() if issubclass(kind, NetworkFamily)}
    assert torch_trained == {"cnn", "rnn", "gru", "lstm", "mingru", "drnn"}


def test_a_family_without_a_network_is_named():
    class Strange(NetworkFamily, frozen=True, kw_only=True):
        pass

    with pytest.raises(TypeError, match="no network is registered for Strange"):
        build_network(Strange(name="strange"), torch.zeros(2, 2), 2)


@BOTH
@pytest.mark.parametrize(("name", "pooling", "bidirectional"), BOTH_WAYS)
def test_score_depends_on_neither_batch_nor_padding(name, pooling, bidirectional, dtype, tolerance):
    model = make_model(name, dtype, pooling=pooling, bidirectional=bidirectional).eval()
    ids, lengths = padded([2, 9, 5, 0, 1])
    together = model(ids, lengths)
    alone = torch.cat([model(ids[i : i + 1, : max(1, lengths[i])], lengths[i : i + 1]) for i in range(5)])
    wider = model(nn.functional.pad(ids, (0, 11), value=7), lengths)
    torch.testing.assert_close(together, alone, rtol=0, atol=tolerance)
    torch.testing.assert_close(together, wider, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_of_a_single_word_is_learned_from(name):
    """BatchNorm has no spread to divide by."""
    model = make_model(name).train()
    model(*padded([1])).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.head.parameters())
    assert all(layer.training for layer in model.modules() if not isinstance(layer, nn.BatchNorm1d))


@pytest.mark.parametrize("name", NETWORKS)
def test_without_lengths_padding_is_read_as_words(name):
    model = make_model(name, pooling="average" if name in NOT_LAST else "last").eval()
    ids, _ = padded([2, 9])
    assert not torch.allclose(model(ids[:1], None), model(ids[:1, :2], None))


@pytest.mark.parametrize("pooling", ["max", "average", "average_max"])
def test_cnn_equals_loops_over_windows(pooling):
    model = make_model("cnn", pooling=pooling)
    for norm in model.norms:  # statistics that are not the neutral start
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        nn.init.normal_(norm.weight)
    model.eval()
    ids, lengths = padded([7, 1, 4, 12])
    for row, length, logits in zip(ids, lengths, model(ids, lengths), strict=True):
        x = model.embedding.weight[row[:length]]  # (T, E)
        for conv, norm in zip(model.convs, model.norms, strict=True):
            x = torch.cat([x.new_zeros(1, x.shape[1]), x, x.new_zeros(2, x.shape[1])])
            steps = []
            for start in range(0, len(x) - 3, 2):
                total = conv.bias + sum(conv.weight[:, :, k] @ x[start + k] for k in range(3))
                total = (total - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps)
                steps.append(torch.relu(total * norm.weight + norm.bias))
            x = torch.stack(steps)
        parts = [x.mean(0)] * ("average" in pooling) + [x.amax(0)] * ("max" in pooling)
        features = torch.cat(parts)
        torch.testing.assert_close(logits, model.head(features), rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_kim_equals_loops_over_windows(pooling, dtype, tolerance):
    model = make_model("kim", dtype, pooling=pooling)
    ids, lengths = padded([7, 1, 4, 12, 0, 3])
    for row, length, logits in zip(ids, lengths, model(ids, lengths), strict=True):
        features = []
        for conv in model.convs:
            words = [model.embedding.weight[i] for i in row[:length]]
            words += [torch.zeros(6, dtype=dtype)] * (conv.weight.shape[2] - len(words))  # one window at least
            windows = [
                torch.relu(conv.bias + sum(conv.weight[:, :, k] @ words[s + k] for k in range(conv.weight.shape[2])))
                for s in range(len(words) - conv.weight.shape[2] + 1)
            ]
            pooled = torch.stack(windows).amax(0) if pooling == "max" else sum(windows) / len(windows)
            features.append(pooled if length else torch.zeros(5, dtype=dtype))
        torch.testing.assert_close(logits, model.head(torch.cat(features)), rtol=0, atol=tolerance)


@BOTH
@pytest.mark.parametrize("pooling", ["last", "max", "average"])
def test_drnn_equals_a_gru_of_torch_on_each_window_and_learns_what_that_would(pooling, dtype, tolerance):
    model = make_model("drnn", dtype, pooling=pooling)
    gru = nn.GRU(6, 5).to(dtype)
    gru.load_state_dict(model.cell.state_dict())
    ids, lengths = padded([7, 1, 4, 12, 0, 3])
    features = []
    for row, length in zip(ids, lengths, strict=True):
        words, states = model.embedding.weight[row[:length]], []
        for end in range(1, length + 1):
            _, last = gru(words[max(0, end - 3) : end])
            states.append(torch.relu(model.mlp.weight @ last[0] + model.mlp.bias))
        states = torch.stack(states) if states else torch.zeros(1, 5, dtype=dtype)
        features.append({"last": states[-1], "max": states.amax(0), "average": states.mean(0)}[pooling])
    expected, logits = model.head(torch.stack(features)), model(ids, lengths)
    torch.testing.assert_close(logits, expected, rtol=0, atol=tolerance)
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    nn.functional.cross_entropy(logits, targets).backward()
    ours = [*model.cell.parameters(), *model.mlp.parameters()]
    theirs = [*gru.parameters(), *model.mlp.parameters(), model.embedding.weight]
    by_word, vectors = torch.zeros(20, 6, dtype=dtype), model.embedding.vectors
    by_word[slice(None) if vectors is model.embedding.weight else model.embedding.words] = vectors.grad
    found = [*(parameter.grad for parameter in ours), by_word]
    wanted = torch.autograd.grad(nn.functional.cross_entropy(expected, targets), theirs)
    for gradient, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, other, rtol=0, atol=tolerance)
    assert min(gradient.abs().max() for gradient in found) > 1e-4


def test_a_window_as_long_as_the_text_is_a_gru():
    model = make_model("drnn", pooling="last", window=12)
    ids, lengths = padded([12, 5])
    whole = POOLINGS["last"](model.cell(model.embedding.weight[ids.t()]), lengths)
    torch.testing.assert_close(model(ids, lengths), model.head(torch.relu(model.mlp(whole))), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_recurrent_start_is_the_one_asked_for(name):
    ours, seminars = make_model(name, hidden_size=16), make_model(name, hidden_size=16, init="uniform01")
    for parameter in ours.cell.parameters():
        assert parameter.abs().max() <= 1 / 4
        assert parameter.min() < 0
    for parameter in seminars.cell.parameters():
        assert parameter.min() >= 0
        assert parameter.max() > 0.5


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_zeroes_a_share_of_the_features_and_scales_the_others_up(name):
    model = make_model(name, hidden_size=400).eval()
    model.head = nn.Identity()
    ids, lengths = padded([4, 9])
    whole, dropped = model(ids, lengths), model(ids, lengths, 0.25)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], (whole / 0.75)[kept])
    alive = whole != 0  # the cnn has zeros of its own
    assert 0.65 < (kept & alive).sum() / alive.sum() < 0.85
