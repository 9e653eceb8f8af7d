"""Where a recurrent network starts: at a table and a layer that foresee the words of one's own texts.

A. Dai and Q. Le, "Semi-supervised sequence learning", 2015, https://arxiv.org/abs/1511.01432; here in both directions.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import fmean

import numpy as np
import torch

from rubrica.config.groups import AdamTraining
from rubrica.kernels import native
from rubrica.learning.schedule import lr_at
from rubrica.learning.seeds import seeded
from rubrica.models.config import Config
from rubrica.models.recurrent import Recurrent
from rubrica.networks.embedding import KernelAdam, TableAdam, WordTable, clip_scale, common_norm
from rubrica.networks.language_model import LanguageModel
from rubrica.networks.network import torch_threads
from rubrica.progress import progress_bar
from rubrica.text.batching import similar_batches
from rubrica.text.tokens import encode, index_words
from rubrica.text.vocab import TokenIds
from rubrica.vectors.word_vectors import Vectors

_EPOCHS, _BATCH, _DROPOUT = 3, 32, 0.1  # see docs/decisions.md
_FREQUENT = 3e-4  # share of all tokens from which on a word is asked for more seldom
_SCHEDULE = AdamTraining(lr=3e-3, warmup=0.03)
_SHOWN = 50  # updates that a shown loss is averaged over


def learn_to_foresee(texts: Sequence[str], vectors: Vectors, config: Config) -> Vectors:
    """The vectors with a `reader`, both learned from texts without their labels.

    The same texts, settings and number of threads give the same bits. It needs the native core.

    Args:
        texts: Which they are learned from.
        vectors: Where the words start.
        config: Of the network; says how texts are read, and the seed.
    """
    model, data, seed = config.model, config.data, config.training.seed
    assert isinstance(model, Recurrent)
    unknown = len(vectors.words)
    tokens = TokenIds(*encode(
        texts, index_words(vectors.words), unknown, lowercase=data.lowercase is not False, max_length=data.max_length,
        split_unspaced=data.split_unspaced is not False,
    ))  # fmt: skip
    shares = np.bincount(tokens.ids, minlength=unknown + 1) / max(1, len(tokens.ids))
    scale = np.float32(model.embedding_std / max(float(vectors.matrix.std()), 1e-12))
    with seeded(seed):
        table = torch.from_numpy(np.vstack([vectors.matrix * scale, np.zeros((1, vectors.dim), np.float32)]))
        asked = np.minimum(1, np.sqrt(_FREQUENT / np.maximum(shares, 1e-12)))
        network = LanguageModel(model, WordTable(table), shares, asked)
        _fit(network, tokens, seed)
    reader = {f"cell.{name}": weight.detach().numpy() for name, weight in network.cell.named_parameters()}
    return replace(vectors, matrix=network.embedding.weight.detach().numpy()[:-1].copy(), reader=reader)


def _fit(network: LanguageModel, tokens: TokenIds, seed: int) -> None:
    """Adam on the table and the rest, as in `loop.py`."""
    table = TableAdam(network.embedding, _SCHEDULE.lr, dense=False)
    adam = KernelAdam([weight for weight in network.parameters() if weight is not network.embedding.weight], table.lr)
    rows = np.flatnonzero(tokens.lengths > 1)  # a word alone has nobody to foresee it
    total, losses = _EPOCHS * -(-len(rows) // _BATCH), list[float]()
    threads = max(1, native.num_threads() // len(network.heads))
    with (
        torch_threads(threads),
        ThreadPoolExecutor(len(network.heads)) as pool,
        progress_bar("language model", total) as advance,
    ):
        for epoch in range(_EPOCHS):
            generator = np.random.default_rng([seed, epoch])
            for batch in similar_batches(generator.permutation(rows), tokens, _BATCH, generator):
                table.lr = adam.lr = lr_at((len(losses) + 0.5) / total, _SCHEDULE)
                losses.append(network.learn(tokens, batch, _DROPOUT, pool))
                gradients = [adam.gradient, *(vectors.grad for vectors in table.trained() if vectors.grad is not None)]
                scale = clip_scale(common_norm(gradients), _SCHEDULE.max_grad_norm)
                adam.step(scale)
                table.step(scale)
                advance(f"loss {fmean(losses[-_SHOWN:]):.3f}")
