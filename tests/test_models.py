"""The networks: against plain loops, and free of their batch where they mask."""

import pytest
import torch
from torch import nn

from rubrica.config import ModelConfig
from rubrica.models import MODELS, build_model

NAMES = sorted(MODELS)


def make_model(name, **settings):
    torch.manual_seed(0)
    settings = {"pooling": "max", "hidden_size": 5} | settings
    table = torch.randn(20, 6, dtype=torch.double)
    return build_model(ModelConfig(name=name, embedding_dim=6, **settings), table, 3)


def padded(lengths):
    ids = torch.zeros(len(lengths), max(1, *lengths), dtype=torch.long)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = torch.randint(1, 20, (length,))
    return ids, torch.tensor(lengths)


def test_every_model_of_the_config_is_in_the_dict():
    for name in ("cnn", "rnn", "gru", "lstm"):
        assert make_model(name)(*padded([4, 2])).shape == (2, 3)
    assert len(NAMES) == 4


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "max", "average", "average_max", "attention"])
@pytest.mark.parametrize("name", NAMES)
def test_score_depends_on_neither_batch_nor_padding(name, pooling, bidirectional):
    if name == "cnn" and pooling in ("last", "attention"):
        pooling = "max"
    model = make_model(name, pooling=pooling, bidirectional=bidirectional).eval()
    ids, lengths = padded([2, 9, 5, 0, 1])
    together = model(ids, lengths)
    alone = torch.cat([model(ids[i : i + 1, : max(1, lengths[i])], lengths[i : i + 1]) for i in range(5)])
    wider = model(nn.functional.pad(ids, (0, 11), value=7), lengths)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(together, wider, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_without_lengths_padding_is_read_as_words(name):
    model = make_model(name, pooling="average" if name == "cnn" else "last").eval()
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


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_recurrent_start_is_the_one_asked_for(name):
    ours, seminars = make_model(name, hidden_size=16), make_model(name, hidden_size=16, init="uniform01")
    for parameter in ours.cell.parameters():
        assert parameter.abs().max() <= 1 / 4
        assert parameter.min() < 0
    for parameter in seminars.cell.parameters():
        assert parameter.min() >= 0
        assert parameter.max() > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_dropout_zeroes_a_share_of_the_features_and_scales_the_others_up(name):
    model = make_model(name, hidden_size=400).eval()
    model.head = nn.Identity()
    ids, lengths = padded([4, 9])
    whole, dropped = model(ids, lengths), model(ids, lengths, 0.25)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], (whole / 0.75)[kept])
    alive = whole != 0  # the cnn has zeros of its own
    assert 0.65 < (kept & alive).sum() / alive.sum() < 0.85
