"""Training of a network: its start, the loop, its weights and scores.

Letters: V words in use, W words of the vectors, E numbers in a word vector.
"""

import os
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from rubrica.corpus.corpus import pretrained_rows
from rubrica.learning.backend import choose_device, compute_logits
from rubrica.learning.job import History, Job, Trained
from rubrica.learning.loop import fit
from rubrica.learning.seeds import seeded
from rubrica.models.family import NetworkFamily
from rubrica.networks.networks import build_network
from rubrica.scoring.task import Rows

if hasattr(os, "register_at_fork"):  # torch's threads do not survive a fork, and torch would wait for them forever
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


def train_network(job: Job) -> Trained:
    """Train on the rows of a job, see `loop.fit`."""
    config = job.config
    if job.start is None:  # a random start is not worth keeping
        config = config.replace(training=config.training.thawed().to_dict())

    def trained(history: History) -> Trained:
        tensors = {
            name: tensor.float().cpu().numpy()
            for name, tensor in network.state_dict().items()
            if not name.endswith("num_batches_tracked")  # counts updates; says nothing at prediction
        }
        return Trained(tensors, lambda split, rows: compute_logits(network, split, rows, config), history)

    with seeded(config.training.seed):
        assert isinstance(config.model, NetworkFamily)
        network = build_network(config.model, initial_table(job), job.task.num_classes)
        if job.start is not None and job.start.reader is not None:
            reader = {name: torch.from_numpy(weight) for name, weight in job.start.reader.items()}
            network.load_state_dict(reader, strict=False)
        network.to(choose_device(config.training))
        judge = job.judge
        validate = None if judge is None else lambda: judge(trained(History()))
        return trained(fit(network, replace(job, config=config), validate))


def initial_table(job: Job) -> Float[Tensor, "V E"]:
    """The rows in use of the embedding table before training."""
    corpus, model = job.corpus, job.config.model
    if job.start is not None:
        return torch.from_numpy(pretrained_rows(job.start, corpus.rows))
    assert isinstance(model, NetworkFamily)
    return drawn_rows(model, corpus.rows, corpus.table_size)


def drawn_rows(model: NetworkFamily, rows: Rows, table_size: int) -> Float[Tensor, "V E"]:
    """The rows in use of a table that starts at random.

    The whole table is drawn, then the rows in use are taken: these are the very numbers that the seminar's
    nn.Embedding(W, E) starts from, and every later draw is the same too.
    """
    table = torch.empty(table_size, model.embedding_dim).normal_(std=model.embedding_std)
    return table[torch.from_numpy(rows)]
