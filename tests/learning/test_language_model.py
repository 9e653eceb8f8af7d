"""A recurrent layer that learned to foresee words, and the network that starts at it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import rubrica
from made_words import labelled, same
from rubrica.config.groups import AdamTraining, DataSettings
from rubrica.kernels import native
from rubrica.learning import language_model, network, training, word_vectors
from rubrica.learning import train as place
from rubrica.learning.budget import choose_length
from rubrica.learning.language_model import learn_to_foresee
from rubrica.models.config import make_config
from rubrica.networks.embedding import WordTable
from rubrica.networks.language_model import LanguageModel
from rubrica.text.vocab import TokenIds
from rubrica.vectors.own_words import extend_vectors
from rubrica.vectors.word_vectors import Vectors

pytestmark = pytest.mark.skipif(native.library() is None, reason="the native core reads")

WORDS = ["one", "two", "three", "four"]
RING = ["one two three four one two three", "three four one two three four", "two three four one two"] * 40


def config_of(name="gru", **model):
    settings = {"name": name, "embedding_dim": 6, "with_linear": False, "embedding": "own", **model}
    return make_config(model=settings, training={"epochs": 1, "seed": 3})


def vectors_of(words, dim=6):
    return Vectors(words, np.random.default_rng(0).normal(size=(len(words), dim)).astype(np.float32), "drawn")


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_the_loss_and_its_gradients_are_the_ones_of_the_formulas(name, both, pool):
    torch.manual_seed(1)
    texts = TokenIds(np.array([0, 1, 4, 2, 3, 3, 1, 0], np.int32), np.array([0, 5, 5, 6, 8]))
    shares = np.bincount(texts.ids, minlength=5) / 8  # 4 is the unknown word
    settings = config_of(name, hidden_size=7, bidirectional=both).model
    model = LanguageModel(settings, WordTable(torch.randn(5, 6)), shares, np.ones(5))
    rows = np.array([0, 3, 1, 2])
    loss = model.learn(texts, rows, 0.0, pool)
    found = [weight.grad.clone() for weight in (*model.cell.parameters(), *model.heads.parameters())]
    words, d_vectors = model.embedding.words, model.embedding.vectors.grad.clone()
    model.zero_grad()
    losses, table = [], model.embedding.weight
    present = [0, 1, 2, 3]  # the words of the batch, without the unknown one
    chances = torch.tensor(1 - (1 - shares[present]) ** 8, dtype=torch.float32)
    for reverse, (direction, head) in enumerate(zip(model.cell.directions, model.heads, strict=True)):
        of_direction = []
        for row in rows.tolist():
            ids = torch.from_numpy(texts.ids[texts.offsets[row] : texts.offsets[row + 1]].astype(np.int64))
            if len(ids) < 2:
                continue
            read = ids.flip(0) if reverse else ids
            states = model.cell.walk(table[read][:, None], direction)[:-1, 0]
            scores = head(states) @ table[present].T - chances.log()
            known = read[1:] != 4
            of_direction.append(F.cross_entropy(scores[known], read[1:][known], reduction="none"))
        losses.append(torch.cat(of_direction).mean())
    expected = torch.stack(losses).mean()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    expected.backward()
    torch.testing.assert_close(d_vectors, table.grad[words], rtol=1e-4, atol=1e-6)
    for mine, weight in zip(found, (*model.cell.parameters(), *model.heads.parameters()), strict=True):
        torch.testing.assert_close(mine, weight.grad, rtol=1e-4, atol=1e-6)


def test_a_frequent_word_is_asked_for_as_often_as_its_share_says(pool):
    torch.manual_seed(1)
    texts = TokenIds(np.tile(np.array([0, 1], np.int32), 4000), np.arange(4001) * 2)
    settings = config_of(hidden_size=3, bidirectional=False).model
    model = LanguageModel(settings, WordTable(torch.randn(3, 6)), np.array([0.5, 0.5, 0]), np.array([1.0, 0.25, 1.0]))
    asked = []
    model.heads[0].register_forward_hook(lambda head, given, out: asked.append(len(out)))
    model.learn(texts, np.arange(4000), 0.0, pool)
    assert 890 < asked[0] < 1110  # a quarter of 4,000, and four standard deviations


def test_it_learns_what_follows(monkeypatch):
    monkeypatch.setattr(language_model, "_EPOCHS", 30)
    monkeypatch.setattr(language_model, "_FREQUENT", 1)
    monkeypatch.setattr(language_model, "_SCHEDULE", AdamTraining(lr=0.02))
    heard = []
    monkeypatch.setattr(LanguageModel, "learn", listening(LanguageModel.learn, heard))
    learn_to_foresee(RING, vectors_of(WORDS), config_of(hidden_size=8))
    assert heard[0] > 1.2  # log(4) of one that knows nothing
    assert heard[-1] < 0.2  # what is left is the share of numbers that dropout takes


def listening(learn, heard):
    def listen(*arguments):
        found = learn(*arguments)
        heard.append(found)
        return found

    return listen


def test_two_runs_have_the_same_bits_and_other_seeds_others():
    first, second = (learn_to_foresee(RING, vectors_of(WORDS), config_of(hidden_size=8)) for _ in range(2))
    other = learn_to_foresee(RING, vectors_of(WORDS), config_of(hidden_size=8).replace(training={"seed": 4}))
    assert first.matrix.tobytes() == second.matrix.tobytes() != other.matrix.tobytes()
    assert {name: weight.tobytes() for name, weight in first.reader.items()} == {
        name: weight.tobytes() for name, weight in second.reader.items()
    }


@pytest.mark.parametrize("texts", [[], ["one", "", "unheard"], ["never heard", "one unheard"]])
def test_texts_without_two_words_teach_nothing(texts, monkeypatch):
    config, vectors, heard = config_of(hidden_size=8), vectors_of(WORDS), []
    monkeypatch.setattr(LanguageModel, "learn", listening(LanguageModel.learn, heard))
    found = learn_to_foresee(texts, vectors, config)
    assert np.isfinite(heard).all()
    std = config.model.embedding_std
    np.testing.assert_allclose(found.matrix, vectors.matrix * (std / vectors.matrix.std()), rtol=1e-6)


def test_a_reader_reads_scaled_vectors_as_it_read_its_own():
    learned = learn_to_foresee(RING, vectors_of(WORDS), config_of(hidden_size=8))
    scaled = extend_vectors(learned, ["five five five"], DataSettings(), std=0.7, seed=0)
    assert scaled.words == [*WORDS, "five"]
    for direction in ("l0", "l0_reverse"):
        name = f"cell.weight_ih_{direction}"
        seen = [vectors.matrix[:4] @ vectors.reader[name].T for vectors in (learned, scaled)]
        np.testing.assert_allclose(*seen, rtol=1e-4, atol=1e-6)
    assert scaled.reader["cell.weight_hh_l0"] is learned.reader["cell.weight_hh_l0"]


def test_a_network_starts_at_the_reader(monkeypatch):
    monkeypatch.setattr(place, "_OWN_TEXTS", 100)
    monkeypatch.setattr(word_vectors, "_FORESEEN_TEXTS", 100)
    starts, fit = [], network.fit
    monkeypatch.setattr(
        network, "fit", lambda net, *rest: starts.append(net.cell.weight_hh_l0.detach().clone()) or fit(net, *rest)
    )
    models = [rubrica.train(labelled(), config=config_of(hidden_size=4)) for _ in range(2)]
    assert same(models[0].artifact, models[1].artifact)
    made = place.find_vectors(None, labelled(), config_of(hidden_size=4))
    np.testing.assert_array_equal(starts[0].numpy(), made.reader["cell.weight_hh_l0"])


def test_a_network_that_can_read_takes_half_the_updates(monkeypatch):
    chosen = {
        size: [choose_length(make_config(), size, 4, can_read=can).training.epochs for can in (False, True)]
        for size in (1000, 6587, 22_000)
    }
    assert chosen == {1000: [10, 10], 6587: [10, 5], 22_000: [6, 3]}
    told = []

    def listen(config, *given, can_read):
        told.append((config.model.name, can_read))
        return choose_length(config, *given, can_read=can_read)

    monkeypatch.setattr(training, "choose_length", listen)
    learned = learn_to_foresee(RING, vectors_of(WORDS), config_of(hidden_size=8))
    for vectors in (None, vectors_of(WORDS), learned):
        rubrica.train(labelled(), config=config_of(hidden_size=8, embedding="pretrained"), vectors=vectors)
    for settings in ({"embedding": "random"}, {"name": "cnn", "embedding": "pretrained"}):
        rubrica.train(labelled(), config=config_of(hidden_size=8, **settings), vectors=learned)
    assert [can for name, can in told if name in ("gru", "cnn")] == [False, False, True, False, False]


def test_few_texts_teach_no_layer(monkeypatch):
    monkeypatch.setattr(place, "_OWN_TEXTS", 100)
    monkeypatch.setattr(word_vectors, "_FORESEEN_TEXTS", len(labelled().splits["train"].texts) + 1)
    assert place.find_vectors(None, labelled(), config_of()).reader is None


@pytest.mark.parametrize("name", ["mingru", "cnn"])
def test_other_networks_start_at_vectors_alone(name, monkeypatch):
    monkeypatch.setattr(place, "_OWN_TEXTS", 100)
    monkeypatch.setattr(word_vectors, "_FORESEEN_TEXTS", 100)
    made = place.find_vectors(None, labelled(), config_of(name))
    assert made.reader is None
    rubrica.train(labelled(), config=config_of(name), vectors=made)
