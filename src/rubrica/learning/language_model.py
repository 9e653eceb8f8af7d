"""Where a recurrent network starts: at a table and a layer that foresee the words of one's own texts.

A. Dai and Q. Le, "Semi-supervised sequence learning", 2015, https://arxiv.org/abs/1511.01432; here in both directions.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rubrica.config.groups import AdamTraining
from rubrica.kernels import native
from rubrica.learning.checkpoint import Saved, Stage, State
from rubrica.learning.first_vectors import MATRIX, Place, pack_words
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
_FREQUENT = 3e-4  # share of all tokens from which on a word is asked for less often
_SCHEDULE = AdamTraining(lr=3e-3, warmup=0.03)
_SHOWN = 50  # updates that a shown loss is averaged over, and between two questions for a checkpoint


def learn_to_foresee(
    texts: Sequence[str], vectors: Vectors, config: Config, stage: Stage | None = None, saved: Saved | None = None
) -> Vectors:
    """The vectors with a `reader`, both learned from texts without their labels.

    The same texts, settings and number of threads give the same bits. It needs the native core.

    Args:
        texts: Which they are learned from.
        vectors: Where the words start.
        config: Of the network; says how texts are read, and the seed.
        stage: Keeps where the training is.
        saved: What it kept, to go on from; with the words of `vectors`.

    Raises:
        ArtifactError: If what is saved is not of this training.
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
        run = _Run(network, tokens, vectors.words, seed)
        if saved is not None:
            run.go_on(saved)
        run.fit(stage or Stage())
    reader = {f"cell.{name}": weight.detach().numpy() for name, weight in network.cell.named_parameters()}
    return replace(vectors, matrix=network.embedding.weight.detach().numpy()[:-1].copy(), reader=reader)


class _Run:
    """Adam on the table and the rest, as in `loop.py`."""

    def __init__(self, network: LanguageModel, tokens: TokenIds, words: list[str], seed: int) -> None:
        self.network, self.tokens, self.seed, self.place = network, tokens, seed, Place()
        self.words = pack_words(words)
        self.table = TableAdam(network.embedding, _SCHEDULE.lr, dense=False)
        rest = [weight for weight in network.parameters() if weight is not network.embedding.weight]
        self.adam = KernelAdam(rest, _SCHEDULE.lr)
        self.rows = np.flatnonzero(tokens.lengths > 1)  # a word alone has nobody to foresee it
        self.in_epoch = -(-len(self.rows) // _BATCH)

    def fit(self, stage: Stage) -> None:
        """Train from `place` on."""
        network, place, losses = self.network, self.place, deque[float](maxlen=_SHOWN)
        total, threads = _EPOCHS * self.in_epoch, max(1, native.num_threads() // len(network.heads))
        with (
            torch_threads(threads),
            ThreadPoolExecutor(len(network.heads)) as pool,
            progress_bar("language model", total, place.steps) as advance,
        ):
            for batch in self._batches():
                self.table.lr = self.adam.lr = lr_at((place.steps + 0.5) / total, _SCHEDULE)
                losses.append(network.learn(self.tokens, batch, _DROPOUT, pool))
                gradients = [vectors.grad for vectors in self.table.trained() if vectors.grad is not None]
                scale = clip_scale(common_norm([self.adam.gradient, *gradients]), _SCHEDULE.max_grad_norm)
                self.adam.step(scale)
                self.table.step(scale)
                place.steps += 1
                if place.steps % _SHOWN == 0:
                    stage.offer(self._state)
                advance(f"loss {fmean(losses):.3f}")
        stage.offer(self._state, is_last=True)

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        for epoch in range(self.place.steps // max(1, self.in_epoch), _EPOCHS):
            generator = np.random.default_rng([self.seed, epoch])
            batches = similar_batches(generator.permutation(self.rows), self.tokens, _BATCH, generator)
            yield from batches[self.place.steps - epoch * self.in_epoch :]

    def _state(self) -> State:
        return State(self.place, self._arrays() | self.words)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """What changes while the network learns; all but the states of the generators are the memory itself."""
        weight = self.network.embedding.weight.detach().numpy()
        moments = {name: tensor.numpy() for name, tensor in (self.table.moments() | self.adam.moments()).items()}
        states = {f"random.{i}": each.get_state().numpy() for i, each in enumerate(self.network.generators)}
        return {MATRIX: weight[:-1], "unknown": weight[-1:], "rest": self.adam.row} | moments | states

    def go_on(self, saved: Saved) -> None:
        """Go on from a state.

        Raises:
            ArtifactError: If it is not one of this training.
        """
        place, arrays, most = saved.place(Place), self._arrays(), _EPOCHS * self.in_epoch
        if not place.steps <= most:
            raise saved.broken(f"{place.steps} updates, expected {most} at most")
        saved.fill(arrays | {name: packed.copy() for name, packed in self.words.items()})
        self.place = place
        try:
            for i, generator in enumerate(self.network.generators):
                generator.set_state(torch.from_numpy(arrays[f"random.{i}"]))
        except RuntimeError as error:
            raise saved.broken(f"random state: {error}") from None
