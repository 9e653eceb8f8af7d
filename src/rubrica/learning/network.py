"""Training of a network of `models`: its start, the loop, its weights and scores.

Letters: V words in use, W words of the vectors, E numbers in a word vector.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from rubrica.config.settings import Config
from rubrica.corpus.corpus import Corpus, pretrained_table
from rubrica.learning.history import History, Trained
from rubrica.learning.loop import choose_device, compute_logits, fit, seeded
from rubrica.networks.networks import build_model
from rubrica.vectors.word_vectors import Vectors


def train_network(
    corpus: Corpus,
    vectors: Vectors | None,
    config: Config,
    rows: NDArray[np.int64],
    *,
    validate: Callable[[Trained], tuple[float, float]] | None,
    title: str,
    stop_at: float = math.inf,
) -> Trained:
    """Train on the given rows of the corpus's train split, see `loop.fit`.

    Args:
        corpus: Texts in numbers.
        vectors: The embedding starts at them where the config says so.
        config: The settings.
        rows: Which texts of train to learn from.
        validate: Returns loss and accuracy on held-out texts; called after each epoch.
        title: What the progress bar is called.
        stop_at: When to end as by Ctrl-C, on the clock of `time.perf_counter`.
    """
    with seeded(config.training.seed):
        return _train(corpus, vectors, config, rows, validate, title, stop_at)


def _train(
    corpus: Corpus,
    vectors: Vectors | None,
    config: Config,
    rows: NDArray[np.int64],
    validate: Callable[[Trained], tuple[float, float]] | None,
    title: str,
    stop_at: float,
) -> Trained:
    if vectors is None or config.model.embedding != "pretrained":  # noise is not worth keeping
        config = config.changed(["training.freeze_steps=0", "training.freeze_epochs=0"])
    model = build_model(config.model, initial_table(corpus, vectors, config), len(corpus.labels))
    model.to(choose_device(config.training.device))

    def trained(history: History) -> Trained:
        tensors = {
            name: tensor.float().cpu().numpy()
            for name, tensor in model.state_dict().items()
            if not name.endswith("num_batches_tracked")  # counts updates; says nothing at prediction
        }
        return Trained(tensors, lambda split, wanted: compute_logits(model, split, wanted, config), history)

    def check() -> tuple[float, float]:
        assert validate is not None
        return validate(trained(History()))

    split = corpus.splits["train"]
    unknown_id = corpus.vocab.unknown_id
    judge = check if validate else None
    return trained(fit(model, split, rows, config, unknown_id=unknown_id, validate=judge, title=title, stop_at=stop_at))


def initial_table(corpus: Corpus, vectors: Vectors | None, config: Config) -> Float[Tensor, "V E"]:
    """The rows in use of the embedding table before training."""
    if vectors is not None and config.model.embedding == "pretrained":
        return torch.from_numpy(pretrained_table(vectors)[corpus.rows])
    # The whole table is drawn, then the rows in use are taken: these are the very numbers that the seminar's
    # nn.Embedding(W, E) starts from, and every later draw is the same too.
    return torch.empty(corpus.table_size, config.model.embedding_dim).normal_(std=config.model.embedding_std)[
        torch.from_numpy(corpus.rows)
    ]
