"""The five recipes against the seminar's code, transcribed literally and sharing nothing with ours.

The transcription keeps the whole table, tokenizes with NLTK, looks words up in a dict, pads row by row, walks over
time in Python, and writes each gate with matrices of its own. Same start, same order of the texts: the loss of each
of 50 updates in float64 must be the same.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nltk.tokenize import WordPunctTokenizer
from torch import nn

from rubrica.config import load_recipe
from rubrica.corpus import build_corpus
from rubrica.data import Dataset, Examples
from rubrica.loop import fit, seed_everything
from rubrica.models import build_model
from rubrica.training import initial_table
from rubrica.vectors import Vectors

UPDATES = 50
HIDDEN = 7
CLASSES = ["World", "Sports", "Business", "Sci/Tech"]


def make_news(draw, count):
    words = [f"w{i}" for i in range(90)] + ["Capital", "unk", "don't", "3.5%", "café", "—"]
    texts, labels = [], []
    for _ in range(count):
        # Some texts are longer than the 128 tokens that are kept, one in ten is a single word.
        length = int(draw.choice([1, 5, 20, 60, 150], p=[0.1, 0.3, 0.4, 0.1, 0.1]))
        texts.append(" ".join(draw.choice(words, length)))
        labels.append(CLASSES[int(draw.integers(4))])
    return Examples(texts, labels)


@pytest.fixture(scope="module", params=["with unk", "without unk"])
def world(request):
    """Texts, and vectors of 300 words of which the texts use a third."""
    draw = np.random.default_rng(3)
    train = make_news(draw, UPDATES * 32 - 5)
    dataset = Dataset("made up", {"train": train, "test": make_news(draw, 40)}, ("text",), "label", CLASSES)
    words = ["<user>"] + [f"w{i}" for i in range(60, 330)] + [".", "don", "'", "t"]
    if request.param == "with unk":
        words.insert(100, "unk")
    matrix = draw.normal(size=(len(words), 5)).astype(np.float32)
    return dataset, Vectors(words, matrix, "made up")


# --- the seminar, transcribed --------------------------------------------------------------------------------------


class LiteralCNN(nn.Module):
    def __init__(self, table, hidden):
        super().__init__()
        size = table.shape[1]
        self.embedding = nn.Embedding(table.shape[0], size)
        self.layers = nn.Sequential(
            nn.Conv1d(size, hidden, kernel_size=3, padding=1, stride=2), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Conv1d(hidden, hidden, kernel_size=3, padding=1, stride=2), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Conv1d(hidden, hidden, kernel_size=3, padding=1, stride=2), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.AdaptiveMaxPool1d(1), nn.Flatten(),
        )  # fmt: skip
        self.out = nn.Linear(hidden, 4)

    def copy_start(self, ours):
        self.embedding.weight.data[:] = ours.table
        for block in range(3):
            self.layers[3 * block].load_state_dict(ours.model.convs[block].state_dict())
            self.layers[3 * block + 1].load_state_dict(ours.model.norms[block].state_dict())
        self.out.load_state_dict(ours.model.head.state_dict())

    def forward(self, ids):
        return self.out(self.layers(self.embedding(ids).permute(0, 2, 1)))


class LiteralRNN(nn.Module):
    def __init__(self, table, hidden):
        super().__init__()
        size = table.shape[1]
        self.hidden = hidden
        self.embedding = nn.Embedding(table.shape[0], size)
        self.W_x, self.b_x = nn.Parameter(torch.rand(size, hidden)), nn.Parameter(torch.rand(hidden))
        self.W_h, self.b_h = nn.Parameter(torch.rand(hidden, hidden)), nn.Parameter(torch.rand(hidden))
        self.out = nn.Linear(hidden, 4)

    def copy_start(self, ours):
        cell = ours.model.cell
        self.embedding.weight.data[:] = ours.table
        self.W_x.data[:], self.b_x.data[:] = cell.weight_ih_l0.data.T, cell.bias_ih_l0.data
        self.W_h.data[:], self.b_h.data[:] = cell.weight_hh_l0.data.T, cell.bias_hh_l0.data
        self.out.load_state_dict(ours.model.head.state_dict())

    def forward(self, ids):
        x = self.embedding(ids)
        h = torch.zeros(ids.shape[0], self.hidden, dtype=x.dtype)
        for t in range(ids.shape[1]):
            h = torch.tanh(x[:, t] @ self.W_x + self.b_x + h @ self.W_h + self.b_h)
        return self.out(h)


class LiteralGRU(nn.Module):
    GATES = ("r", "z", "n")

    def __init__(self, table, hidden):
        super().__init__()
        size = table.shape[1]
        self.hidden = hidden
        self.embedding = nn.Embedding(table.shape[0], size)
        for gate in self.GATES:
            self.register_parameter(f"W_{gate}x", nn.Parameter(torch.rand(size, hidden)))
            self.register_parameter(f"b_{gate}x", nn.Parameter(torch.rand(hidden)))
            self.register_parameter(f"W_{gate}h", nn.Parameter(torch.rand(hidden, hidden)))
            self.register_parameter(f"b_{gate}h", nn.Parameter(torch.rand(hidden)))
        self.out = nn.Linear(hidden, 4)

    def copy_start(self, ours):
        cell = ours.model.cell
        self.embedding.weight.data[:] = ours.table
        for i, gate in enumerate(self.GATES):
            rows = slice(i * self.hidden, (i + 1) * self.hidden)
            getattr(self, f"W_{gate}x").data[:] = cell.weight_ih_l0.data[rows].T
            getattr(self, f"b_{gate}x").data[:] = cell.bias_ih_l0.data[rows]
            getattr(self, f"W_{gate}h").data[:] = cell.weight_hh_l0.data[rows].T
            getattr(self, f"b_{gate}h").data[:] = cell.bias_hh_l0.data[rows]
        self.out.load_state_dict(ours.model.head.state_dict())

    def forward(self, ids):
        x = self.embedding(ids)
        h = torch.zeros(ids.shape[0], self.hidden, dtype=x.dtype)
        for t in range(ids.shape[1]):
            x_t = x[:, t]
            r = torch.sigmoid(x_t @ self.W_rx + self.b_rx + h @ self.W_rh + self.b_rh)
            z = torch.sigmoid(x_t @ self.W_zx + self.b_zx + h @ self.W_zh + self.b_zh)
            n = torch.tanh(x_t @ self.W_nx + self.b_nx + r * (h @ self.W_nh + self.b_nh))
            h = (1 - z) * n + z * h
        return self.out(h)


LITERAL = {"cnn": (LiteralCNN, 2), "rnn": (LiteralRNN, 1), "gru": (LiteralGRU, 1), "gru-vectors": (LiteralGRU, 1)}
LITERAL["gru-frozen"] = (LiteralGRU, 1)


def literal_losses(name, model, dataset, words, order, last_frozen):
    word_to_index = {word: index for index, word in enumerate(words)}
    if "unk" not in word_to_index:
        word_to_index["unk"] = len(words)
    tokenizer = WordPunctTokenizer()
    texts = []
    for text in dataset.splits["train"].texts:
        tokens = tokenizer.tokenize(text)[:128]
        texts.append([word_to_index.get(token, word_to_index["unk"]) for token in tokens])
    targets = [CLASSES.index(label) for label in dataset.splits["train"].labels]
    max_norm = LITERAL[name][1]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    model.train()
    for step, start in enumerate(range(0, len(order), 32)):
        chosen = order[start : start + 32]
        longest = max(len(texts[i]) for i in chosen)
        batch = torch.tensor([texts[i] + [0] * (longest - len(texts[i])) for i in chosen])
        model.embedding.weight.requires_grad = last_frozen is None or step > last_frozen
        loss = F.cross_entropy(model(batch), torch.tensor([targets[i] for i in chosen]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        losses.append(loss.item())
    return losses


class Ours:
    """Our model at its start, and the whole table as the literal code holds it."""

    def __init__(self, recipe, corpus, vectors):
        seed_everything(recipe.training.seed)
        small = initial_table(corpus, vectors, recipe).double()
        self.model = build_model(recipe.model, small, len(CLASSES))
        # Rows that no text uses: any numbers do, since they must not matter.
        self.table = torch.randn(corpus.table_size, vectors.dim, dtype=torch.double)
        self.table[torch.from_numpy(corpus.rows)] = small


@pytest.mark.parametrize("name", LITERAL)
def test_recipe_equals_the_transcription_in_the_loss_of_every_update(world, name):
    dataset, vectors = world
    settings = ["model.hidden_size=7", f"model.embedding_dim={vectors.dim}"]
    if name == "gru-frozen":
        assert load_recipe("seminar-gru-frozen").training.freeze_steps == 1001
        settings.append("training.freeze_steps=21")  # thaws inside the 50 updates
    recipe = load_recipe(f"seminar-{name}").changed(settings)
    corpus = build_corpus(dataset, vectors, recipe.data)
    assert len(corpus.rows) < corpus.table_size / 2
    ours = Ours(recipe, corpus, vectors)
    literal = LITERAL[name][0](ours.table, HIDDEN).double()
    literal.copy_start(ours)
    rows = np.arange(len(dataset.splits["train"].texts))
    order = np.random.default_rng([recipe.training.seed, 0]).permutation(rows)
    expected = literal_losses(
        name, literal, dataset, vectors.words, order, last_frozen=20 if name == "gru-frozen" else None
    )
    got = fit(ours.model, corpus.splits["train"], rows, recipe).losses
    assert len(got) == len(expected) == UPDATES
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    assert np.ptp(expected) > 1e-3  # it does learn, so equality means something


@pytest.mark.parametrize("name", ["gru-vectors", "gru-frozen"])
def test_pretrained_recipes_start_at_the_vectors_and_unknown_words_at_their_place(world, name):
    dataset, vectors = world
    recipe = load_recipe(f"seminar-{name}")
    corpus = build_corpus(dataset, vectors, recipe.data)
    table = initial_table(corpus, vectors, recipe)
    expected = vectors.matrix if "unk" in vectors.words else np.vstack([vectors.matrix, vectors.matrix.mean(0)])
    np.testing.assert_allclose(table.numpy(), expected[corpus.rows], rtol=1e-6)
    place = vectors.words.index("unk") if "unk" in vectors.words else len(vectors.words)
    assert corpus.rows[corpus.vocab.unknown_id] == place
    assert corpus.rows[0] == 0
