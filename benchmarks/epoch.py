"""An epoch of AG News for the recurrent networks: ours, and the best that torch's own layers do with our batches.

Claim: a gru of 48 to 64 units trains at least 3 times faster than the same network on `nn.GRU`. Both get the same
batches (64 texts of similar length, padded to the longest), vectors of 50 numbers, the maximum over a text's own
steps and a linear head. Theirs has `nn.Embedding` with sparse gradients and SparseAdam, fused Adam for the rest, and
no packing, which on the CPU only slows torch down.

An epoch is extrapolated from turns of 150 updates of either side, in turns, at least 5 of each; the updates are those
of one epoch in its own order, and both sides make the same ones in a pair of turns.

Expected before measuring, on 2 cores with AVX-512 that do 470 Gflop/s together: 176 Mflop an update of the gru at half
of that are 0.8 ms, 0.6 ms for what is around it, so 1.4 ms against torch's 10: 7 times. The rnn 3 times (torch's is one
product and one tanh a step), the lstm 3 times (oneDNN computes torch's).

    python benchmarks/epoch.py ../shared/data/ag_news        # about three minutes; writes results/epoch.json
"""

import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from results import write_result
from rubrica.corpus.corpus import build_corpus
from rubrica.data.dataset import read_dataset
from rubrica.kernels import native
from rubrica.learning.backend import choose_backend, to_tensors
from rubrica.learning.job import Job, all_rows
from rubrica.learning.loop import update
from rubrica.learning.network import initial_table
from rubrica.learning.schedule import batches_of
from rubrica.learning.seeds import seed_everything
from rubrica.models.config import load_recipe
from rubrica.networks.networks import build_network
from rubrica.networks.pooling import pool_max

UPDATES, PAIRS, WARM_UP = 150, 5, 10
NETWORKS = (("gru", 48), ("gru", 64), ("rnn", 64), ("lstm", 64))
# One direction, maximum; no draws and no moved vectors, so that either side does the same.
OFF = ("label_smoothing", "word_dropout", "dropout", "adversarial")
CONFIG = load_recipe("small").replace(training={"batch_size": 64, "device": "cpu"} | dict.fromkeys(OFF, 0.0))
LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Theirs(nn.Module):
    """The network of `networks/recurrent.py` from torch's parts."""

    def __init__(self, ours, config):
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(ours.embedding.weight.detach().clone(), freeze=False, sparse=True)
        self.layer = LAYERS[config.model.name](self.embedding.embedding_dim, config.model.hidden_size)
        self.layer.load_state_dict(ours.cell.state_dict())
        self.head = nn.Linear(config.model.hidden_size, ours.head.out_features)
        self.head.load_state_dict(ours.head.state_dict())
        dense = [*self.layer.parameters(), *self.head.parameters()]
        self.optimizers = [
            torch.optim.SparseAdam([self.embedding.weight], lr=config.training.lr),
            torch.optim.Adam(dense, lr=config.training.lr, fused=True),
        ]

    def update(self, split, batch, config):
        """As `rubrica.learning.loop.update`."""
        ids, lengths, targets, _ = to_tensors(split, batch, torch.device("cpu"))
        states, _ = self.layer(self.embedding(ids.t()))
        loss = F.cross_entropy(self.head(pool_max(states, lengths)), targets)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        # What clip_grad_norm_ does, which refuses sparse gradients.
        gradients = [parameter.grad for parameter in self.parameters()]
        dense = [gradient.coalesce().values() if gradient.is_sparse else gradient for gradient in gradients]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in dense]))
        scale = torch.clamp(config.training.max_grad_norm / (norm + 1e-6), max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()


def measure(corpus, name, hidden):
    """Seconds of an epoch of either side, a turn each."""
    config = CONFIG.replace(model={"name": name, "hidden_size": hidden})
    split = corpus.splits["train"]
    rows = all_rows(split)
    seed_everything(0)
    ours = build_network(config.model, initial_table(Job(corpus, config, rows)), corpus.task.num_classes).train()
    theirs, backend = Theirs(ours, config).train(), choose_backend(ours, config, corpus.task)
    batches = batches_of(split, rows, config.training, epoch=0)
    seconds, torch_threads = {"ours": [], "torch": []}, torch.get_num_threads()
    for turn in range(PAIRS + 1):
        start = turn * UPDATES
        chosen = batches[start : start + (UPDATES if turn else WARM_UP)]
        losses = {}
        for side in ("ours", "torch") if turn % 2 else ("torch", "ours"):
            torch.set_num_threads(1 if side == "ours" else torch_threads)  # as `loop.fit` does, and as torch comes
            started = time.perf_counter()
            if side == "ours":
                losses[side] = [float(update(backend, split, batch)[0]) for batch in chosen]
            else:
                losses[side] = [theirs.update(split, batch, config) for batch in chosen]
            if turn:
                seconds[side].append((time.perf_counter() - started) / len(chosen) * len(batches))
        if turn == 0:  # the same start and texts give the same losses, or the race is between different things
            np.testing.assert_allclose(losses["ours"], losses["torch"], rtol=1e-3)
    torch.set_num_threads(torch_threads)
    return {side: np.array(values) for side, values in seconds.items()}, len(batches)


def main():
    dataset = read_dataset(sys.argv[1] if len(sys.argv) > 1 else "mini-news")
    corpus = build_corpus(dataset, None, CONFIG.data)
    rows = []
    for name, hidden in NETWORKS:
        seconds, num_batches = measure(corpus, name, hidden)
        ratios = seconds["torch"] / seconds["ours"]
        row = {
            "network": name,
            "hidden_size": hidden,
            "ours_s": float(np.median(seconds["ours"])),
            "torch_s": float(np.median(seconds["torch"])),
            "ratio": float(np.median(ratios)),
            "ratio_min": float(ratios.min()),
            "ratio_max": float(ratios.max()),
            "updates_of_an_epoch": num_batches,
        }
        rows.append(row)
        print(f"{name:5} {hidden} units: ours {row['ours_s']:5.2f} s   torch {row['torch_s']:5.2f} s   "
              f"{row['ratio']:.1f}x ({row['ratio_min']:.1f}-{row['ratio_max']:.1f})", flush=True)  # fmt: skip
    settings = {
        "data": dataset.name.rstrip("/").rpartition("/")[2], "texts": len(corpus.splits["train"].targets),
        "batch_size": CONFIG.training.batch_size, "embedding_dim": CONFIG.model.embedding_dim,
        "kernels": native.describe(), "torch_threads": torch.get_num_threads(),
        "extrapolated_from": {"updates_of_a_turn": UPDATES, "turns_of_each": PAIRS},
    }  # fmt: skip
    write_result("epoch", {**settings, "rows": rows})


if __name__ == "__main__":
    main()
