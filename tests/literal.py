"""The seminar's five experiments, transcribed literally: the oracle of the recipes and the baseline of the benchmark.

Nothing is shared with the library. The whole table is kept, texts are split by NLTK and padded row by row, each gate
has matrices of its own, and the walk over time is a Python loop.
"""

import torch
import torch.nn.functional as F
from nltk.tokenize import WordPunctTokenizer
from torch import nn


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

    def copy_start(self, table, ours):
        self.embedding.weight.data[:] = table
        for block in range(3):
            self.layers[3 * block].load_state_dict(ours.convs[block].state_dict())
            self.layers[3 * block + 1].load_state_dict(ours.norms[block].state_dict())
        self.out.load_state_dict(ours.head.state_dict())

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

    def copy_start(self, table, ours):
        cell = ours.cell
        self.embedding.weight.data[:] = table
        self.W_x.data[:], self.b_x.data[:] = cell.weight_ih_l0.data.T, cell.bias_ih_l0.data
        self.W_h.data[:], self.b_h.data[:] = cell.weight_hh_l0.data.T, cell.bias_hh_l0.data
        self.out.load_state_dict(ours.head.state_dict())

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

    def copy_start(self, table, ours):
        cell = ours.cell
        self.embedding.weight.data[:] = table
        for i, gate in enumerate(self.GATES):
            rows = slice(i * self.hidden, (i + 1) * self.hidden)
            getattr(self, f"W_{gate}x").data[:] = cell.weight_ih_l0.data[rows].T
            getattr(self, f"b_{gate}x").data[:] = cell.bias_ih_l0.data[rows]
            getattr(self, f"W_{gate}h").data[:] = cell.weight_hh_l0.data[rows].T
            getattr(self, f"b_{gate}h").data[:] = cell.bias_hh_l0.data[rows]
        self.out.load_state_dict(ours.head.state_dict())

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


def literal_ids(texts, words):
    """Ids of the first 128 tokens of each text, as lists."""
    word_to_index = {word: index for index, word in enumerate(words)}
    if "unk" not in word_to_index:
        word_to_index["unk"] = len(words)
    tokenizer = WordPunctTokenizer()
    return [
        [word_to_index.get(token, word_to_index["unk"]) for token in tokenizer.tokenize(text)[:128]] for text in texts
    ]


def pad(texts):
    """A batch, padded at the end to its longest text with id 0."""
    longest = max(len(text) for text in texts)
    return torch.tensor([text + [0] * (longest - len(text)) for text in texts])


def literal_update(model, optimizer, batch, targets, max_norm):
    """One update as the seminar writes it; returns the loss."""
    loss = F.cross_entropy(model(batch), targets)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


def literal_losses(name, model, texts, targets, order, last_frozen):
    """The loss of each update of one epoch; the table is frozen up to and with the update `last_frozen`."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    model.train()
    losses = []
    for step, start in enumerate(range(0, len(order), 32)):
        chosen = order[start : start + 32]
        model.embedding.weight.requires_grad = last_frozen is None or step > last_frozen
        batch, batch_targets = pad([texts[i] for i in chosen]), torch.tensor([targets[i] for i in chosen])
        losses.append(literal_update(model, optimizer, batch, batch_targets, LITERAL[name][1]))
    return losses
